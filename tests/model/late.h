// LATE and PERMANENT: what becomes of an answer, and of a rejection. docs/renewal.md has the rules.
#pragma once
#include "steps.h"

/// Does the answer replace what is stored: the rule of LATE, and of the look into the journal?
inline bool replaces(const Pair& base, const Pair& answer, const Pair& stored, bool by_refresh) {
  if (by_refresh && !answer.same_refresh(base)) return stored.same_refresh(base);
  return stored == base;
}

/// Takes the answer to what client i is about to send from its host's journal, if there is one.
inline bool borrow(State& s, int i) {
  if (!set.samehost || !set.jlook || !set.journal) return false;
  Client& c = s.client[i];
  for (int j = 0; j < set.n; j++) {
    const Client& other = s.client[j];
    if (j == i || !other.journaled || other.step == SAVED) continue;
    if (!replaces(other.base, other.answer, c.base, set.jrt)) continue;
    c.base = other.base;
    c.answer = other.answer;
    c.step = LATE;
    c.seen = 0;
    c.borrowed = 1;
    return true;
  }
  return false;
}

/// Is a refresh token that works stored, or with a living holder, or in a journal?
inline bool is_saved_or_held(const State& s) {
  u8 f = s.row.pair.family;
  if (f == NO_REFRESH || !s.provider.alive[f]) return false;
  if (is_living(s, s.row.pair)) return true;
  for (int i = 0; i < set.n; i++) {
    const Client& c = s.client[i];
    if (has_answer(c) && c.answer.family == f && is_living(s, c.answer)) return true;
  }
  return false;
}

inline void save_answer(State& s, int i) {
  Client& c = s.client[i];
  Row& row = s.row;
  if (!row.present) {
    report(RECREATED, s);
    row.present = 1;
    row.id = c.id;
    row.calls = 0;
  } else {
    bool spent = row.pair.same_refresh(c.base) && !c.answer.same_refresh(c.base);
    if (!(row.pair == c.base) && !(row.pair == c.answer) && !spent) report(OVERWRITTEN, s);
    if (is_living(s, row.pair) && !is_living(s, c.answer)) report(DOWNGRADED, s);
    if (row.status == REVOKED) report(UNREVOKED, s);
    bool rejected = row.status == LOGIN_NEEDED && row.pair.same_refresh(c.answer);
    if (rejected && !is_living(s, c.answer)) report(LIFTED, s);
  }
  if (row.status != REVOKED || set.save == 1 || set.save == 2) row.status = OK;
  row.pair = c.answer;
  s.marked[c.answer.family] &= ~(1 << c.answer.number);  // the provider has taken it since
  unclaim(s);
  if (!set.mintat) row.calls++;
  write(s);
}

inline void saved(State& s, int i) {
  save_answer(s, i);
  s.client[i].step = s.client[i].journaled ? SAVED : DONE;
}

inline void late(State& s, int i) {
  Client& c = s.client[i];
  const Row& row = s.row;
  bool there = row.present && row.id == c.id;
  bool lifts = set.lift == 1 || (set.lift == 2 && !c.answer.same_refresh(c.base));
  bool wanted = false;
  if (set.save == 1) wanted = true;
  if (set.save == 2) wanted = there && row.pair.same_refresh(c.base);
  if (set.save == 3)
    wanted = there && row.status != REVOKED && replaces(c.base, c.answer, row.pair, set.keeprt) &&
             (row.status == OK || lifts);
  if (set.save == 0 && there && row.status != REVOKED && row.pair == c.base) report(DROPPED, s);
  if (wanted) {
    c.step = LATE_WRITE;
    c.seen = row.present;
    return;
  }
  if (set.laterevoke && (!there || row.status == REVOKED)) revoke_there(s, c.answer);
  c.step = START;
}

inline void permanent(const State& from, int i) {
  const Row& row = from.row;
  const Client& c = from.client[i];
  bool there = row.present && row.id == c.id;
  bool same = there && row.status == OK && row.pair.same_refresh(c.base);
  if (set.perm == 2 && same && row.claim && row.claim != i + 1 && !row.claim_over) return;  // waits
  step(from, PERMANENT_READS, i, [&](State& s) {
    Client& c = s.client[i];
    if (set.perm == 0) {
      c.step = row.present ? PERMANENT_WRITE : START;
      c.seen = row.present;
    } else if (!same) {
      c.step = START;
    } else if (!borrow(s, i)) {
      c.step = PERMANENT_WRITE;
      c.seen = 1;
    }
  });
}

inline void mark(State& s, int i) {
  Row& row = s.row;
  if (!row.pair.same_refresh(s.client[i].base) || row.status == REVOKED) report(MARKED_ANOTHER, s);
  if (row.claim && row.claim != i + 1 && !row.claim_over) {
    const Client& holder = s.client[row.claim - 1];
    if (holder.step != CRASHED && has_answer(holder) && is_living(s, holder.answer)) report(MARKED_LIVE, s);
  }
  row.status = LOGIN_NEEDED;
  s.marked[row.pair.family] |= 1 << row.pair.number;
  unclaim(s);
  write(s);
  s.client[i].step = START;
}
