// Other rows with a row's login: who finds one makes them one, or gives up. `Saver.make_sole`, `Saver._merge`.
#pragma once
#include "aliases.h"

/// Was one row made before another? Those stored at first were; of others their clocks say it, and then their ids.
inline bool was_made_before(const State& s, int one, int other) {
  auto was_there = [](int slot) { return slot < 3; };
  if (!set.byowner && was_there(one) != was_there(other)) return was_there(one);
  return (s.record[one].user < s.record[other].user) != bool(set.vfirst);
}

/// What else has a row's refresh token.
enum Found : u8 { NOTHING_ELSE, CARRIES, IS_SAME, IS_SAME_AND_REVOKED, CONTRADICTS, UNDER_WAY };
struct Others {
  Found found;
  int slot = NOWHERE;
  bool is_source = false;   // it is to be written, not the row
  bool is_earlier = false;  // it was made before the row
  bool leads_here = false;  // an alias, to the row
  int source(int my) const { return is_source ? slot : my; }
  int target(int my) const { return is_source ? my : slot; }
  u16 packed() const { return u16(found | slot << 4 | is_source << 8 | is_earlier << 9 | leads_here << 10); }
  static Others of(u16 packed) {
    return {Found(packed & 15), packed >> 4 & 15, bool(packed >> 8 & 1), bool(packed >> 9 & 1), bool(packed >> 10)};
  }
};

/// Looks for another row with this row's refresh token, as it was read.
inline Others find_others(State& s, int my, const Record& row) {
  Actor& a = self();
  for (int i = 0; i < RECORDS; i++) {
    const Record& r = s.record[i];
    bool went_on = set.spentfound && r.kind == ROW && r.owner == credential_of(row.token) && has_had(r, row.token);
    if (i == my || !r.kind || (r.token != row.token && !went_on)) continue;
    look_at(i);
    if (is_carrying(r)) return {CARRIES, i, false, false, r.to == my};
    if (r.kind != ROW) continue;
    if (!is_same_thing(r, row)) return {CONTRADICTS, i, false, was_made_before(s, i, my)};
    if (r.status == REVOKED && row.status == REVOKED) continue;
    if (r.status == REVOKED || row.status == REVOKED) return {IS_SAME_AND_REVOKED, i, row.status == REVOKED};
    bool is_source = row.user && !r.user;
    const Record& to = is_source ? row : r;
    a.saw_login = to.login;
    a.saw_status = to.status;
    a.saw_user = to.user;
    return {IS_SAME, i, is_source};
  }
  return {NOTHING_ELSE};
}

/// Two rows with one login, neither contradicting the other, become one. Returns whether that was done.
inline bool become_one(int my, const Others& others) {
  int source = others.source(my);
  if (others.found == IS_SAME_AND_REVOKED)
    return write("revokes the row, as the other with its login is", source, [](State&, Record& r) { revoke(r); });
  return move("FREEZE: its login is in another row, too", source, others.target(my),
              [](State&, Record& r) { r.user = self().saw_user; });
}

/// Has nobody looked for others since a row's login was written, and will who wrote it not do it any more?
inline bool is_left_unlooked(const State& s, const Record& r) {
  return r.kind == ROW && r.unlooked && !is_under_way(s, r);
}

/// Looks for others of a row that nobody has looked for since its login was written, with `self().seen` of it.
/// LOOKED_AT: the renewal's claim takes the flag off (in the code, its time says it). BUSY: another will see to it. CHANGED: something was written.
enum Looked : u8 { LOOKED_AT, BUSY, CHANGED };
inline Looked look_for_others(int my) {
  Others others = Others::of(step("looks for others with its login", [&](State& s) -> u16 {
    if (!is_as_seen(my)) return Others{UNDER_WAY}.packed();
    Others found = find_others(s, my, s.record[my]);
    bool is_busy = found.found == CONTRADICTS && is_under_way(s, s.record[found.slot]);
    if (is_busy) found.found = UNDER_WAY;
    // Of two that contradict the later gives up; but nobody will look again at one that was looked at.
    if (found.found == CONTRADICTS && set.bylogin && !s.record[found.slot].unlooked) found.is_earlier = true;
    if (found.found == CONTRADICTS && !found.is_earlier) found.found = NOTHING_ELSE;
    return found.packed();
  }));
  switch (others.found) {
    case NOTHING_ELSE:
      return LOOKED_AT;
    case UNDER_WAY:  // who wrote the other will look again, and may take it back
      return BUSY;
    case CARRIES:
      finish(others.slot);
      return CHANGED;
    case CONTRADICTS:
      write("gives its login up", my, [&](State& s, Record& r) {
        ended_by(s, 1 << family_of(r.token), PROVIDER);
        if (s.acknowledged & who_logged_in(r)) report(GIVEN_UP, s);
        r.status = LOGIN_NEEDED;
        r.token = r.unlooked = r.claim = 0;
      });
      return CHANGED;
    default:
      become_one(my, others);
      return CHANGED;
  }
}
