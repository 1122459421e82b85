"""
A program on an official SDK: initialise it and read the leads, as a script of its own.

Arguments: the store (``mysql``, ``tokenkeep``, or the file of a FileStore), the
API URL, the token URL, a folder. What it logs in with is JSON in LOGIN. Prints
the HTTP status, and the token as the SDK has it.
"""

import inspect
import json
import os
import sys
from pathlib import Path

sys.path.append(os.environ["MYSQL_DRIVER"])

from sdk_calls import environment_of, leads
from zohocrmsdk.src.com.zoho.api.authenticator import OAuthToken
from zohocrmsdk.src.com.zoho.api.authenticator.store import DBStore, FileStore
from zohocrmsdk.src.com.zoho.crm.api import Initializer, UserSignature

kind, api_url, token_url, folder = sys.argv[1:]


def store():
    if kind == "mysql":
        names = ("HOST", "DATABASE", "USER", "PASSWORD", "PORT")
        return DBStore(*[os.environ[f"MYSQL_{name}"] for name in names])
    if kind == "tokenkeep":
        from tokenkeep.integrations.zoho_sdk import SDKStore

        return SDKStore()
    return FileStore(kind)


login = json.loads(os.environ["LOGIN"])
user = login.pop("user", None)
if user:
    login["user_signature"] = UserSignature(user)
token = OAuthToken(**login)
Initializer.initialize(
    environment=environment_of(api_url, token_url),
    token=token,
    store=store(),
    resource_path=folder,
)
status = leads().get_status_code()
signature = token.get_user_signature()
seen = {
    "status": status,
    "user": signature and signature.get_name(),
    "id": token.get_id(),
    "access_token": token.get_access_token(),
    "root": str(Path(inspect.getfile(OAuthToken)).parents[6]),
}
print(json.dumps(seen))  # noqa: T201  # how the test hears of it
