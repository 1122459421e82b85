"""The providers that tokenkeep knows by name."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tokenkeep.backends.frames import without_frames
from tokenkeep.errors import UnknownName
from tokenkeep.providers.base import Answer, Place, Profile, Provider, Reply
from tokenkeep.providers.checks import expect, expect_taken

if TYPE_CHECKING:
    from tokenkeep.token import Token

__all__ = [
    "PROVIDERS",
    "Answer",
    "Place",
    "Profile",
    "Provider",
    "Providers",
    "Reply",
    "configured",
]

PROVIDERS = {
    "zoho": "tokenkeep.providers.zoho:Zoho",
    "oauth2": "tokenkeep.providers.oauth2:OAuth2",
}
"""Where each provider is; imported when it is asked for."""

ENTRY_POINTS = "tokenkeep.providers"
"""The entry point group where other packages add theirs."""

_DESCRIBE = (
    'Describe it in config.toml: [providers.{}] with kind = "oauth2" and its issuer. One that is '
    "written in Python, install with an entry point: docs/providers.md"
)


def _load(name: str) -> Any:
    if name in PROVIDERS:
        module, _, attribute = PROVIDERS[name].partition(":")
        return getattr(import_module(module), attribute)
    from importlib.metadata import entry_points

    outside = entry_points(group=ENTRY_POINTS)
    if name in outside.names:
        return outside[name].load()
    raise UnknownName(
        f"There is no provider {name!r}",
        hint=f"Known are {', '.join([*PROVIDERS, *sorted(outside.names)])}",
    )


@without_frames
def configured(name: str, options: Mapping[str, object] | None) -> Provider:
    """
    Make the provider that a configuration describes, whose tokens are stored under *name*.

    Args:
        name: The name in the configuration.
        options: As its class takes them. ``kind`` names that class: one of `PROVIDERS`, or of the
            entry point group ``tokenkeep.providers`` of an installed package; *name* if missing.
            Of a ``profile`` that is a table only what it names is changed: the rest stays the
            provider's own. None means that there is no description.

    Raises:
        UnknownName: There is none of that name.
        ConfigurationError: It does not take these options.
    """
    given: dict[str, Any] = {**(options or {})}
    kind = given.pop("kind", None)
    expect("kind", kind, "the name of a provider", so=isinstance(kind, str | None))
    if kind is None:
        try:
            _load(name)
        except UnknownName as exc:
            if options is not None:
                exc.what = f"Provider {name!r} has no kind"
            exc.hint = f"{exc.hint}. {_DESCRIBE.format(name)}"
            raise
        kind = name
    if kind == "oauth2":
        given.setdefault("name", name)
    changed = given.pop("profile") if isinstance(given.get("profile"), Mapping) else {}
    expect_taken(changed, Profile, "profile")
    make = _load(kind)
    expect_taken(given, make, f"Provider {kind!r}")
    made: Provider = make(**given)
    if changed:
        made.profile = replace(made.profile, **changed)
    return made


def expect_providers(given: object) -> None:
    """Raise `TypeError` for what is neither `Providers` nor None."""
    if not isinstance(given, Providers | None):
        wrong = type(given).__name__
        raise TypeError(f'providers has to be Providers("acme", {{"acme": …}}), not a {wrong}')


class Providers:
    """
    The providers of one configuration, each made when it is first needed.

    Args:
        default: The name of the provider for tokens that don't say theirs.
        options: By its name a `Provider`, or the options of its class, as
            `configured` takes them. None means those that come with tokenkeep,
            which are known anyway.
    """

    @without_frames
    def __init__(
        self,
        default: str = "zoho",
        options: Mapping[str, Provider | Mapping[str, object]] | None = None,
    ) -> None:
        known = {} if options is None else options
        so = isinstance(default, str) and isinstance(known, Mapping)
        if not (so and all(map(_is_given, known, known.values()))):
            raise TypeError(
                "Providers are given by name, the default one too, each a Provider or its "
                'options, as in Providers("acme", {"acme": …})'
            )
        self.default = default
        self._made = {name: one for name, one in known.items() if isinstance(one, Provider)}
        self._options = {name: one for name, one in known.items() if isinstance(one, Mapping)}

    def of(self, token: Token) -> Provider:
        """Return the provider of a token, as `named` does."""
        return self.named(token.provider or self.default)

    def profile_of(self, token: Token) -> Profile:
        """Return the habits of a token's provider; the usual ones where that is not known."""
        with suppress(UnknownName):
            return self.of(token).profile
        return Profile()

    def named(self, name: str) -> Provider:
        """
        Return the provider of that name.

        Raises:
            UnknownName: There is none.
        """
        if name not in self._made:
            try:
                self._made[name] = configured(name, self._options.get(name))
            except UnknownName as exc:
                more = sorted((self._made.keys() | self._options.keys()) - PROVIDERS.keys())
                if name not in more and more:
                    exc.hint = f"Configured are {', '.join(more)}. {exc.hint}"
                raise
        return self._made[name]

    def needs_login(self, token: Token) -> bool:
        """Tell whether somebody logs in before there are tokens; True of a provider not known."""
        with suppress(UnknownName):
            return self.of(token).profile.needs_login
        return True

    def locate(self, token: Token) -> Token:
        """Fill in provider, data centre, environment and issuer where they can be known."""
        provider = self.of(token)
        place = provider.place(token.api_domain)
        if place is None and token.data_center and token.environment:
            place = Place(token.data_center, token.environment)
        return token.but(
            provider=token.provider or self.default,
            data_center=token.data_center or (place and place.data_center),
            environment=token.environment or (place and place.environment),
            issuer=token.issuer or provider.issuer(place),
        )

    def tenant(self, token: Token) -> str | None:
        """Return the organisation a token's user belongs to. None if that is not known."""
        with suppress(UnknownName):
            return self.of(token).tenant(token)
        return None

    def expect_known(self, token: Token) -> None:
        """Raise `UnknownName` for a provider, data centre or environment that there is not."""
        self.of(token).expect_known(token.data_center, token.environment)


def _is_given(name: object, one: object) -> bool:
    return isinstance(name, str) and isinstance(one, Provider | Mapping)
