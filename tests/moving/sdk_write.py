"""
Save tokens with a store of whichever official SDK is on the path.

Arguments: the file of its FileStore, or the generation of its DBStore; for zcrmsdk 1
also a folder and the protocol of an older Python, or "own", to write a pickle there. Where
the table is and the tokens come from the environment, the names of their fields are
those of the newest file. Run as a process of its own for each generation.
"""

import json
import os
import pickle
import sys
from importlib import import_module

sys.path.append(os.environ["MYSQL_DRIVER"])

PLACE = ("host", "database", "user", "password", "port")
place = {name: os.environ.get(f"MYSQL_{name.upper()}") for name in PLACE}
tokens = json.loads(os.environ["TOKENS"])


def write_new(store):
    """Save with zohocrmsdk5_0 to 8_0."""
    from zohocrmsdk.src.com.zoho.api.authenticator import OAuthToken
    from zohocrmsdk.src.com.zoho.crm.api import UserSignature

    for each in tokens:
        names = ("client_id", "client_secret", "grant_token", "refresh_token")
        given = {name: each.get(name) for name in names}
        token = OAuthToken(**given, redirect_url=each.get("redirect_uri"))
        token.set_access_token(each.get("access_token"))
        token.set_expires_in(each.get("expiry_time"))
        token.set_api_domain(each.get("api_domain"))
        if each.get("user_name"):
            token.set_user_signature(UserSignature(each["user_name"]))
        store.save_token(token)


def write_with_mail(store):
    """Save with zohocrmsdk2_1, then read all back and save that, as its refresh does."""
    from zcrmsdk.src.com.zoho.api.authenticator import OAuthToken
    from zcrmsdk.src.com.zoho.crm.api import UserSignature

    for number, each in enumerate(tokens):
        names = ("client_id", "client_secret", "grant_token", "refresh_token")
        given = {name: each.get(name) for name in names}
        token = OAuthToken(**given, redirect_url=each.get("redirect_uri"))
        token.set_id(f"python_{number}")
        token.set_access_token(each.get("access_token"))
        token.set_expires_in(each.get("expiry_time"))
        user = UserSignature(each["user_name"])
        store.save_token(user, token)
        store.save_token(user, store.get_token_by_id(token.get_id(), token))


def write_with_type(store):
    """Save with zcrmsdk 3 and zohocrmsdk2_0 1.0.0."""
    from zcrmsdk.src.com.zoho.api.authenticator import OAuthToken
    from zcrmsdk.src.com.zoho.api.authenticator.oauth_token import TokenType
    from zcrmsdk.src.com.zoho.crm.api import UserSignature

    for each in tokens:
        kind, value = TokenType.GRANT, each.get("grant_token")
        if value is None:
            kind, value = TokenType.REFRESH, each["refresh_token"]
        token = OAuthToken(each["client_id"], each.get("client_secret"), value, kind)
        token.refresh_token = each["refresh_token"]
        token.access_token = each.get("access_token")
        token.expires_in = each.get("expiry_time")
        store.save_token(UserSignature(each["user_name"]), token)


def write_first(folder=None, protocol="own"):
    """Save with zcrmsdk 1 and 2, whose database always has the same name."""
    from zcrmsdk.OAuthClient import ZohoOAuth, ZohoOAuthTokens

    names = ("mysql_username", "mysql_password", "mysql_port")
    ZohoOAuth.configProperties = dict(
        zip(names, [place[name] for name in ("user", "password", "port")], strict=True)
    )
    if folder:
        ZohoOAuth.configProperties = {"token_persistence_path": folder}
    if protocol != "own":
        pickle.HIGHEST_PROTOCOL = int(protocol)
    for each in tokens:
        names = ("refresh_token", "access_token", "expiry_time", "user_name")
        refresh_token, access_token, ends, user = (each[name] for name in names)
        token = ZohoOAuthTokens(refresh_token, access_token, int(ends), user)
        ZohoOAuth.get_persistence_instance().save_oauthtokens(token)


def db_store(root):
    """Return the store of the generation."""
    module = import_module(f"{root}.src.com.zoho.api.authenticator.store")
    return module.DBStore(*place.values())


match sys.argv[1]:
    case "1_0":
        write_first(*sys.argv[2:])
    case "2_0":
        write_with_type(db_store("zcrmsdk"))
    case "2_1":
        write_with_mail(db_store("zcrmsdk"))
    case "5_0" | "6_0" | "7_0" | "8_0":
        write_new(db_store("zohocrmsdk"))
    case path:
        from zohocrmsdk.src.com.zoho.api.authenticator.store import FileStore

        write_new(FileStore(path))
