"""The emulator in Zoho's place, for a program with an environment and a folder of its own."""

from __future__ import annotations

import os
import urllib.parse

import urllib3

import tokenkeep
from tokenkeep.testing import emulator_configuration


def environment_of(zoho, folder):
    """Return the environment of a program whose store and configuration are in a folder."""
    (folder / "config.toml").write_text(emulator_configuration(zoho))
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TOKENKEEP_STORE": f"sqlite:///{folder}/tokens.db",
        "TOKENKEEP_KEYS": tokenkeep.generate_key(),
        "TOKENKEEP_CONFIG": str(folder / "config.toml"),
    }


def login(zoho, person=None, **more):
    """Return a login of somebody's, the emulator's first user's if None, without access token."""
    return tokenkeep.Token(
        user=zoho.user.name,
        client_id=zoho.client.client_id,
        client_secret=zoho.client.client_secret,
        refresh_token=zoho.refresh_token(person),
        issuer=zoho.us.token_url,
        api_domain=zoho.us.api_url,
    ).but(**more)


def consent(address, *, user=None, decision="accept"):
    """Decide on Zoho's page; return the address it sends the browser to."""
    page, _, query = address.partition("?")
    form = dict(urllib.parse.parse_qsl(query)) | {"decision": decision}
    if user is not None:
        form["user"] = user
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    body = urllib.parse.urlencode(form)
    answer = urllib3.request("POST", page, body=body, headers=kind, redirect=False)
    assert answer.status == 302, answer.data
    return answer.headers["Location"]
