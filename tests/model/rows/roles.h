// Who may take part.
#pragma once
#include "ending.h"
#include "first_login.h"
#include "renewal.h"
#include "save.h"
#include "sweep.h"

struct Role {
  const char* name;
  void (*run)();
  Token wants;    // what it saves anew, not under an id that it was read with
  bool needs_row; // the nameless row, by its id: pointless where there is none
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
enum { SWEEPS = 18, FIRST_LOGIN = 19, ROLES = 20 };
static_assert(sizeof roles / sizeof *roles == ROLES);
