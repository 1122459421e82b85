// First logins with one code: one sends it, others wait for what it saves. `tokenkeep.integrations.first_login`.
#pragma once
#include "save.h"

/// Stops the turn: nothing to do until others have done something.
inline void wait_until(bool is_time) {
  if (!is_time && !has_acted) longjmp(turn, 1);
}

inline bool is_saved(const State& s, Token t) {
  for (auto& r : s.record)
    if (is_living(r) && family_of(r.token) == family_of(t)) return true;
  return false;
}

inline void first_login(u8 user, Token t) {
  enum { LOOKS_UP, SAVES_IT = EXCHANGED, ELECTS, SENDS, GIVES_UP };
  Actor& a = self();
  const Want want = {user, NOWHERE, t, true};
  const Owner lease = lease_of(t);
  auto holds = [&](const State& s) {
    for (int i = 0; i < RECORDS; i++)
      if (s.record[i].kind == LEASE && s.record[i].owner == lease) return i;
    return int(NOWHERE);
  };
  if (a.phase == LOOKS_UP) {
    bool saved = step("looks for what is saved", [&](State& s) { return is_saved(s, t); });
    return saved ? end(DONE) : begin(ELECTS);
  }
  if (a.phase == ELECTS) {
    if (!a.steps) {
      int held = holds(*world);
      bool over = held == NOWHERE || !set.leasedead || world->actor[world->record[held].login - 1].doing != ACTIVE;
      wait_until(over || is_saved(*world, t));
    }
    u16 held = step("asks for the lease", [&](State& s) {
      int slot = holds(s);
      if (slot != NOWHERE) look_at(slot);
      return slot;
    });
    bool mine = held == NOWHERE && written(insert_or_unknown("takes the lease", lease, [&](State&, Record& r, int slot) {
                  r.kind = LEASE;
                  r.login = me + 1;
                  a.slot = u8(slot);
                }));
    if (held == NOWHERE && !mine) return begin(ELECTS);
    if (set.leaselook || !mine) {
      bool saved = step("looks again for what is saved", [&](State& s) { return is_saved(s, t); });
      if (saved) return mine ? begin(GIVES_UP, a.slot) : end(DONE);
    }
    if (mine) return begin(SENDS);
    bool over = step("looks whether its holder is gone", [&](State& s) {
      return !is_as_seen(held) || !set.leasedead || s.actor[s.record[held].login - 1].doing != ACTIVE;
    });
    if (over) erase("ends the lease", held);
    return begin(ELECTS);
  }
  if (a.phase == SENDS) {
    bool accepted = step("sends the code", [&](State& s) {
      bool before = s.sent;
      bool crashed = false;
      for (int i = 0; i < ACTORS; i++) crashed |= s.sent >> i & 1 && s.actor[i].doing == CRASHED;
      if (before && !crashed) report(SENT_TWICE, s);
      s.sent |= 1 << me;
      if (!before) s.alive |= 1 << family_of(t);
      return !before;
    });
    a.other = 0;
    return begin(accepted ? SAVES_IT : GIVES_UP);
  }
  if (a.phase == GIVES_UP) {
    u16 held = step("looks for its lease", [&](State& s) {
      int slot = holds(s);
      if (slot == NOWHERE || s.record[slot].login != me + 1) return int(NOWHERE);
      look_at(slot);
      return slot;
    });
    if (held != NOWHERE) erase("gives its lease up", held);
    return end(a.saved ? DONE : FAILED, a.saved);
  }
  Doing how = saving(want);
  if (how == ACTIVE) return;
  a.saved = how == DONE ? t : 0;
  begin(GIVES_UP);
}
