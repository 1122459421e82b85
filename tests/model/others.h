// Everybody else who writes the row: revoker, deleter, sweeper, login, a stranger. And time, and the provider's users.
#pragma once
#include "steps.h"

inline void revoker_steps(const State& from) {
  auto go = [&](int action, auto change) { step(from, action, OTHERS, [&](State& s) { change(s, s.revoker); }); };
  auto revoke = [](State& s) {
    s.row.status = REVOKED;
    unclaim(s);
    write(s);
  };
  const Revoker& now = from.revoker;
  if (now.step == 0 && set.rev)
    go(REVOKER_READS, [&](State& s, Revoker& r) {
      if (!s.row.present) {
        r.step = FINISHED;
        return;
      }
      r.family = s.row.pair.family;
      r.number = s.row.pair.number;
      r.step = s.row.status == REVOKED ? 2 : 1;
      r.seen = r.step == 1;
    });
  if (now.step == 1 && now.seen && from.row.present) {
    go(REVOKES, [&](State& s, Revoker& r) {
      revoke(s);
      r.step = 2;
    });
    if (from.left.unk)
      go(REVOKES_UNKNOWN, [&](State& s, Revoker& r) {
        s.left.unk--;
        s.cause |= UNKNOWN;
        revoke(s);
        r.step = 0;
      });
  } else if (now.step == 1) {
    go(CONFLICT, [](State&, Revoker& r) { r.step = r.seen = 0; });
  }
  if (now.step == 2)
    go(REVOKES_THERE, [](State& s, Revoker& r) {
      revoke_there(s, {r.family, r.number, 0});
      r.step = FINISHED;
    });
}

inline void deleter_steps(const State& from) {
  if (from.deleter.step == 0 && set.del)
    step(from, DELETER_READS, OTHERS,
         [](State& s) { s.deleter = {u8(s.row.present ? 1 : FINISHED), u8(s.row.present ? s.row.id : 0)}; });
  if (from.deleter.step == 1)
    step(from, DELETES, OTHERS, [](State& s) {
      if (s.row.present && s.row.id == s.deleter.id) remove(s);
      s.deleter = {FINISHED, 0};
    });
  if (from.sweeper.step == 0 && set.sweep && from.row.present)
    step(from, SWEEPER_READS, OTHERS, [](State& s) { s.sweeper = {1, 1, s.row.id, s.row.pair}; });
  if (from.sweeper.step == 1)
    step(from, SWEEPS, OTHERS, [](State& s) {
      const Sweeper& w = s.sweeper;
      if (s.row.present && s.row.id == w.id && (!set.sweepcond || w.seen)) {
        if (!(s.row.pair == w.pair)) report(SWEPT_ANOTHER, s);
        remove(s);
      }
      s.sweeper = {FINISHED, 0, 0, {}};
    });
}

/// Writes what a login, or another save, brings: saving.merged.
inline void save_login(State& s) {
  Login& l = s.login;
  Row& row = s.row;
  if (row.present && l.committed && row.login == l.nonce && row.status == REVOKED) report(LOGIN_TWICE, s);
  bool keeps = l.kind && !l.inserts && row.status != REVOKED;
  if (l.inserts) {
    row.present = 1;
    row.calls = 0;
    if (!set.idreuse) row.id++;
  }
  if (!l.kind) row.calls = 0;
  if (keeps) {
    s.marked[row.pair.family] &= ~(1 << row.pair.number);
    row.pair.access = l.access;
  } else {
    // What was revoked, or deleted, does not come back with an answer that omits it.
    row.pair = {l.kind ? u8(NO_REFRESH) : l.family, 0, l.access};
  }
  row.status = OK;
  if (!keeps || (l.kind == 1 && !set.loginclaim)) unclaim(s);
  if (l.kind != 2) {
    row.login = l.nonce;
    l.committed = 1;
  }
  write(s);
  l.inserts = 0;
}

inline void login_steps(const State& from) {
  const Login& now = from.login;
  auto go = [&](int action, auto change) { step(from, action, OTHERS, [&](State& s) { change(s, s.login); }); };
  bool another = now.step == FINISHED && now.left;
  for (u8 kind : {0, 1, 2}) {
    if (kind != set.omitrt && !(set.omitrt == 3 && kind)) continue;
    if ((now.step == 0 && set.rel) || another)
      go(LOGIN_READS, [&](State& s, Login& l) {
        if (another) l.nonce = l.committed = 0;
        if (set.nonce && l.committed && s.row.present && s.row.login == l.nonce) {
          l.step = FINISHED;
          return;
        }
        if (!l.nonce) {
          l.left--;
          l.nonce = s.next_login++;
          l.kind = kind;
          l.family = SECOND;
          l.access = set.old && kind ? 0 : new_access(s);
        }
        l.step = 1;
        l.inserts = !s.row.present;
        l.seen = s.row.present;
      });
  }
  if (now.step != 1) return;
  bool writes = now.inserts ? !from.row.present : now.seen && from.row.present;
  if (!writes) {
    go(CONFLICT, [](State&, Login& l) { l.step = l.seen = l.inserts = 0; });
  } else if (now.kind == 2 && !now.inserts && from.row.status != OK) {
    go(NOTHING_TO_SAVE, [](State&, Login& l) {
      l.step = FINISHED;
      l.seen = 0;
    });
  } else {
    go(LOGS_IN, [](State& s, Login& l) {
      save_login(s);
      l.step = FINISHED;
    });
    if (from.left.unk)
      go(LOGS_IN_UNKNOWN, [](State& s, Login& l) {
        save_login(s);
        s.left.unk--;
        s.cause |= UNKNOWN;
        l.step = l.kind == 2 ? FINISHED : 0;  // a mere save has no nonce: its caller is told that it failed
      });
  }
}

inline void others_steps(const State& from) {
  auto go = [&](int action, auto change) { step(from, action, OTHERS, change); };
  if (from.provider.late)
    go(LATE_REQUEST, [](State& s) {
      Provider& p = s.provider;
      Pair sent = {p.late_family, p.late_number, 0}, answer;
      p.late = p.late_family = p.late_number = 0;
      refreshed(s, sent, answer);
    });
  if (from.left.exp && from.row.present && is_fresh(from))
    go(EXPIRES, [](State& s) {
      s.left.exp--;
      s.expired_to = s.next_access - 1;
      for (int i = 0; i < set.n; i++)
        if (s.client[i].step == DONE) s.client[i].step = START;
    });
  if (from.left.extrev)
    go(USER_REVOKES, [](State& s) {
      s.left.extrev--;
      s.provider.alive[FIRST] = 0;
    });
  revoker_steps(from);
  deleter_steps(from);
  login_steps(from);
  if (from.stranger.step == 0 && from.left.hk && from.row.present)
    go(STRANGER_READS, [](State& s) {
      s.stranger = {1, 1};
      s.left.hk--;
    });
  if (from.stranger.step == 1)
    go(STRANGER_WRITES, [](State& s) {
      if (s.row.present && s.stranger.seen) write(s);
      s.stranger = {0, 0};
    });
}
