"""
Save tokens with the FileStore of whichever official SDK is on the path.

Argument: the file. Run as a process of its own for each generation.
"""

import sys
from types import ModuleType

try:
    import zohocrmsdk  # noqa: F401  # to see whether its driver is there
except ModuleNotFoundError as missing:
    # Generation 5_0 loads its MySQL driver even for a FileStore.
    if missing.name != "mysql":
        raise
    for name in [each for each in sys.modules if each.startswith("zohocrmsdk")]:
        del sys.modules[name]
    driver = ModuleType("mysql.connector")
    driver.Error = Exception
    sys.modules |= {"mysql": ModuleType("mysql"), "mysql.connector": driver}

from zohocrmsdk.src.com.zoho.api.authenticator import OAuthToken
from zohocrmsdk.src.com.zoho.api.authenticator.store import FileStore
from zohocrmsdk.src.com.zoho.crm.api import UserSignature

store = FileStore(sys.argv[1])
for user, api_domain in (
    ("o'brien@example.com:1", "https://www.zohoapis.eu"),
    ('"josé", é\n2', "https://sandbox.zohoapis.com"),
):
    token = OAuthToken(
        client_id="1000.CLIENT",
        client_secret='se"cret',
        grant_token=f"grant {user}",
        refresh_token=f"refresh {user}",
        redirect_url="https://example.com/back",
    )
    token.set_access_token(f"access {user}")
    token.set_expires_in("1764000000123")
    token.set_user_signature(UserSignature(user))
    token.set_api_domain(api_domain)
    store.save_token(token)
gone = OAuthToken(access_token="gone")
store.save_token(gone)
store.delete_token(gone.get_id())
