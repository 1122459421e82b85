"""
The demo: real processes, the official SDK and an offline Zoho; every claim is checked.

First the program that each process runs, then the demo that watches them.
"""

from __future__ import annotations

import csv
import dataclasses
import multiprocessing
import os
import shlex
import shutil
import signal
import stat
import sys
import tempfile
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from zohocrmsdk.src.com.zoho.api.authenticator import OAuthToken
from zohocrmsdk.src.com.zoho.api.authenticator.store import FileStore
from zohocrmsdk.src.com.zoho.api.logger import Logger
from zohocrmsdk.src.com.zoho.crm.api import HeaderMap, Initializer, ParameterMap, UserSignature
from zohocrmsdk.src.com.zoho.crm.api.dc import DataCenter
from zohocrmsdk.src.com.zoho.crm.api.exception import SDKException
from zohocrmsdk.src.com.zoho.crm.api.record import (
    BodyWrapper,
    GetRecordsParam,
    Record,
    RecordOperations,
)
from zohocrmsdk.src.com.zoho.crm.api.record.field import Field

from tokenkeep.config import STORE
from tokenkeep.errors import TokenKeepError
from tokenkeep.integrations.zoho_sdk import SDKStore
from tokenkeep.keys import KEY_FILE
from tokenkeep.sealing import generate_key
from tokenkeep.testing import ZohoEmulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from multiprocessing.connection import Connection

    from tokenkeep.events import Event

ANA = "user@us.example.com:6000001"
BEN, CLEO, DORA = (f"{name}@example.com:6000008" for name in ("ben", "cleo", "dora"))
PROCESSES = 8
_LATENCY = 0.3
"""How long the provider takes for an access token, in seconds; Zoho is not faster."""

_SHORT_LIFE = 4
"""How long an access token lives that is to expire, in seconds."""

_PATIENCE = 50.0
"""How long an answer of a process may take, in seconds; a renewal waits 45 at most."""

_say = partial(print, flush=True)

_SECRETS = ("user", "client_id", "client_secret", "access_token", "refresh_token", "grant_token")


class _Failed(Exception):
    """A claim does not hold, or a process could not do what it was told."""


class _Program:
    """
    What each process runs: a program with the SDK. Its methods are what it can be told.

    Args:
        pipe: To the demo.
        folder: For the SDK's log and its cache of fields.
        store: The SDK's own, by a path; or tokenkeep's, by a URL: the only difference there is.
        environment: The addresses of the CRM and of the token endpoint.
        client: The application's id and secret.
    """

    def __init__(
        self,
        pipe: Connection,
        folder: str,
        store: str,
        environment: tuple[str, str, str],
        client: dict[str, Any],
    ) -> None:
        self._pipe = pipe
        self._folder = folder
        is_url = store.startswith("sqlite:")
        self._store: Any = SDKStore(store, on_event=self._note) if is_url else FileStore(store)
        self._environment = DataCenter.Environment(*environment)
        self._client = client
        self._revoked_at: float | None = None

    def log_in(self, grant_token: str) -> dict[str, Any]:
        return self._start(grant_token=grant_token)

    def resume(self, user: str) -> list[str]:
        self._start(user_signature=UserSignature(user))
        return self.leads()

    def leads(self) -> list[str]:
        wanted = ParameterMap()
        wanted.add(GetRecordsParam.fields, "Last_Name")
        found = _data(RecordOperations("Leads").get_records(wanted, HeaderMap()))
        return [each.get_key_value("Last_Name") for each in found]

    def create_lead(self, last_name: str) -> list[str]:
        record, body = Record(), BodyWrapper()
        record.add_field_value(Field.Leads.last_name(), last_name)
        body.set_data([record])
        created = _data(RecordOperations("Leads").create_records(body, HeaderMap()))
        return [each.get_status().get_value() for each in created]

    def watch(self) -> dict[str, Any]:
        """Answer twice: when ten readings went well, and when the store refuses."""
        good, last_good = 0, 0.0
        while True:
            begun = time.time()
            try:
                self.leads()
            except (SDKException, _Failed) as exc:
                # The CRM may refuse before the store does.
                if isinstance(getattr(exc, "cause", None), TokenKeepError):
                    told = {"good": good, "last_good": last_good, "at": time.time()}
                    return told | {"error": _described(exc)}
                continue
            good, last_good = good + 1, begun
            if good == 10:  # noqa: PLR2004 - so that it does not begin with a renewal
                self._pipe.send((True, "watching"))

    def revoke(self, token_id: str) -> dict[str, Any]:
        return {"confirmed": self._store.revoke(token_id), "at": self._revoked_at}

    def secrets(self, token_id: str) -> dict[str, Any]:
        """Tell what a record looks like without the key, and all that must not be found in it."""
        vault = self._store.keeper.store
        record = vault.backend.read(token_id.removeprefix("tk_"))
        secrets = [getattr(each, name) for each in vault.iter_tokens() for name in _SECRETS]
        names = [field.name for field in dataclasses.fields(record)]
        return {
            "record": {name: getattr(record, name) for name in names},
            "secrets": [each for each in secrets if each],
        }

    def _start(self, **given: Any) -> dict[str, Any]:
        token = OAuthToken(**self._client, **given)
        log = Logger.get_instance(Logger.Levels.ERROR, str(Path(self._folder, "sdk.log")))
        Initializer.initialize(
            environment=self._environment,
            token=token,
            store=self._store,
            resource_path=self._folder,
            logger=log,
        )
        signature = token.get_user_signature()
        return {"id": token.get_id(), "user": signature and signature.get_name()}

    def _note(self, event: Event) -> None:
        if event.name == "revoked":
            self._revoked_at = event.at


def _work(pipe: Connection, environ: dict[str, str], settings: tuple[Any, ...]) -> None:
    """Run the program in a process of its own, until the demo ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the demo, which ends this
    os.environ.clear()
    os.environ.update(environ)
    with Path(settings[0], "output.log").open("wb") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    answer: Any = None
    with suppress(EOFError):
        program = _Program(pipe, *settings)
        while True:
            pipe.send((True, answer))
            do, given = pipe.recv()
            try:
                answer = getattr(program, do)(*given)
            except (SDKException, TokenKeepError, _Failed) as exc:
                pipe.send((False, _described(exc)))
                return


def _data(response: Any) -> list[Any]:
    answer: Any = None if response is None else response.get_object()
    if not hasattr(answer, "get_data"):
        raise _Failed("the CRM's answer holds no records")
    return list(answer.get_data())


def _described(error: Any) -> str:
    """Name an error without a secret: what others than tokenkeep say of it is not known."""
    cause = getattr(error, "cause", None)
    ours = cause if isinstance(cause, TokenKeepError) else error
    if isinstance(ours, TokenKeepError):
        return f"{type(ours).__name__}: {ours}"
    return str(error) if isinstance(error, _Failed) else f"SDKException ({error.code})"


class _Worker:
    """A process of the demo, as the demo holds it."""

    def __init__(self, demo: _Demo, store: str) -> None:
        folder = demo.folder / "sdk" / str(len(demo.workers))
        folder.mkdir(parents=True)
        place, client = demo.zoho.us, demo.zoho.client
        addresses = (place.api_url, place.token_url, place.api_url)
        secrets = {"client_id": client.client_id, "client_secret": client.client_secret}
        self._pipe, theirs = _PROCESSES.Pipe()
        self.process = _PROCESSES.Process(
            target=_work,
            args=(theirs, demo.environ, (str(folder), store, addresses, secrets)),
            daemon=True,
        )
        self.process.start()
        self.pid = self.process.pid
        theirs.close()

    def tell(self, do: str, *given: str) -> None:
        self._pipe.send((do, given))

    def answer(self) -> Any:
        """Wait for its answer; _Failed if it could not do it, or is gone."""
        with suppress(EOFError, OSError):
            if self._pipe.poll(_PATIENCE):
                is_good, answer = self._pipe.recv()
                if not is_good:
                    raise _Failed(answer)
                return answer
        raise _Failed(f"process {self.pid} gave no answer")

    def ask(self, do: str, *given: str) -> Any:
        self.tell(do, *given)
        return self.answer()

    def kill(self) -> None:
        """Send SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.process.join()
        self._pipe.close()


# The SDK takes a second to load: one process does, and the others are copies of it.
_KINDS = multiprocessing.get_all_start_methods()
_PROCESSES: Any = multiprocessing.get_context("forkserver" if "forkserver" in _KINDS else "spawn")


class _Demo:
    """
    The demo, as far as it has come.

    Args:
        zoho: The provider.
        folder: Everything is written in here.
    """

    def __init__(self, zoho: ZohoEmulator, folder: Path) -> None:
        self.zoho = zoho
        self.calls = zoho.counters.token_calls
        self.folder = folder
        self.workers: list[_Worker] = []
        self.results: list[tuple[str, str, str]] = []
        self.url = f"sqlite:///{quote(str(folder / 'tokens.db'))}"
        self.official = folder / "official.csv"
        key = folder / "keys"
        key.touch(mode=0o600)
        key.write_text(f"{generate_key()}\n")
        ours = {name: value for name, value in os.environ.items() if name[:10] != "TOKENKEEP_"}
        homes = ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "XDG_CACHE_HOME",
                 "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")  # fmt: skip
        self.environ = ours | dict.fromkeys(homes, str(folder)) | {KEY_FILE: str(key)}
        # The emulator is on this machine; a proxy would not find it.
        self.environ |= dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost")
        for user in (BEN, CLEO, DORA):
            email, zgid = user.split(":")
            zoho.add_user(email, zgid=zgid)

    def daily_work(self) -> None:
        _say(f"   Store     a SQLite database in the file {self.folder / 'tokens.db'}")
        _say(f"   Provider  an offline Zoho, {self.zoho.us.accounts_url}")
        _say(f"   SDK       zohocrmsdk8_0, unmodified; Python {sys.version.split()[0]}")
        _say("\n1. The SDK logs in with a grant code, its store is SDKStore(URL)")
        grant, [first] = self.zoho.grant_code(ANA), self.hire()
        login = first.ask("log_in", grant)
        self.token_id = login["id"]
        ok = login["user"] == ANA and self.calls() == 1
        self.claim("Login by grant code", f"{login['user']}, calls: {self.calls()}", ok=ok)

        _say("\n2. It works with leads, through the SDK's own record operations")
        before = first.ask("leads")
        statuses, after = first.ask("create_lead", "Lovelace"), first.ask("leads")
        ok = statuses == ["success"] and sorted(after) == sorted([*before, "Lovelace"])
        self.claim("Leads read and created", f"{len(before)} leads, then {len(after)}", ok=ok)

        _say("\n3. The process ends; a new one starts with the same configuration")
        calls = self.calls()
        first.kill()
        [self.worker] = self.hire()
        again, leads = self.worker.ask("log_in", grant), self.worker.ask("leads")
        _say(f"   process {first.pid} is gone, process {self.worker.pid} read {len(leads)} leads")
        ok = again["id"] == self.token_id and leads == after and self.calls() == calls
        seen = f"{self.calls() - calls} calls to the token endpoint"
        self.claim("Restart without a new login", seen, ok=ok and first.pid != self.worker.pid)

    def stored(self) -> None:
        _say("\n4. What is stored, as somebody without the key sees it")
        known = self.worker.ask("secrets", self.token_id)
        for line in _aligned([(name, _shown(value)) for name, value in known["record"].items()]):
            _say(f"     {line}")
        self.no_secret("No secret is stored in clear", known)
        modes = {f"{stat.S_IMODE(path.stat().st_mode):04o}" for path in self.files()}
        self.claim("Files for their owner only", f"mode {', '.join(modes)}", ok=modes == {"0600"})

    def expiry(self) -> None:
        _say(f"\n5. An access token expires while {PROCESSES} processes use it")
        _say(f"   The same program {PROCESSES} times, released together; only its store differs.")
        _say(f"   The token endpoint takes {_LATENCY} s for its answer, as over the Internet.")
        self.zoho.options.access_token_life = _SHORT_LIFE
        self.hire(store=str(self.official))[0].ask("log_in", self.zoho.grant_code(BEN))
        for user in (BEN, CLEO, DORA):
            self.hire()[0].ask("log_in", self.zoho.grant_code(user))
        self.zoho.options.reset()
        time.sleep(_SHORT_LIFE)
        # Its fifth column is the refresh token.
        in_clear = any(self.zoho.is_active(row[4]) for row in _rows_of(self.official))
        mode = f"mode {stat.S_IMODE(self.official.stat().st_mode):04o}"
        text = "in clear" if in_clear else "unusable"
        self.claim("The FileStore's file", f"{mode}, refresh token {text}", ok=None)
        calls, served = self.stampede(str(self.official))
        name = f"{PROCESSES} processes, the SDK's FileStore"
        self.claim(name, f"token calls: {calls}, served: {served}", ok=None)
        left = sum(len(row) > 4 and all(row[:5]) for row in _rows_of(self.official))  # noqa: PLR2004
        self.claim("The FileStore's file afterwards", f"{left} of 1 rows left", ok=None)
        calls, served = self.stampede(self.url)
        ok = (calls, served) == (1, PROCESSES)
        name = f"{PROCESSES} processes, SDKStore: one call"
        self.claim(name, f"token calls: {calls}, served: {served}", ok=ok)

    def stampede(self, store: str) -> tuple[int, int]:
        """Release eight processes at once; return the token calls, and how many were served."""
        workers, before, served = self.hire(PROCESSES, store=store), self.calls(), 0
        self.zoho.faults.add(endpoint="token", kind="slow", delay=_LATENCY, times=None)
        for worker in workers:
            worker.tell("resume", BEN)
        others = set()
        for worker in workers:
            try:
                served += bool(worker.answer())
            except _Failed as exc:
                others.add(str(exc))
        self.zoho.faults.clear()
        if others:
            _say(f"   the others met: {', '.join(sorted(others))}")
        return self.calls() - before, served

    def provider_down(self) -> None:
        _say("\n6. Zoho's accounts servers are down, the access token is still good")
        self.zoho.faults.add(endpoint="accounts", kind="drop", times=None)
        answered = sum(bool(self.worker.ask("leads")) for _ in range(4))
        answered += bool(self.hire()[0].ask("resume", ANA))
        self.zoho.faults.clear()
        seen = f"{answered} of 5 answered, also to a new process"
        self.claim("Calls go on while the provider is down", seen, ok=answered == 5)  # noqa: PLR2004

    def killed(self) -> None:
        _say("\n7. kill -9 in the middle of a renewal")
        _say("   Zoho has made the access token, and the answer never arrives.")
        self.kill_and_carry_on(CLEO, "kill -9: the next carries on")
        _say("   The same with a provider that gives a new refresh token with every renewal,")
        _say("   and answers the one before once more (Zoho does not; others do):")
        self.zoho.options.rotation = "rotate_grace"
        self.kill_and_carry_on(DORA, "kill -9, rotation: the next carries on")
        self.zoho.options.reset()

    def kill_and_carry_on(self, user: str, claim: str) -> None:
        """Kill one process in its call to the token endpoint, and see how the next one does."""
        victim, heir = self.hire(2)
        before = self.calls()
        fault = self.zoho.faults.add(endpoint="token", kind="hang", after=True)
        victim.tell("resume", user)
        if not fault.wait(_PATIENCE):
            raise _Failed(f"process {victim.pid} did not call the token endpoint")
        victim.kill()
        self.zoho.faults.clear()
        begun = time.monotonic()
        leads = heir.ask("resume", user)
        took, calls = time.monotonic() - begun, self.calls() - before
        _say(f"   process {victim.pid} was killed, process {heir.pid} took over")
        seen = f"{took:.1f} s, {calls} calls with the lost one"
        self.claim(claim, seen, ok=bool(leads) and calls == 2)  # noqa: PLR2004

    def revoked(self) -> None:
        _say("\n8. A token is revoked while another process works with it")
        [revoker] = self.hire()
        self.worker.ask("watch")
        done, end = revoker.ask("revoke", self.token_id), self.worker.answer()
        _say(f"   process {self.worker.pid} read the leads {end['good']} times, then met:")
        _say(f"   {end['error']}")
        ok = end["error"].startswith("TokenRevoked") and end["last_good"] <= done["at"]
        late = max(0.0, end["at"] - done["at"]) * 1000
        self.claim("Revoked: refused at once", f"{late:.0f} ms later, TokenRevoked", ok=ok)
        ok = done["confirmed"] and self.zoho.counters.calls("revoke") >= 1
        said = "confirmed" if done["confirmed"] else "not confirmed"
        self.claim("Revoked at the provider too", said, ok=ok)
        known = revoker.ask("secrets", self.token_id)
        self.no_secret("Still no secret is stored in clear", known)

    # What the steps are made of

    def hire(self, count: int = 1, *, store: str | None = None) -> list[_Worker]:
        """Start processes together, and wait until all of them are ready."""
        new = []
        for _ in range(count):
            new.append(_Worker(self, store or self.url))
            self.workers.append(new[-1])
        for worker in new:
            worker.answer()
        return new

    def files(self) -> list[Path]:
        """Return what tokenkeep has written: all but the key, the SDK's files and its store."""
        files = (path for path in self.folder.rglob("*") if path.is_file())
        others = ("keys", self.official.name)
        return [each for each in files if each.name not in others and "sdk" not in each.parts]

    def no_secret(self, claim: str, known: dict[str, Any]) -> None:
        found = [path.read_bytes() for path in self.files()]
        everything = b"".join(found)
        works = known["record"]["id"].encode() in everything
        _say(f"   searched: {len(found)} files, {len(everything)} bytes; the record's id, "
             f"which is no secret, is {'' if works else 'not '}found")  # fmt: skip
        seen = sum(each.encode() in everything for each in known["secrets"])
        text = f"{seen or 'none'} of {len(known['secrets'])} found"
        self.claim(claim, text, ok=works and not seen and bool(known["secrets"]))

    def claim(self, claim: str, seen: str, *, ok: bool | None) -> None:
        """Claim something, or note how others do: then *ok* is None."""
        verdict, mark = {True: ("yes", "ok"), False: ("NO", "NO"), None: ("-", "--")}[ok]
        self.results.append((claim, seen, verdict))
        _say(f"   {mark}  {claim}: {seen}")
        if ok is False:
            raise _Failed(f"{claim}: {seen}")


def _rows_of(file: Path) -> list[list[str]]:
    with file.open(newline="") as opened:
        return list(csv.reader(opened))[1:]


def _aligned(rows: Iterable[Sequence[str]]) -> list[str]:
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return f"{value[:12].hex()}... ({len(value)} bytes)"
    return "-" if value is None else str(value)[:12]


def main(*, keep: bool = False, trouble: Callable[[ZohoEmulator], object] | None = None) -> int:
    """
    Run the demo.

    Args:
        keep: Leave its folder, to look around.
        trouble: Called with the emulator before the demo begins; for tests of
            the demo, which have to see it fail. None means none.

    Returns:
        0 if every claim holds, else 1.
    """
    begun, reason = time.monotonic(), None
    _PROCESSES.set_forkserver_preload([__name__])
    folder = Path(tempfile.mkdtemp(prefix="tokenkeep-demo-")).resolve()
    # As Ctrl-C does: its processes end, and its folder is removed.
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        with ZohoEmulator() as zoho:
            demo = _Demo(zoho, folder)
            try:
                if trouble is not None:
                    trouble(zoho)
                demo.daily_work()
                demo.stored()
                demo.expiry()
                demo.provider_down()
                demo.killed()
                demo.revoked()
            except _Failed as exc:
                reason = str(exc)
            finally:
                for worker in demo.workers:
                    worker.kill()
    finally:
        signal.signal(signal.SIGTERM, before)
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    verdicts = [verdict for _, _, verdict in demo.results if verdict != "-"]
    _say(f"\n{verdicts.count('yes')} of {len(verdicts)} claims hold, "
         f"{time.monotonic() - begun:.0f} s\n")  # fmt: skip
    heads = [("claim", "seen", "ok"), ("-----", "----", "--")]
    _say("\n".join(_aligned(heads + demo.results)))
    if reason is not None:
        _say(f"\nThe demo failed: {reason}")
    if keep:
        key, kept = (shlex.quote(str(each)) for each in (demo.environ[KEY_FILE], folder))
        _say("\nTo look around by hand (the offline Zoho has ended; what needs it fails):\n")
        _say(f"  export {KEY_FILE}={key} {STORE}={shlex.quote(demo.url)}")
        _say("  tokenkeep list")
        _say(f"  tokenkeep token --user {BEN}   # a secret: an access token")
        _say(f"  rm -r {kept}   # keys, tokens, the SDK's own file and logs")
    else:
        _say("\nWhat it stored is deleted. To look around by hand, keep it: tokenkeep demo --keep")
    return 0 if reason is None else 1
