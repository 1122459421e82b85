"""The provider, the database, the disk and the clock, as docs/operations.md says of each."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from contextlib import suppress

import pytest
from mounts import can_mount

import tokenkeep
from tokenkeep import (
    Policies,
    Policy,
    PolicyEnded,
    RenewalError,
    Status,
    StoreUnavailable,
    TokenRevoked,
)
from tokenkeep.testing import FakeClock

HOUR = 3600.0


def test_the_provider_is_gone_for_days(host, zoho):
    """Good tokens are handed out, no login is lost, revocations count here, and there later."""
    here, clock = host(), FakeClock()
    keeper = here.keeper(clock=clock)
    ana = here.login(keeper, left=HOUR)
    bo = zoho.add_user("bo@example.com", data_center="us").name
    bo = here.login(keeper, user=bo, left=HOUR)
    zoho.faults.add(endpoint="*", kind="drop", times=None)

    assert keeper.get(id=ana.id).access_token == ana.access_token
    assert keeper.revoke(bo.id).renewal.to_revoke
    with pytest.raises(TokenRevoked):
        keeper.get(id=bo.id)
    clock.advance(HOUR)
    began, calls = clock.now(), zoho.counters.token_calls("refresh_token")
    while clock.now() < began + 3 * 86_400:
        with pytest.raises(RenewalError):
            keeper.get(id=ana.id)
        with suppress(RenewalError):
            keeper.get(id=ana.id)
        clock.advance(20.0 if clock.now() < began + HOUR else 6 * HOUR)
    # Once a minute in the hour in which somebody asked three times a minute.
    assert zoho.counters.token_calls("refresh_token") - calls < 60 + 20 + 12
    assert keeper.store.reread(ana.id).status is Status.OK
    assert 1 == keeper.sweep().unconfirmed

    zoho.faults.clear()

    clock.advance(61.0)
    assert zoho.is_active(keeper.get(id=ana.id).access_token)
    assert "revoked: 1" in here.type("tokenkeep sweep").text
    assert not zoho.is_active(bo.refresh_token)


def test_a_policy_while_the_provider_is_gone(host, zoho):
    """Who asks is refused, and it is written down once the provider's clock was seen."""
    here, clock = host(), FakeClock()
    keeper = here.keeper(clock=clock)
    ana = here.login(keeper, left=9 * HOUR)
    keeper.store.set_policies(Policies([Policy(name="sessions", max_session=HOUR)]))
    zoho.faults.add(endpoint="*", kind="drop", times=None)
    for each in (clock, zoho.clock):
        each.advance(HOUR + 1)

    with pytest.raises(PolicyEnded):
        keeper.get(id=ana.id)
    assert keeper.store.reread(ana.id).status is Status.OK
    assert 1 == keeper.sweep().postponed
    zoho.faults.clear()
    clock.advance(61.0)

    assert 1 == keeper.sweep().ended
    assert not zoho.is_active(ana.refresh_token)


def test_the_database_is_killed_while_callers_ask(host, postgres, zoho):
    """They get errors by name while it is gone, and tokens once it is back, without a restart."""
    here = host(url=postgres.url() + "?timeout=2")
    keeper = here.keeper()
    ana = here.login(keeper, left=HOUR)
    told: list[type] = []
    stop = threading.Event()

    def ask():
        while not stop.is_set():
            try:
                told.append(type(keeper.get(id=ana.id)))
            except tokenkeep.TokenKeepError as exc:
                told.append(type(exc))
            time.sleep(0.01)

    callers = [threading.Thread(target=ask) for _ in range(4)]
    for each in callers:
        each.start()
    postgres.kill()
    _until(lambda: told[-4:] == [StoreUnavailable] * 4)
    postgres.start()
    _until(lambda: told[-4:] == [tokenkeep.Token] * 4)
    stop.set()
    for each in callers:
        each.join()

    assert {tokenkeep.Token, StoreUnavailable} == set(told)
    with keeper:
        assert zoho.is_active(keeper.renew(ana.id).access_token)


def _until(true):
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


PROGRAM = """
import sys, tokenkeep
keeper = tokenkeep.Keeper(tokenkeep.open_store())
do = {"get": keeper.get, "renew": lambda user: keeper.renew(keeper.get(user=user).id)}
for line in sys.stdin:
    try:
        print(do[line.strip()](user=sys.argv[1]).status.value, flush=True)
    except tokenkeep.TokenKeepError as exc:
        print(type(exc).__name__, flush=True)
"""

FULL = """
mount -t tmpfs -o size=400k,mode=700 none "$PWD/disk"
cp tokens.db disk/
export TOKENKEEP_STORE=sqlite:///$PWD/disk/tokens.db
coproc RUNNING { python program.py "$ANA"; }
ask() { echo "$1" >&"${RUNNING[1]}"; read -r told <&"${RUNNING[0]}"; echo "$2: $told"; }
ask get before
fill() { dd if=/dev/zero of=disk/filler bs=1k status=none 2>/dev/null || true; }
run() { tokenkeep token --user "$ANA" >/dev/null 2>&1 && echo "$1: 0" || echo "$1: $?"; }
fill
ask get full
ask renew full
run beside
rm disk/filler
ask renew after
exec {RUNNING[1]}>&-
wait
fill
run alone
rm disk/filler
run after
"""


@pytest.mark.parametrize("rotation", ["none", "rotate_reuse_kills"])
def test_the_disk_is_full(host, zoho, tmp_path, rotation):
    """Who runs hands good tokens out, nothing is spent, and once there is room all goes on."""
    if not can_mount():
        pytest.skip("only root may mount")
    here = host(rotation=rotation)
    keeper = here.keeper()
    ana = here.login(keeper, left=HOUR)
    keeper.close()
    (here.folder / "disk").mkdir(mode=0o700)
    (here.folder / "program.py").write_text(PROGRAM)
    shutil.copy(tmp_path / "tokens.db", here.folder)
    calls = zoho.counters.token_calls("refresh_token")

    done = subprocess.run(
        ["unshare", "--mount", "bash", "-euc", FULL],
        env=here.environ | {"ANA": ana.user},
        cwd=here.folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )

    assert done.stdout.splitlines() == [
        "before: ok",
        "full: ok",
        "full: StoreUnavailable",
        "beside: 0",
        "after: ok",
        "alone: 5",
        "after: 0",
    ]
    assert zoho.counters.token_calls("refresh_token") == calls + 1


def test_the_clock_is_off(host):
    """Health names both times, and is content as soon as the clock is right again."""
    here = host()
    keeper = here.keeper()
    here.login(keeper)
    ahead = FakeClock()
    ahead.advance(HOUR)
    assert here.keeper(clock=ahead).health().ok

    found = here.type("tokenkeep health")
    assert (1, True) == (found.status, "One of the two clocks is wrong" in found.text)
    assert here.type("tokenkeep health").status == 0  # its own heartbeat is the last one now
