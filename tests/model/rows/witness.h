// What only the checks look at: who has ended which login, and what nobody could have known.
#pragma once
#include "steps.h"

/// Would the provider accept it now?
inline bool is_alive(const State& s, Token t) {
  return t && s.alive >> family_of(t) & 1 && number_of(t) == s.current[family_of(t)];
}

/// Who ended a login was none of the actors: the provider.
enum { PROVIDER = 0x80 };
inline void ended_by(State& s, Several families, Several actors) {
  for (int f = 0; f < FAMILIES; f++)
    if (families >> f & 1) s.ended_by[f] |= actors;
}
inline Several who_logged_in(const Record& row) { return row.login <= ACTORS ? Several(1 << row.login >> 1) : 0; }
inline Several who_moved(const Record& alias) { return Several(1 << alias.moved_by >> 1); }

/// Did whoever wrote a row last, or revoked it, begin after who made an alias was done, or had crashed?
inline bool has_come_since(const State& s, const Record& row, const Record& alias) {
  Several writers = who_logged_in(row) | (row.status == REVOKED ? s.revokers : 0);
  for (int i = 0; i < ACTORS; i++)
    if (writers >> i & 1 && s.actor[i].after_end & who_moved(alias)) return true;
  return false;
}

/// A login is stored: whoever has looked before did not see it.
inline void overtake(State& s) {
  for (int i = 0; i < ACTORS; i++)
    if (i != me && s.actor[i].doing == ACTIVE) s.actor[i].overtaken = 1;
}

/// Has another row the same token? Then who ends or renews one of them leaves the other.
inline bool has_twins(const State& s, Token t) {
  int rows = 0;
  for (auto& r : s.record) rows += t && r.kind == ROW && r.token == t;
  return rows > 1;
}

/// A row's token is about to be replaced: another row with it, that nobody has looked for yet, is then found no more.
inline void part_twins(State& s, Token t) {
  if (has_twins(s, t)) s.copied |= 1 << family_of(t);
}

/// Did another row have a token that is not its own any more? Saved again without a name, nothing tells that.
inline bool has_gone_on(const State& s, Token t) {
  for (auto& r : s.record) {
    bool had_it = has(r.past | r.to_revoke, t) || (r.token == t && !is_alive(s, t));
    if (had_it && (r.kind == ROW || r.kind == ENDED)) return true;
  }
  return false;
}
