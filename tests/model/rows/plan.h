// What a save does, decided in one look at the store: `Saver.look` and `saving.plan`.
#pragma once
#include "aliases.h"

struct Want {
  u8 user;
  int id;  // of the row it was read from; NOWHERE if it has none
  Token token;
  bool exchanged = false;  // got here for a code, not given from outside
};

enum What : u8 {
  RETURNS,  // the row as it is
  RETURNS_DEAD,
  REFUSED,  // with an error
  FINISHES, // a carrying alias
  DROPS,    // an alias that leads nowhere, in the way of a new row
  INSERTS,
  WRITES,   // the row: a login, or its user
  MOVES     // one row into another
};
struct Plan {
  What what;
  int row = NOWHERE, source = NOWHERE;
  bool names = false;  // the row gets its user
  u16 packed() const { return u16(what | row << 4 | source << 8 | names << 12); }
  static Plan of(u16 packed) {
    return {What(packed & 15), packed >> 4 & 15, packed >> 8 & 15, bool(packed >> 12)};
  }
};

inline bool is_found(const Record& r, const Want& want) {
  bool by_credential = set.credential && r.owner == credential_of(want.token);
  bool by_user = want.user && (r.owner == want.user || (set.endedfound && r.kind == ENDED && r.user == want.user));
  return r.kind && (by_user || r.token == want.token || by_credential);
}

inline What returned(const Record& row) { return row.status == OK ? RETURNS : RETURNS_DEAD; }

inline Plan plan(State& s, const Want& want) {
  Actor& a = self();
  const Token t = want.token;
  bool found[RECORDS] = {};  // rows, those that aliases lead to too
  int by_id = NOWHERE;
  if (want.id != NOWHERE) {
    const Record& there = s.record[want.id];
    look_at(want.id);
    if (is_carrying(there)) return {FINISHES, want.id};
    by_id = there.kind == ALIAS ? there.to : want.id;
    if (s.record[by_id].kind != ROW) by_id = NOWHERE;
    if (by_id == NOWHERE && set.staleid) return {REFUSED};
  }
  if (by_id != NOWHERE) {
    const Record& row = s.record[by_id];
    look_at(by_id);
    if (row.user && want.user && row.user != want.user) return {REFUSED};
    if (row.token == t && (row.user || !want.user)) return {returned(row), by_id};
    found[by_id] = true;
  }
  for (int i = 0; i < RECORDS; i++) {
    const Record& r = s.record[i];
    if (!is_found(r, want)) continue;
    look_at(i);
    bool is_ended = r.kind == ENDED && (r.token == t || has(r.to_revoke, t) || r.owner == credential_of(t));
    if (is_ended && set.endedfound) return {REFUSED};
    if (is_carrying(r)) return {FINISHES, i};
    int row = r.kind == ALIAS ? r.to : i;
    if (s.record[row].kind == ROW)
      found[row] = true;
    else if (r.kind == ALIAS)
      return {DROPS, i};
  }

  Record asked{};
  asked.user = want.user;
  int by_user = want.user ? row_of(s, want.user) : NOWHERE;
  int row = by_id != NOWHERE ? by_id : by_user, source = NOWHERE;
  if (want.user && row != NOWHERE && !s.record[row].user) {
    source = row;
    row = by_user;
  }
  for (int i = 0; i < RECORDS && source == NOWHERE; i++) {
    const Record& r = s.record[i];
    bool shares = found[i] && r.token == t && i != row && is_same_thing(r, asked);
    if (shares && (row == NOWHERE || is_same_thing(r, s.record[row]))) source = i;
  }
  if (row == NOWHERE) {
    row = source;
    source = NOWHERE;
  } else if (!want.user && !s.record[row].user) {
    source = NOWHERE;
  }
  for (int i = 0; i < RECORDS; i++) {
    if (!found[i]) continue;
    if (has_had(s.record[i], t)) return {REFUSED};
    if (s.record[i].token == t && i != row && i != source) return {REFUSED};
  }
  if (row != NOWHERE) look_at(row);
  if (row == NOWHERE) return {INSERTS};
  if (source != NOWHERE) {
    look_at(source);
    if (s.record[source].status != OK && s.record[source].token == t) return {RETURNS_DEAD, source};
    a.saw_login = s.record[row].login;
    a.saw_status = s.record[row].status;
    return {MOVES, row, source};
  }
  const Record& target = s.record[row];
  bool names = want.user && !target.user;
  if (target.token == t && (target.status != OK || !names)) return {returned(target), row};
  if (names && set.byowner) {
    a.saw_login = NEVER;
    return {MOVES, want.user, row};
  }
  return {WRITES, row, NOWHERE, names};
}
