// Who may take part, and how they take turns.
#pragma once
#include "ending.h"
#include "first_login.h"
#include "renewal.h"
#include "save.h"
#include "sweep.h"

struct Role {
  const char* name;
  void (*run)();
  Token wants;     // what it saves anew, not under the id that it was read with
  bool needs_row;  // the nameless row, by its id
};

inline const Role roles[] = {
    {"nobody", [] {}, 0, false},
    {"saves R", [] { saver({NOBODY, NOWHERE, first_of(R)}); }, first_of(R), false},
    {"saves R as U", [] { saver({USER_U, NOWHERE, first_of(R)}); }, first_of(R), false},
    {"saves R as V", [] { saver({USER_V, NOWHERE, first_of(R)}); }, first_of(R), false},
    {"logs U in with Q", [] { saver({USER_U, NOWHERE, first_of(Q), true}); }, first_of(Q), false},
    {"logs N in with Q", [] { saver({NOBODY, 0, first_of(Q), true}); }, 0, true},
    {"saves a copy of N", [] { saver({NOBODY, 0, first_of(R)}); }, 0, true},
    {"names a copy of N", [] { saver({USER_U, 0, first_of(R)}); }, 0, true},
    {"saves S as U", [] { saver({USER_U, NOWHERE, first_of(S)}); }, first_of(S), false},
    {"revokes N", [] { revoker(NOBODY); }, 0, true},
    {"revokes U", [] { revoker(USER_U); }, 0, false},
    {"deletes N", [] { deleter(NOBODY); }, 0, true},
    {"deletes U", [] { deleter(USER_U); }, 0, false},
    {"logs N out", [] { logout(NOBODY); }, 0, true},
    {"logs U out", [] { logout(USER_U); }, 0, false},
    {"renews N", [] { renewer(NOBODY); }, 0, true},
    {"renews U", [] { renewer(USER_U); }, 0, false},
    {"renews V", [] { renewer(USER_V); }, 0, false},
    {"sweeps", [] { sweeper(); }, 0, false},
    {"first login with Q", [] { first_login(NOBODY, first_of(Q)); }, first_of(Q), false},
};
enum { NAMES_V = 3, LOGS_U_IN = 4, LOGS_N_IN = 5, RENEWS_V = 17, SWEEPS = 18, FIRST_LOGIN = 19, ROLES = 20 };
static_assert(sizeof roles / sizeof *roles == ROLES);

/// Lets an actor do its next step. Returns whether it did one.
inline bool act(State& s, int who, bool with_fault) {
  world = &s;
  me = who;
  fails_now = with_fault;
  has_acted = could_fail = false;
  Actor& a = self();
  if (!a.started) {
    a.started = 1;
    a.after = s.acknowledged;
    for (int i = 0; i < ACTORS; i++)
      if (s.actor[i].doing > ACTIVE) a.after_end |= 1 << i;
  }
  acting = "ends";
  if (!setjmp(turn)) {
    do {
      results_read = 0;
      roles[a.role].run();
    } while (!has_acted && a.doing == ACTIVE);
  }
  return has_acted || a.doing != ACTIVE;
}
