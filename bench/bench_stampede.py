"""Stampedes: many callers, one expired token or one new credential; calls to Zoho are counted."""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from common import Case, folder, options, report

from tokenkeep import Token, open_store
from tokenkeep.testing import ZohoEmulator

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenkeep import Vault

ANSWER = 0.3
"""How long an answer takes, in seconds: about what it does over the internet."""

SLOW = 0.5
"""How long the slow provider takes, in seconds."""

GRACE = 60
"""How long a caller may take before the benchmark gives up, in seconds."""


class Work(NamedTuple):
    """What a process is to do; plain values, so that a spawned one can have them."""

    kind: str
    """``ours`` or ``theirs``: which store."""
    place: str
    accounts: str
    api: str
    threads: int = 1
    token: tuple[tuple[str, str], ...] = ()
    """The arguments of the SDK's OAuthToken."""


def opened(work: Work) -> Any:
    if work.kind == "ours":
        from tokenkeep.integrations.zoho_sdk import SDKStore

        return SDKStore(f"sqlite:///{work.place}")
    from zohocrmsdk.src.com.zoho.api.authenticator.store import FileStore

    return FileStore(work.place)


def initialized(work: Work, store: Any) -> Any:
    """Start the SDK as an application does, and return the access token it works with."""
    from zohocrmsdk.src.com.zoho.api.authenticator import OAuthToken
    from zohocrmsdk.src.com.zoho.crm.api import Initializer
    from zohocrmsdk.src.com.zoho.crm.api.dc import DataCenter

    token = OAuthToken(**dict(work.token), find_user=False)
    environment = DataCenter.Environment(work.api, work.accounts, work.api)
    Initializer.initialize(
        environment=environment,
        token=token,
        store=store,
        resource_path=str(Path(work.place).parent),
    )
    return token.get_access_token()


def ask(work: Work) -> Callable[[], Any]:
    """Return one thread's question: the SDK's own way to an access token."""
    from zohocrmsdk.src.com.zoho.api.authenticator import OAuthToken

    return OAuthToken(**dict(work.token), find_user=False).get_token


def callers(work: Work, gate: Any, results: Any) -> None:
    """Be one process with its threads; all ask at the same moment."""
    from zohocrmsdk.src.com.zoho.crm.api import Initializer
    from zohocrmsdk.src.com.zoho.crm.api.dc import DataCenter
    from zohocrmsdk.src.com.zoho.crm.api.sdk_config import SDKConfig

    store = opened(work)
    if dict(work.token).get("id") is None:
        # A program that starts and logs in.
        gate.wait(GRACE)
        answer(results, lambda: initialized(work, store))
        return
    # A program that runs already: what initialize() leaves behind.
    initializer = Initializer()
    initializer.environment = DataCenter.Environment(work.api, work.accounts, work.api)
    initializer.store = store
    initializer.sdk_config = SDKConfig()
    Initializer.initializer = initializer
    here = threading.Barrier(work.threads + 1)

    def one() -> None:
        question = ask(work)
        here.wait(GRACE)
        answer(results, question)

    threads = [threading.Thread(target=one) for _ in range(work.threads)]
    for thread in threads:
        thread.start()
    gate.wait(GRACE)
    here.wait(GRACE)
    for thread in threads:
        thread.join()


def answer(results: Any, question: Callable[[], Any]) -> None:
    try:
        results.put((True, question()))
    except Exception as exc:  # noqa: BLE001  # how many got none is what is counted
        results.put((False, type(exc).__name__))


def stampede(zoho: ZohoEmulator, work: Work, processes: int) -> tuple[int, str]:
    """Return how many calls the token endpoint got, and what became of the callers."""
    spawn = multiprocessing.get_context("spawn")
    gate, results = spawn.Barrier(processes + 1), spawn.Queue()
    started = [spawn.Process(target=callers, args=(work, gate, results)) for _ in range(processes)]
    for process in started:
        process.start()
    gate.wait(GRACE)
    zoho.counters.reset()
    begun = time.monotonic()
    answers = [results.get(timeout=GRACE) for _ in range(processes * work.threads)]
    took = time.monotonic() - begun
    for process in started:
        process.join()
    good = [value for ok, value in answers if ok]
    tokens = len(set(good))
    return zoho.counters.token_calls(), (
        f"{len(good)} of {len(answers)} got one, {tokens} access token{'s' * (tokens != 1)},"
        f" {took:.2f} s"
    )


def expired(zoho: ZohoEmulator, vault: Vault, user: str) -> Token:
    """Store a token whose access token has ended."""
    return vault.save_token(
        Token(
            user=user,
            client_id=zoho.client.client_id,
            client_secret=zoho.client.client_secret,
            access_token="1000.ended",
            refresh_token=zoho.refresh_token(zoho.add_user(user.partition(":")[0])),
            expires_at=time.time() - 60,
            provider="zoho",
            issuer=zoho.us.token_url,
            api_domain=zoho.us.api_url,
        )
    )


def expired_in_file(token: Token, place: Path) -> tuple[tuple[str, str], ...]:
    """Store the same in the SDK's own file."""
    from zohocrmsdk.src.com.zoho.api.authenticator import OAuthToken
    from zohocrmsdk.src.com.zoho.api.authenticator.store import FileStore

    sdk = OAuthToken(
        client_id=token.client_id,
        client_secret=token.client_secret,
        refresh_token=token.refresh_token,
        access_token=token.access_token,
        api_domain=token.api_domain,
    )
    sdk.set_expires_in(str(int((time.time() - 60) * 1000)))
    FileStore(str(place)).save_token(sdk)
    return (("id", sdk.get_id()),)


def one_expired(zoho: ZohoEmulator, path: Path, shapes: list[tuple[int, int]]) -> list[Case]:
    found = []
    for processes, threads in shapes:
        place = path / f"expired-{processes}-{threads}"
        with contextlib.closing(open_store(f"sqlite:///{place}.db")) as vault:
            token = expired(zoho, vault, f"herd{processes}x{threads}@example.com:1")
        addresses = (zoho.us.token_url, zoho.us.api_url, threads)
        calls, told = stampede(
            zoho, Work("ours", f"{place}.db", *addresses, (("id", token.id),)), processes
        )
        by_id = expired_in_file(token, place.with_suffix(".csv"))
        theirs, told_of_theirs = stampede(
            zoho, Work("theirs", f"{place}.csv", *addresses, by_id), processes
        )
        n = f"{processes} x {threads}"
        found += [
            Case("expired, SDKStore", n, calls, theirs, target=1, met=calls == 1, note=told),
            Case("expired, SDK's FileStore", n, theirs, note=told_of_theirs),
        ]
    return found


def new_credential(zoho: ZohoEmulator, path: Path, processes: int) -> list[Case]:
    found = []
    for name in ("refresh_token", "grant_token"):
        counts = []
        for kind in ("ours", "theirs"):
            user = zoho.add_user(f"new-{name}-{kind}@example.com")
            secret = zoho.refresh_token(user) if name == "refresh_token" else zoho.grant_code(user)
            arguments = (
                ("client_id", zoho.client.client_id),
                ("client_secret", zoho.client.client_secret),
                (name, secret),
            )
            place = str(path / f"new-{name}-{kind}")
            work = Work(kind, place, zoho.us.token_url, zoho.us.api_url, 1, arguments)
            counts.append(stampede(zoho, work, processes))
        (calls, told), (theirs, told_of_theirs) = counts
        label = name.replace("_", " ")
        found += [
            Case(
                f"new {label}, SDKStore",
                f"{processes} x 1",
                calls,
                theirs,
                target=1,
                met=calls == 1,
                note=told,
            ),
            Case(f"new {label}, SDK's FileStore", f"{processes} x 1", theirs, note=told_of_theirs),
        ]
    return found


def side_by_side(zoho: ZohoEmulator, path: Path, count: int, rounds: int) -> list[Case]:
    """Let *count* tokens expire together while each renewal takes `SLOW`."""
    from tokenkeep import Keeper

    together, alone = [], []
    calls = 0
    for turn in range(rounds):
        with contextlib.closing(open_store(f"sqlite:///{path}/slow{turn}.db")) as vault:
            keeper = Keeper(vault)
            ids = [
                expired(zoho, vault, f"slow{turn}-{i}@example.com:1").id for i in range(count + 1)
            ]
            zoho.faults.add(endpoint="token", kind="slow", delay=SLOW, times=None)
            zoho.counters.reset()
            alone.append(timed(keeper, ids[:1]))
            together.append(timed(keeper, ids[1:]))
            calls += zoho.counters.token_calls()
            zoho.faults.clear()
    one_by_one = median(alone) * count
    return [
        Case(
            "renewed side by side, s",
            count,
            median(together),
            median(alone),
            target=2,
            note=f"floor: one alone; {calls // rounds} calls; one by one it would be "
            f"{one_by_one:.1f} s",
        )
    ]


def timed(keeper: Any, ids: list[str]) -> float:
    threads = [threading.Thread(target=keeper.get, kwargs={"id": i}) for i in ids]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.monotonic() - start


def main() -> None:
    given = options(__doc__)
    with folder() as path, ZohoEmulator() as zoho:
        # Zoho stops at ten; without that there is more to count.
        zoho.options.mints_per_window = None
        zoho.faults.add(endpoint="token", kind="slow", delay=ANSWER, times=None)
        shapes = [(1, 64), (8, 1), (8, 8)] + ([(16, 16)] if given.full else [])
        found = one_expired(zoho, path, shapes)
        found += new_credential(zoho, path, 16)
        zoho.faults.clear()
        slow = side_by_side(zoho, path, 8, 5 if given.full else 2)
    report(
        "stampede: processes x threads; floor: the SDK's own store", "token calls", found, given
    )
    report("8 tokens expire together", "seconds", slow, given)


if __name__ == "__main__":
    main()
