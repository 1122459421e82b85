// Revoking, deleting, and both in one: `tokenkeep.revoking`, `Vault.delete_token`, `Keeper.end`.
#pragma once
#include "aliases.h"

enum EndPhase { FINDS, REVOKES, ASKS, NOTES, DELETES };

/// Who ends or renews a user's row first finds which id it has. NOBODY's row has the id 0.
/// Returns whether `self().other` is that id by now.
inline bool has_found(u8 user, int then) {
  Actor& a = self();
  if (a.phase != FINDS) return true;
  u16 slot = user ? step("finds the row", [&](State& s) { return row_of(s, user); }) : 0;
  if (slot == NOWHERE) {
    end(FAILED);
  } else {
    begin(then);
    a.other = u8(slot);
  }
  return false;
}

/// What was just read, or written, has something to be revoked at the provider.
inline void begin_asking(Actor& a, int slot, const Record& r) {
  a.slot = u8(slot);
  a.asking = r.to_revoke;
  a.confirmed = 0;
  a.entry_user = r.user;
  a.overtaken = 0;
}

/// Asks the provider to revoke one token of `self().asking`. Returns whether there was none left.
inline bool has_asked() {
  Actor& a = self();
  Token t = 1;
  while (t <= LAST_TOKEN && !has(a.asking, t)) t++;
  if (t > LAST_TOKEN) return true;
  u16 reached = step("asks the provider to revoke", [&](State& s) -> int {
    if (s.downs) could_fail = true;
    if (fails_now) {
      s.downs--;
      s.cause |= DOWN;
      return false;
    }
    revoke_there(s, t, self().entry_user);
    return true;
  });
  if (reached) a.confirmed |= bit(t);
  a.asking &= ~bit(t);
  return false;
}

/// Takes what was confirmed out of a row, and nothing that came in meanwhile. Returns whether that is done.
inline bool has_noted(int slot) {
  Actor& a = self();
  auto note = [&](State&, Record& r) { r.to_revoke &= ~a.confirmed; };
  if (!a.confirmed || write("notes what is confirmed", slot, note)) return true;
  bool is_there = step("reads again", [&](State& s) {
    look_at(slot);
    return s.record[slot].kind == ROW;
  });
  return !is_there || write("notes what is confirmed", slot, note);
}

/// Writes that the row of the id `self().other` is revoked, then asks the provider. `then` is the phase after that.
inline void revoke_and_then(int then) {
  Actor& a = self();
  if (a.phase == ASKS) return has_asked() ? begin(NOTES, a.slot) : begin(ASKS, a.slot);
  if (a.phase == NOTES) {
    if (!has_noted(a.slot)) return begin(NOTES, a.slot);
    return then == FINDS ? end(DONE) : begin(then, a.slot);
  }
  enum { IS_REVOKED = 1 << 8 };
  u16 read = step("reads", [&](State& s) -> int {
    Led led = follow(s, a.other);
    bool revoked = led.slot != NOWHERE && !led.carries && s.record[led.slot].status == REVOKED;
    if (revoked) begin_asking(a, led.slot, s.record[led.slot]);
    return led.packed() | (revoked ? IS_REVOKED : 0);
  });
  Led led = Led::of(read);
  if (led.carries) {
    finish(led.slot);
    return begin(REVOKES);
  }
  if (led.slot == NOWHERE) return end(FAILED);
  if (read & IS_REVOKED) return begin(ASKS, led.slot);
  bool done = write("writes that it is revoked", led.slot, [&](State& s, Record& r) {
    Several families = families_of(all_of(r));
    if (has_twins(s, r.token)) s.twins |= 1 << family_of(r.token);
    s.revoked |= families;
    s.revokers |= 1 << me;
    s.acknowledged |= 1 << me;
    ended_by(s, families, 1 << me);
    revoke(r);
    begin_asking(a, led.slot, r);
  });
  done ? begin(ASKS, led.slot) : begin(REVOKES);
}

inline void revoker(u8 user) {
  if (has_found(user, REVOKES)) revoke_and_then(FINDS);
}

/// Deletes the row in a slot, as it was read, and its aliases. Returns whether it did.
inline bool has_deleted(int slot) {
  enum { MAKES_IT = 0x8000, OWES = 0x4000, HAS_USER = 0x2000 };
  u16 found = step("looks for its aliases", [&](State& s) -> int {
    const Record& row = s.record[slot];
    u16 all = (row.to_revoke ? OWES : 0) | (row.user ? HAS_USER : 0);
    for (int i = 0; i < RECORDS; i++) {
      const Record& r = s.record[i];
      if (r.kind != ALIAS || r.to != slot) continue;
      look_at(i);
      if (is_carrying(r) && r.seen_login == NEVER && set.makersfirst) return MAKES_IT | i;
      all |= 1 << i;
    }
    return all;
  });
  if (found & MAKES_IT) {
    finish(found & ~MAKES_IT);
    return false;
  }
  bool owes = found & OWES && set.ended, two = found & HAS_USER && set.byowner;
  if (owes && two) {  // an id made of the owner can't get another owner: two records for a moment
    bool kept = written(insert_or_unknown("keeps an ended record", 0, [&](State& s, Record& r, int) {
      r.user = s.record[slot].user;
      r.token = s.record[slot].token;
      r.to_revoke = s.record[slot].to_revoke;
      r.kind = ENDED;
    }));
    if (!kept) return false;
  }
  bool done = write("deletes the row", slot, [&](State& s, Record& r) {
    // What it had to revoke will be revoked; what it held besides is forgotten on purpose, revoked once or not.
    Several families = families_of(all_of(r)) & ~families_of(r.to_revoke);
    if (has_twins(s, r.token)) s.twins |= 1 << family_of(r.token);
    s.deleted |= families;
    s.revoked &= ~families;
    s.deleters |= 1 << me;
    s.acknowledged |= 1 << me;
    ended_by(s, families, 1 << me);
    for (auto& other : s.actor)
      if (other.doing == ACTIVE && other.wants) families &= ~(1 << family_of(other.wants));
    s.gone_for_good |= families;
    if (owes && !two)
      become_ended(r, r.user || !set.endedowner ? of_its_own(slot) : r.owner, r.to_revoke);
    else
      r = Record{};
  });
  if (!done) return false;
  for (int i = 0; i < RECORDS; i++) {
    if (!(found >> i & 1)) continue;
    bool carries = step("reads an alias of it", [&](State& s) { return is_as_seen(i) && is_carrying(s.record[i]); });
    carries ? finish(i) : (void)erase("deletes an alias of it", i);
  }
  return true;
}

inline void deleter(u8 user) {
  if (!has_found(user, DELETES)) return;
  Led led = Led::of(step("reads", [&](State& s) { return follow(s, self().other).packed(); }));
  if (led.carries) {
    finish(led.slot);
    return begin(DELETES);
  }
  if (led.slot == NOWHERE) return end(FAILED);
  has_deleted(led.slot) ? end(DONE) : begin(DELETES);
}

/// A logout: revokes a row, and deletes what it has revoked.
inline void logout(u8 user) {
  Actor& a = self();
  if (!has_found(user, REVOKES)) return;
  if (a.phase != DELETES) return revoke_and_then(DELETES);
  enum { IS_REVOKED, WAS_WRITTEN, IS_NEWER };
  u16 now = step("reads", [&](State& s) -> int {
    const Record& r = s.record[a.slot];
    bool as_written = is_as_seen(a.slot);
    look_at(a.slot);
    if (r.kind != ROW || (r.status != REVOKED && (set.endlogin || !as_written))) return IS_NEWER;
    return as_written || set.endonce ? IS_REVOKED : WAS_WRITTEN;
  });
  if (now == IS_NEWER) return end(DONE);
  if (now == WAS_WRITTEN) return begin(REVOKES);
  has_deleted(a.slot) ? end(DONE) : begin(DELETES);
}
