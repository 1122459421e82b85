"""Read a file with the FileStore of the SDK on the path, and save one token more. Prints all."""

import json
import os
import sys

sys.path.append(os.environ["MYSQL_DRIVER"])

from zohocrmsdk.src.com.zoho.api.authenticator import OAuthToken
from zohocrmsdk.src.com.zoho.api.authenticator.store import FileStore

NAMES = (
    "id", "client_id", "client_secret", "access_token", "refresh_token", "grant_token",
    "redirect_url", "expires_in", "api_domain",
)  # fmt: skip


def shown(token):
    signature = token.get_user_signature()
    values = {name: getattr(token, f"get_{name}")() for name in NAMES}
    return values | {"user": signature and signature.get_name()}


store = FileStore(sys.argv[1])
found = store.find_token_by_id("1")
assert shown(found) == shown(store.get_tokens()[0])
store.save_token(OAuthToken(access_token="one more"))
print(json.dumps([shown(each) for each in store.get_tokens()]))  # noqa: T201  # for the test
