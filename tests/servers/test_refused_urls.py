"""URLs and arguments that can't be meant: refused before anybody is asked, without a password."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from cases import refused

from tokenkeep.backends import open_backend
from tokenkeep.backends.sql import SQLBackend
from tokenkeep.errors import ConfigurationError, StoreUnavailable, UnknownName

MYSQL, POSTGRES = "mysql://app:hunter2@db/app?", "postgresql://app:hunter2@127.0.0.1:1/app?"
REDIS, TLS = "redis://:hunter2@127.0.0.1:1", "rediss://:hunter2@127.0.0.1:1/0?"

REFUSED = {
    # A place that can't be read, where a password may stand
    "mysql://app:hunter2@db": "no database",
    "postgresql://app:pass@hunter2@db/app?table=hunter2": "written %40",
    "mysql://app:p?w@hunter2/y@db/app": "/ is %2F",
    "postgresql://app:p@hunter2/d?x=y@db/app": "%3F",
    "mysql://app:hunter2@db:port/app": "can't be read",
    "redis:": "can't be read",
    "redis://[::1": "can't be read",
    "redis://:pa#hunter2@host": "can't be read",
    "redis://:x@host:hunter2": "can't be read",
    "redis://:hunter2@host:99999": "can't be read",
    "redis://:pa?hunter2=x&y=z@host/0": "can't be read",
    "redis://:pa/hunter2@host/0": "can't be read",
    "redis://:pa@hunter2/0@host/0": "can't be read",
    "rediss://:pa@hunter2/0?client_name=x@host/0": "can't be read",
    f"{REDIS}/nine": "can't be read",
    "redis://:x@%2Frun%2Fredis.sock/0": "can't be read",
    f"{REDIS}/0#fragment": "can't be read",
    # A word alone may be the end of a password, and is not repeated
    "mysql://a@db/app?hunter2=&x": "can't be read",
    f"{REDIS}/0?socket_timeout": "can't be read",
    # Options that nobody knows, or of which the value is none
    f"{MYSQL}timeout=0": "timeout",
    f"{MYSQL}timeout=nan": "timeout is from",
    f"{POSTGRES}pool_size=0": "pool_size from 1",
    f"{POSTGRES}service=app": "'service' can't be followed",
    f"{MYSQL}timeout=soon": "'soon'",
    f"{MYSQL}table=a&table=b": "name of the table",
    **{
        f"{MYSQL}table={quote(name)}": "name of the table"
        for name in ("a b", "t;DROP", "t%s", 't"', "t`", "1t", "x" * 49, "a.b", "\u00fc")
    },
    f"{MYSQL}read_timeout=soon": "read_timeout",
    f"{POSTGRES}prepare_threshold=x": "threshold",
    f"{POSTGRES}aplication_name=x": "aplication_name",
    f"{REDIS}/0?retry_on_timeout=true": "no option 'retry_on_timeout'",
    f"{REDIS}/0?prefix=a{{b}}": "prefix is a name",
    f"{REDIS}/0?socket_timeout=soon": "'socket_timeout' is not a valid",
    f"{REDIS}/0?socket_timeout=nan": "socket_timeout is a number",
    f"{REDIS}/0?socket_timeout=1&socket_timeout=2": "given twice",
    # The same for TLS, which drivers would leave out
    f"{MYSQL}ssl_ca=/no/ca.pem": "No such file",
    f"{MYSQL}ssl_mode=safely": "ssl_mode",
    f"{MYSQL}ssl=true": "Correct them: table, timeout, pool_size, ssl",
    f"{MYSQL}ssl-ca=/ca.pem": "ssl-ca",
    f"{POSTGRES}sslrotcert=/x.pem": "sslrotcert",
    f"{REDIS}/0?ssl_ca_certs=/ca.pem": "no option 'ssl_ca_certs'",
    f"{TLS}ssl_cacerts=/typo.pem": "ssl_cacerts",
    # Nor may the password go in clear across a network, even if asked for
    "postgresql://app:hunter2@db/app?require_auth=scram-sha-256,password": "in clear",
}
BLANK = {
    f"{MYSQL}ssl_ca=": "ssl_ca",
    f"{MYSQL}ssl_mode=%20": "ssl_mode",
    f"{POSTGRES}sslmode=require&sslrootcert=": "sslrootcert",
    "postgresql://db/app?sslmode=&sslmode=require": "sslmode",
    f"{REDIS}/0?prefix=": "prefix",
    f"{TLS}ssl_cert_reqs=%09": "ssl_cert_reqs",
    "dynamodb://eu-central-1/t?endpoint_url=": "endpoint_url",
}
OTHERS = {
    "sql+oracle+oracledb://app:hunter2@db/app": (UnknownName, "sql+oracle"),
    f"{POSTGRES}sslmode=verify_full": (StoreUnavailable, "options for TLS"),
    f"{POSTGRES}require_auth=scram": (StoreUnavailable, "require_auth"),
    f"{POSTGRES}sslrootcert=system&sslmode=verify-ca": (StoreUnavailable, "options for TLS"),
    f"{REDIS.replace('127.0.0.1:1', 'no-such-host.invalid')}": (
        StoreUnavailable, "no-such-host.invalid:6379/0"
    ),
    f"{TLS}ssl_cert_reqs=non": (StoreUnavailable, "Invalid SSL Certificate Requirements"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("url", "kind", "said"),
    [
        *((url, ConfigurationError, said) for url, said in REFUSED.items()),
        *((url, ConfigurationError, f"The option {name!r} can't be followed: it is blank")
          for url, name in BLANK.items()),
        *((url, *expected) for url, expected in OTHERS.items()),
    ],
)  # fmt: skip
def test_refused(url, kind, said):
    """A place that can't be read, or an option that nobody could follow, is named."""
    assert said in refused(lambda: open_backend(url), kind)


@pytest.mark.parametrize(
    "given",
    [{"ssl_ca": ""}, {"ssl": {}}, {"ssl": {"ca": " "}}, {"ssl_key": "\n"}, {"table": ""}],
)
def test_blank_arguments(given):
    """Nor may an argument be blank, as it comes from an empty variable; but for a password."""
    with pytest.raises(ConfigurationError, match="is blank"):
        SQLBackend("mysql://app@127.0.0.1/app", **given)
    with pytest.raises(StoreUnavailable, match="can't be reached"):
        SQLBackend("mysql://app@127.0.0.1:1/app", password="")
