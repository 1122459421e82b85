// A save: look once, decide, write once, and for a login look once more. `Saver.save`.
#pragma once
#include "others.h"
#include "plan.h"

/// Writes what a save brings into a row. The one place where a user's name is given to a row.
inline void save_in(State& s, Record& row, const Want& want) {
  if (want.user && !row.user) {
    row.user = want.user;
    overtake(s);
  }
  if (row.token != want.token) log_in(s, row, want.token, set.given && !want.exchanged);
}

enum SavePhase { LOOKS, LOOKS_AGAIN, INSISTS, FOLLOWS_IT, EXCHANGED };

/// A save's part of an actor's work. Returns ACTIVE while there is more to do.
inline Doing goes_on(int phase, int but = NOWHERE) {
  begin(phase, but);
  return ACTIVE;
}

/// After a login was written into `self().slot`: others may have saved it meanwhile.
inline Doing look_again(const Want& want) {
  Actor& a = self();
  const int my = a.slot, start = want.exchanged ? EXCHANGED : LOOKS;
  enum { GONE = 0xF };
  u16 result = step("looks again", [&](State& s) -> int {
    Record saved = s.record[my];
    bool as_written = is_as_seen(my);
    if (a.moved && saved.kind != ROW) return GONE;
    if (a.moved) look_at(my);
    if (!a.moved && !as_written) {
      saved = Record{};
      saved.user = a.other;
      saved.token = want.token;
      saved.login = me + 1;
    }
    return (set.look ? find_others(s, my, saved) : Others{NOTHING_ELSE}).packed();
  });
  if (result == GONE) return FAILED;
  Others others = Others::of(result);
  bool stays = !set.withdraw || a.moved;
  if (others.found == NOTHING_ELSE || (others.found == CONTRADICTS && stays)) return DONE;
  if (others.found == CARRIES) {
    finish(others.slot);
    return goes_on(LOOKS_AGAIN, others.leads_here ? int(NOWHERE) : my);  // is the row still as it was written?
  }
  if (others.found == CONTRADICTS) {
    bool gone = write("takes its write back", my, [&](State& s, Record& r) {
      if (a.brings_new) s.stored &= ~bit(want.token);
      r = a.before;
      r.put_back = r.kind;
    });
    return gone ? FAILED : goes_on(set.insists ? INSISTS : start);
  }
  bool done = become_one(my, others);
  begin(done ? FOLLOWS_IT : start);
  if (done) a.slot = u8(others.source(my));
  a.moved = 0;
  return ACTIVE;
}

/// After its write could not be taken back, because somebody has written the row: is its login there still?
inline Doing insist(const Want& want) {
  Actor& a = self();
  const int my = a.slot;
  bool is_there = step("reads its row again", [&](State& s) {
    look_at(my);
    return s.record[my].kind == ROW && s.record[my].login == me + 1;
  });
  auto give_up = [&](State& s, Record& r) {
    if (a.brings_new) s.stored &= ~bit(want.token);
    r.status = LOGIN_NEEDED;
    r.token = r.unlooked = r.claim = 0;
  };
  return is_there && !write("gives its login up", my, give_up) ? goes_on(INSISTS) : FAILED;
}

/// After the row in `self().slot` has moved: what became of it?
inline Doing follow_it() {
  enum { CARRIES = 16, IS_DEAD = 32 };
  Actor& a = self();
  const int source = a.slot;
  u16 found = step("reads what became of it", [&](State& s) -> int {
    Led led = follow(s, source);
    if (led.carries) return CARRIES;
    return led.slot | (led.slot != NOWHERE && s.record[led.slot].status != OK ? IS_DEAD : 0);
  });
  if (found & CARRIES) {
    finish(source);
    return goes_on(FOLLOWS_IT);
  }
  if ((found & 15) == NOWHERE) return FAILED;
  if (!a.moved) return found & IS_DEAD ? FAILED : DONE;
  begin(LOOKS_AGAIN);
  a.slot = found & 15;
  return ACTIVE;
}

inline Doing saving(const Want& want) {
  Actor& a = self();
  const int start = want.exchanged ? EXCHANGED : LOOKS;
  if (a.phase == LOOKS_AGAIN) return look_again(want);
  if (a.phase == INSISTS) return insist(want);
  if (a.phase == FOLLOWS_IT) return follow_it();
  Plan todo = Plan::of(step("looks", [&](State& s) { return plan(s, want).packed(); }));
  auto note = [&](State& s, int slot, const Record& before) {
    a.slot = u8(slot);
    a.before = before;
    a.brings_new = !has(s.stored, want.token);
    a.moved = a.other = 0;
  };
  auto is_login = [&] { return a.before.token != want.token; };
  Written how = CONFLICT;
  switch (todo.what) {
    case RETURNS:
      return DONE;
    case RETURNS_DEAD:
    case REFUSED:
      return FAILED;
    case FINISHES:
      finish(todo.row);
      break;
    case DROPS:
      erase("deletes an alias that leads nowhere", todo.row);
      break;
    case MOVES: {
      bool moved = move("FREEZE", todo.source, todo.row, [&](State& s, Record& r) {
        note(s, todo.source, Record{});
        a.moved = 1;
        save_in(s, r, want);
      });
      if (moved) return goes_on(FOLLOWS_IT);
      break;
    }
    case INSERTS:
      how = insert_or_unknown(
          "inserts", want.user ? want.user : credential_of(want.token), [&](State& s, Record& r, int slot) {
            note(s, slot, Record{});
            r.kind = ROW;
            if (!want.user && has_gone_on(s, want.token)) s.copied |= 1 << family_of(want.token);
            save_in(s, r, want);
            a.other = r.user;
          });
      break;
    case WRITES:
      how = write_or_unknown(
          "writes", todo.row,
          [&](State& s, Record& r) {
            note(s, todo.row, r);
            save_in(s, r, want);
            a.other = r.user;
          },
          todo.names ? want.user : 0);
      break;
  }
  if (how == NOT_KNOWN) return FAILED;
  if (how != WRITTEN) return goes_on(start);
  return is_login() ? goes_on(LOOKS_AGAIN, a.slot) : DONE;
}

/// A save, from its caller's call to its return.
inline void saver(const Want& want) {
  if (want.exchanged && self().phase == LOOKS) {
    step("exchanges a code", [&](State& s) {
      s.alive |= 1 << family_of(want.token);
      return 0;
    });
    return begin(EXCHANGED);
  }
  Doing how = saving(want);
  if (how != ACTIVE) end(how, want.token);
}
