"""
The rules of renewals, logins and policies: what stands in the code for each, and without it.

By file, below ``src/tokenkeep``; what is taken out occurs once in it. Names with ``=`` are
those of the model that the protocol was checked with. What the code does without each rule,
and the test that fails then, is in docs/renewal.md and docs/policies.md. ablate.py takes the
rules out one by one; test_ablations.py keeps this table in step with the code and the pages.
"""

from __future__ import annotations

ABLATIONS = {
    "renewal/attempt.py": {
        "save=0": ("                saved = self", "                saved = None and self"),
        "ownimage=1": (
            'self._report("renewed", saved)',
            "self._store.swap(saved.with_renewal(mints=held.renewal.mints))",
        ),
        "perm=0": ("or stored.refresh_token != held.refresh_token", ""),
        "perm=1": ("not self._watch.takeable(other, self._provider.profile)", "other is self"),
        "mintat=0": ("mints = counted(token, now, profile)", "mints = token.renewal.mints"),
        "nonce=0, claim": ("            return self._mine(token)", "            return None"),
        "journal=0": ("entry = self._late.keep(entry, held)", "pass"),
        "jlook=0, claim": ("entry = self._late.left", "entry = None and self._late.left"),
        "jlook=0, verdict": ("elif (entry := ", "elif False and (entry := "),
        "recheck=0": ("again is None or again.pair != held.pair", "not (again := again or held)"),
        "precheck=0": ("if not self._is_in_time():", "if False:"),
        "precheck, wall clock": (", self._clock.now() - now)", ", 0.0)"),
        "precheck, before the write": (
            "self._claimed(token)",
            "self._claimed(token); self._started = self._clock.monotonic(), self._clock.now()",
        ),
        "again=0": ("self._counted_again(held, exc)", "None"),
        "again=2": ("again = self._store.swap(", "again = held or self._store.swap("),
        "again=2, budget": (" or not may_repeat(asked, now, profile)", ""),
        "again, ahead": (" or is_spared", ""),
        "again=3": ("return again if self._is_in_time() else None", "return again"),
        "again, timeout": ("not is_last and self._clock.monotonic() < ends", "not is_last"),
        "again, deadline": ("self._clock.monotonic() >= self._deadline or ", ""),
        "again, unread": ("exc.unread is not None and self._may_be_spent(held):", "False:"),
        "again, nothing that is said for good": (" and exc.passing", ""),
        "putback=0": ("released = released.but(status=self._was)", "pass"),
        "putback=2": ("if stored.pair == held.pair:", "if True:"),
        "release, nonce": (" and claim.nonce == self._nonce", ""),
        "unsaved": ("if entry.name is None:", "if False:"),
        "renewal, look": ("if not self._store.make_sole(token):", "if False:"),
        "insists, once": ("is_rejected and failure != self.known", "False"),
        "insists, left alone": ("if self.insists and failure and", "if False and failure and"),
        "unread, out of sight": ("reply, exc.unread = exc.unread, None", "reply = exc.unread"),
        "let go, claim": ("(TokenKeepError, OSError) as exc:", "StoreUnavailable as exc:"),
    },
    "renewal/late.py": {
        "save=1, login": ("stored.pair == entry.base and stored.status", "stored.status"),
        "save=1, revoke": ("is Status.REVOKED:\n            if", "is None:\n            if"),
        "save=1, delete": (
            "stored is None or",
            "(not stored and self._store.save_token(renewed(entry.asked.but(id=None), entry))) or",
        ),
        "save=2, login": ("stored.pair == entry.base and", "stored.pair[1] == entry.base[1] and"),
        "save=2, pause": ("stored.pair == entry.base and", "stored.pair[1] == entry.base[1] and"),
        "keeprt=0": ("stored.refresh_token == entry.base[1]", "stored.pair == entry.base"),
        "keeprt=1, login": ("stored.refresh_token == entry.base[1]", "True"),
        "lift=0": ("if wanted:", "if wanted and stored.status is Status.OK:"),
        "lift=1": (" and stored.status is not Status.LOGIN_NEEDED", ""),
        "laterevoke=0": ("provider.revoke(fresh)", "pass"),
        "laterevoke, newer login": ("and provider.profile.revokes_grant and", "and False and"),
        "entry of a row that is gone": ("led_to is not None and led_to.id == row.id", "True"),
        "superseded, seen to": ("self._see_to(entry, stored, provider)", "pass"),
        "unread, kept": ("self._journal.put(entry)\n            is_kept = True", "pass"),
        "unread, a few": ("if len(kept) >= MOST_UNREAD:", "if False:"),
        "unread, read again": ("(read_again(each, row, provider) for", "(None for"),
        "unread, out of date": ("is_out = row is None or", "is_out = row is None if True else"),
        "unread, over for a caller": (" and not is_over(e, row)", ""),
        "unread, over for a sweep": (" and row is not None and is_over(entry, row)", " and False"),
        "let go, journal": ("OSError) as exc:\n            a", "KeyError) as exc:\n            a"),
    },
    "renewal/client.py": {
        "newer failure": ("failure is not None and failure != self._ask.known", "False"),
        "ahead, one turn": ("if self._ask.ahead or (", "if ("),
        "ahead, no wait": ("if self._ask.ahead:", "if False:"),
        "look again, early renewal": ("self._read()\n            if", "if"),
        "look again, failed renewal": (
            "                self._read()\n            return self._old_or(exc)",
            "                pass\n            return self._old_or(exc)",
        ),
        "unsaved, later callers": (
            "return self._left() or self._old_or(exc)",
            "return self._old_or(exc)",
        ),
        "wait, deadline": ("self._clock.monotonic() >= self._deadline:", "False:"),
        "left, cooling down": ("self._read(self._left())", "self._read()"),
        "left, ended since": ("result is not None and is_usable(", "result is not None and ("),
        "let go, look": (
            "with letting_go(StoreError):\n                self._read()",
            "self._read()",
        ),
    },
    "renewal/outcomes.py": {
        "refresh token stays": (" or token.refresh_token,", ","),
        "mint times, rotation": (" if entry.refresh_token == stored.refresh_token else ()", ""),
        "clock offset": ("sent_at + clock_error(answer)", "sent_at"),
        "learnt": (" if getattr(stored, name) == was", ""),
    },
    "renewal/watch.py": {
        "takeable, dead": ("if holder.is_dead(claim.holder):", "if False:"),
        "takeable, nonce": ("setdefault(claim.nonce, now)", "setdefault('any', now)"),
        "takeable, across callers": ("self._since.setdefault(claim.nonce, now)", "now"),
        "takeable, wall clock": ("not profile.rotates and ", ""),
        "takeable, own": ('self._since[nonce] = float("-inf")', "pass"),
        "takeable, length": ("min(claim.length, profile.claim_length)", "claim.length"),
    },
    "renewal/flights.py": {
        "flights": ("setdefault(token_id, flight)", "get(token_id, flight)"),
        "flights, fork": ("        self._running = {}\n", "        pass\n"),
        "flights, Ctrl-C": ("daemon=False", "daemon=True"),
    },
    "decision.py": {
        "budget": ("profile.mint_limit is not None and len(mints) >= profile.mint_limit", "False"),
        "again, outage": ("current_failure(token) is None and len", "len"),
        "policy, asked for": ("if over is not None and now >= over[0]:", "if False:"),
        "policy, until": (
            "if ends is not None and over is not None and over",
            "if False and over",
        ),
        "dead": (
            "if token.status is not Status.OK:\n        return Decision(Verdict.LOGIN_NEEDED)",
            "",
        ),
    },
    "holder.py": {
        "takeable, start time": (" or is_another", ""),
    },
    "keeper.py": {
        "rejected, fresh": ("0 <= self.clock.now() - made_at < FRESH", "False"),
        "policy, written": ("stored = self._endings.end(stored) or stored", "pass"),
        "policy, use": ("used_at = self.clock_errors.latest(token.issuer)", "used_at = now"),
    },
    "revoking.py": {
        "revoke, acknowledgement": (
            "            dead = saving.died(",
            "            self._providers.of(token).revoke(token)\n            dead = saving.died(",
        ),
        "revoke, kept": ("errors.append(exc.what)", "done.append(each)"),
        "revoke all, here first": (
            "                ended = self._ended(token, wanted)\n",
            "                ended = self.confirm(self._ended(token, wanted))\n",
        ),
        "revoke all, wanted": ("or not wanted.admits(again, self._providers)", ""),
        "ask many, read again": ("token if token.ended else self._store.reread", "token or str"),
        "ask many, stop": ("if asked.stops:", "if False:"),
    },
    "lanes.py": {"ask many, one first": ("if place in has_answered else 1", "")},
    # One login, one row.
    "saving.py": {
        "save, version": ("if token.version not in (None, stored.version) and", "if False and"),
        "save, past": ("if is_older(row, token.refresh_token):", "if False:"),
        "save, one row": ("if row.refresh_token == token.refresh_token and", "if False and"),
    },
    "saver.py": {
        "nonce=0": ("is_mine or (is_new and there.renewal.login == login)", "True"),
        "save, look": ("saved = self._look_again(saved, plan)", "pass"),
        "renewal, look again": ("renewed_at >= (row.logged_in_at or 0.0) + UNDER_WAY", "True"),
    },
    "aliases.py": {
        "alias, first": (
            "self._rows.put(alias, replaces=source.version)",
            "replace(alias, version=str(source.version))",
        ),
        "alias, gone in": ("if row.renewal.login == mine.login:", "if False:"),
        "alias, seen login": ("if row.renewal.login == alias.seen_login and", "if"),
        "alias, seen status": (" and not revoked_since", ""),
        "alias, deleted row": ("elif alias.seen_status is None and not", "elif not"),
    },
    "vault.py": {
        "sweepcond=0": (
            "=kept.version)\n                    gone",
            "=None)\n                    gone",
        ),
        "delete, aliases": (" if alias.carries and alias.seen_status is None]", " if False]"),
        "policy, too many": (
            "            self._end_too_many(saved, saved.id)\n",
            "            pass\n",
        ),
        "policy, applied": ("abs(began - (ruled.at", "abs(self._clock.now() - (ruled.at"),
    },
    # Policies.
    "policy.py": {
        "policy, idle": ("idle_ends = used + idle[0] + unnoted", "idle_ends = used + idle[0]"),
        "policy, idle before": ("USE_NOTED_EVERY if used < self._taken_up else ", ""),
        "policy, began": (
            "began, limits = token.logged_in_at,",
            "began, limits = token.created_at,",
        ),
        "policy, deleted row": ("is not _WORKS or token.ended", "is not _WORKS"),
    },
    "ending.py": {
        "policy, clock": (" or now < end.at or not self.is_time_known(token)", " or now < end.at"),
        "policy, clock ahead": ("ending(self._errors.local(token))", "ending(token)"),
        "policy, dead ones": (" - self._errors.ahead(token.issuer)", ""),
        "policy, mute": ("if self._clock.monotonic() < self._mute", "if 0.0 < 0.0 * self._mute"),
    },
    "sweeping.py": {
        "policy, put off": ("store.put_off(row, now)", "pass"),
    },
    "integrations/first_login.py": {
        "lease, living holder": ("return holder.is_dead(held.holder)", "return True"),
    },
    # What holds it together.
    "rows.py": {
        "header": ("self.header.expect_there()\n        written", "written"),
        "header, save": ("self.header.expect(next(", "repr(next("),
    },
    "sealing.py": {"seal, store": ("{self.store_id}\\0{bound}", "{bound}")},
}
