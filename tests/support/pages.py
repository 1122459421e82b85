"""The pages of the documentation, and the blocks that they show."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*/*.md")])
_BLOCK = re.compile(
    r"^ *```(?P<kind>\w*)\n(?P<text>.*?)^ *```$|^<!-- (?P<aside>.*?) -->\n",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """
    What is between two fences, or an aside: a comment that readers of the page don't see.

    Attributes:
        kind: What stands behind the fence. "aside" for an aside.
        text: What is between them, or in the comment.
        label: The aside right above it, by which a test of its own finds it. "" if there is none.
    """

    kind: str
    text: str
    label: str


def blocks(page: str | Path) -> list[Block]:
    """Return all blocks of a page, in their order. *page* is a path from the repository's top."""
    found, label, end = [], "", -1
    for match in _BLOCK.finditer((ROOT / page).read_text(encoding="utf-8")):
        above = label if match.start() == end else ""
        aside, end = match["aside"], match.end()
        if aside is None:
            found.append(Block(match["kind"], match["text"], above))
        elif aside.startswith(("$ ", ">>> ")):
            found.append(Block("aside", aside, ""))
        label = "" if aside is None or aside.startswith(("$ ", ">>> ")) else aside
    return found


def labelled(page: str | Path, label: str) -> list[str]:
    """Return the texts of all blocks of a page with this label, of which there is one at least."""
    found = [each.text for each in blocks(page) if each.label == label]
    assert found, f"no block of {page} is labelled {label}"
    return found
