"""docs/zoho-sdk.md: its examples run, as they stand, in every generation."""

from __future__ import annotations

import re
from pathlib import Path

from sdk_driver import each_generation

from tokenkeep import errors
from tokenkeep.integrations import zoho_sdk

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "zoho-sdk.md").read_text()


@each_generation
def test_first_example(sdk, zoho):
    """The first example logs in; run again, it needs no login."""
    sdk.environ |= {
        "ZOHO_CLIENT_ID": zoho.client.client_id,
        "ZOHO_CLIENT_SECRET": zoho.client.client_secret,
        "ZOHO_GRANT_TOKEN": zoho.grant_code(),
    }
    first, again = sdk.process(), sdk.process()
    tokens = [each.run_example(environment=sdk.environment()) for each in (first, again)]

    assert tokens[0]["id"] == tokens[1]["id"]
    assert again.call_with_retry() == 200
    assert zoho.counters.token_calls() == 1


TABLE = PAGE.partition("## Troubleshooting")[2].partition("Without the code")[0]
ROWS = [line.split("|")[1:3] for line in TABLE.splitlines() if line.startswith("| `")]


def test_error_names():
    """Every error in the table is one of ours, and the code is right."""
    names = [cause.strip(" `") for _, cause in ROWS]

    assert len(names) > 8
    assert [name for name in names if not hasattr(errors, name)] == []
    assert f"`{zoho_sdk.CODE}`" in PAGE


def test_error_texts():
    """Every text in the table is one that tokenkeep writes."""
    source = "\n".join(path.read_text() for path in (ROOT / "src").glob("**/*.py"))
    # Long texts are written in pieces.
    source = re.sub(r'"\s+f?"', "", source)
    texts = [text for cell, _ in ROWS for text in re.findall(r"`([^`]+)`", cell)]

    assert [text for text in texts if text not in source] == []


def test_every_method():
    """Each public method of the store is described."""
    public = [name for name in vars(zoho_sdk.SDKStore) if not name.startswith("_")]

    assert [name for name in public if f"`{name}" not in PAGE] == []
