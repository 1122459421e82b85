"""Find a user's token with the FileStore of the SDK on the path. Prints what was found."""

import json
import os
import sys

sys.path.append(os.environ["MYSQL_DRIVER"])

from zohocrmsdk.src.com.zoho.api.authenticator import OAuthToken
from zohocrmsdk.src.com.zoho.api.authenticator.store import FileStore
from zohocrmsdk.src.com.zoho.crm.api import UserSignature

token = OAuthToken(access_token="any")
token.set_access_token(None)
token.set_user_signature(UserSignature(sys.argv[2]))
found = FileStore(sys.argv[1]).find_token(token)
print(json.dumps([found.get_access_token(), found.get_api_domain()]))  # noqa: T201  # for the test
