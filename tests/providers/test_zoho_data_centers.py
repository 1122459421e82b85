"""The table of data centres: complete, unambiguous, extendable, and the only hosts trusted."""

from __future__ import annotations

import importlib
import pkgutil
import tomllib

import pytest

from tokenkeep.errors import ConfigurationError, UnknownName
from tokenkeep.providers.base import Place
from tokenkeep.providers.zoho_data_centers import (
    DATA_CENTERS,
    ENVIRONMENTS,
    DataCenter,
    table_from_mapping,
)

MINE = DataCenter("mine", "https://accounts.example", "https://api.example")
NAMES = ["us", "eu", "in", "au", "cn", "jp", "ca", "sa", "uk", "ae", "sg"]


@pytest.mark.parametrize("name", NAMES)
def test_there_and_back(name):
    """The API host of each environment leads back to it, and the accounts host to its centre."""
    center = DATA_CENTERS.by_name(name)

    for environment in ENVIRONMENTS:
        assert DATA_CENTERS.place(center.api_domain(environment)) == Place(name, environment)
    assert DATA_CENTERS.by_accounts_server(center.accounts) is center
    assert center.token_endpoint == f"{center.accounts}/oauth/v2/token"


def test_official_sdk_agrees():
    """Every data centre of the official SDK is in the table as the SDK has it."""
    dc = pytest.importorskip("zohocrmsdk.src.com.zoho.crm.api.dc")
    seen = 0
    for module in pkgutil.iter_modules(dc.__path__):
        if not module.name.endswith("_data_center"):
            continue
        name = module.name.removesuffix("_data_center")
        loaded = importlib.import_module(f"{dc.__name__}.{module.name}")
        theirs = getattr(loaded, f"{name.upper()}DataCenter")
        ours = DATA_CENTERS.by_name(name)
        seen += 1
        assert ours.production == theirs.PRODUCTION().url
        assert ours.sandbox == theirs.SANDBOX().url
        assert ours.developer == theirs.DEVELOPER().url
        assert ours.token_endpoint == theirs.PRODUCTION().accounts_url
        assert DATA_CENTERS.place(theirs.PRODUCTION().file_upload_url) == Place(name, "production")

    assert seen == 8


@pytest.mark.parametrize(
    "url",
    [
        "https://accounts.zoho.eu.example.com",
        "https://accounts.zoho.eu@example.com",
        "https://example.com\\@accounts.zoho.eu",
        "https://accounts.zoho.eu:8443",
        "http://accounts.zoho.eu",
        "https://accounts.zoho.ca",
        "https://www.zohoapis.eu",
        "",
    ],
)
def test_foreign_accounts_server(url):
    """Nothing but what is in the table is sent a code, however that is written."""
    with pytest.raises(UnknownName, match=r"https://accounts\.zohocloud\.ca"):
        DATA_CENTERS.by_accounts_server(url)
    known = "https://ACCOUNTS.zoho.eu/", "https://accounts.zoho.eu:443/oauth", "accounts.zoho.eu"
    assert {"eu"} == {DATA_CENTERS.by_accounts_server(each).name for each in known}


@pytest.mark.parametrize(
    ("name", "environment", "said"),
    [
        ("mars", "production", f"Known are {', '.join(NAMES)};"),
        ("us", "staging", "production, sandbox, developer"),
        ("mine", "sandbox", r"It has production$"),
    ],
)
def test_unknown_name(name, environment, said):
    """A name nobody knows is answered with those that are known."""
    table = DATA_CENTERS if name != "mine" else DATA_CENTERS.extend(MINE)

    with pytest.raises(UnknownName, match=said):
        table.by_name(name).api_domain(environment)


def test_from_configuration():
    """A data centre of one's own comes from the configuration, the known ones stay."""
    document = tomllib.loads("""
        [zoho.data_centers.Mars]
        accounts = "https://accounts.zoho.mars"
        production = "https://www.zohoapis.mars"
        aliases = ["api.zoho.mars"]

        [zoho.data_centers.portal]
        accounts = "https://accounts.zohoportal.com/clientoauth/v2/10012/token"
        production = "http://127.0.0.1:8080"

        [zoho.data_centers.uk]
        sandbox = "https://crmsandbox.zoho.uk"
    """)

    table = table_from_mapping(document["zoho"]["data_centers"])

    assert table.by_name("mars").token_endpoint == "https://accounts.zoho.mars/oauth/v2/token"
    assert table.by_name("mars").aliases == ["api.zoho.mars"]
    assert table.place("api.zoho.mars") == Place("mars", "production")
    assert table.by_name("portal").token_endpoint.endswith("/clientoauth/v2/10012/token")
    assert table.place("https://crmsandbox.zoho.uk") == Place("uk", "sandbox")
    assert table.place("https://sandbox.zohoapis.uk") is None
    assert table.by_name("uk").production == "https://www.zohoapis.uk"
    assert table.by_name("eu") is DATA_CENTERS.by_name("eu")
    assert [center.name for center in DATA_CENTERS] == NAMES


A, B = "https://a.example", "https://b.example"


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"accounts": A}, r"centers.mars\]: missing a required argument: 'production'"),
        ({"acounts": A, "production": B}, "argument.*It takes name, accounts, production"),
        ({"accounts": 7, "production": B}, r"centers.mars\]: What is no text is not a URL"),
        ({"accounts": A, "production": B, "aliases": "a.example"}, "has to be a list of hosts"),
        ({"accounts": A, "production": B, "aliases": [["a"]]}, "has to be a list of hosts"),
        ("a text", r"centers.mars\] has to be a table"),
        ({"accounts": "http://a.example", "production": B}, "Plain http"),
        ({"accounts": "a.example", "production": B}, "not a URL"),
        ({"accounts": "https://accounts.zoho.eu", "production": B}, "zoho.eu:443 stands for two"),
        ({"accounts": A, "production": B, "sandbox": f"{B}/"}, "b.example:443 stands for two"),
    ],
)
def test_bad_configuration(entry, text):
    """What is wrong with an entry is said, with the name of its table."""
    with pytest.raises(ConfigurationError, match=text):
        table_from_mapping({"mars": entry})
