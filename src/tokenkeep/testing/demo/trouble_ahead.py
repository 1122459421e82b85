"""Steps 6 to 8: the provider is down, a process is killed, a token is revoked."""

from __future__ import annotations

import http.client
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tokenkeep.testing.demo.daily_work import no_secret
from tokenkeep.testing.demo.workers import WorkerFailed

if TYPE_CHECKING:
    from tokenkeep.testing.demo.scene import Scene
    from tokenkeep.testing.demo.workers import Worker

CLEO = "cleo@example.com:6000009"
DORA = "dora@example.com:6000010"
_CALLS = 5
_REACHED = 30.0
"""How long a process may take until its call has reached the provider, in seconds."""


def play(scene: Scene) -> None:
    """Play these steps."""
    _provider_down(scene)
    _killed(scene)
    _revoked(scene)


def _provider_down(scene: Scene) -> None:
    narrator = scene.narrator
    narrator.step("Zoho's accounts servers are down, the access token is still good")
    scene.zoho.faults.add(endpoint="accounts", kind="drop", times=None)
    answers = _answers(scene.zoho.us.token_url)
    old = [bool(scene.worker.ask("leads")["leads"]) for _ in range(_CALLS)]
    late = scene.crew.one()
    new = bool(late.ask("resume", user=scene.user)["leads"])
    late.close()
    scene.zoho.faults.clear()
    narrator.claim(
        "Calls go on while the provider is down",
        f"{sum(old)} of {_CALLS} answered, {'also' if new else 'none'} to a new process",
        ok=not answers and all(old) and new,
    )


def _answers(token_url: str) -> bool:
    """Tell whether the token endpoint answers at all."""
    address = urlsplit(token_url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=10)
    try:
        connection.request("POST", address.path)
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def _killed(scene: Scene) -> None:
    narrator, zoho = scene.narrator, scene.zoho
    narrator.step("kill -9 in the middle of a renewal")
    narrator.say("Zoho has made the access token, and the answer never arrives.")
    login = scene.crew.one()
    with scene.short_lives():
        for user in (CLEO, DORA):
            scene.add_user(user)
            login.ask("log_in", grant_token=zoho.grant_code(user))
    login.close()
    victim, heir, next_victim, next_heir = scene.crew.hire(4)
    scene.wait_for_expiry()
    _kill_and_carry_on(scene, CLEO, victim, heir)
    narrator.say("The same with a provider that gives a new refresh token with every renewal,")
    narrator.say("and answers the one before once more (Zoho does not; others do):")
    zoho.options.rotation = "rotate_grace"
    _kill_and_carry_on(scene, DORA, next_victim, next_heir)
    zoho.options.rotation = "none"


def _kill_and_carry_on(scene: Scene, user: str, victim: Worker, heir: Worker) -> None:
    rotates = scene.zoho.options.rotation != "none"
    before = scene.token_calls
    fault = scene.zoho.faults.add(endpoint="token", kind="hang", after=True)
    victim.tell("resume", user=user)
    if not fault.wait(_REACHED):
        raise WorkerFailed(f"process {victim.pid} did not call the token endpoint")
    victim.kill()
    scene.zoho.faults.clear()
    begun = time.monotonic()
    leads = heir.ask("resume", user=user)["leads"]
    took = time.monotonic() - begun
    heir.close()
    calls = scene.token_calls - before
    scene.narrator.say(f"process {victim.pid} was killed, process {heir.pid} took over")
    scene.narrator.claim(
        f"kill -9{', rotation' if rotates else ''}: the next carries on",
        f"{took:.1f} s, {calls} calls with the lost one",
        ok=bool(leads) and calls == 2,  # noqa: PLR2004 - the lost one, and one more
    )


def _revoked(scene: Scene) -> None:
    narrator, zoho = scene.narrator, scene.zoho
    narrator.step("A token is revoked while another process works with it")
    revoker = scene.crew.one()
    scene.worker.tell("watch")
    if not scene.worker.good_answer().get("watching"):
        raise WorkerFailed(f"process {scene.worker.pid} could not work with the leads")
    revocation = revoker.ask("revoke", token_id=scene.token_id)
    end = scene.worker.answer()
    narrator.say(
        f"process {scene.worker.pid} read the leads {end['good']} times, "
        f"process {revoker.pid} revoked the token, then:"
    )
    narrator.say(end.get("what", "it was never refused"))
    refused, acknowledged = end["refused"], revocation["acknowledged"]
    narrator.claim(
        "Revoked: refused at once",
        "never refused"
        if refused is None
        else f"{max(0.0, refused - acknowledged) * 1000:.0f} ms later, {end['error']}",
        ok=refused is not None
        and end["error"] == "TokenRevoked"
        and end["last_good"] <= acknowledged,
    )
    narrator.claim(
        "Revoked at the provider too",
        "confirmed" if revocation["confirmed"] else "not confirmed",
        ok=revocation["confirmed"] and zoho.counters.calls("revoke") >= 1,
    )
    seen = revoker.ask("inspect", token_id=scene.token_id)
    no_secret(scene, seen, "Still no secret is stored in clear")
    revoker.close()
