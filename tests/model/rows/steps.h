// How an actor runs: as plain code that is stopped after each step.
//
// An actor is a function. It is run from its beginning at each of its turns; the steps that it has done
// already are not done again, they return what they returned then. The first one that is new is done, then
// the code is left where the next one begins. So an actor remembers nothing but its `Actor`, and what its
// steps returned: a step's closure looks at the state, code between steps must not.
#pragma once
#include <csetjmp>
#include <cstdlib>

#include "state.h"

inline State* world;
inline int me;                        // who acts
inline bool fails_now;                // this turn is the one in which the step's fault happens
inline bool has_acted, could_fail;    // what the turn has been
inline const char* acting;            // the step's name
inline int results_read;
inline jmp_buf turn;

inline Actor& self() { return world->actor[me]; }

/// One atomic step. Returns what `what` returns: 16 bits.
template <class What>
u16 step(const char* name, What what) {
  Actor& a = self();
  if (results_read < a.steps) return a.results[results_read++];
  if (has_acted) longjmp(turn, 1);
  has_acted = true;
  acting = name;
  u16 result = u16(what(*world));
  if (a.steps == 8) exit((fprintf(stderr, "%s: too many steps in a row\n", name), 2));
  a.results[a.steps++] = result;
  results_read++;
  return result;
}

/// The actor's code begins anew at its next turn, in this phase. What it read is forgotten, but for one record.
inline void begin(int phase, int but = NOWHERE) {
  Actor& a = self();
  a.phase = u8(phase);
  a.steps = a.saw_login = a.saw_status = a.saw_user = 0;
  a.seen &= but == NOWHERE ? 0 : 1 << but;
  for (auto& each : a.results) each = 0;
}

/// What is in the journal stays there, whatever becomes of who put it there.
inline void keep_entry(const Actor& from, Actor& to) {
  to.base = from.base;
  to.answer = from.answer;
  to.entry = from.entry;
  to.entry_user = from.entry_user;
}

/// The actor's work is over. DONE acknowledges it.
inline void end(Doing doing, Token saved = 0) {
  Actor& a = self();
  begin(0);
  if (doing == DONE) world->acknowledged |= 1 << me;
  Actor over{};
  over.role = a.role;
  over.doing = doing;
  over.started = 1;
  over.after_end = a.after_end;
  if (doing == DONE) over.after = a.after;
  if (doing == DONE && saved && world->alive >> family_of(saved) & 1) over.saved = saved;
  if (a.answer) keep_entry(a, over);
  a = over;
}

inline void look_at(int slot) { self().seen |= 1 << slot; }
inline bool is_as_seen(int slot) { return self().seen >> slot & 1; }

/// A record gets another version: what others have read of it is out of date. Versions are random: none returns.
inline void new_version(State& s, int slot) {
  for (auto& a : s.actor) a.seen &= ~(1 << slot);
  look_at(slot);
}

/// May end the turn: the write is done, but its writer is told that nobody knows.
inline bool is_unknown(State& s) {
  if (s.unknowns) could_fail = true;
  if (!fails_now) return false;
  s.unknowns--;
  s.cause |= UNKNOWN;
  return true;
}

enum Written : u8 { WRITTEN, CONFLICT, NOT_KNOWN };

inline bool is_taken(const State& s, Owner owner) {
  for (auto& r : s.record)
    if (r.kind && r.owner == owner) return true;
  return false;
}

/// A write that compares: done if the record is as seen, and its new owner, if it gets one, is nobody else's.
template <class Change>
Written write_or_unknown(const char* name, int slot, Change change, Owner owner = 0) {
  return Written(step(name, [&](State& s) -> int {
    if (!is_as_seen(slot) || (owner && is_taken(s, owner))) return CONFLICT;
    if (owner) s.record[slot].owner = owner;
    change(s, s.record[slot]);
    new_version(s, slot);
    return is_unknown(s) ? NOT_KNOWN : WRITTEN;
  }));
}

/// An outcome that is not known is an error for whoever called: the actor's end.
inline bool written(Written how) {
  if (how == NOT_KNOWN) {
    end(FAILED);
    longjmp(turn, 1);
  }
  return how == WRITTEN;
}

template <class Change>
bool write(const char* name, int slot, Change change) {
  return written(write_or_unknown(name, slot, change));
}

inline bool erase(const char* name, int slot) {
  return write(name, slot, [](State&, Record& r) { r = Record{}; });
}

/// The id of a new record: made of its owner, or like none before.
inline int new_id(State& s, Owner owner) {
  if (set.byowner && owner && owner <= USER_V) return owner;
  if (set.byowner && owner && owner < lease_of(1)) return owner == credential_of(first_of(R)) ? 0 : owner - 1;
  if (s.next == RECORDS) exit((fprintf(stderr, "more records than this model has\n"), 2));
  return s.next++;
}

/// Inserts; `make` is told the slot, too. CONFLICT if the owner is taken; without one it is like no other.
template <class Make>
Written insert_or_unknown(const char* name, Owner owner, Make make) {
  return Written(step(name, [&](State& s) -> int {
    if (owner && is_taken(s, owner)) return CONFLICT;
    int slot = new_id(s, owner);
    if (s.record[slot].kind) return CONFLICT;
    s.record[slot] = Record{};
    s.record[slot].owner = owner ? owner : of_its_own(slot);
    make(s, s.record[slot], slot);
    new_version(s, slot);
    return is_unknown(s) ? NOT_KNOWN : WRITTEN;
  }));
}
