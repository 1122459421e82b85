"""What the site has beside its pages: the repository's own ones, each command's help, links."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

import click
from mkdocs.structure.files import File

from tokenkeep.cli.app import app

ROOT = Path(__file__).parents[1]
BROUGHT = {
    "SECURITY.md": "security.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:|mailto:)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files, *, config):
    """Bring the pages of the repository's top in."""
    for name, page in BROUGHT.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown, *, page, files, **_):
    """Link to what is in the site; name what is only in the repository. Put the help in."""
    at = posixpath.join("docs", page.file.src_uri)
    at = {f"docs/{page}": name for name, page in BROUGHT.items()}.get(at, at)

    def led(match):
        label, link, heading = match.groups()
        target = posixpath.normpath(posixpath.join(posixpath.dirname(at), link))
        page_of = BROUGHT.get(target, target.removeprefix("docs/"))
        if files.get_file_from_path(page_of):
            back = posixpath.relpath(page_of, posixpath.dirname(page.file.src_uri) or ".")
            return f"[{label}]({back}{heading or ''})"
        return f"`{target}`" if label.strip("`") in target else f"{label} (`{target}`)"

    return _LINK.sub(led, markdown).replace("<!-- help -->", "\n".join(helped(app, "tokenkeep")))


def helped(command, name, depth=2):
    """Yield what a command and those below it say of themselves."""
    context = click.Context(command, info_name=name, max_content_width=100)
    yield f"{'#' * depth} {name}\n\n```text\n{command.get_help(context)}\n```\n"
    for each in command.list_commands(context) if isinstance(command, click.Group) else ():
        yield from helped(
            command.get_command(context, each), f"{name} {each}", depth + (depth < 3)
        )
