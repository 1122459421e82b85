"""
Take the rules of the renewal out of the code, one at a time, and see a test fail.

Run by hand, from anywhere: ``python tests/renewal/ablate.py [rule ...]``. It
works on a copy of the tree in a temporary folder. Rules carry the names they
have in the model that the protocol was checked with; the table is kept in
step with the code by test_ablations.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ablation:
    """
    One rule taken out.

    Args:
        rule: Its name.
        what: What the code does without it.
        file: Where it is, below ``src/tokenkeep``.
        old: The lines that make it.
        new: What stands there without it.
        test: Which test fails, below ``tests``.
    """

    rule: str
    what: str
    file: str
    old: str
    new: str
    test: str


ABLATIONS = (
    Ablation(
        "save=0",
        "an answer whose save meets a conflict is dropped",
        "renewal/attempt.py",
        "saved = self._late.settle(entry, self._provider)\n            else:",
        "saved = None\n            else:",
        "renewal/test_late.py::test_answer_survives_a_stranger_s_write",
    ),
    Ablation(
        "save=1, login",
        "a late answer is written over whatever pair is stored",
        "renewal/late.py",
        "if stored.pair != entry.base or (",
        "if (",
        "renewal/test_late.py::test_new_login_is_not_overwritten",
    ),
    Ablation(
        "save=1, revoke",
        "a late answer is written over a revocation",
        "renewal/late.py",
        "if stored is None or stored.status is Status.REVOKED:",
        "stored = stored and stored.but(access_token=entry.base_access)\n"
        "            if stored is None:",
        "renewal/test_late.py::test_revocation_is_not_lifted",
    ),
    Ablation(
        "save=1, delete",
        "a late answer makes a deleted row again",
        "renewal/late.py",
        "if stored is None or stored.status is Status.REVOKED:",
        "if stored is None:\n"
        "                self._store.save_token(renewed(Token(user=entry.user), entry))\n"
        "            if stored is None or stored.status is Status.REVOKED:",
        "renewal/test_late.py::test_deleted_row_is_not_made_again",
    ),
    Ablation(
        "save=2, login",
        "only the refresh token is compared, not the pair",
        "renewal/late.py",
        "if stored.pair != entry.base or (",
        "if stored.refresh_token != entry.base_refresh or (",
        "renewal/test_late.py::test_new_login_without_a_refresh_token_is_not_overwritten",
    ),
    Ablation(
        "save=2, pause",
        "only the refresh token is compared: two saves from one base",
        "renewal/late.py",
        "if stored.pair != entry.base or (",
        "if stored.refresh_token != entry.base_refresh or (",
        "renewal/test_late.py::test_second_save_from_one_base",
    ),
    Ablation(
        "perm=0",
        "a rejection is written onto whatever refresh token is stored",
        "renewal/attempt.py",
        "                or stored.status is not Status.OK\n"
        "                or stored.refresh_token != held.refresh_token\n",
        "                or stored.status is not Status.OK\n",
        "renewal/test_permanent.py::test_new_login_meanwhile",
    ),
    Ablation(
        "perm=1",
        "a rejection is written over another's live claim",
        "renewal/attempt.py",
        "if other and other.nonce != self._nonce and not self._watch.takeable(other):",
        "if other is self:",
        "renewal/test_permanent.py::test_steps_aside_for_a_live_claim",
    ),
    Ablation(
        "lift=0",
        "a late answer never lifts login_needed",
        "renewal/late.py",
        "stored.status is Status.LOGIN_NEEDED and same_refresh",
        "stored.status is Status.LOGIN_NEEDED",
        "renewal/test_late.py::test_rotated_answer_lifts_login_needed",
    ),
    Ablation(
        "lift=1",
        "a late answer always lifts login_needed",
        "renewal/late.py",
        "stored.status is Status.LOGIN_NEEDED and same_refresh",
        "not same_refresh and False",
        "renewal/test_late.py::test_unrotated_answer_does_not_lift_login_needed",
    ),
    Ablation(
        "mintat=0",
        "a call is counted when its answer is saved",
        "renewal/attempt.py",
        "mints = counted(token, now, profile)",
        "mints = token.renewal.mints",
        "renewal/test_claim.py::test_failed_call_counts",
    ),
    Ablation(
        "ownimage=1",
        "a late save writes the mint times as they were at its claim",
        "renewal/attempt.py",
        "saved = self._late.settle(entry, self._provider)\n            else:",
        "saved = self._late.settle(entry, self._provider)\n"
        "                saved = saved and self._store.swap(\n"
        "                    saved.with_renewal(mints=held.renewal.mints)\n"
        "                )\n"
        "            else:",
        "renewal/test_late.py::test_late_save_keeps_other_processes_mint_times",
    ),
    Ablation(
        "sweepcond=0",
        "a sweep deletes by id, not the version it judged",
        "sweeping.py",
        "keeper.store.delete_token(str(row.id), replaces=row.version)",
        "keeper.store.delete_token(str(row.id))",
        "renewal/test_sweep.py::test_sweep_leaves_a_login_that_ended_meanwhile",
    ),
    Ablation(
        "nonce=0",
        "a login of unknown outcome does not recognise its own write",
        "vault.py",
        "return stored if stored is not None and stored.renewal.login == login else None",
        "return self.save_token(token)",
        "renewal/test_relogin.py::test_outcome_unknown_then_another_login",
    ),
    Ablation(
        "nonce=0, claim",
        "a claim of unknown outcome counts as lost",
        "renewal/attempt.py",
        "            return self._mine(token)\n\n",
        "            return None\n\n",
        "renewal/test_claim.py::test_outcome_of_the_claim_is_not_known",
    ),
    Ablation(
        "laterevoke=0",
        "a fresh token of a revoked row is forgotten, alive at the provider",
        "renewal/late.py",
        "            provider.revoke(fresh)\n",
        "            pass\n",
        "renewal/test_take_back.py::test_rotated_token_of_a_revoked_row",
    ),
    Ablation(
        "journal=0",
        "a rotated answer is not journaled before its save",
        "renewal/attempt.py",
        "            entry = self._kept(entry, held)\n        wanted",
        "            pass\n        wanted",
        "renewal/test_claim.py::test_answer_is_journaled_before_the_save",
    ),
    Ablation(
        "jlook=0, claim",
        "the journal is not looked into before the call",
        "renewal/attempt.py",
        "entry = self._journal.find(str(held.id), held.pair)\n        except",
        "entry = None\n        except",
        "renewal/test_claim.py::test_answer_left_in_the_journal",
    ),
    Ablation(
        "jlook=0, verdict",
        "the journal is not looked into before login_needed",
        "renewal/attempt.py",
        "            entry = self._journal.find(str(held.id), held.pair)\n"
        "            if entry is not None:\n"
        "                return self._late.settle(entry, self._provider)\n"
        "            gone",
        "            gone",
        "renewal/test_permanent.py::test_answer_in_the_journal",
    ),
    Ablation(
        "recheck=0",
        "after a take-over the record is not read again",
        "renewal/attempt.py",
        "if again is None or again.pair != held.pair:",
        "again = again or held\n            if False:",
        "renewal/test_claim.py::test_replayed_between_take_over_and_look",
    ),
    Ablation(
        "precheck=0",
        "the own clock is not looked at before the call",
        "renewal/attempt.py",
        "if gone + profile.call_timeout >= profile.claim_length:",
        "if gone < 0:",
        "renewal/test_claim.py::test_pause_between_claim_and_call",
    ),
)


def fails(ablation: Ablation, scratch: Path) -> bool:
    """Tell whether the test fails on a copy of the tree without the rule."""
    source = scratch / "src" / "tokenkeep" / ablation.file
    whole = source.read_text()
    source.write_text(whole.replace(ablation.old, ablation.new))
    try:
        return not passes([ablation.test], scratch)
    finally:
        source.write_text(whole)


def passes(tests: list[str], scratch: Path) -> bool:
    """Tell whether tests pass on the copy as it is."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *(f"tests/{test}" for test in tests)],
        cwd=scratch,
        env={**os.environ, "PYTHONPATH": str(scratch / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise SystemExit(done.stdout + done.stderr)
    return done.returncode == 0


def main(rules: list[str]) -> int:
    """Print a line for each rule; the exit status is how many no test missed."""
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        for name in ("src", "tests", "pyproject.toml"):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, scratch / name)
        chosen = [each for each in ABLATIONS if not rules or each.rule in rules]
        if not passes([each.test for each in chosen], scratch):
            raise SystemExit("The tests fail with all rules in place")
        for ablation in chosen:
            seen = fails(ablation, scratch)
            missed += not seen
            print(f"{'fails' if seen else 'PASSES'}  {ablation.rule:18} {ablation.test}")  # noqa: T201  # a script
    return missed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
