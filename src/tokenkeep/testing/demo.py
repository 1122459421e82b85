"""
The demo: real processes, the official SDK and an offline Zoho; every claim is checked.

First the program that each process runs, then the demo that watches them.
"""

from __future__ import annotations

import dataclasses
import multiprocessing.forkserver
import os
import signal
import stat
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from zohocrmsdk.src.com.zoho.api.authenticator import OAuthToken
from zohocrmsdk.src.com.zoho.api.authenticator.store import FileStore
from zohocrmsdk.src.com.zoho.api.logger import Logger
from zohocrmsdk.src.com.zoho.crm.api import HeaderMap, Initializer, ParameterMap, UserSignature
from zohocrmsdk.src.com.zoho.crm.api import record as crm
from zohocrmsdk.src.com.zoho.crm.api.dc import DataCenter
from zohocrmsdk.src.com.zoho.crm.api.exception import SDKException

from tokenkeep.errors import TokenKeepError
from tokenkeep.integrations.zoho_sdk import SDKStore
from tokenkeep.keys import KEY_FILE
from tokenkeep.sealing import generate_key
from tokenkeep.testing import ZohoEmulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

ANA = "user@us.example.com:6000001"
BEN, CLEO, DORA = (f"{name}@example.com:6000008" for name in ("ben", "cleo", "dora"))
PROCESSES = 8
_LATENCY = 0.3  # seconds for an access token; Zoho is not faster
_SHORT_LIFE = 2  # seconds that an access token lives which is to expire
_PATIENCE = 50.0  # seconds for an answer of a process; a renewal waits 45 at most
_say = partial(print, flush=True)


class _Failed(Exception):
    """A claim does not hold, or a process could not do what it was told."""


class _Program:
    """What each process runs: a program with the SDK. Its methods are what it can be told."""

    def __init__(self, folder: str, store: str, addresses: list[str], client: Any) -> None:
        self._folder, self._client = folder, client
        self._environment = DataCenter.Environment(*addresses)
        # The only difference there is: the SDK's own store, or tokenkeep's.
        self._store: Any = SDKStore(store) if store.startswith("sqlite:") else FileStore(store)

    def log_in(self, grant_token: str) -> dict[str, Any]:
        return self._start(grant_token=grant_token)

    def resume(self, user: str) -> list[str]:
        self._start(user_signature=UserSignature(user))
        return self.leads()

    def _start(self, **given: Any) -> dict[str, Any]:
        token = OAuthToken(**self._client, **given)
        Initializer.initialize(
            environment=self._environment,
            token=token,
            store=self._store,
            resource_path=self._folder,
            logger=Logger.get_instance(Logger.Levels.ERROR, str(Path(self._folder, "sdk.log"))),
        )
        signature = token.get_user_signature()
        return {"id": token.get_id(), "user": signature and signature.get_name()}

    def leads(self) -> list[str]:
        wanted = ParameterMap()
        wanted.add(crm.GetRecordsParam.fields, "Last_Name")
        response = crm.RecordOperations("Leads").get_records(wanted, HeaderMap())
        answer: Any = response and response.get_object()
        if not hasattr(answer, "get_data"):
            raise _Failed("the CRM's answer holds no records")
        return [each.get_key_value("Last_Name") for each in answer.get_data()]

    def create_lead(self, last_name: str) -> None:
        lead, body = crm.Record(), crm.BodyWrapper()
        lead.add_field_value(crm.field.Field.Leads.last_name(), last_name)
        body.set_data([lead])
        crm.RecordOperations("Leads").create_records(body, HeaderMap())

    def revoke(self, token_id: str) -> bool:
        return bool(self._store.revoke(token_id))

    def stored(self, token_id: str) -> dict[str, Any]:
        read = self._store.keeper.store.backend.read
        return dataclasses.asdict(read(token_id.removeprefix("tk_")))


def _work(pipe: Connection, *settings: Any) -> None:
    """Do in a process of its own what the demo tells, until that lets go of the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the demo, which ends this
    with Path(settings[0], "output.log").open("wb") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    program = _Program(*settings)
    pipe.send((True, "ready"))
    with suppress(EOFError):
        while True:
            what, *given = pipe.recv()
            pipe.send(_done(program, what, given))


def _done(program: _Program, what: str, given: list[str]) -> tuple[bool, Any]:
    """Return whether it went well, and the answer or what was wrong."""
    try:
        return True, getattr(program, what)(*given)
    except _Failed as exc:
        return False, str(exc)
    except (SDKException, TokenKeepError) as exc:
        error: Any = getattr(exc, "cause", None) or exc  # the SDK wraps what its store raises
        # An error of others is named only: its text may hold secrets.
        text = f": {error}" if isinstance(error, TokenKeepError) else ""
        return False, f"{type(error).__name__}{text}"


# The SDK takes a second to load: one process does, and the others are copies of it.
_PROCESSES: Any = multiprocessing.get_context("forkserver")


class _Worker:
    """A process of the demo, as the demo holds it."""

    def __init__(self, *settings: Any) -> None:
        self._pipe, its = _PROCESSES.Pipe()
        self._process = _PROCESSES.Process(target=_work, args=(its, *settings), daemon=True)
        self._process.start()
        its.close()
        self.pid: int = self._process.pid

    def tell(self, what: str, *given: str) -> None:
        self._pipe.send((what, *given))

    def answer(self) -> Any:
        """Wait for an answer; _Failed if the process could not do it, or is gone."""
        well, answer = False, "a process gave no answer"
        with suppress(EOFError, OSError):
            if self._pipe.poll(_PATIENCE):
                well, answer = self._pipe.recv()
        if not well:
            raise _Failed(answer)
        return answer

    def ask(self, what: str, *given: str) -> Any:
        self.tell(what, *given)
        return self.answer()

    def kill(self) -> None:
        """Send SIGKILL, and wait until it is gone."""
        self._process.kill()
        self._process.join()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let a Ctrl-C wait: half a start would leave a process that complains."""
    came: list[int] = []
    both = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(each, lambda number, _: came.append(number)) for each in both]
    try:
        yield
    finally:
        for each, handler in zip(both, before, strict=True):
            signal.signal(each, handler)
        for number in came:
            signal.raise_signal(number)


class _Demo:
    """The demo, as far as it has come; it writes everything into its folder."""

    def __init__(self, zoho: ZohoEmulator, folder: Path) -> None:
        self.zoho, self.folder = zoho, folder
        self.calls = zoho.counters.token_calls
        self.workers: list[_Worker] = []
        self.claims: list[bool] = []
        self.url = f"sqlite:///{quote(str(folder / 'tokens.db'))}"
        self.official = folder / "official.csv"
        for user in (BEN, CLEO, DORA):
            email, zgid = user.split(":")
            zoho.add_user(email, zgid=zgid)

    def run(self) -> None:
        try:
            for step in (self.daily_work, self.stored, self.expiry,
                         self.provider_down, self.killed, self.revoked):  # fmt: skip
                step()
        finally:
            for worker in self.workers:
                worker.kill()

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
        first.ask("create_lead", "Lovelace")
        after = first.ask("leads")
        ok = sorted(after) == sorted([*before, "Lovelace"])
        self.claim("Leads read and created", f"{len(before)} leads, then {len(after)}", ok=ok)

        _say("\n3. The process ends; a new one starts with the same configuration")
        first.kill()
        [self.worker] = self.hire()
        again, leads = self.worker.ask("log_in", grant), self.worker.ask("leads")
        _say(f"   process {first.pid} is gone, process {self.worker.pid} read {len(leads)} leads")
        ok = again == login and leads == after and self.calls() == 1
        seen = f"{self.calls() - 1} calls to the token endpoint"
        self.claim("Restart without a new login", seen, ok=ok)

    def stored(self) -> None:
        _say("\n4. What is stored, as somebody without the key sees it")
        for name, value in self.worker.ask("stored", self.token_id).items():
            seen = value[:12].hex() if isinstance(value, bytes) else value
            _say(f"     {name:12}  {str(seen)[:24]}")
        self.no_secret("No secret is stored in clear")
        modes = {f"{stat.S_IMODE(path.stat().st_mode):04o}" for path in self.files()}
        self.claim("Files for their owner only", f"mode {', '.join(modes)}", ok=modes == {"0600"})

    def expiry(self) -> None:
        _say(f"\n5. An access token expires while {PROCESSES} processes use it")
        _say(f"   The same program {PROCESSES} times, released together; only its store differs.")
        _say(f"   The token endpoint takes {_LATENCY} s for its answer, as over the Internet.")
        self.zoho.options.access_token_life = _SHORT_LIFE
        logins = [(BEN, str(self.official)), *((user, self.url) for user in (BEN, CLEO, DORA))]
        for user, store in logins:
            self.hire(store=store)[0].ask("log_in", self.zoho.grant_code(user))
        self.zoho.options.reset()
        time.sleep(_SHORT_LIFE)
        self.official_file("The FileStore's file")
        self.stampede("the SDK's FileStore", str(self.official), compared=True)
        self.official_file("The FileStore's file afterwards")
        self.stampede("SDKStore: one call", self.url)

    def official_file(self, name: str) -> None:
        text, mode = self.official.read_text(), stat.S_IMODE(self.official.stat().st_mode)
        working = [each for each in self.zoho.secrets() if self.zoho.is_active(each)]
        token = "in clear" if any(each in text for each in working) else "lost"
        self.claim(name, f"mode {mode:04o}, the token {token}", ok=None)

    def stampede(self, name: str, store: str, *, compared: bool = False) -> None:
        """Release eight processes at once; count the token calls, and how many were served."""
        workers, before, served = self.hire(PROCESSES, store=store), self.calls(), 0
        self.zoho.faults.add(endpoint="token", kind="slow", delay=_LATENCY, times=None)
        for worker in workers:
            worker.tell("resume", BEN)
        for worker in workers:
            with suppress(_Failed):
                served += bool(worker.answer())
        self.zoho.faults.clear()
        calls = self.calls() - before
        ok = None if compared else (calls, served) == (1, PROCESSES)
        self.claim(
            f"{PROCESSES} processes, {name}", f"token calls: {calls}, served: {served}", ok=ok
        )

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
        _say("   The same with a provider that gives a new refresh token with every renewal:")
        self.zoho.options.rotation = "rotate_grace"
        self.kill_and_carry_on(DORA, "kill -9, rotation: the next carries on")
        self.zoho.options.reset()

    def kill_and_carry_on(self, user: str, claim: str) -> None:
        """Kill one process in its call to the token endpoint, and see how the next one does."""
        victim, heir = self.hire(2)
        before = self.calls()
        fault = self.zoho.faults.add(endpoint="token", kind="hang", after=True)
        victim.tell("resume", user)
        came = fault.wait(_PATIENCE)
        victim.kill()
        self.zoho.faults.clear()
        begun = time.monotonic()
        leads = heir.ask("resume", user)
        took, calls = time.monotonic() - begun, self.calls() - before
        _say(f"   process {victim.pid} was killed, process {heir.pid} took over")
        seen = f"{took:.1f} s, {calls} calls with the lost one"
        self.claim(claim, seen, ok=came and bool(leads) and calls == 2)  # noqa: PLR2004

    def revoked(self) -> None:
        _say("\n8. A token is revoked while another process works with it")
        [revoker] = self.hire()
        done, met = revoker.ask("revoke", self.token_id), "no error"
        try:
            self.worker.ask("leads")
        except _Failed as exc:
            met = str(exc)
        _say(f"   process {self.worker.pid} meets: {met}")
        seen = f"its next call: {met.partition(':')[0]}"
        self.claim("Revoked: refused at once", seen, ok=met.startswith("TokenRevoked"))
        ok = done and self.zoho.counters.calls("revoke") >= 1
        self.claim("Revoked at the provider too", f"{'' if done else 'not '}confirmed", ok=ok)
        self.no_secret("Still no secret is stored in clear")

    def hire(self, count: int = 1, *, store: str | None = None) -> list[_Worker]:
        """Start processes together, and wait until all of them are ready."""
        place, client = self.zoho.us, self.zoho.client
        secrets = {"client_id": client.client_id, "client_secret": client.client_secret}
        more = store or self.url, [place.api_url, place.token_url, place.api_url], secrets
        for _ in range(count):
            folder = self.folder / "sdk" / str(len(self.workers))
            folder.mkdir(parents=True)
            with _undisturbed():
                self.workers.append(_Worker(str(folder), *more))
        for worker in self.workers[-count:]:
            worker.answer()
        return self.workers[-count:]

    def files(self) -> list[Path]:
        """Return what tokenkeep has written: all but the key, the SDK's files and its store."""
        files = (path for path in self.folder.rglob("*") if path.is_file())
        others = ("keys", self.official.name)
        return [each for each in files if each.name not in others and "sdk" not in each.parts]

    def no_secret(self, claim: str) -> None:
        files = [path.read_bytes() for path in self.files()]
        secrets = [*self.zoho.secrets(), self.zoho.client.client_id, ANA, BEN, CLEO, DORA]
        found = sum(each.encode() in file for file in files for each in secrets)
        # One look for what is no secret: it has to be there.
        works = any(self.token_id.removeprefix("tk_").encode() in file for file in files)
        seen = f"{found or 'none'} of {len(secrets)} found in {len(files)} files"
        self.claim(claim, seen, ok=works and not found)

    def claim(self, claim: str, seen: str, *, ok: bool | None) -> None:
        """Claim something, or note how others do: then *ok* is None."""
        _say(f"   {({True: 'ok', False: 'NO', None: '--'})[ok]}  {claim} ({seen})")
        if ok is not None:
            self.claims.append(ok)
        if ok is False:
            raise _Failed(f"{claim}: {seen}")


def main() -> int:
    """Run the demo; return 0 if every claim holds, else 1."""
    begun, reason = time.monotonic(), None
    with (
        tempfile.TemporaryDirectory(prefix="tokenkeep-demo-", ignore_cleanup_errors=True) as made,
        ZohoEmulator() as zoho,
    ):
        demo = _Demo(zoho, Path(made).resolve())
        _prepare_processes(demo.folder)
        try:
            demo.run()
        except (_Failed, OSError) as exc:
            reason = str(exc)
    held = f"{sum(demo.claims)} of {len(demo.claims)} claims hold"
    _say(f"\n{held}, {time.monotonic() - begun:.0f} s")
    if reason is not None:
        _say(f"\nThe demo failed: {reason}")
    return 0 if reason is None else 1


def _prepare_processes(folder: Path) -> None:
    """Set what the processes inherit: nothing of the user's configuration, and a new key."""
    for name in [each for each in os.environ if each.startswith("TOKENKEEP_")]:
        del os.environ[name]
    (key := folder / "keys").touch(mode=0o600)
    key.write_text(f"{generate_key()}\n")
    os.environ[KEY_FILE] = str(key)
    # The emulator is on this machine; a proxy would not find it.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
    _PROCESSES.set_forkserver_preload([__name__])
    # Ctrl-C is for the demo, which ends the others: they ignore it from their first moment.
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    multiprocessing.forkserver.ensure_running()
    signal.signal(signal.SIGINT, interrupt)
