"""Which options of a URL hold a secret, whatever kind of store it is of."""

from __future__ import annotations

SECRET_WORDS = (
    "passw",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "token",
    "credential",
    "api_key",
    "apikey",
    "access_key",
    "private_key",
    "scram_client_key",
    "scram_server_key",
    "odbc_connect",
)
"""Words in the names of such options, in lower case."""
