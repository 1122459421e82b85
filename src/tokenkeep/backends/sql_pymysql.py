"""What PyMySQL is told: options from a URL are text, and its TLS is safe only when asked well."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from tokenkeep.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

_NUMBERS = ("connect_timeout", "read_timeout", "write_timeout")
_TRUTHS = {"true": True, "1": True, "yes": True, "on": True}
_TRUTHS.update({"false": False, "0": False, "no": False, "off": False})

_TLS = (
    *("ssl_ca", "ssl_capath", "ssl_cert", "ssl_key", "ssl_key_password", "ssl_cipher"),
    *("ssl_verify_cert", "ssl_verify_identity", "ssl_check_hostname", "ssl_disabled", "ssl_mode"),
)
_MODES = ("disabled", "preferred", "required", "verify_ca", "verify_identity")


def connect_args(url: URL, given: dict[str, Any]) -> tuple[URL, dict[str, Any]]:
    """
    Return what SQLAlchemy and PyMySQL are to be told.

    Args:
        url: With the options of the driver in its query.
        given: Options that were given as arguments.

    Returns:
        The URL without what the arguments say, and the arguments.

    Raises:
        ConfigurationError: An option is not what it has to be.
    """
    args = dict(given)
    if isinstance(args.get("ssl", url.query.get("ssl")), str | tuple):
        raise ConfigurationError("The option 'ssl' is no text", hint="Write ssl_mode=required")
    for name in (*_NUMBERS, *_TLS):
        if name in url.query:
            args.setdefault(name, url.query[name])
    url = url.difference_update_query([*_NUMBERS, *_TLS])
    for name in _NUMBERS:
        if name in args:
            args[name] = _number(name, args[name])
    tls = {name: args.pop(name) for name in _TLS if name in args}
    args.update(_tls(tls))
    args.setdefault("verified", _is_verified(args.get("ssl")))
    if url.password is not None:
        # PyMySQL would encode a text in Latin-1.
        args["password"] = str(url.password).encode()
        url = url.set(password="-")  # noqa: S106 - no password: what args say goes first
    return url, args


def _tls(options: dict[str, Any]) -> dict[str, Any]:
    """
    Return what PyMySQL is told of TLS.

    Without any option, TLS is used if the server has it, unverified: PyMySQL's
    own way. An authority means that it is verified, as with MySQL's programs;
    PyMySQL itself would only encrypt.
    """
    if not options:
        return {}
    mode = str(options.pop("ssl_mode", "")).lower().replace("-", "_")
    if mode and mode not in _MODES:
        raise ConfigurationError("ssl_mode is one of " + ", ".join(_MODES))
    disabled = _truth(options, "ssl_disabled") or mode == "disabled"
    identity = _truth(options, "ssl_verify_identity", "ssl_check_hostname")
    verify = _truth(options, "ssl_verify_cert")
    if disabled:
        if options or identity or verify or mode not in ("", "disabled"):
            raise ConfigurationError("TLS is disabled, but other options ask for it")
        return {"ssl_disabled": True}
    if mode == "preferred" and not options and not identity and not verify:
        return {}
    has_authority = "ssl_ca" in options or "ssl_capath" in options
    identity = identity if identity is not None else mode == "verify_identity"
    if verify is None:
        verify = identity or has_authority or mode == "verify_ca"
    if identity and not verify:
        raise ConfigurationError("A server's identity can't be verified without its certificate")
    return {
        "ssl": _context(options, identity=identity, verify=verify),
        # Anybody has a certificate for some host or other, signed by a public authority.
        "verified": verify and (identity or has_authority),
    }


def _is_verified(given: Any) -> bool:
    """Tell whether TLS as given by an argument, in one of PyMySQL's ways, verifies the server."""
    if isinstance(given, ssl.SSLContext):
        return given.verify_mode is ssl.CERT_REQUIRED
    return (
        isinstance(given, dict)
        and bool(given.get("ca") or given.get("capath"))
        and str(given.get("verify_mode") or "true").lower() in {"true", "1", "yes", "required"}
    )


def _context(options: dict[str, Any], *, identity: bool, verify: bool) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(
            cafile=options.get("ssl_ca"), capath=options.get("ssl_capath")
        )
        if "ssl_cert" in options:
            context.load_cert_chain(
                options["ssl_cert"], options.get("ssl_key"), options.get("ssl_key_password")
            )
        elif "ssl_key" in options:
            raise ConfigurationError("ssl_key is given without ssl_cert")
        if "ssl_cipher" in options:
            context.set_ciphers(options["ssl_cipher"])
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or getattr(exc, "reason", None) or exc
        raise ConfigurationError(
            f"The options for TLS can't be used: {reason}",
            hint="ssl_ca, ssl_cert and ssl_key name files in PEM format",
        ) from None
    # MySQL's own certificates lack what Python 3.13 wants to see.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.check_hostname = identity
    context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
    return context


def _truth(options: dict[str, Any], *names: str) -> bool | None:
    """Take an option out and return whether it is true. None if it is not given."""
    found = None
    for name in names:
        value = options.pop(name, None)
        if value is not None:
            found = value if isinstance(value, bool) else _TRUTHS.get(str(value).lower())
            if found is None:
                raise ConfigurationError(f"The option {name!r} is true or false")
    return found


def _number(name: str, value: object) -> float:
    try:
        number = float(str(value))
    except ValueError:
        number = 0.0
    if not number > 0:
        raise ConfigurationError(f"The option {name!r} is a number of seconds above 0")
    return number
