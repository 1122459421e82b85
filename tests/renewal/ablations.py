"""
The rules of renewals and logins, where each is in the code, and the test that fails without it.

Names with ``=`` are those of the model that the protocol was checked with.
What the code does without each is in docs/renewal.md. ablate.py takes the rules
out one by one; test_ablations.py keeps this table in step with the code.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ablation:
    """
    One rule taken out.

    Args:
        rule: Its name.
        file: Where it is, below ``src/tokenkeep``.
        old: The lines that make it.
        new: What stands there without it.
        test: Which test fails, below ``tests``.
    """

    rule: str
    file: str
    old: str
    new: str
    test: str


ABLATIONS = (
    Ablation(
        "save=0",
        "renewal/attempt.py",
        "saved = self._late.settle(entry, self._provider)\n            else:",
        "saved = None\n            else:",
        "renewal/test_late.py::test_answer_survives_a_stranger_s_write",
    ),
    Ablation(
        "save=1, login",
        "renewal/late.py",
        "stored.pair == entry.base and stored.status",
        "stored.status",
        "renewal/test_late.py::test_new_login_is_not_overwritten",
    ),
    Ablation(
        "save=1, revoke",
        "renewal/late.py",
        "if stored is None or stored.status is Status.REVOKED:",
        "stored = stored and stored.but(access_token=entry.base_access)\n"
        "        if stored is None:",
        "renewal/test_late.py::test_revoked_meanwhile",
    ),
    Ablation(
        "save=1, delete",
        "renewal/late.py",
        "if stored is None or stored.status is Status.REVOKED:",
        "if stored is None:\n"
        "            self._store.save_token(renewed(Token(user=entry.user), entry))\n"
        "        if stored is None or stored.status is Status.REVOKED:",
        "renewal/test_late.py::test_deleted_meanwhile",
    ),
    Ablation(
        "save=2, login",
        "renewal/late.py",
        "stored.pair == entry.base and stored.status",
        "stored.refresh_token == entry.base_refresh and stored.status",
        "renewal/test_late.py::test_new_login_without_a_refresh_token_is_not_overwritten",
    ),
    Ablation(
        "save=2, pause",
        "renewal/late.py",
        "stored.pair == entry.base and stored.status",
        "stored.refresh_token == entry.base_refresh and stored.status",
        "renewal/test_late.py::test_second_save_from_one_base",
    ),
    Ablation(
        "keeprt=0",
        "renewal/late.py",
        "wanted = stored.refresh_token == entry.base_refresh",
        "wanted = stored.pair == entry.base",
        "renewal/test_late.py::test_save_without_a_refresh_token",
    ),
    Ablation(
        "keeprt=1, login",
        "renewal/late.py",
        "wanted = stored.refresh_token == entry.base_refresh",
        "wanted = True",
        "renewal/test_late.py::test_new_login_is_not_overwritten",
    ),
    Ablation(
        "perm=0",
        "renewal/attempt.py",
        "                or stored.status is not Status.OK\n"
        "                or stored.refresh_token != held.refresh_token\n",
        "                or stored.status is not Status.OK\n",
        "renewal/test_permanent.py::test_new_login_meanwhile",
    ),
    Ablation(
        "perm=1",
        "renewal/attempt.py",
        "and not self._watch.takeable(other, self._provider.profile)",
        "and other is self",
        "renewal/test_permanent.py::test_steps_aside_for_a_live_claim",
    ),
    Ablation(
        "lift=0",
        "renewal/late.py",
        "wanted = stored.refresh_token == entry.base_refresh",
        "wanted = stored.pair == entry.base and stored.status is Status.OK",
        "renewal/test_late.py::test_rotated_answer_lifts_login_needed",
    ),
    Ablation(
        "lift=1",
        "renewal/late.py",
        " and stored.status is not Status.LOGIN_NEEDED",
        "",
        "renewal/test_late.py::test_unrotated_answer_does_not_lift_login_needed",
    ),
    Ablation(
        "mintat=0",
        "renewal/attempt.py",
        "mints = counted(token, now, profile)",
        "mints = token.renewal.mints",
        "renewal/test_claim.py::test_failed_call_counts",
    ),
    Ablation(
        "ownimage=1",
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
        "vault.py",
        "self._rows.delete(kept.id, replaces=kept.version)\n                    gone += 1",
        "self._rows.delete(kept.id, replaces=None)\n                    gone += 1",
        "renewal/test_sweep.py::test_sweep_leaves_a_login_that_began_meanwhile",
    ),
    Ablation(
        "nonce=0",
        "saver.py",
        "if is_mine or (is_new and there.renewal.login == login):",
        "if True:",
        "renewal/test_login_again.py::test_outcome_unknown_then_another_login",
    ),
    Ablation(
        "nonce=0, claim",
        "renewal/attempt.py",
        "            return self._mine(token)\n\n",
        "            return None\n\n",
        "renewal/test_claim.py::test_outcome_of_the_claim_is_not_known",
    ),
    Ablation(
        "laterevoke=0",
        "renewal/late.py",
        "            provider.revoke(fresh)\n",
        "            pass\n",
        "renewal/test_late.py::test_revoked_meanwhile",
    ),
    Ablation(
        "journal=0",
        "renewal/attempt.py",
        "            entry = self._late.keep(entry, held, room)\n",
        "            pass\n",
        "renewal/test_claim.py::test_answer_is_journaled_before_the_save",
    ),
    Ablation(
        "jlook=0, claim",
        "renewal/attempt.py",
        "entry = self._late.left(held, self._provider)\n        except",
        "entry = None\n        except",
        "renewal/test_claim.py::test_answer_left_in_the_journal",
    ),
    Ablation(
        "jlook=0, verdict",
        "renewal/attempt.py",
        "            elif (entry := self._late.left(held, self._provider)) is not None:\n"
        "                return self._settled(held, entry)\n",
        "",
        "renewal/test_permanent.py::test_answer_in_the_journal",
    ),
    Ablation(
        "recheck=0",
        "renewal/attempt.py",
        "if again is None or again.pair != held.pair:",
        "again = again or held\n            if False:",
        "renewal/test_claim.py::test_replayed_between_take_over_and_look",
    ),
    Ablation(
        "precheck=0",
        "renewal/attempt.py",
        "if not self._is_in_time():\n            self._journal.give_back(room)",
        "if False:\n            self._journal.give_back(room)",
        "renewal/test_claim.py::test_pause_between_claim_and_call",
    ),
    Ablation(
        "again=0",
        "renewal/attempt.py",
        "again = self._counted_again(held, exc)",
        "again = None",
        "renewal/test_second_call.py::test_passes",
    ),
    Ablation(
        "again=2",
        "renewal/attempt.py",
        "again = self._store.swap(held.with_renewal(mints=counted(held, now, profile)))",
        "again = held",
        "renewal/test_second_call.py::test_lost_race",
    ),
    Ablation(
        "again=2, budget",
        "renewal/attempt.py",
        "if is_late or not may_repeat(self._ask.seen(held), now, profile):",
        "if is_late:",
        "renewal/test_second_call.py::test_budget_is_full",
    ),
    Ablation(
        "again=3",
        "renewal/attempt.py",
        "return again if self._is_in_time() else None",
        "return again",
        "renewal/test_second_call.py::test_lost_race",
    ),
    Ablation(
        "putback=0",
        "renewal/attempt.py",
        "released = released.but(status=self._was)",
        "pass",
        "renewal/test_renewed_deliberately.py::test_provider_down",
    ),
    Ablation(
        "putback=2",
        "renewal/attempt.py",
        "if stored.pair == held.pair:\n",
        "if True:\n",
        "renewal/test_renewed_deliberately.py::test_login_meanwhile",
    ),
    # What the model takes for granted, and what is around the protocol.
    Ablation(
        "flights",
        "renewal/flights.py",
        "self._running.setdefault(token_id, flight) is flight",
        "self._running.get(token_id, flight) is flight",
        "renewal/test_flights.py::test_threads_share_one_attempt",
    ),
    Ablation(
        "flights, fork",
        "renewal/flights.py",
        "        self._running = {}\n",
        "        pass\n",
        "renewal/test_crash.py::test_parent_killed_after_the_fork",
    ),
    Ablation(
        "flights, Ctrl-C",
        "renewal/flights.py",
        "daemon=False",
        "daemon=True",
        "renewal/test_crash.py::test_interrupted",
    ),
    Ablation(
        "newer failure",
        "renewal/client.py",
        "if failure is not None and failure != self._ask.known:",
        "if False:",
        "renewal/test_failures.py::test_failure_newer_than_arrival",
    ),
    Ablation(
        "takeable, dead",
        "renewal/watch.py",
        "if holder.is_dead(claim.holder):",
        "if False:",
        "renewal/test_waiting.py::test_holder_known_dead",
    ),
    Ablation(
        "takeable, start time",
        "holder.py",
        " or (isinstance(started, str) and seen[1] != started)",
        "",
        "test_holder.py::test_process_id_was_given_away",
    ),
    Ablation(
        "takeable, nonce",
        "renewal/watch.py",
        "self._since.setdefault(claim.nonce, now)",
        "self._since.setdefault('any', now)",
        "renewal/test_waiting.py::test_watch_starts_anew_with_another_nonce",
    ),
    Ablation(
        "takeable, across callers",
        "renewal/watch.py",
        "since = self._since.setdefault(claim.nonce, now)",
        "since = now",
        "renewal/test_waiting.py::test_watch_goes_on_from_caller_to_caller",
    ),
    Ablation(
        "look again, early renewal",
        "renewal/client.py",
        "            self._read()\n            if decision.verdict is Verdict.RENEW_SOON and",
        "            if decision.verdict is Verdict.RENEW_SOON and",
        "renewal/test_late.py::test_taken_back_during_an_early_renewal",
    ),
    Ablation(
        "look again, failed renewal",
        "renewal/client.py",
        "                self._read()\n            return self._old_or(exc)",
        "                pass\n            return self._old_or(exc)",
        "renewal/test_late.py::test_taken_back_during_an_early_renewal",
    ),
    Ablation(
        "unsaved, later callers",
        "renewal/client.py",
        "            unsaved = self._unsaved()\n            if unsaved is None:",
        "            unsaved = None\n            if unsaved is None:",
        "renewal/test_unsaved.py::test_goes_on_being_handed_out",
    ),
    Ablation(
        "takeable, wall clock",
        "renewal/watch.py",
        "return not profile.rotates and",
        "return",
        "renewal/test_waiting.py::test_wall_clock_end",
    ),
    Ablation(
        "precheck, wall clock",
        "renewal/attempt.py",
        "gone = max(self._clock.monotonic() - monotonic, self._clock.now() - now)",
        "gone = self._clock.monotonic() - monotonic",
        "renewal/test_claim.py::test_held_up",
    ),
    Ablation(
        "precheck, before the write",
        "renewal/attempt.py",
        "        if held is None:\n            return None\n        try:",
        "        if held is None:\n            return None\n"
        "        self._started = self._clock.monotonic(), self._clock.now()\n        try:",
        "renewal/test_claim.py::test_held_up",
    ),
    Ablation(
        "release, nonce",
        "renewal/attempt.py",
        "claim is not None and claim.nonce == self._nonce",
        "claim is not None",
        "renewal/test_failures.py::test_release_leaves_another_s_claim_alone",
    ),
    Ablation(
        "refresh token stays",
        "renewal/outcomes.py",
        "refresh_token=answer.refresh_token or token.refresh_token,",
        "refresh_token=answer.refresh_token,",
        "renewal/test_answer_fields.py::test_no_refresh_token_in_the_answer",
    ),
    Ablation(
        "mint times, rotation",
        "renewal/outcomes.py",
        "stored.renewal.mints if entry.refresh_token == stored.refresh_token else ()",
        "stored.renewal.mints",
        "renewal/test_answer_fields.py::test_mint_times_with_another_refresh_token",
    ),
    Ablation(
        "budget",
        "decision.py",
        "if profile.mint_limit is not None and len(mints) >= profile.mint_limit:",
        "if False:",
        "renewal/test_failures.py::test_budget",
    ),
    Ablation(
        "clock offset",
        "renewal/outcomes.py",
        "    return sent_at + clock_error(answer) + answer.expires_in",
        "    return sent_at + answer.expires_in",
        "renewal/test_answer_fields.py::test_clock_offset",
    ),
    Ablation(
        "unsaved",
        "renewal/attempt.py",
        "            if entry.name is None:\n                self._late.keep(entry, held)\n",
        "",
        "renewal/test_unsaved.py::test_handed_out_and_kept",
    ),
    Ablation(
        "wait, deadline",
        "renewal/client.py",
        "if self._clock.monotonic() >= self._deadline:",
        "if self._clock.monotonic() >= self._deadline + 1000:",
        "renewal/test_waiting.py::test_wait_is_bounded",
    ),
    Ablation(
        "revoke, acknowledgement",
        "revoking.py",
        "            dead = saving.died(",
        "            self._providers.of(token).revoke(token)\n            dead = saving.died(",
        "renewal/test_revoke.py::test_revoke_is_acknowledged_before_the_provider_is_asked",
    ),
    Ablation(
        "revoke, kept",
        "revoking.py",
        'self._report("revocation_pending", token, error=exc.what)\n',
        'self._report("revocation_pending", token, error=exc.what)\n'
        "                done.append(asked)\n",
        "renewal/test_revoke.py::test_revoke_provider_out_of_reach",
    ),
    Ablation(
        "takeable, own",
        "renewal/watch.py",
        '        self._since[nonce] = float("-inf")\n',
        "        pass\n",
        "renewal/test_waiting.py::test_own_claim_that_could_not_be_released",
    ),
    Ablation(
        "takeable, length",
        "renewal/watch.py",
        "length = min(claim.length, profile.claim_length)",
        "length = claim.length",
        "renewal/test_waiting.py::test_length_of_another_profile",
    ),
    Ablation(
        "learnt",
        "renewal/outcomes.py",
        "for name, (was, now) in entry.learnt.items() if getattr(stored, name) == was",
        "for name, (was, now) in entry.learnt.items()",
        "renewal/test_answer_fields.py::test_saved_by_somebody_else_meanwhile",
    ),
    Ablation(
        "entry of a row that is gone",
        "renewal/late.py",
        "return entry if led_to is not None and led_to.id == row.id else None",
        "return entry",
        "renewal/test_late.py::test_answer_of_a_row_that_is_gone_holds_no_other_up",
    ),
    Ablation(
        "superseded, seen to",
        "renewal/late.py",
        "        self._see_to(entry, stored, provider)\n        self._report",
        "        self._report",
        "renewal/test_late.py::test_superseded_answer_is_seen_to",
    ),
    Ablation(
        "laterevoke, newer login",
        "renewal/late.py",
        "if stored is None and provider.profile.revokes_grant and entry.user:",
        "if False:",
        "logins/test_taken_back.py::test_late_answer_for_a_deleted_row",
    ),
    Ablation(
        "rejected, fresh",
        "keeper.py",
        "is_fresh = 0 <= self.clock.now() - made_at < FRESH",
        "is_fresh = False",
        "logins/test_refused_tokens.py::test_ten_calls_to_the_wrong_place",
    ),
    # One login, one row.
    Ablation(
        "save, version",
        "saving.py",
        "if token.version not in (None, stored.version) and has_other_tokens(token, stored):",
        "if False:",
        "logins/test_older_copies.py::test_renewed_meanwhile",
    ),
    Ablation(
        "save, past",
        "saving.py",
        "if is_older(row, token.refresh_token):",
        "if False:",
        "logins/test_older_copies.py::test_spent_refresh_token",
    ),
    Ablation(
        "save, one row",
        "saving.py",
        "if row.refresh_token == token.refresh_token and row.id not in used:",
        "if False:",
        "test_saving.py::test_a_refresh_token_is_in_one_row",
    ),
    Ablation(
        "save, look",
        "saver.py",
        "                    saved = self._look_again(saved, plan)\n",
        "                    pass\n",
        "logins/test_one_row.py::test_two_names_at_once",
    ),
    Ablation(
        "renewal, look",
        "renewal/attempt.py",
        "if not self._store.make_sole(token):",
        "if False:",
        "logins/test_one_row.py::test_one_dies_and_a_row_is_renewed",
    ),
    Ablation(
        "renewal, look again",
        "saver.py",
        "renewed_at >= (row.logged_in_at or 0.0) + UNDER_WAY",
        "True",
        "logins/test_one_row.py::test_one_dies_and_both_are_renewed_at_once",
    ),
    Ablation(
        "alias, first",
        "aliases.py",
        "self.finish(self._rows.put(alias, replaces=source.version))",
        "self.finish(replace(alias, version=str(source.version)))",
        "renewal/test_aliases.py::test_crash_after_a_write",
    ),
    Ablation(
        "alias, gone in",
        "aliases.py",
        "if row.renewal.login == mine.login:",
        "if False:",
        "renewal/test_aliases.py::test_a_login_goes_into_a_row_once",
    ),
    Ablation(
        "alias, seen login",
        "aliases.py",
        "if row.renewal.login == alias.seen_login and not revoked_since",
        "if not revoked_since",
        "renewal/test_aliases.py::test_a_newer_login_meanwhile",
    ),
    Ablation(
        "alias, seen status",
        "aliases.py",
        "revoked_since = row.status is Status.REVOKED and alias.seen_status is not Status.REVOKED",
        "revoked_since = False",
        "renewal/test_aliases.py::test_revoked_meanwhile",
    ),
    Ablation(
        "alias, deleted row",
        "aliases.py",
        "elif alias.seen_status is None and not isinstance(there, Alias):",
        "elif not isinstance(there, Alias):",
        "renewal/test_aliases.py::test_deleted_meanwhile",
    ),
    Ablation(
        "delete, aliases",
        "vault.py",
        "making = [alias for alias in aliases if alias.carries and alias.seen_status is None]",
        "making = []",
        "renewal/test_aliases.py::test_deleted_after_a_crash",
    ),
    Ablation(
        "lease, living holder",
        "integrations/first_login.py",
        "            return holder.is_dead(held.holder)\n",
        "            return True\n",
        "sdk/test_first_logins.py::test_asker_does_not_log_in",
    ),
    # What holds it together.
    Ablation(
        "header",
        "rows.py",
        "        self.header.expect_there()\n        written",
        "        written",
        "test_header.py::test_the_ground_is_taken_away",
    ),
    Ablation(
        "header, save",
        "rows.py",
        "self.header.expect(next((record for record in found if record.id == HEADER), None))",
        "pass",
        "logins/test_bad_input.py::test_the_ground_is_taken_away",
    ),
    Ablation(
        "seal, store",
        "sealing.py",
        "{self.store_id}\\0{bound}",
        "{bound}",
        "test_sealing.py::test_another_store_opens_nothing",
    ),
    Ablation(
        "again, outage",
        "decision.py",
        "return current_failure(token) is None and len",
        "return len",
        "renewal/test_second_call.py::test_outage",
    ),
    Ablation(
        "again, timeout",
        "renewal/attempt.py",
        "if not is_last and self._clock.monotonic() < ends:",
        "if not is_last:",
        "renewal/test_second_call.py::test_too_long",
    ),
    Ablation(
        "again, deadline",
        "renewal/attempt.py",
        "is_late = self._clock.monotonic() >= self._deadline or not self._is_in_time()",
        "is_late = not self._is_in_time()",
        "renewal/test_second_call.py::test_after_the_deadline",
    ),
    Ablation(
        "again, unread",
        "renewal/attempt.py",
        "if exc.unread is not None and self._may_be_spent(held):",
        "if False:",
        "renewal/test_second_call.py::test_unread",
    ),
    Ablation(
        "insists, once",
        "renewal/attempt.py",
        "is_answer = is_rejected and failure != self.known",
        "is_answer = False",
        "renewal/test_renewed_deliberately.py::test_two_at_once",
    ),
    Ablation(
        "unread, kept",
        "renewal/late.py",
        "self._journal.put(entry, room)\n            is_kept = True",
        "is_kept = False",
        "renewal/test_unread.py::test_read_again",
    ),
    Ablation(
        "unread, a few",
        "renewal/late.py",
        "if len(kept) >= MOST_UNREAD:",
        "if False:",
        "renewal/test_unread.py::test_a_few_are_kept",
    ),
    Ablation(
        "unread, read again",
        "renewal/late.py",
        "waiting = self._journal.unread(row.refresh_token)",
        "waiting: list[Entry] = []",
        "renewal/test_unread.py::test_read_again_after_a_rejection",
    ),
    Ablation(
        "left, cooling down",
        "renewal/client.py",
        "if looks and self._takes_what_is_left():",
        "if False:",
        "renewal/test_unread.py::test_read_again",
    ),
    Ablation(
        "unread, out of date",
        "renewal/late.py",
        "is_out = row is None or row.refresh_token != entry.base_refresh or is_over(entry, row)",
        "is_out = row is None",
        "renewal/test_unread.py::test_out_of_date",
    ),
    Ablation(
        "unread, over for a caller",
        "renewal/late.py",
        "for each in waiting if not is_over(each, row))",
        "for each in waiting)",
        "renewal/test_unread.py::test_taught_too_late",
    ),
    Ablation(
        "unread, over for a sweep",
        "renewal/late.py",
        "if read is not None and row is not None and is_over(entry, row):",
        "if False:",
        "renewal/test_unread.py::test_taught_too_late",
    ),
    Ablation(
        "left, ended since",
        "renewal/client.py",
        "if result is not None and is_usable(\n"
        "                    self._parts.errors.local(result), self._clock.now()\n"
        "                ):",
        "if result is not None:",
        "renewal/test_unread.py::test_taught_when_it_has_ended",
    ),
    Ablation(
        "insists, left alone",
        "renewal/attempt.py",
        'if self.insists and failure and failure == self.known and failure.kind != "throttled":',
        "if False:",
        "renewal/test_renewed_deliberately.py::test_while_it_is_left_alone",
    ),
    Ablation(
        "again, nothing that is said for good",
        "renewal/attempt.py",
        "if not (isinstance(exc, ProviderUnavailable) and exc.passing):",
        "if not isinstance(exc, ProviderUnavailable):",
        "renewal/test_second_call.py::test_what_does_not_pass",
    ),
    Ablation(
        "unread, out of sight",
        "renewal/attempt.py",
        "exc.unread = None",
        "pass",
        "renewal/test_unread.py::test_told",
    ),
    Ablation(
        "let go, claim",
        "renewal/attempt.py",
        "except (TokenKeepError, OSError) as exc:\n            # Others wait",
        "except StoreUnavailable as exc:\n            # Others wait",
        "renewal/test_letting_go.py::test_claim_after_a_failure",
    ),
    Ablation(
        "let go, journal",
        "renewal/late.py",
        "except (TokenKeepError, OSError) as exc:\n            about",
        "except RenewalError as exc:\n            about",
        "renewal/test_letting_go.py::test_journal_of_somebody_else",
    ),
    Ablation(
        "let go, look",
        "renewal/client.py",
        "with letting_go(StoreError):\n                self._read()",
        "if True:\n                self._read()",
        "renewal/test_letting_go.py::test_look_after_a_failure",
    ),
)
