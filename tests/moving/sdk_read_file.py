"""
Find a user with the FileStore of the SDK on the path, and save one token more.

Arguments: the file, the user. Prints what was found, and all there is then.
"""

import json
import os
import sys

sys.path.append(os.environ["MYSQL_DRIVER"])

from zohocrmsdk.src.com.zoho.api.authenticator import OAuthToken
from zohocrmsdk.src.com.zoho.api.authenticator.store import FileStore
from zohocrmsdk.src.com.zoho.crm.api import UserSignature

NAMES = (
    "id", "client_id", "client_secret", "access_token", "refresh_token", "grant_token",
    "redirect_url", "expires_in", "api_domain",
)  # fmt: skip


def shown(token):
    signature = token.get_user_signature()
    values = {name: getattr(token, f"get_{name}")() for name in NAMES}
    return values | {"user": signature and signature.get_name()}


store = FileStore(sys.argv[1])
asked = OAuthToken(access_token="any")
asked.set_access_token(None)
asked.set_user_signature(UserSignature(sys.argv[2]))
found = shown(store.find_token(asked))
assert shown(store.find_token_by_id("1")) == shown(store.get_tokens()[0])
store.save_token(OAuthToken(access_token="one more"))
print(json.dumps([found, [shown(each) for each in store.get_tokens()]]))  # noqa: T201  # for the test
