// First logins with one code: one sends it, others wait for what it saves. `tokenkeep.integrations.first_login`.
#pragma once
#include "save.h"

/// Before a step: waits, so that there is no turn, until others have done something.
inline void wait_until(bool is_time) {
  if (!is_time && !has_acted) longjmp(turn, 1);
}

/// Is the holder of a lease gone?
inline bool is_over(const State& s, const Record& lease) { return s.actor[lease.login - 1].doing != ACTIVE; }

inline bool is_saved(const State& s, Token t) {
  for (auto& r : s.record)
    if (is_living(r) && family_of(r.token) == family_of(t)) return true;
  return false;
}

inline int lease_for(const State& s, Token t) {
  for (int i = 0; i < RECORDS; i++)
    if (s.record[i].kind == LEASE && s.record[i].owner == lease_of(t)) return i;
  return NOWHERE;
}

/// Can a lease be taken over, because there is none or who holds it is known to be gone?
inline bool is_free(const State& s, int lease) {
  return lease == NOWHERE || !set.leasedead || is_over(s, s.record[lease]);
}

enum FirstLoginPhase { LOOKS_UP, SAVES_IT = EXCHANGED, ELECTS, SENDS, GIVES_UP };

/// `FirstLogins.elect`: who sends the code?
inline void elect(Token t) {
  Actor& a = self();
  if (!a.steps) wait_until(is_free(*world, lease_for(*world, t)) || is_saved(*world, t));
  u16 held = step("asks for the lease", [&](State& s) {
    int lease = lease_for(s, t);
    if (lease != NOWHERE) look_at(lease);
    return lease;
  });
  auto take = [&](State&, Record& r, int) {
    r.kind = LEASE;
    r.login = me + 1;
  };
  bool mine = held == NOWHERE && written(insert_or_unknown("takes the lease", lease_of(t), take));
  if (held == NOWHERE && !mine) return begin(ELECTS);
  if (set.leaselook || !mine) {
    bool saved = step("looks again for what is saved", [&](State& s) { return is_saved(s, t); });
    if (saved) return mine ? begin(GIVES_UP) : end(DONE);
  }
  if (mine) return begin(SENDS);
  bool over = step("is its holder gone?", [&](State& s) { return !is_as_seen(held) || is_free(s, held); });
  if (over) erase("ends the lease", held);
  begin(ELECTS);
}

/// Sends the code. Returns whether the provider has accepted it: the first time.
inline bool send(State& s, Token t) {
  bool is_first = !s.sent, has_crashed = false;
  for (int i = 0; i < ACTORS; i++) has_crashed |= s.sent >> i & 1 && s.actor[i].doing == CRASHED;
  if (!is_first && !has_crashed) report(SENT_TWICE, s);
  s.sent |= 1 << me;
  if (is_first) s.alive |= 1 << family_of(t);
  return is_first;
}

inline void first_login(u8 user, Token t) {
  Actor& a = self();
  if (a.phase == LOOKS_UP) {
    bool saved = step("looks for what is saved", [&](State& s) { return is_saved(s, t); });
    return saved ? end(DONE) : begin(ELECTS);
  }
  if (a.phase == ELECTS) return elect(t);
  if (a.phase == SENDS) {
    bool accepted = step("sends the code", [&](State& s) { return send(s, t); });
    return begin(accepted ? SAVES_IT : GIVES_UP);
  }
  if (a.phase == GIVES_UP) {
    u16 mine = step("looks for its lease", [&](State& s) {
      int lease = lease_for(s, t);
      if (lease == NOWHERE || s.record[lease].login != me + 1) return int(NOWHERE);
      look_at(lease);
      return lease;
    });
    if (mine != NOWHERE) erase("gives its lease up", mine);
    return end(a.saved ? DONE : FAILED, a.saved);
  }
  Doing how = saving({user, NOWHERE, t, true});
  if (how == ACTIVE) return;
  a.saved = how == DONE ? t : 0;
  begin(GIVES_UP);
}
