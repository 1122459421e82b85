// What may not happen: the invariants 7, 12, 14, 15 and 16 of the design.
#pragma once
#include "roles.h"

/// Looks at every state.
inline void check(const State& s) {
  for (auto& r : s.record) {
    if (!is_living(r) || !is_alive(s, r.token)) continue;
    int f = family_of(r.token);
    // Who wrote it has not looked for others yet, or crashed before.
    bool is_new = r.login && r.login <= ACTORS && s.actor[r.login - 1].doing != DONE;
    bool was_twice = is_new || s.twins >> f & 1;
    if (s.revoked >> f & 1) report(was_twice ? SAVED_TWICE : RESURRECTED, s, f);
    if (s.gone_for_good >> f & 1) report(was_twice ? SAVED_TWICE : UNDELETED, s, f);
  }
}

/// Sweeps until there is nothing left to do. Returns whether that ends.
inline bool is_swept(State& s) {
  s.unknowns = s.downs = 0;
  for (int passes = 0; passes < 8; passes++) {
    State before = s;
    Actor& a = s.actor[LAST_SWEEP];
    a = Actor{};
    a.role = SWEEPS;
    a.doing = ACTIVE;
    for (int steps = 0; a.doing == ACTIVE && steps < 200; steps++) act(s, LAST_SWEEP, false);
    if (a.doing == ACTIVE) return false;
    a = Actor{};
    s.acknowledged = before.acknowledged;
    if (!memcmp(&s, &before, sizeof s)) return true;
  }
  return false;
}

/// Looks at what is left when everybody has ended or crashed, and a sweep has ended.
inline void check_the_end(State s) {
  if (!is_swept(s)) return report(UNSWEPT, s);
  Several living = 0, successors = 0;
  Tokens kept = 0;
  int rows_of[FAMILIES] = {};
  for (auto& r : s.record) {
    if (is_carrying(r)) report(CARRYING, s);
    kept |= r.to_revoke | r.replaced | (r.kind == ROW ? bit(r.token) : 0);
    if (!is_living(r)) continue;
    living |= 1 << family_of(r.token);
    if (!is_alive(s, r.token)) continue;
    if (s.revoked >> family_of(r.token) & 1) report(RESURRECTED, s, family_of(r.token));
    successors |= 1 << family_of(r.token);
    rows_of[family_of(r.token)]++;
  }
  for (auto& r : s.record)
    if (is_living(r) && !is_alive(s, r.token) && successors >> family_of(r.token) & 1)
      report(SPENT_STORED, s, family_of(r.token));
  for (int f = 0; f < FAMILIES; f++) {
    Token t = Token(first_of(f) + s.current[f]);
    if (rows_of[f] > 1) report(TWO_ROWS, s, f);
    if (!is_alive(s, t)) continue;
    if (has(s.stored, t) && !has(kept, t) && !(s.deleted >> f & 1)) report(FORGOTTEN, s, f);
    bool beside = s.deleted >> f & 1;
    for (auto& r : s.record) beside |= set.consent && r.kind == ROW && has(r.replaced, t);
    if (s.revoked >> f & 1 && !beside) report(LEAKED, s, f);
  }
  for (auto& a : s.actor) {
    if (!a.saved || living >> family_of(a.saved) & 1) continue;
    if (!(s.ended_by[family_of(a.saved)] & ~a.after)) report(LOST_SAVE, s, family_of(a.saved));
  }
}
