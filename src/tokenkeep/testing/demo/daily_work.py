"""Steps 1 to 4: log in, work, start again, and look at what is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenkeep.testing.demo.scene import Scene

NEW_LEAD = "Lovelace"


def play(scene: Scene) -> None:
    """Play these steps."""
    grant = scene.zoho.grant_code()
    _log_in(scene, grant)
    _leads(scene)
    _restart(scene, grant)
    _stored(scene)


def _log_in(scene: Scene, grant: str) -> None:
    scene.narrator.step("The SDK logs in with a grant code, its store is SDKStore(URL)")
    answer = scene.worker.ask("log_in", grant_token=grant)
    scene.user, scene.token_id = answer["user"], answer["id"]
    scene.narrator.claim(
        "Login by grant code",
        f"{scene.user or 'user unknown'}, calls: {scene.token_calls}",
        ok=bool(scene.token_id) and scene.user == scene.zoho.user.name and scene.token_calls == 1,
    )


def _leads(scene: Scene) -> None:
    scene.narrator.step("It works with leads, through the SDK's own record operations")
    before = scene.worker.ask("leads")["leads"]
    statuses = scene.worker.ask("create_lead", last_name=NEW_LEAD)["statuses"]
    after = scene.worker.ask("leads")["leads"]
    scene.narrator.claim(
        "Leads read and created",
        f"{len(before)} leads, then {len(after)}",
        ok=statuses == ["success"] and sorted(after) == sorted([*before, NEW_LEAD]),
    )


def _restart(scene: Scene, grant: str) -> None:
    scene.narrator.step("The process ends; a new one starts with the same configuration")
    old, calls = scene.worker.pid, scene.token_calls
    scene.worker.close()
    scene.worker = scene.crew.one()
    answer = scene.worker.ask("log_in", grant_token=grant)
    leads = scene.worker.ask("leads")["leads"]
    scene.narrator.say(
        f"process {old} is gone, process {scene.worker.pid} read {len(leads)} leads"
    )
    scene.narrator.claim(
        "Restart without a new login",
        f"{scene.token_calls - calls} calls to the token endpoint",
        ok=answer["id"] == scene.token_id
        and NEW_LEAD in leads
        and scene.token_calls == calls
        and scene.worker.pid != old,
    )


def _stored(scene: Scene) -> None:
    scene.narrator.step("What is stored, as somebody without the key sees it")
    seen = scene.worker.ask("inspect", token_id=scene.token_id)
    scene.narrator.rows(seen["columns"])
    no_secret(scene, seen, "No secret is stored in clear")
    modes = sorted({mode for _, mode, _ in seen["files"]})
    if modes:
        scene.narrator.claim(
            "Files for their owner only", f"mode {', '.join(modes)}", ok=modes == ["0600"]
        )


def no_secret(scene: Scene, seen: dict[str, Any], claim: str) -> None:
    """
    Claim that no secret was found in what is stored.

    Args:
        scene: The demo.
        seen: What `inspection.seen` returned.
        claim: In these words.
    """
    files = seen["files"]
    if files:
        names = ", ".join(f"{name} ({size} bytes)" for name, _, size in files)
        scene.narrator.say(f"searched: {names}")
    else:
        scene.narrator.say("a server keeps it, there is no file here: its records are searched")
    found = ", ".join(seen["found"]) or "none"
    works = "is found: the search works" if seen["found_id"] else "is not found"
    scene.narrator.say(f"the record's id, which is no secret, {works}")
    scene.narrator.claim(
        claim,
        f"{found} of {seen['searched']} found",
        ok=not seen["found"] and seen["found_id"] and seen["searched"] > 0,
    )
