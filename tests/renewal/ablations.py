"""
The rules of renewals and logins, where each is in the code, and the test that fails without it.

Names with ``=`` are those of the model that the protocol was checked with.
ablate.py takes the rules out one by one; test_ablations.py keeps this table in
step with the code.
"""

from __future__ import annotations

from dataclasses import dataclass


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
        "stored.pair == entry.base and stored.status",
        "stored.status",
        "renewal/test_late.py::test_new_login_is_not_overwritten",
    ),
    Ablation(
        "save=1, revoke",
        "a late answer is written over a revocation",
        "renewal/late.py",
        "if stored is None or stored.status is Status.REVOKED:",
        "stored = stored and stored.but(access_token=entry.base_access)\n"
        "        if stored is None:",
        "renewal/test_late.py::test_revocation_is_not_lifted",
    ),
    Ablation(
        "save=1, delete",
        "a late answer makes a deleted row again",
        "renewal/late.py",
        "if stored is None or stored.status is Status.REVOKED:",
        "if stored is None:\n"
        "            self._store.save_token(renewed(Token(user=entry.user), entry))\n"
        "        if stored is None or stored.status is Status.REVOKED:",
        "renewal/test_late.py::test_deleted_row_is_not_made_again",
    ),
    Ablation(
        "save=2, login",
        "only the refresh token is compared, not the pair",
        "renewal/late.py",
        "stored.pair == entry.base and stored.status",
        "stored.refresh_token == entry.base_refresh and stored.status",
        "renewal/test_late.py::test_new_login_without_a_refresh_token_is_not_overwritten",
    ),
    Ablation(
        "save=2, pause",
        "only the refresh token is compared: two saves from one base",
        "renewal/late.py",
        "stored.pair == entry.base and stored.status",
        "stored.refresh_token == entry.base_refresh and stored.status",
        "renewal/test_late.py::test_second_save_from_one_base",
    ),
    Ablation(
        "keeprt=0",
        "a new refresh token is dropped for another access token beside the spent one",
        "renewal/late.py",
        "wanted = stored.refresh_token == entry.base_refresh",
        "wanted = stored.pair == entry.base",
        "renewal/test_late_same_refresh.py::test_save_without_a_refresh_token",
    ),
    Ablation(
        "keeprt=1, login",
        "a new refresh token is written over another login's",
        "renewal/late.py",
        "wanted = stored.refresh_token == entry.base_refresh",
        "wanted = True",
        "renewal/test_late_same_refresh.py::test_another_login_s_refresh_token_stays",
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
        "and not self._watch.takeable(other, self._provider.profile)",
        "and other is self",
        "renewal/test_permanent.py::test_steps_aside_for_a_live_claim",
    ),
    Ablation(
        "lift=0",
        "a late answer never lifts login_needed",
        "renewal/late.py",
        "wanted = stored.refresh_token == entry.base_refresh",
        "wanted = stored.pair == entry.base and stored.status is Status.OK",
        "renewal/test_late.py::test_rotated_answer_lifts_login_needed",
    ),
    Ablation(
        "lift=1",
        "a late answer always lifts login_needed",
        "renewal/late.py",
        " and stored.status is not Status.LOGIN_NEEDED",
        "",
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
        "vault.py",
        "self._rows.delete(kept.id, replaces=kept.version)",
        "self._rows.delete(kept.id, replaces=None)",
        "renewal/test_sweep.py::test_sweep_leaves_a_login_that_began_meanwhile",
    ),
    Ablation(
        "nonce=0",
        "a login of unknown outcome takes whatever is stored for its own write",
        "saver.py",
        "if is_mine or (is_new and there.renewal.login == login):",
        "if True:",
        "renewal/test_login_again.py::test_outcome_unknown_then_another_login",
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
        "            entry = self._kept(entry, held, room)\n",
        "            pass\n",
        "renewal/test_claim.py::test_answer_is_journaled_before_the_save",
    ),
    Ablation(
        "jlook=0, claim",
        "the journal is not looked into before the call",
        "renewal/attempt.py",
        "entry = self._late.left(held)\n        except",
        "entry = None\n        except",
        "renewal/test_claim.py::test_answer_left_in_the_journal",
    ),
    Ablation(
        "jlook=0, verdict",
        "the journal is not looked into before login_needed",
        "renewal/attempt.py",
        "            entry = self._late.left(held)\n"
        "            if entry is not None:\n"
        "                return self._settled(held, entry)\n"
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
    # What the model takes for granted, and what is around the protocol.
    Ablation(
        "flights",
        "threads of one process don't share their attempt",
        "renewal/flights.py",
        "if self._running.setdefault(token_id, flight) is flight:",
        "if self._running.get(token_id, flight) is flight:",
        "renewal/test_more_rules.py::test_threads_share_one_attempt",
    ),
    Ablation(
        "flights, fork",
        "a child believes that its parent's attempts run in it",
        "renewal/flights.py",
        "        self._running = {}\n",
        "        pass\n",
        "renewal/test_crash.py::test_parent_killed_after_the_fork",
    ),
    Ablation(
        "flights, Ctrl-C",
        "the interpreter ends without waiting for the answer",
        "renewal/flights.py",
        "daemon=False",
        "daemon=True",
        "renewal/test_crash.py::test_interrupted",
    ),
    Ablation(
        "newer failure",
        "who waited for a renewal that failed takes a turn at failing",
        "renewal/client.py",
        "if failure is not None and failure != self._known:",
        "if False:",
        "renewal/test_more_rules.py::test_failure_whose_pause_is_over",
    ),
    Ablation(
        "takeable, dead",
        "a dead holder's claim is waited for",
        "renewal/watch.py",
        " or holder.is_dead(claim.holder):",
        ":",
        "renewal/test_waiting.py::test_holder_known_dead",
    ),
    Ablation(
        "takeable, start time",
        "a process id that was given away counts as the holder",
        "holder.py",
        " or (isinstance(started, str) and seen[1] != started)",
        "",
        "test_holder.py::test_process_id_was_given_away",
    ),
    Ablation(
        "takeable, nonce",
        "a claim that was written anew counts as unchanged",
        "renewal/watch.py",
        "self._since.setdefault(claim.nonce, now)",
        "self._since.setdefault('any', now)",
        "renewal/test_waiting.py::test_watch_starts_anew_with_another_nonce",
    ),
    Ablation(
        "takeable, across callers",
        "each caller starts anew to watch a claim",
        "renewal/watch.py",
        "since = self._since.setdefault(claim.nonce, now)",
        "since = now",
        "renewal/test_waiting.py::test_watch_goes_on_from_caller_to_caller",
    ),
    Ablation(
        "look again, early renewal",
        "the token as it was before an early renewal is handed out after it",
        "renewal/client.py",
        "if not urgent and self._is_usable(self._looked_again()):",
        "if not urgent and self._is_usable(self._token):",
        "renewal/test_taken_back_meanwhile.py::test_taken_back_during_an_early_renewal",
    ),
    Ablation(
        "look again, failed renewal",
        "the token as it was before a renewal that failed is handed out after it",
        "renewal/client.py",
        "        except RenewalError as exc:\n            self._read()\n",
        "        except RenewalError as exc:\n",
        "renewal/test_taken_back_meanwhile.py::test_taken_back_during_an_early_renewal",
    ),
    Ablation(
        "unsaved, later callers",
        "an answer in the journal serves nobody once its claim has ended",
        "renewal/client.py",
        "            unsaved = self._unsaved()\n            if unsaved is None:",
        "            unsaved = None\n            if unsaved is None:",
        "renewal/test_unsaved.py::test_goes_on_being_handed_out",
    ),
    Ablation(
        "takeable, wall clock",
        "with rotation, too, another host's clock is believed",
        "renewal/watch.py",
        "return not profile.rotates and",
        "return",
        "renewal/test_waiting.py::test_own_end_of_a_claim_with_rotation",
    ),
    Ablation(
        "precheck, wall clock",
        "a suspend, during which the monotonic clock stood still, is not noticed",
        "renewal/attempt.py",
        "gone = max(self._clock.monotonic() - started[0], self._clock.now() - started[1])",
        "gone = self._clock.monotonic() - started[0]",
        "renewal/test_claim.py::test_suspended_machine",
    ),
    Ablation(
        "precheck, before the write",
        "a slow write of the claim does not count",
        "renewal/attempt.py",
        "        if held is None:\n            return None\n        try:",
        "        if held is None:\n            return None\n"
        "        started = self._clock.monotonic(), self._clock.now()\n        try:",
        "renewal/test_claim.py::test_pause_during_the_claim_s_write",
    ),
    Ablation(
        "release, nonce",
        "another's claim is released with one's own",
        "renewal/attempt.py",
        "claim is not None and claim.nonce == self._nonce",
        "claim is not None",
        "renewal/test_failures.py::test_release_leaves_another_s_claim_alone",
    ),
    Ablation(
        "refresh token stays",
        "an answer without a refresh token takes the stored one away",
        "renewal/outcomes.py",
        "refresh_token=answer.refresh_token or token.refresh_token,",
        "refresh_token=answer.refresh_token,",
        "renewal/test_answer_fields.py::test_no_refresh_token_in_the_answer",
    ),
    Ablation(
        "mint times, rotation",
        "the count goes on with another refresh token",
        "renewal/outcomes.py",
        "stored.renewal.mints if entry.refresh_token == stored.refresh_token else ()",
        "stored.renewal.mints",
        "renewal/test_answer_fields.py::test_mint_times_with_another_refresh_token",
    ),
    Ablation(
        "budget",
        "nobody looks at the count",
        "decision.py",
        "if profile.mint_limit is not None and len(mints) >= profile.mint_limit:",
        "if False:",
        "renewal/test_failures.py::test_budget",
    ),
    Ablation(
        "clock offset",
        "the provider's clock corrects nothing",
        "renewal/outcomes.py",
        "    return sent_at + clock_error(answer) + answer.expires_in",
        "    return sent_at + answer.expires_in",
        "renewal/test_answer_fields.py::test_clock_offset",
    ),
    Ablation(
        "unsaved",
        "an answer that could not be saved is not kept",
        "renewal/attempt.py",
        "            if entry.name is None:\n                self._kept(entry, held, None)\n",
        "",
        "renewal/test_unsaved.py::test_handed_out_and_kept",
    ),
    Ablation(
        "wait, deadline",
        "a caller waits for as long as others hold the claim",
        "renewal/client.py",
        "if self._clock.monotonic() >= self._deadline:",
        "if self._clock.monotonic() >= self._deadline + 1000:",
        "renewal/test_waiting.py::test_wait_is_bounded",
    ),
    Ablation(
        "revoke, acknowledgement",
        "the provider is asked before the row is written",
        "revoking.py",
        "            dead = saving.died(",
        "            self._providers.of(token).revoke(token)\n            dead = saving.died(",
        "renewal/test_revoke.py::test_revoke_is_acknowledged_before_the_provider_is_asked",
    ),
    Ablation(
        "revoke, kept",
        "a revocation that the provider did not confirm is forgotten",
        "revoking.py",
        'self._report("revocation_pending", token, error=exc.what)\n',
        'self._report("revocation_pending", token, error=exc.what)\n'
        "                done.append(asked)\n",
        "renewal/test_revoke.py::test_revoke_provider_out_of_reach",
    ),
    Ablation(
        "takeable, own",
        "a process waits for a claim of its own that it could not take away",
        "renewal/watch.py",
        "claim.nonce in self._given_up or ",
        "",
        "renewal/test_waiting.py::test_own_claim_that_could_not_be_released",
    ),
    Ablation(
        "takeable, length",
        "a claim is believed for as long as it says itself",
        "renewal/watch.py",
        "length = min(claim.length, profile.claim_length)",
        "length = claim.length",
        "renewal/test_waiting.py::test_length_of_another_profile",
    ),
    Ablation(
        "learnt",
        "what was stored during a renewal is written over by what its answer says besides",
        "renewal/outcomes.py",
        "for name, (was, now) in entry.learnt.items() if getattr(stored, name) == was",
        "for name, (was, now) in entry.learnt.items()",
        "renewal/test_answer_fields.py::test_saved_by_somebody_else_meanwhile",
    ),
    Ablation(
        "entry of a row that is gone",
        "an answer that waits to be taken back is tried by every caller",
        "renewal/late.py",
        "return entry if led_to is not None and led_to.id == row.id else None",
        "return entry",
        "renewal/test_taken_back_meanwhile.py::test_answer_of_a_row_that_is_gone_holds_no_other_up",
    ),
    Ablation(
        "superseded, seen to",
        "a fresh refresh token of a login that was replaced is forgotten, alive",
        "renewal/late.py",
        "        self._see_to(entry, stored, provider)\n        self._report",
        "        self._report",
        "renewal/test_late.py::test_superseded_answer_is_seen_to",
    ),
    Ablation(
        "laterevoke, newer login",
        "a late answer for a deleted row is revoked where that ends its user's newer login",
        "renewal/late.py",
        "if stored is None and provider.profile.revokes_grant and entry.user:",
        "if False:",
        "logins/test_taken_back.py::test_late_answer_for_a_deleted_row",
    ),
    Ablation(
        "rejected, fresh",
        "a token that was made within a minute is renewed because an API refuses it",
        "keeper.py",
        "is_fresh = 0 <= self.clock.now() - made_at < FRESH",
        "is_fresh = False",
        "logins/test_refused_tokens.py::test_ten_calls_to_the_wrong_place",
    ),
    # One login, one row.
    Ablation(
        "save, version",
        "an older copy of a token is written over what was renewed since",
        "saving.py",
        "if token.version not in (None, stored.version) and has_other_tokens(token, stored):",
        "if False:",
        "logins/test_older_copies.py::test_renewed_meanwhile",
    ),
    Ablation(
        "save, past",
        "a refresh token that its row had before counts as a login",
        "saving.py",
        "if token.refresh_token and is_older(row, token.refresh_token):",
        "if False:",
        "logins/test_older_copies.py::test_spent_refresh_token",
    ),
    Ablation(
        "save, one row",
        "a refresh token is put into a second row",
        "saving.py",
        " and row.refresh_token == token.refresh_token and row.id not in used:",
        " and False:",
        "test_saving.py::test_a_refresh_token_is_in_one_row",
    ),
    Ablation(
        "save, look",
        "of two that save one refresh token at once, neither looks after its write",
        "saver.py",
        "                    saved = self._looked_again(saved, plan)\n",
        "                    pass\n",
        "logins/test_one_row.py::test_two_names_at_once",
    ),
    Ablation(
        "sweep, look",
        "nobody looks at what a process wrote that ended before it looked itself",
        "vault.py",
        "looked = self._saver.looked(kept)",
        "looked = None",
        "renewal/test_sweep.py::test_sweep_looks_where_nobody_has_looked",
    ),
    Ablation(
        "renewal, look",
        "a renewal parts two rows of one login that nobody has looked at",
        "renewal/attempt.py",
        "looked = self._store.looked(token)",
        "looked = token",
        "logins/test_one_row.py::test_one_dies_and_a_row_is_renewed_before_a_sweep",
    ),
    Ablation(
        "alias, first",
        "a login is put into its user's row before it is taken out of its own",
        "aliases.py",
        "self.finish(self._rows.put(alias, replaces=source.version))",
        "self.finish(replace(alias, version=str(source.version)))",
        "renewal/test_aliases.py::test_crash_after_a_write",
    ),
    Ablation(
        "alias, took",
        "a row does not note what went into it",
        "aliases.py",
        "        if alias.id in took:\n",
        "        if False:\n",
        "renewal/test_aliases.py::test_a_login_goes_into_a_row_once",
    ),
    Ablation(
        "alias, seen login",
        "what an alias carries is put over a newer login",
        "aliases.py",
        "is_as_seen = row.renewal.login == alias.seen_login",
        "is_as_seen = True",
        "renewal/test_aliases.py::test_a_newer_login_meanwhile",
    ),
    Ablation(
        "alias, seen status",
        "what an alias carries lifts a revocation",
        "aliases.py",
        "revoked_since = row.status is Status.REVOKED and alias.seen_status is not Status.REVOKED",
        "revoked_since = False",
        "renewal/test_aliases.py::test_revoked_meanwhile",
    ),
    Ablation(
        "alias, deleted row",
        "what an alias carries makes a deleted row anew",
        "aliases.py",
        "if alias.seen_status is not None or isinstance(there, Alias):",
        "if False:",
        "renewal/test_aliases.py::test_deleted_meanwhile",
    ),
    Ablation(
        "delete, aliases",
        "a row is deleted while an alias carries what would make it anew",
        "vault.py",
        "making = [alias for alias in aliases if alias.carries and alias.seen_status is None]",
        "making = []",
        "renewal/test_aliases.py::test_deleted_after_a_crash",
    ),
    Ablation(
        "lease, living holder",
        "a first login is taken over though its holder lives",
        "integrations/first_login.py",
        "            return holder.is_dead(held.holder)\n",
        "            return True\n",
        "logins/test_first_login_is_slow.py::test_its_holder_lives",
    ),
    # What holds it together.
    Ablation(
        "header",
        "tokens are sealed under keys that nobody else can find",
        "rows.py",
        "        self.header.expect_there()\n",
        "",
        "logins/test_bad_input.py::test_a_header_of_another_store",
    ),
    Ablation(
        "header, save",
        "a save looks for the header once a minute only",
        "rows.py",
        "self.header.expect(next((record for record in found if record.id == HEADER), None))",
        "pass",
        "logins/test_bad_input.py::test_the_ground_is_taken_away",
    ),
    Ablation(
        "seal, store",
        "a record opens in another store that has the same keys",
        "sealing.py",
        "{self.store_id}\\0{bound}",
        "{bound}",
        "test_sealing.py::test_another_store_opens_nothing",
    ),
)
