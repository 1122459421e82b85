// The provider.
#pragma once
#include "witness.h"

/// The provider is asked to revoke a token, because of what a user, or NOBODY, has ended.
inline void revoke_there(State& s, Token t, u8 user) {
  const Several consent_of_u = 1 << R | 1 << S | 1 << Q;
  int f = family_of(t);
  Several ends = 0;
  if (is_alive(s, t))
    ends = set.consent && f != T ? consent_of_u : 1 << f;
  else if (set.reuse)
    ends = 1 << f;
  ends &= s.alive;
  for (auto& r : s.record) {
    if (!is_living(r) || !is_alive(s, r.token) || !(ends & ~s.revoked & 1 << family_of(r.token))) continue;
    int other = family_of(r.token);
    int event = other == f ? IN_USE : NEWER_ENDED;
    if (self().overtaken) event = OVERTAKEN;
    if (other != f && !(r.user && r.user == user)) event = NOBODY_KNEW;
    if (r.put_back) event = PUT_BACK;
    ended_by(s, 1 << other, PROVIDER);
    report(event, s, other);
  }
  for (int j = 0; j < FAMILIES; j++)
    if (ends >> j & 1 && !s.ended_by[j]) s.ended_by[j] = PROVIDER;  // in nobody's row yet
  s.alive &= ~ends;
}

/// The provider renews. Returns the refresh token that is to be used from now on; none if it rejects.
inline Token renew_there(State& s, Token t) {
  int f = family_of(t);
  if (is_alive(s, t)) {
    if (!set.rotates) return t;
    if (number_of(t) == 3) exit((fprintf(stderr, "more renewals than this model has\n"), 2));
    s.current[f]++;
    if (self().has_looked) part_twins(s, t);
    s.stored |= bit(t + 1);  // in the journal, in the same step
    return t + 1;
  }
  if (set.reuse && s.alive >> f & 1) {
    report(REUSED, s, f);
    s.alive &= ~(1 << f);
    ended_by(s, 1 << f, PROVIDER);
  }
  return 0;
}
