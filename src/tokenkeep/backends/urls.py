"""The URL of a store: its path and options, checked; its text is never repeated in an error."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenkeep.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Self

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
"""RFC 3986 section 3.1, but of two letters or more: ``C:`` is a Windows drive."""

_OPTION = re.compile(r"[A-Za-z]\w{0,40}(\.\w{1,40})?")
"""The name of an option; anything else may be a part of a password."""

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
"""Words in the names of options that hold a secret, in whatever kind of store; in lower case."""


_SECRET = re.compile(rf"({'|'.join(SECRET_WORDS)})[\w. -]*=\s*[^\s&;]", re.IGNORECASE)
"""An option with a value, also of a connection string that is itself an option."""


def scheme_of(url: str) -> str:
    """Return a URL's scheme in lower case; `ConfigurationError` if there is none."""
    match = _SCHEME.match(url) if isinstance(url, str) else None
    if match is None:
        raise ConfigurationError(
            "The store's URL has no scheme",
            hint="For a database in a file write sqlite:///tokens.db, "
            "with four slashes for an absolute path",
        )
    return match[1].lower()


def password_of(url: str) -> str | None:
    """Return what a URL has behind its user, up to the last @. None if there is no such part."""
    user, at, _ = url.partition(":")[2].rpartition("@")
    _, colon, password = user.partition(":")
    return password if at and colon else None


def shows_password(url: str) -> bool:
    """Tell whether there is a password in a URL, or what looks like one."""
    from urllib.parse import unquote

    # Not taken apart as a URL: with a / ? # [ or @ in the password it is none.
    return any(_SECRET.search(text) or password_of(text) for text in (url, unquote(url)))


def options_of(query: str, scheme: str) -> tuple[tuple[str, str], ...]:
    """Take a query apart; `ConfigurationError` if it can't be read, or a value is blank."""
    from urllib.parse import parse_qsl

    try:
        found = parse_qsl(query, strict_parsing=bool(query), keep_blank_values=True)
    except ValueError:
        raise ConfigurationError(
            f"The options of the {scheme} URL can't be read",
            hint="They are written ?name=value&name=value",
        ) from None
    for each in found:
        refuse_blank(*each)
    return tuple(found)


def refuse_blank(name: str, value: object) -> None:
    """
    Raise `ConfigurationError` if there is nothing in an option: a text, or a mapping of such.

    Drivers leave it out in silence otherwise: then TLS is off because a variable was empty.
    """
    if isinstance(value, dict):
        for part, each in value.items():
            refuse_blank(f"{name}.{part}", each)
    if value == {} or (isinstance(value, str) and not value.strip()):
        which = f"The option {name!r}" if _OPTION.fullmatch(name) else "An option of the store"
        raise ConfigurationError(
            f"{which} can't be followed: it is blank", hint="Give it a value, or leave it out"
        )


@dataclass(frozen=True, slots=True)
class StoreURL:
    """
    A URL taken apart as embedded stores need it.

    Args:
        scheme: In lower case.
        rest: All between the colon and the question mark.
        query: The options, in order.
    """

    scheme: str
    rest: str
    query: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, url: str) -> Self:
        """Take a URL apart; `ConfigurationError` without a scheme, or for an unreadable query."""
        scheme = scheme_of(url)
        # urlsplit would end the path at a "#", which is an ordinary letter of a file's name.
        rest, _, query = url[len(scheme) + 1 :].partition("?")
        return cls(scheme, rest, options_of(query, scheme))

    def expect_nothing(self) -> None:
        """Raise `ConfigurationError` if there is a path or an option behind the scheme."""
        self.options({})
        if self.rest not in ("", "//", "///"):
            raise ConfigurationError(f"A {self.scheme} store has no path: write {self.scheme}:")

    def path(self) -> str:
        """
        Return the path, percent-decoded: relative behind three slashes, absolute behind four.

        Raises:
            ConfigurationError: There is none, or it does not begin with three slashes.
        """
        from urllib.parse import unquote

        if not self.rest.startswith("///"):
            wrong = "needs three slashes before its path"
        else:
            path = unquote(self.rest.removeprefix("///"))
            if path and path != ":memory:" and "\0" not in path and path[-1] not in ("/", os.sep):
                return path
            wrong = "names no file"
        raise ConfigurationError(
            f"The {self.scheme} URL {wrong}",
            hint=f"Write {self.scheme}:///relative/path or {self.scheme}:////absolute/path; "
            "for a store in memory memory:",
        )

    def options(self, known: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
        """
        Return the options, converted.

        Args:
            known: The type of each option there is, or a function that raises ValueError.

        Raises:
            ConfigurationError: An option is unknown, given twice or of another type.
        """
        found: dict[str, Any] = {}
        for name, value in self.query:
            if name not in known:
                names = ", ".join(sorted(known)) or "none"
                raise ConfigurationError(
                    f"A {self.scheme} store has no option {name!r}",
                    hint=f"Known options: {names}",
                )
            if name in found:
                raise ConfigurationError(f"The option {name!r} is given twice")
            try:
                found[name] = known[name](value)
            except ValueError:
                kind = known[name].__name__.strip("_").replace("_", " ")
                raise ConfigurationError(f"The option {name!r} is not a valid {kind}") from None
        return found
