"""Completion in a shell: users and ids, of the first few hundred tokens; never an error."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from click.shell_completion import BashComplete, CompletionItem, add_completion_class

from tokenkeep.backends.waiting import within
from tokenkeep.cli.session import Session, missing

if TYPE_CHECKING:
    import click

    from tokenkeep.token import Token

VARIABLE = "_TOKENKEEP_COMPLETE"
"""What a shell asks in; see docs/cli.md."""

_MOST_READ = 300
_LONGEST = 2.0
"""How long a shell waits at most, in seconds."""

_PLAIN = re.compile(r"\w[\w.@:+-]*")
"""What no shell takes for more than a word: whoever names a user must not type commands."""


def users(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """Return the names of stored users that begin so."""
    del param
    names = {token.user for token in _begun(ctx, "") if token.user}
    return [
        CompletionItem(name)
        for name in sorted(names)
        if name.startswith(incomplete) and _PLAIN.fullmatch(name)
    ]


def ids(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Return the stored ids that begin so, with their users where the shell shows those."""
    del param
    if not incomplete.startswith("tk_"[: len(incomplete)]):
        return []
    found = _begun(ctx, incomplete if len(incomplete) > len("tk_") else "")
    return [
        CompletionItem(
            str(token.id), help=token.user if _PLAIN.fullmatch(token.user or "") else None
        )
        for token in found
    ]


def _begun(ctx: click.Context, prefix: str) -> list[Token]:
    """Return the first tokens whose ids begin so; none at any error, or if it takes too long."""
    session = ctx.find_object(Session) or Session()

    def look() -> list[Token]:
        from tokenkeep.config import open_store

        url = session.url()
        if missing(url):
            return []
        with open_store(url) as vault:
            return vault.begin_with(prefix, _MOST_READ, lambda _: None) if vault.is_made else []

    try:
        return within(_LONGEST, look)
    except Exception:  # noqa: BLE001  # a person is typing: whatever it is, the command says it
        return []


@add_completion_class
class Bash(BashComplete):
    """Complete in bash, which cuts words at ``@``, ``:`` and ``=``: users have those in them."""

    # What is before its last cut, it has already: $2 is what it will replace.
    source_template = """\
%(complete_func)s() {
    local typed=${COMP_LINE:0:COMP_POINT} word kept response type value
    local -a words
    IFS=$' \\t\\n' read -ra words <<< "$typed"
    [[ $typed == *[[:blank:]] ]] && words+=("")
    word=${words[-1]}
    kept=${word%%"$2"}
    [[ $word == --*=* ]] && kept=${kept#*=}
    response=$(COMP_WORDS="$typed" COMP_CWORD=$(( ${#words[@]} - 1 )) \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
    while IFS=',' read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("${value#"$kept"}") ;;
        esac
    done <<< "$response"
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""
