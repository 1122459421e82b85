// What a login does to a row: `tokenkeep.saving`, pure.
#pragma once
#include "provider.h"

inline int row_of(const State& s, u8 user) {
  for (int i = 0; i < RECORDS; i++)
    if (s.record[i].kind == ROW && s.record[i].owner == user) return i;
  return NOWHERE;
}

/// Will who wrote a row's login still look for others? For a minute everybody believes that.
inline bool is_under_way(const State& s, const Record& r) {
  bool has_writer = r.login && r.login <= ACTORS && s.actor[r.login - 1].doing == ACTIVE;
  return r.kind == ROW && r.unlooked && set.grace && has_writer;
}

inline bool has_had(const Record& row, Token t) { return set.past && row.token != t && has(row.past, t); }

/// Do they contradict? One user at most is known of what is for the same.
inline bool is_same_thing(const Record& a, const Record& b) { return !a.user || !b.user || a.user == b.user; }

/// Notes what a row's login has replaced: `stored` is the row as it was.
inline void replace_login(State& s, const Record& stored, Record& fresh, Several by) {
  Token old = stored.status == REVOKED ? 0 : stored.token;  // what was revoked is noted already
  if (old == fresh.token || (set.rotation && has(fresh.past, old))) old = 0;
  if (old) ended_by(s, 1 << family_of(old), by);
  if (is_alive(s, old) && family_of(old) == family_of(fresh.token)) report(DOWNGRADED, s, family_of(old));
  if (!set.replacing) old = 0;
  if (set.consent && set.newer) {
    fresh.replaced |= fresh.to_revoke | bit(old);
    fresh.to_revoke = 0;
  } else if (stored.given) {
    fresh.replaced |= bit(old);
  } else {
    fresh.to_revoke |= bit(old);
  }
  fresh.past = (fresh.past | bit(stored.token)) & ~bit(fresh.token);
}

/// Saves a login's refresh token in a row.
inline void log_in(State& s, Record& row, Token t, bool given) {
  part_twins(s, row.token);
  Record stored = row;
  row.token = t;
  row.status = OK;
  row.login = me + 1;
  row.claim = row.put_back = 0;
  replace_login(s, stored, row, 1 << me);
  row.given = given;
  row.unlooked = set.unlooked;
  s.stored |= bit(t);
  overtake(s);
}

/// A row with the login that an alias carries.
inline void take(State& s, Record& row, const Record& alias) {
  Record stored = row;
  row.to_revoke |= alias.to_revoke;
  row.replaced |= alias.replaced;
  if (alias.token == row.token && set.rotation) return;
  part_twins(s, row.token);
  if (has_come_since(s, row, alias)) report(OLDER_OVER_NEWER, s);
  row.token = alias.token;
  row.status = alias.status;
  row.login = alias.login;
  row.claim = alias.claim;
  row.given = alias.given;
  row.unlooked = alias.unlooked;
  row.put_back = 0;
  row.past |= alias.past;
  replace_login(s, stored, row, who_moved(alias));
  overtake(s);
}

/// A row that sees to tokens of a login that came too late to be its own.
inline void see_to(Record& row, Tokens late) {
  late &= ~bit(row.token);
  (row.status == REVOKED || !(set.consent && set.newer) ? row.to_revoke : row.replaced) |= late;
  row.past |= late;
}

/// What must not be forgotten alive if a row, or what an alias carries, is not to be.
inline Tokens all_of(const Record& r) { return r.to_revoke | r.replaced | (r.status == REVOKED ? 0 : bit(r.token)); }

inline void revoke(Record& r) {
  Tokens all = all_of(r);
  r.to_revoke = all;
  r.replaced = 0;
  r.past |= all & ~bit(r.token);
  r.status = REVOKED;
  r.claim = 0;
}
