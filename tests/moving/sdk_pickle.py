"""
Save tokens as zcrmsdk 1 and 2 do without a database, with the one on the path.

Arguments: the folder, its ``token_persistence_path``; the protocol, as that of
an older Python, or "own". The tokens come from the environment.
"""

import json
import os
import pickle
import sys

from zcrmsdk.OAuthClient import ZohoOAuth, ZohoOAuthTokens

folder, protocol = sys.argv[1:]
ZohoOAuth.configProperties = {"token_persistence_path": folder}
if protocol != "own":
    pickle.HIGHEST_PROTOCOL = int(protocol)
for each in json.loads(os.environ["TOKENS"]):
    names = ("refresh_token", "access_token", "expiry_time", "user_name")
    refresh_token, access_token, ends, user = (each[name] for name in names)
    token = ZohoOAuthTokens(refresh_token, access_token, int(ends), user)
    ZohoOAuth.get_persistence_instance().save_oauthtokens(token)
