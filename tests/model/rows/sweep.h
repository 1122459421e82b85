// A sweep: what crashes and outages have left over. `tokenkeep.sweeping`, `Vault.tidy`.
#pragma once
#include "first_login.h"
#include "renewal.h"

/// What a sweep has to do, in its order: journals, then what is to be finished, then revocations.
enum { JOURNALS = 0, TIDIES = ACTORS, CONFIRMS = TIDIES + RECORDS, SWEPT = CONFIRMS + RECORDS };
enum Part : u8 { LOOKS_AT_IT, ASKS_FOR_IT, NOTES_IT };

inline int next_due(const State& s, int from) {
  for (int i = from; i < SWEPT; i++) {
    if (i < TIDIES) {
      if (s.actor[i].doing != ACTIVE && s.actor[i].answer) return i;
    } else if (i < CONFIRMS) {
      const Record& r = s.record[i - TIDIES];
      // No sweep looks: the one that ends a run does, for the renewals to come.
      if (me == LAST_SWEEP && is_left_unlooked(s, r)) return i;
      if (r.kind == ALIAS && (r.token || s.record[r.to].kind != ROW)) return i;
      if (r.kind == LEASE && is_over(s, r)) return i;
    } else {
      const Record& r = s.record[i - CONFIRMS];
      if (r.kind == ENDED || (r.kind == ROW && r.to_revoke)) return i;
    }
  }
  return SWEPT;
}

/// Finishes what one record has left. Whoever has written it meanwhile is at it: then it is left alone.
inline void tidy(int slot, int kind) {
  if (kind == ROW) {
    if (look_for_others(slot) != LOOKED_AT) return;
    write("a renewal has looked at it", slot, [](State&, Record& r) { r.unlooked = 0; });
  } else if (kind == ALIAS + 8) {
    finish(slot);
  } else {
    erase("deletes what leads nowhere", slot);
  }
}

/// Lets the provider confirm what a record has to revoke. Returns whether that is over.
inline bool is_confirmed(int slot) {
  Actor& a = self();
  if (a.other == LOOKS_AT_IT) {
    enum { NONE_LEFT, IS_NEWER, OWES };
    u16 found = step("reads what is to be revoked", [&](State& s) -> int {
      const Record& r = s.record[slot];
      look_at(slot);
      if (r.kind != ENDED && !(r.kind == ROW && r.to_revoke)) return NONE_LEFT;
      begin_asking(a, slot, r);
      int newer = r.kind == ENDED && r.user && set.consent && set.newer ? row_of(s, r.user) : NOWHERE;
      if (newer == NOWHERE || s.record[newer].status != OK || !r.to_revoke) return OWES;
      look_at(newer);
      return IS_NEWER | newer << 4;
    });
    if ((found & 15) == NONE_LEFT) return true;
    if ((found & 15) == IS_NEWER) {
      int newer = found >> 4;
      if (write("the newer row sees to it", newer, [&](State&, Record& r) { see_to(r, a.asking); }))
        erase("deletes the ended record", slot);
      return true;
    }
    a.other = ASKS_FOR_IT;
    begin(a.phase, slot);
    return false;
  }
  if (a.other == ASKS_FOR_IT) {
    if (has_asked()) a.other = NOTES_IT;
    begin(a.phase, slot);
    return false;
  }
  bool is_row = step("looks whether it is deleted", [&](State& s) { return s.record[slot].kind == ROW; });
  if (is_row) return has_noted(slot), true;
  bool left = step("has all been confirmed?", [&](State& s) { return s.record[slot].to_revoke & ~a.confirmed; });
  if (left)
    write("notes what is confirmed", slot, [&](State&, Record& r) { r.to_revoke &= ~a.confirmed; });
  else
    erase("deletes the ended record", slot);
  return true;
}

inline void sweeper() {
  Actor& a = self();
  if (a.other != LOOKS_AT_IT) {
    if (is_confirmed(a.phase - CONFIRMS)) begin(a.phase + 1), a.other = LOOKS_AT_IT;
    return;
  }
  u16 found = step("looks what is due", [&](State& s) -> int {
    int due = next_due(s, a.phase);
    int slot = due < TIDIES || due >= CONFIRMS ? NOWHERE : due - TIDIES;
    if (slot == NOWHERE) return due;
    look_at(slot);
    return due | (s.record[slot].kind | (is_carrying(s.record[slot]) ? 8 : 0)) << 8;
  });
  int due = found & 0xFF, kind = found >> 8;
  if (due == SWEPT) return end(DONE);
  a.phase = u8(due);
  if (due < TIDIES) {
    is_settled(due);
  } else if (due < CONFIRMS) {
    tidy(due - TIDIES, kind);
  } else if (!is_confirmed(due - CONFIRMS)) {
    return;
  }
  begin(due + 1);
}
