// CLIENT and HOLDER: a case for each atomic step. docs/renewal.md has the rules.
#pragma once
#include "late.h"

inline int faults_in_all() { return set.crash + set.pause + set.skew + set.lost + set.trans + set.delay + set.insist; }

inline void claim(State& s, int i, Step then) {
  Client& c = s.client[i];
  c.took_over = s.row.claim != 0;  // one of its own too: it may have been taken over since
  s.row.claim = i + 1;
  s.row.claim_over = 0;
  s.row.status = OK;  // one that insists lifts login_needed while it asks
  if (set.mintat) s.row.calls++;
  write(s);
  c.step = then;
}

inline void start(const State& from, int i) {
  const Row& row = from.row;
  bool usable = row.present && row.status == OK && is_fresh(from);
  bool over = !row.present || row.status == REVOKED || usable || row.pair.family == NO_REFRESH;
  bool mine = row.claim == i + 1 && !row.claim_over;
  bool dead = row.claim && set.samehost && from.client[row.claim - 1].step == CRASHED;
  bool takeable = mine ? set.nonce : !row.claim || row.claim_over || dead;
  if (!over && row.status == OK && !takeable) return;  // waits
  if (!over && row.status == LOGIN_NEEDED && takeable && from.left.insist && row.calls < set.budget)
    step(from, INSISTS, i, [&](State& s) {
      s.left.insist--;
      s.cause |= INSISTED;
      Client& c = s.client[i];
      c.step = CLAIM;
      c.base = row.pair;
      c.id = row.id;
      c.seen = c.insists = 1;
    });
  step(from, READS, i, [&](State& s) {
    Client& c = s.client[i];
    if (!over && row.status == LOGIN_NEEDED && is_saved_or_held(s)) report(FALSE_VERDICT, s);
    if (over || row.status == LOGIN_NEEDED || row.calls >= set.budget) {
      c.step = DONE;
      return;
    }
    c.step = CLAIM;
    c.base = row.pair;
    c.id = row.id;
    c.seen = 1;
  });
}

inline void send(State& s, int i) {
  Client& c = s.client[i];
  const Left& left = s.left;
  c.step = SENT;
  u8 calls = ++s.provider.calls[c.base.family];
  u8 for_this = ++s.calls_for[c.base.access];
  int faults = faults_in_all() - (left.crash + left.pause + left.skew + left.lost + left.trans + left.delay + left.insist);
  if (for_this > 1) report(SECOND_CALL, s);
  if (for_this > 1 + faults) report(CALL_BOUND, s);
  if ((s.marked[c.base.family] >> c.base.number & 1) && !c.insists) report(SENT_AGAIN, s);
  if (calls > set.budget) report(OVER_BUDGET, s);
  bool spent = set.prov && c.base.number < s.provider.current[c.base.family];
  if (spent && s.provider.alive[c.base.family]) report(SPENT_SENT, s);
}

inline void wait_for_answer(const State& from, int i) {
  State s = from;
  Client& c = s.client[i];
  current_action = u16(SUCCESS * 8 + i);
  Step after_fault = set.again && !c.tried ? AGAIN : RELEASE;
  if (from.left.wrong && is_living(from, c.base))
    step(from, WRONGLY, i, [&](State& t) {
      t.left.wrong--;
      t.cause |= WRONG;
      t.client[i].step = PERMANENT;
    });
  Pair answer;
  bool success = refreshed(s, c.base, answer);
  if (success) {
    step(s, SUCCESS, i, [&](State& t) {
      t.client[i].answer = answer;
      t.client[i].step = set.journal ? ANSWERED : SAVE;
    });
  } else {
    step(s, REJECTED, i, [&](State& t) { t.client[i].step = PERMANENT; });
  }
  if (from.left.lost && success)
    step(s, ANSWER_LOST, i, [&](State& t) {
      t.left.lost--;
      t.cause |= LOST;
      t.client[i].step = after_fault;
    });
  if (from.left.trans)
    step(from, TRANSIENT_ERROR, i, [&](State& t) {
      t.left.trans--;
      t.cause |= TRANSIENT;
      t.client[i].step = after_fault;
    });
  if (from.left.delay && !from.provider.late)
    step(from, TIMED_OUT, i, [&](State& t) {
      t.left.delay--;
      t.cause |= DELAYED;
      t.provider.late = 1;
      t.provider.late_family = c.base.family;
      t.provider.late_number = c.base.number;
      t.client[i].step = RELEASE;
    });
}

inline void client_faults(const State& from, int i) {
  const Client& now = from.client[i];
  bool active = now.step != DONE && now.step != CRASHED && now.step != START;
  auto crash = [&](State& s, int cause) {
    Client& c = s.client[i];
    s.left.crash--;
    s.cause |= cause | (c.insists ? ORPHAN : 0);
    c.step = CRASHED;
    c.seen = c.held_up = c.tried = c.insists = 0;
  };
  if (active && from.left.crash) {
    bool unsaved = now.step == SAVE || now.step == LATE || now.step == LATE_WRITE;
    bool window = now.step == ANSWERED || (unsaved && !now.journaled && !now.borrowed);
    step(from, CRASHES, i, [&](State& s) { crash(s, CRASH | (window ? WINDOW : 0)); });
    if (now.step == SENT && !from.provider.late)
      step(from, CRASHES_SENT, i, [&](State& s) {
        s.provider.late = 1;
        s.provider.late_family = now.base.family;
        s.provider.late_number = now.base.number;
        crash(s, CRASH | DELAYED);
      });
  }
  if (from.row.claim != i + 1 || from.row.claim_over) return;
  if (active && from.left.pause)
    step(from, PAUSES, i, [&](State& s) {
      s.left.pause--;
      s.cause |= now.step == HOLDER || now.step == RECHECK || now.step == CLAIM_UNKNOWN ||
                         now.step == AGAIN || now.step == AGAIN_LOOK
                     ? EARLY
                     : PAUSED;
      if (now.insists) s.cause |= ORPHAN;
      s.row.claim_over = 1;
      s.client[i].held_up = 1;
    });
  if (active && from.left.skew)
    step(from, LOOKS_OVER, i, [&](State& s) {
      s.left.skew--;
      s.cause |= SKEWED;
      s.row.claim_over = 2;
    });
  if (now.step == CRASHED || now.step == DONE || (now.step == START && !set.nonce))
    step(from, RUNS_OUT, i, [&](State& s) { s.row.claim_over = 1; });
}

/// Adds what client i may do next.
inline void client_steps(const State& from, int i) {
  const Client& now = from.client[i];
  const Row& row = from.row;
  bool mine = row.claim == i + 1;
  bool writes = now.seen && row.present;
  auto go = [&](int action, auto change) { step(from, action, i, [&](State& s) { change(s, s.client[i]); }); };
  auto to = [&](int action, Step then) { go(action, [&](State&, Client& c) { c.step = then; }); };
  switch (now.step) {
    case START:
      start(from, i);
      break;
    case CLAIM:
      if (!writes) {
        to(CONFLICT, START);
        break;
      }
      go(CLAIMS, [&](State& s, Client& c) {
        claim(s, i, HOLDER);
        c.seen = 1;
      });
      if (from.left.unk)
        go(CLAIMS_UNKNOWN, [&](State& s, Client&) {
          s.left.unk--;
          s.cause |= UNKNOWN;
          claim(s, i, set.nonce ? CLAIM_UNKNOWN : START);
        });
      break;
    case CLAIM_UNKNOWN:
      go(READS, [&](State&, Client& c) {
        bool held = row.present && row.id == c.id && mine && row.status == OK && !c.held_up;
        if (held) {
          c.seen = 1;
          c.base = row.pair;
        }
        c.step = held ? HOLDER : START;
      });
      break;
    case HOLDER: {
      State s = from;
      if (borrow(s, i))
        arrive(s, BORROWS, i);
      else if (set.recheck && now.took_over)
        to(FOUND_NOTHING, RECHECK);
      else if (set.precheck && now.held_up)
        to(HELD_UP, RELEASE);
      else
        to(IN_TIME, SEND);
      break;
    }
    case RECHECK:
      go(READS_AGAIN, [&](State&, Client& c) {
        bool held = row.present && row.id == c.id && mine && row.pair == c.base && row.status == OK;
        if (held) c.seen = 1;
        c.step = !held ? START : set.precheck && c.held_up ? RELEASE : SEND;
      });
      break;
    case SEND:
      go(SENDS, [&](State& s, Client&) { send(s, i); });
      break;
    case SENT:
      wait_for_answer(from, i);
      break;
    case ANSWERED:
      go(JOURNALS, [&](State&, Client& c) {
        c.journaled = 1;
        c.step = SAVE;
      });
      break;
    case SAVE:
      if (!writes) {
        to(CONFLICT, LATE);
        break;
      }
      go(SAVES, [&](State& s, Client&) { saved(s, i); });
      if (from.left.unk)
        go(SAVES_UNKNOWN, [&](State& s, Client& c) {
          s.left.unk--;
          s.cause |= UNKNOWN;
          save_answer(s, i);
          c.step = LATE;
        });
      break;
    case SAVED:
      to(UNJOURNALS, DONE);
      break;
    case LATE:
      go(LATE_READS, [&](State& s, Client&) { late(s, i); });
      break;
    case LATE_WRITE: {
      bool inserts = set.save == 1 && !now.seen && !row.present;
      if (writes || inserts)
        go(LATE_SAVES, [&](State& s, Client&) {
          saved(s, i);
          if (set.ownimage) s.row.calls = 1;
        });
      else
        to(CONFLICT, LATE);
      break;
    }
    case PERMANENT:
      permanent(from, i);
      break;
    case PERMANENT_WRITE:
      if (writes)
        go(MARKS, [&](State& s, Client&) { mark(s, i); });
      else
        to(CONFLICT, PERMANENT);
      break;
    case AGAIN:
      if (set.again == 2) {
        go(COUNTS, [](State&, Client& c) {
          c.tried = 1;
          c.step = AGAIN_LOOK;
        });
      } else if (!writes) {
        to(CONFLICT, RELEASE);
      } else if (row.calls >= set.budget) {
        to(NO_ROOM, RELEASE);
      } else {
        go(COUNTS, [](State& s, Client& c) {
          s.row.calls++;
          write(s);
          c.seen = c.tried = 1;
          c.step = AGAIN_LOOK;
        });
        if (from.left.unk)
          go(COUNTS_UNKNOWN, [](State& s, Client& c) {
            s.left.unk--;
            s.cause |= UNKNOWN;
            s.row.calls++;
            write(s);
            c.step = RELEASE;
          });
      }
      break;
    case AGAIN_LOOK:
      if (set.again != 3 && now.held_up)
        to(HELD_UP, RELEASE);
      else
        to(IN_TIME, SEND);
      break;
    case RELEASE:
      go(RELEASE_READS, [&](State&, Client& c) {
        bool held = row.present && mine;
        if (held) c.seen = 1;
        c.step = held ? RELEASE_WRITE : START;
      });
      break;
    case RELEASE_WRITE:
      if (writes)
        go(RELEASES, [&](State& s, Client& c) {
          if (c.insists && set.putback && (set.putback == 2 || row.pair == c.base)) {
            if (!(row.pair == c.base)) report(PUT_BACK_OVER, s);
            s.row.status = LOGIN_NEEDED;
          }
          unclaim(s);
          write(s);
          c.step = START;
        });
      else
        to(CONFLICT, RELEASE);
      break;
    case CRASHED:
      if (now.journaled)
        go(REPLAYED, [&](State&, Client& c) {
          c.step = LATE;
          c.seen = 0;
        });
      break;
    case DONE:
      break;
  }
  client_faults(from, i);
}
