"""Configuration: environment, a TOML file and URLs in; a store and its providers out."""

from __future__ import annotations

import inspect
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenkeep import environment, folders, keys
from tokenkeep.audit import LOGGING
from tokenkeep.backends import open_backend, private_file
from tokenkeep.backends.base import HEADER
from tokenkeep.backends.frames import without_frames
from tokenkeep.backends.urls import shows_password
from tokenkeep.errors import ConfigurationError, KeyMissing, letting_go
from tokenkeep.providers import Providers, configured, expect_providers
from tokenkeep.providers.checks import Hidden, expect
from tokenkeep.sealing import KEY_BYTES, KeyRing
from tokenkeep.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tokenkeep.backends import Backend
    from tokenkeep.clock import Clock
    from tokenkeep.sinks import Notices

STORE = "TOKENKEEP_STORE"
CONFIG = "TOKENKEEP_CONFIG"
AUDIT = "TOKENKEEP_AUDIT"

_IT = "The configuration"
_SECRET, _SECRET_FILE = "webhook_secret", "webhook_secret_file"
_TEXTS = {
    "store": "a URL",
    "provider": "the name of a provider",
    "audit": 'the path of a file, or "logging"',
}
_NAME_ONE = f"Name a store in {STORE}, e.g. sqlite:////data/tokens.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    What is configured.

    Args:
        store: The URL of the store; there may be a password in it.
        provider: The provider of tokens that don't say theirs.
        audit: The file that tells who did what to tokens, or "logging". None if nothing does.
        options: For each provider the options of its class; there may be secrets in them.
        notices: Whom to tell of deaths and outages. None means nobody.
    """

    store: str = field(repr=False)
    provider: str = "zoho"
    audit: str | None = None
    options: Mapping[str, Mapping[str, object]] = field(default_factory=dict, repr=False)
    notices: Notices | None = None

    @without_frames
    def providers(self) -> Providers:
        """Return the providers as configured."""
        return Providers(self.provider, self.options)


@without_frames
def settings(environ: Mapping[str, str] | None = None, *, store: str | None = None) -> Settings:
    """
    Read the configuration: the environment, then the TOML file.

    The file is the one TOKENKEEP_CONFIG names, else
    ``<user config dir>/tokenkeep/config.toml`` if it is there. It may hold
    ``store``, ``provider``, ``audit``, ``[zoho.data_centers.<name>]``,
    ``[providers.<name>]`` and ``[notices]``.

    Args:
        environ: The environment. None means the process's.
        store: The URL of a store, which counts before the configured one. None means that one.

    Raises:
        ConfigurationError: The file can't be read, or something in it is not
            known or not what belongs there: it names file and entry. Or no
            store is named, and there is no home folder for one.
    """
    environ = os.environ if environ is None else environ
    named = store or environment.given(environ, STORE)
    path, found = _config_file(environ)
    with _named(str(path)):
        _expect_known(found, [*_TEXTS, "zoho", "providers", "notices"])
        for name, expected in _TEXTS.items():
            value = found.get(name, "")
            expect(name, value, expected, so=isinstance(value, str))
        options = _options(found)
        if "provider" in found and found["provider"] not in options:
            configured(found["provider"], None)
        whom = _notices(found)
    return Settings(
        store=named or found.get("store") or default_store(),
        provider=found.get("provider", "zoho"),
        audit=_audit(environ, path, found),
        options=options,
        notices=whom,
    )


def default_store() -> str:
    """
    Return the URL of the store that is used when none is named.

    Raises:
        ConfigurationError: This user has no home folder.
    """
    from urllib.parse import quote

    data = folders.data()
    if data is None:
        said = "No store is named, and there is no home folder for one"
        raise ConfigurationError(said, hint=_NAME_ONE)
    return f"sqlite:///{quote(str(data / 'tokens.db'))}"


@without_frames
def open_store(
    url: str | None = None,
    *,
    keys_newest_first: list[bytes] | None = None,
    providers: Providers | None = None,
    clock: Clock | None = None,
    environ: Mapping[str, str] | None = None,
    make: bool = False,
    audit: Path | str | None = None,
) -> Vault:
    """
    Open a store of sealed tokens.

    Looking makes none: neither a file nor a key.

    Args:
        url: Such as ``sqlite:///tokens.db``. None means TOKENKEEP_STORE, else
            the configuration file's, else a SQLite file in the user's data
            directory.
        keys_newest_first: The key ring, 32 random bytes each. None means
            TOKENKEEP_KEYS, else the key file; for a new embedded store one
            is made.
        providers: Whom its tokens are of. None means those of the
            configuration file, and those that come with tokenkeep.
        clock: The time. None means the operating system's.
        environ: The environment. None means the process's.
        make: Whether the store and its key are made now, if they are not there:
            a program that starts learns then that they can't be. False: with
            the first token.
        audit: The file that tells who did what to tokens, or "logging", see docs/audit.md.
            None means TOKENKEEP_AUDIT, else the configuration file's, else none.

    Raises:
        TypeError: The URL is no text, or *providers* are no `Providers`.
        ConfigurationError: The URL, a key or the configuration is wrong or missing.
        StoreError: The store can't be opened.
    """
    if not isinstance(url, str | None):
        raise TypeError(
            "A store is named by its URL, such as 'sqlite:///tokens.db', "
            f"not by a {type(url).__name__}"
        )
    expect_providers(providers)
    environ = os.environ if environ is None else environ
    ring = KeyRing(keys_newest_first) if keys_newest_first else None
    configured = settings(environ, store=url)
    data, state = folders.data(), folders.state(environ)
    if data is not None and configured.store == default_store():
        try:
            private_file.make_folder(data)
        except OSError as exc:
            said = f"The folder {data} can't be made: {exc.strerror}"
            raise ConfigurationError(said, hint=_NAME_ONE) from exc
    ring = ring or keys.load(environ)
    backend = open_backend(configured.store)
    try:
        return Vault(
            backend,
            ring or _FirstKey(backend, environ),
            providers=providers or configured.providers(),
            notices=configured.notices,
            state=state,
            clock=clock,
            make=make,
            audit=audit or configured.audit,
        )
    except BaseException:
        with letting_go():  # what went wrong before is what is said
            backend.close()
        raise


class _FirstKey:
    """The key ring of a store without one: made with the store's own keys, which it wraps."""

    def __init__(self, backend: Backend, environ: Mapping[str, str]) -> None:
        self._backend = backend
        self._environ = environ
        self._ring: KeyRing | None = None
        if not backend.embedded and backend.read(HEADER) is None:
            raise KeyMissing(
                f"There is no key to seal tokens with for {backend.describe()}",
                hint=f"{keys.HOW_TO_MAKE}; all hosts need the same one",
            )

    @property
    def key_ids(self) -> tuple[str, ...]:
        return self._ring.key_ids if self._ring else ()

    def wrap(self, plain: bytes, bound: bytes) -> tuple[str, bytes]:
        home = self._backend.home
        if self._ring is None and home is not None:
            self._ring = keys.make(keys.key_file(self._environ), beside=home)
        self._ring = self._ring or KeyRing([os.urandom(KEY_BYTES)])
        return self._ring.wrap(plain, bound)

    def unwrap(self, key_id: str, wrapped: bytes, bound: bytes) -> bytes:
        self._ring = self._ring or keys.load(self._environ)
        if self._ring is None:
            file = keys.key_file(self._environ) or "no file, as there is no home folder"
            raise KeyMissing(
                f"There is no key at hand, and the store needs key {key_id}",
                hint=f"Looked in {keys.KEYS} and {file} ({keys.KEY_FILE}). Bring the key back "
                "that its tokens were stored with; nothing was changed",
            )
        return self._ring.unwrap(key_id, wrapped, bound)


def _config_file(environ: Mapping[str, str]) -> tuple[Path, Mapping[str, Any]]:
    """Return where the configuration file is, or would be, and what is in it."""
    import tomllib

    named, home = environment.path(environ, CONFIG), folders.config()
    path = named or (home or Path()) / "config.toml"
    # A home that this user may not enter has no configuration of his.
    if named is None and (home is None or not os.path.lexists(path)):
        return path, {}
    text = private_file.read(path, _IT, variable=CONFIG, secret=False)
    if text is None:
        hint = f"{CONFIG} names it; correct or unset it"
        raise ConfigurationError(f"There is no file {path}", hint=hint)
    try:
        found = tomllib.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ConfigurationError(f"{path} is not TOML: {exc}") from exc
    if shows_password(str(found.get("store"))):
        private_file.read(path, f"{_IT}, with a password in the store's URL,", variable=CONFIG)
    if isinstance(found.get("notices"), dict) and _SECRET in found["notices"]:
        private_file.read(path, f"{_IT}, with the secret of a webhook,", variable=CONFIG)
    return path, found


def _audit(environ: Mapping[str, str], path: Path, found: Mapping[str, Any]) -> str | None:
    """Return what is configured as `Settings.audit`: "logging", or a path that is one anywhere."""
    given = environment.given(environ, AUDIT)
    named, source = (given, AUDIT) if given else (found.get("audit", ""), str(path))
    if not named or named == LOGGING:
        return named or None
    if not named.startswith(("/", "~")):
        raise ConfigurationError(
            f"{source}: audit has to be an absolute path, or {LOGGING}, not {named}",
            hint="Else each folder that a command runs in would have one of its own",
        )
    where = environment.path({AUDIT: named}, AUDIT)
    return str(where)


def _options(found: Mapping[str, Any]) -> dict[str, dict[str, object]]:
    zoho = _table(found, "zoho")
    _expect_known(zoho, ["data_centers"])
    options = {name: Hidden(given) for name, given in _table(found, "providers").items()}
    if zoho.get("data_centers"):
        from tokenkeep.providers.zoho_data_centers import table_from_mapping

        options.setdefault("zoho", Hidden())["table"] = table_from_mapping(zoho["data_centers"])
    for name, given in options.items():
        with _named(f"[providers.{name}]"):
            if "clock" in given:
                raise ConfigurationError("clock can't be set in a file")
            # Made once to have its options checked: now, and not at the first token.
            configured(name, given)
    return {**options}


def _notices(found: Mapping[str, Any]) -> Notices | None:
    """Return whom the file names to be told; the webhook's secret may be in a file of its own."""
    given = found.get("notices")
    if given is None:
        return None
    from tokenkeep.sinks import Notices

    with _named("[notices]"):
        expect("notices", given, "a table", so=isinstance(given, dict))
        given, file = Hidden(given), given.get(_SECRET_FILE)
        known = [*inspect.signature(Notices).parameters, _SECRET_FILE]
        _expect_known(given, known)
        if file is not None:
            expect(_SECRET_FILE, file, "a path", so=isinstance(file, str))
            if given.get(_SECRET) is not None:
                raise ConfigurationError(f"{_SECRET} and {_SECRET_FILE} are both there")
            where = environment.path({_SECRET_FILE: file}, _SECRET_FILE) or Path()
            text = private_file.read(where, "The webhook's secret in", variable=_SECRET_FILE)
            if text is None:
                raise ConfigurationError(f"There is no file {where}")
            given[_SECRET] = text.strip()
            del given[_SECRET_FILE], text
        return Notices(**given)


@contextmanager
def _named(where: str) -> Iterator[None]:
    """Say in what goes wrong inside where it was configured."""
    try:
        yield
    except ConfigurationError as exc:
        raise type(exc)(f"{where}: {exc.what}", hint=exc.hint) from exc


def _expect_known(given: Mapping[str, Any], known: Sequence[str]) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        hint = f"Known are {', '.join(known)}"
        raise ConfigurationError(f"There is an unknown entry {unknown[0]!r}", hint=hint)


def _table(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = found.get(name, {})
    if not isinstance(table, dict) or not all(isinstance(v, dict) for v in table.values()):
        raise ConfigurationError(f"{name!r} has to be a table of tables")
    return table
