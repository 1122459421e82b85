// A renewal, and LATE: what becomes of an answer that could not be saved on its claim. The model of the renewal
// itself is in ../tk.cpp; here it only has to meet the writes of others, with each answer journaled at once.
#pragma once
#include "ending.h"
#include "save.h"

inline void drop_entry(State& s, int whose) {
  Actor& a = s.actor[whose];
  a.base = a.answer = a.entry = a.entry_user = 0;
}

/// For the checks: does the row that a journal entry is for have what the answer replaces?
inline bool is_wanted(const State& s, const Actor& entry) {
  const Record& there = s.record[entry.entry];
  const Record& row = there.kind == ALIAS && !there.token ? s.record[there.to] : there;
  return (is_living(row) || is_carrying(row)) && row.token == entry.base;
}

/// One look at what becomes of the answer in an actor's journal entry. Returns whether that is final.
inline bool is_settled(int whose) {
  enum Fate { IS_GONE, FINISHES, DISCARDS, SAVES, ASIDE, REVOKES_IT };
  Actor& a = self();
  u16 found = step("LATE: reads", [&](State& s) -> int {
    const Actor& entry = s.actor[whose];
    if (!entry.answer) return IS_GONE;
    a.overtaken = 0;
    auto dropped = [&](Fate fate) {
      if (is_wanted(s, entry)) report(DROPPED, s);
      return fate;
    };
    Led led = set.latefollow ? follow(s, entry.entry) : Led{entry.entry};
    look_at(entry.entry);
    if (led.carries) return FINISHES | led.slot << 4;
    if (led.slot == NOWHERE || s.record[led.slot].kind != ROW) led = {};
    const Record gone{};
    const Record& row = led.slot == NOWHERE ? gone : s.record[led.slot];
    if (row.kind != ROW || row.status == REVOKED) {
      bool may_end_newer = row.kind != ROW && set.consent && set.newer && entry.entry_user;
      int newer = may_end_newer ? row_of(s, entry.entry_user) : NOWHERE;
      if (newer == NOWHERE || s.record[newer].status != OK) return dropped(set.takeback ? REVOKES_IT : DISCARDS);
      look_at(newer);
      return ASIDE | newer << 4;
    }
    look_at(led.slot);
    if (row.token == entry.base) return SAVES | led.slot << 4;
    if (row.token == entry.answer || has(row.past, entry.answer)) return DISCARDS;
    return set.superseded ? ASIDE | led.slot << 4 : DISCARDS;
  });
  int slot = found >> 4;
  bool decided = true;
  switch (found & 15) {
    case IS_GONE:
      return true;
    case FINISHES:
      finish(slot);
      return false;
    case SAVES:
      decided = write("LATE: saves", slot, [&](State& s, Record& r) {
        r.past |= bit(r.token);
        r.token = s.actor[whose].answer;
        r.claim = 0;
        if (r.status == LOGIN_NEEDED) r.status = OK;
      });
      break;
    case ASIDE:
      decided = write("LATE: the row sees to the answer", slot, [&](State& s, Record& r) {
        see_to(r, bit(s.actor[whose].answer));
        r.to_revoke &= ~bit(s.actor[whose].base);
        r.replaced &= ~bit(s.actor[whose].base);
      });
      break;
    case REVOKES_IT:
      decided = step("LATE: asks the provider to revoke", [&](State& s) -> int {
        if (s.downs) could_fail = true;
        if (fails_now) {
          s.downs--;
          s.cause |= DOWN;
          return false;
        }
        ended_by(s, 1 << family_of(s.actor[whose].answer), 1 << whose);
        revoke_there(s, s.actor[whose].answer, s.actor[whose].entry_user);
        return true;
      });
      if (!decided) return true;  // it stays in the journal: a sweep tries again
      break;
  }
  if (decided)
    step("takes it out of the journal", [&](State& s) {
      drop_entry(s, whose);
      return 0;
    });
  return decided;
}

inline void renewer(u8 user) {
  enum { CLAIMS = FINDS + 1, ASKS, SETTLES };
  Actor& a = self();
  if (!has_found(user, CLAIMS)) return;
  if (a.phase == SETTLES) return is_settled(me) ? end(DONE) : begin(SETTLES);
  if (a.phase == CLAIMS) {
    enum { IS_FREE = 1 << 8, UNLOOKED = 1 << 9 };
    u16 read = step("reads", [&](State& s) -> int {
      Led led = follow(s, a.other);
      if (led.carries || led.slot == NOWHERE) return led.packed();
      const Record& r = s.record[led.slot];
      bool free = is_living(r) && !r.claim;
      a.has_looked = !is_left_unlooked(s, r);
      return led.packed() | (free ? IS_FREE : 0) | (set.renewlook && is_left_unlooked(s, r) ? UNLOOKED : 0);
    });
    Led led = Led::of(read);
    if (led.carries) {
      finish(led.slot);
      return begin(CLAIMS);
    }
    if (!(read & IS_FREE)) return end(FAILED);
    Looked looked = read & UNLOOKED ? look_for_others(led.slot) : BUSY;
    if (looked == CHANGED) return begin(CLAIMS);
    bool knows = looked == LOOKED_AT;
    bool claimed = write("claims", led.slot, [&](State&, Record& r) {
      r.claim = me + 1;
      if (knows) r.unlooked = 0;
      a.has_looked |= knows;
      a.base = r.token;
      a.entry = u8(led.slot);
      a.entry_user = r.user;
    });
    return claimed ? begin(ASKS, led.slot) : begin(CLAIMS);
  }
  u16 accepted = step("asks the provider to renew", [&](State& s) {
    Token answer = renew_there(s, a.base);
    if (answer != a.base) a.answer = answer;
    return answer != 0;
  });
  if (accepted) {
    Token answer = a.answer ? a.answer : a.base;
    bool saved = write("saves its answer", a.entry, [&](State&, Record& r) {
      if (r.token != answer) r.past |= bit(r.token);
      r.token = answer;
      r.claim = 0;
    });
    if (!saved) return a.answer ? begin(SETTLES) : end(FAILED);
    step("takes it out of the journal", [&](State& s) {
      drop_entry(s, me);
      return 0;
    });
    return end(DONE);
  }
  bool same = step("PERMANENT: reads", [&](State& s) {
    look_at(a.entry);
    return is_living(s.record[a.entry]) && s.record[a.entry].token == a.base;
  });
  if (same)
    write("PERMANENT: writes login_needed", a.entry, [&](State&, Record& r) {
      r.status = LOGIN_NEEDED;
      r.claim = 0;
    });
  end(FAILED);
}
