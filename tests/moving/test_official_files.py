"""What is read from the file of the official SDK's FileStore, and what is refused."""

from __future__ import annotations

import inspect
import os
import tracemalloc

import pytest
from moved_tokens import ANA, NEW, NOW

from tokenkeep import ConfigurationError
from tokenkeep.moving import OfficialSource, open_source
from tokenkeep.providers import Providers

HELD = ("client_id", "client_secret", "refresh_token", "access_token", "grant_token",
        "redirect_uri", "api_domain")  # fmt: skip


def rows(path):
    return list(open_source(path).rows(NOW, Providers()))


def tokens(path):
    return [row.token for row in rows(path)]


def problems(path):
    return [(row.number, row.problem) for row in rows(path) if row.problem]


def test_every_column_arrives(write_csv):
    """The expiry in seconds; of a row without a user, too; the place by its API domain."""
    other = {"user_name": "", "expiry_time": "", "refresh_token": "another", "grant_token": ""}

    path = write_csv(ANA, ANA | other)
    named, nameless = tokens(path)

    assert {name: ANA[name] for name in HELD} == {name: getattr(named, name) for name in HELD}
    assert ["1", "1"] == [row.id for row in rows(path)]
    assert (ANA["user_name"], "zoho") == (named.user, named.provider)
    assert ("eu", "production", 1764000000.123) == (
        named.data_center,
        named.environment,
        named.expires_at,
    )
    assert "https://accounts.zoho.eu/oauth/v2/token" == named.issuer
    assert (None, None) == (nameless.user, nameless.expires_at)


def test_hard_values(write_csv):
    """Quotes, commas, line breaks of both kinds, NUL and 64 KB arrive as they are."""
    hard = '"a", b\r\nc\nd\0' + "x" * 65536
    long = '"a", b' + "x" * 65536

    (token,) = tokens(write_csv(ANA | {"user_name": hard, "refresh_token": long}))

    assert (hard, long) == (token.user, token.refresh_token)


def test_what_editors_add(write_csv):
    """Blanks around a value are trimmed; blank lines, and any line ends, are no rows."""
    around = ["{}\n", "  {}", "\r\n{}\t", "\ufeff{}", "{}\u00a0", "{}\ufeff", "{} "]
    given = {name: each.format(ANA[name]) for name, each in zip(HELD, around, strict=True)}
    path = write_csv(ANA | given, encoding="utf-8-sig")
    header, _, rest = path.read_bytes().partition(b"\r\n")
    path.write_bytes(header + b"\r\r\n\r\n" + rest + b"\n,,,,,,,,,\n")

    (token,) = tokens(path)

    assert {name: ANA[name] for name in HELD} == {name: getattr(token, name) for name in HELD}


def test_rows_that_are_none(write_csv):
    """Rows of the wrong length and the like are named with their number and the reason."""
    bare = {"access_token": "", "refresh_token": "", "grant_token": ""}
    path = write_csv(
        ANA | bare,
        ANA | {"refresh_token": "two\nlines", "expiry_time": "tomorrow"},
        ANA | {"expiry_time": "9" * 400},
        ANA | {"api_domain": ""},
        *[ANA | {name: "a\x1b[2Jb"} for name in HELD[:4]],
        ANA | {"user_name": "josé"},
        encoding="cp1252",
    )
    with path.open("a") as file:
        file.write(f"4,short\n{','.join(NEW)}\n")

    wrong = (
        "begins or ends with a blank or a line break, or has a control character in it: "
        "it can't be what the provider gave"
    )
    assert [
        (2, "it holds no token"),
        (3, "its expiry_time is no time"),
        (4, "its expiry_time is no time"),
        (5, "it has no api_domain, so nobody knows where it is valid: renew it with the SDK"),
        *((6 + n, f"The {name} {wrong}") for n, name in enumerate(HELD[:4])),
        (10, "it is not in UTF-8: convert the file first, e.g. iconv -f cp1252 -t utf-8"),
        (11, "it has 2 columns, not 10"),
        # Two processes that start at once may both write the header.
        (12, "its expiry_time is no time"),
    ] == problems(path)


@pytest.mark.parametrize(
    ("content", "said"),
    {
        None: "can't be read",
        b"": "columns are not there",
        b"\n\n": "columns are not there",
        # Older generations: zohocrmsdk2_1, zcrmsdk 3.
        ",".join(NEW[:-1]).encode(): "columns are not there",
        b"user_mail,client_id,refresh_token,access_token,grant_token,expiry_time": "columns are",
        b"SQLite format 3\0 and then nothing": "columns are not there",
        b"\x80\x04\x89PNG\r\n\x1a\n\0": "columns are not there",
        f'{",".join(NEW)}\n1,"cut off'.encode(): "damaged",
    }.items(),
)
def test_foreign_files(tmp_path, content, said):
    """A file that is something else, or damaged, is one named error."""
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigurationError, match=said):
        rows(path)


def test_what_is_no_file(tmp_path):
    """A folder, a pipe, and a path that can't be followed have a named error."""
    os.mkfifo(tmp_path / "pipe")
    for name, said in {"": "not a file", "pipe": "not a file", "a" * 300: "can't be read"}.items():
        with pytest.raises(ConfigurationError, match=said):
            open_source(tmp_path / name)


def test_many_rows_stream(tmp_path):
    """Invariant 13: what is kept of a row is digests; 2,000 rows take little."""
    path = tmp_path / "many.csv"
    long = "r" * 2_000
    rows = (f"{n},user {n},c,s,{long}{n},a{n},,,,https://www.zohoapis.com\n" for n in range(2_000))
    path.write_text("".join([",".join(NEW) + "\n", *rows]))
    assert 2_000 == sum(1 for _ in open_source(path).rows(NOW, Providers()))

    tracemalloc.start()  # what is imported at first is not counted
    for _ in open_source(path).rows(NOW, Providers()):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_500_000


class Written(OfficialSource):
    """What programs write while it is read: it is otherwise the second time."""

    def __init__(self, *states):
        self._states = list(states)

    def lines(self):
        for number, each in enumerate(self._states.pop(0), 1):
            yield number, [each[name] for name in NEW]


def test_what_is_written_meanwhile():
    """Which row of a user counts is known by what it holds: others may move it, or renew it."""
    old, ben = ANA | {"refresh_token": "old"}, ANA | {"user_name": "ben", "access_token": "b"}
    renewed = ANA | {"id": "2", "access_token": "renewed", "expiry_time": "1764009999000"}
    source = Written([old, ANA | {"id": "2"}], [ben, old, renewed])

    found = list(source.rows(NOW, Providers()))

    assert [None, "row 2 is for the same, and counts", None] == [each.problem for each in found]
    assert "renewed" == found[-1].token.access_token


def test_cut_off_in_the_last_column(write_csv):
    """A data centre with half of its name is another one: such a file is refused."""
    path = write_csv(ANA, ANA | {"user_name": "ben", "api_domain": "https://www.zohoapis.com.au"})
    path.write_bytes(path.read_bytes().rstrip().removesuffix(b".au"))

    with pytest.raises(ConfigurationError, match="may be cut off"):
        rows(path)


def test_no_secret_in_a_frame(write_csv):
    """Invariant 9: no error shows a row that was read before."""
    path = write_csv(*[ANA | {"user_name": str(n)} for n in range(300)])
    path.write_text(path.read_text() + '2,"cut off')

    with pytest.raises(ConfigurationError, match="damaged behind line 302") as caught:
        rows(path)

    frames = [repr(each.frame.f_locals) for each in inspect.getinnerframes(caught.tb)]
    assert ANA["refresh_token"] not in "".join(frames[1:])  # without the test's own
