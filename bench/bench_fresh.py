"""Keep fresh: many tokens, by one process and by two, at a provider that answers at once."""

from __future__ import annotations

import multiprocessing
import resource
import secrets
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench_sweep import others as more
from common import (
    Case,
    access_token,
    folder,
    insert,
    insert_very_many,
    kept_connection,
    made_up,
    options,
    record_id,
    report,
    seal,
)

from tokenkeep import Keeper, Policies, Policy, open_store, saving
from tokenkeep.backends import sql
from tokenkeep.backends.rows import COLUMNS, to_row
from tokenkeep.providers import Answer, Profile, Providers
from tokenkeep.providers.zoho import PROFILE, Zoho
from tokenkeep.records import token_id
from tokenkeep.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tokenkeep import Token, Vault

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[1] / "tests" / "support"))

GRACE = 600
"""How long one round may take before the benchmark gives up, in seconds."""

DUE = 2_000

TARGET = 1000
"""How many renewals a second two processes are to make."""

DAY = 86_400.0


class Near(Zoho):
    """A Zoho that answers at once; with another refresh token if its profile rotates."""

    def refresh(self, token: Token) -> Answer:
        del token
        return Answer(
            access_token=access_token(),
            refresh_token=access_token() if self.profile.rotates else None,
            expires_in=3600.0,
            api_domain="https://www.zohoapis.com",
        )


class Work(NamedTuple):
    """What a process is to do; plain values, so that a spawned one can have them."""

    whose: str
    """``ours`` or ``floor``."""
    rotates: bool
    place: str
    """The URL of the store."""
    dsn: dict[str, Any] | None
    """What psycopg connects with. None for SQLite."""
    ids: list[str]
    """Those of the floor; ours share what is due."""


class Took(NamedTuple):
    """When a process began and ended, by the clock of the machine; its CPU, in seconds; in MB."""

    began: float
    ended: float
    cpu: float
    done: int
    peak: float


class Round(NamedTuple):
    """What some processes took: tokens a second, ms of CPU for each, MB of the largest."""

    rate: float
    cost: float
    peak: float


def renewing(work: Work) -> Callable[[], int]:
    """Return what renews all that is due, and says how many it has."""
    near = Near(profile=Profile() if work.rotates else PROFILE)
    keeper = Keeper(open_store(work.place), providers=Providers("zoho", {"zoho": near}))
    return lambda: keeper.keep_fresh().renewed


def writing(work: Work) -> Callable[[], int]:
    """Return the floor: each row compared and written twice, on one kept connection."""
    if work.dsn is None:
        db: Any = kept_connection(Path(work.place.removeprefix("sqlite:///")))
        table, mark, names = "token", "?", dict(zip(COLUMNS, COLUMNS, strict=True))
    else:
        import psycopg

        db = psycopg.connect(**work.dsn, autocommit=True).cursor()
        table, mark, names = "tokenkeep", "%s", sql.NAMES
    found = ("access", "refresh") if work.rotates else ("access",)
    marks = "".join(f", {names[each]} = {mark}" for each in found)
    update = f"UPDATE {table} SET sealed = {mark}, version = {mark}"
    which = f"WHERE id = {mark} AND version = {mark}"
    known = {}
    for each in work.ids:
        query = f"SELECT sealed, version FROM {table} WHERE id = {mark}"
        known[each] = db.execute(query, (record_id(each),)).fetchone()

    def write() -> int:
        for each in work.ids:
            sealed, version = known[each]
            row, claimed, saved = record_id(each), secrets.token_hex(16), secrets.token_hex(16)
            new = [secrets.token_hex(16) for _ in found]
            db.execute(f"{update} {which}", (sealed, claimed, row, version))
            done = db.execute(f"{update}{marks} {which}", (sealed, saved, *new, row, claimed))
            assert done.rowcount == 1
            known[each] = sealed, saved
        return len(work.ids)

    return write


def work_at(work: Work, gate: Any, results: Any) -> None:
    """Be one process."""
    took = None
    try:
        do = {"ours": renewing, "floor": writing}[work.whose](work)
        gate.wait(GRACE)
        began, cpu = time.time(), time.process_time()
        done = do()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        took = Took(began, time.time(), time.process_time() - cpu, done, peak)
    except BaseException:
        gate.abort()  # nobody waits for one that failed
        raise
    finally:
        results.put(took)


def together(work: Work, processes: int) -> Round:
    """Let some processes do it at once."""
    spawn = multiprocessing.get_context("spawn")
    gate, results = spawn.Barrier(processes), spawn.Queue()
    shares = [work._replace(ids=work.ids[each::processes]) for each in range(processes)]
    started = [spawn.Process(target=work_at, args=(each, gate, results)) for each in shares]
    for process in started:
        process.start()
    took = [results.get(timeout=GRACE) for _ in started]
    for process in started:
        process.join()
    if None in took:
        raise SystemExit("A process failed: see above")
    n = sum(each.done for each in took)
    assert n == len(work.ids), (n, len(work.ids))  # each by one of them
    lasted = max(each.ended for each in took) - min(each.began for each in took)
    cost = sum(each.cpu for each in took) / n * 1000
    return Round(n / lasted, cost, max(each.peak for each in took))


def rows(vault: Vault, numbers: Iterable[int]) -> Iterator[tuple[Any, ...]]:
    """Yield rows of users who logged in yesterday, and whose tokens have just ended."""
    now = time.time()
    for number in numbers:
        token = saving.first(made_up(number), login=secrets.token_hex(16), now=now - DAY)
        token = token.but(expires_at=now - 1).with_renewal(
            mints=(), renewed_at=now - 3601, renewed_by="web-3/4711", lifetime=3600.0
        )
        yield to_row(seal(vault, token.having("renewed", now - 3601, "web-3/4711")))


def best(rounds: Iterable[Round]) -> Round:
    """Return the highest rate, the least CPU and the least memory of some rounds."""
    rates, costs, peaks = zip(*rounds, strict=True)
    return Round(max(rates), min(costs), min(peaks))


class Store(NamedTuple):
    """A store with tokens that are due, and as many rows for the floor, which are not."""

    url: str
    dsn: dict[str, Any] | None
    """As of `Work`."""
    due: list[str]
    others: list[str]
    renew_all: Callable[[], None]
    """Make what is due as it was before it was renewed."""


def filled(url: str, n: int) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Return rows that are due, and as many that are not, for the floor: it spoils them."""
    with open_store(url, make=True, clock=FakeClock(time.time() - DAY)) as vault:
        vault.set_policies(Policies([Policy(name="fresh", keep_fresh=True)]))
    with open_store(url) as vault:
        vault.apply_policies()  # for good: they were set a day ago
        at = COLUMNS.index("due_at")
        others = [(*row[:at], None, *row[at + 1 :]) for row in rows(vault, range(n, 2 * n))]
        return list(rows(vault, range(n))), others


@contextmanager
def on_sqlite(path: Path, n: int, beside: int = 0) -> Iterator[Store]:
    """Make one, with so many rows *beside* that will be due much later, or never."""
    place = path / "tokens.db"
    due, others = filled(f"sqlite:///{place}", n)
    ids = [token_id(row[0]) for row in due]

    def renew_all() -> None:
        db = kept_connection(place)
        db.execute("BEGIN")
        db.executemany("DELETE FROM token WHERE id = ?", [row[:1] for row in due])
        db.execute("COMMIT")
        db.close()
        insert(place, due)

    db = kept_connection(place)
    insert_very_many(db, more(beside, due[0]))
    db.close()
    insert(place, others)
    spoiled = [token_id(row[0]) for row in others]
    yield Store(f"sqlite:///{place}", None, ids, spoiled, renew_all)


@contextmanager
def on_postgres(n: int) -> Iterator[Store]:
    from private_servers import Postgres

    with Postgres() as server:
        import psycopg

        url = server.url()
        dsn = {**server.dsn, "dbname": url.rpartition("/")[2]}
        del dsn["database"]
        due, others = filled(url, n)
        names, values = ", ".join(sql.NAMES.values()), ", ".join(["%s"] * len(COLUMNS))

        def put(made: list[tuple[Any, ...]]) -> None:
            with psycopg.connect(**dsn) as db:
                db.cursor().executemany(
                    "DELETE FROM tokenkeep WHERE id = %s", [row[:1] for row in made]
                )
                db.cursor().executemany(f"INSERT INTO tokenkeep ({names}) VALUES ({values})", made)

        put(others)
        ids, spoiled = ([token_id(row[0]) for row in each] for each in (due, others))
        yield Store(url, dsn, ids, spoiled, lambda: put(due))


def measured(where: str, store: Store, rounds: int) -> tuple[list[Case], list[Case]]:
    """Return the cases of one store: renewals a second, and the CPU of one."""
    rates, costs = [], []
    for rotates in (False, True):
        for processes in (1, 2):
            ours = Work("ours", rotates, store.url, store.dsn, store.due)
            floor = ours._replace(whose="floor", ids=store.others)
            took = []
            for _ in range(rounds):
                store.renew_all()
                took.append((together(floor, processes), together(ours, processes)))
            (least_rate, least, _), (rate, cost, _) = map(best, zip(*took, strict=True))
            name = f"{where}, {processes} process{'es' * (processes > 1)}{', rotates' * rotates}"
            is_judged = processes > 1 and not rotates
            target, met = (TARGET, rate >= TARGET) if is_judged else (None, None)
            rates.append(Case(name, len(store.due), rate, least_rate, target=target, met=met))
            costs.append(Case(name, len(store.due), cost, least))
    return rates, costs


def among(path: Path, n: int, rounds: int) -> tuple[Case, Case]:
    """Return two cases, the rate and the memory: among *n* other rows, and without them."""
    found = []
    for name, beside in (("many", n), ("few", 0)):
        (path / name).mkdir()
        with on_sqlite(path / name, DUE, beside) as store:
            ours = Work("ours", rotates=False, place=store.url, dsn=None, ids=store.due)
            took = []
            for _ in range(rounds):
                store.renew_all()
                took.append(together(ours, 1))
            found.append(best(took))
    many, few = found
    name = f"{DUE:,} that are due among others"
    return Case(name, n, many.rate, few.rate), Case(name, n, many.peak, few.peak)


def main() -> None:
    from private_servers import ProgramMissing

    given = options(__doc__, rows=DUE)
    rounds, n = (5, 10_000) if given.full else (2, given.rows)
    with folder() as path:
        rate, memory = among(path, 1_000_000 if given.full else 100_000, rounds)
    with folder() as path, on_sqlite(path, n) as store:
        rates, costs = measured("SQLite", store, rounds)
    try:
        with folder(), on_postgres(n) as store:
            more, dear = measured("PostgreSQL", store, rounds)
            rates, costs = rates + more, costs + dear
    except ProgramMissing as exc:
        print(exc, file=sys.stderr)
    report("renewals a second: more is better", "a second", [*rates, rate], given)
    report("CPU of a renewal, without a server's", "ms", costs, given)
    report("memory at the peak; floor: without the others", "MB", [memory], given)


if __name__ == "__main__":
    main()
