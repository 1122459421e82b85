// Looks at every order of the steps of those who write rows. See README.md.
#include "checks.h"

#include "../search.h"

static std::vector<std::string> action_names;

static u16 action_of(const char* name, int who) {
  size_t i = 0;
  while (i < action_names.size() && action_names[i] != name) i++;
  if (i == action_names.size()) action_names.push_back(name);
  return u16(i * 8 + who);
}

std::string say(const State& first, u16 action) {
  int who = action % 8;
  const char* role = roles[first.actor[who].role].name;
  return std::string(1, char('A' + who)) + ", who " + role + ": " + action_names[action / 8];
}

static void crash(State& s, int who) {
  Actor& a = s.actor[who];
  Actor crashed{};
  crashed.role = a.role;
  crashed.doing = CRASHED;
  crashed.started = 1;
  crashed.after_end = a.after_end;
  if (a.answer) keep_entry(a, crashed);
  a = crashed;
  s.crashes--;
  s.cause |= CRASH;
}

static void note(const State& s, bool at_rest) {
  for (int event : reported) found(event, s.cause, at_rest);
}

void find_next(const State& from) {
  next_states.clear();
  for (int who = 0; who < ACTORS; who++) {
    if (from.actor[who].doing != ACTIVE) continue;
    bool could_fail_too = false;
    for (bool with_fault : {false, true}) {
      if (with_fault && !could_fail_too) continue;
      State s = from;
      reported.clear();
      if (!act(s, who, with_fault)) continue;
      could_fail_too = could_fail;
      current_action = action_of(acting, who);
      next_states.push_back({s, current_action});
      check(s);
      note(s, false);
    }
    if (!from.crashes || !from.actor[who].started) continue;
    State s = from;
    crash(s, who);
    next_states.push_back({s, action_of("CRASHES", who)});
  }
}

bool rests(const State& s) {
  for (auto& a : s.actor)
    if (a.doing == ACTIVE) return false;
  reported.clear();
  check_the_end(s);
  note(s, true);
  return true;
}

static State first_state() {
  State s{};
  s.next = set.byowner ? 6 : 3;
  s.alive = 1 << R | 1 << S | 1 << T;
  const int statuses[] = {set.N, set.U, set.V}, families[] = {R, S, T};
  for (int slot = 0; slot < 3; slot++) {
    if (!statuses[slot]) continue;
    Record& r = s.record[slot];
    r.kind = ROW;
    r.user = u8(slot);
    r.token = first_of(families[slot]);
    r.owner = slot ? Owner(slot) : credential_of(r.token);
    r.status = statuses[slot] - 1;
    r.login = u8(0x10 + slot);
    r.given = set.given;
    s.stored |= bit(r.token);
    if (r.status == REVOKED) {
      r.to_revoke = bit(r.token);
      s.revoked |= 1 << families[slot];
    }
    if (r.status == LOGIN_NEEDED) {
      s.alive &= ~(1 << families[slot]);
      s.ended_by[families[slot]] = PROVIDER;
    }
  }
  const int who[] = {set.a, set.b, set.c, set.d};
  for (int i = 0; i < 4; i++) {
    if (who[i] < 0 || who[i] >= ROLES) exit((fprintf(stderr, "There are %d roles\n", ROLES), 2));
    s.actor[i].role = u8(who[i]);
    s.actor[i].doing = who[i] ? ACTIVE : ABSENT;
    s.actor[i].wants = roles[who[i]].wants;
  }
  s.crashes = u8(set.crash);
  s.unknowns = u8(set.unk);
  s.downs = u8(set.down);
  return s;
}

/// Sets one of all scenarios. Returns false if there is none, or none worth looking at, with this number.
static bool choose(u64 number) {
  auto digit = [&](int base) {
    int value = int(number % base);
    number /= base;
    return value;
  };
  for (int* flag : {&set.rotates, &set.consent, &set.given, &set.vfirst, &set.reuse, &set.V}) *flag = digit(2);
  set.U = digit(4);
  set.N = digit(4);
  set.a = 1 + digit(ROLES - 1);
  set.b = 1 + digit(ROLES - 1);
  set.c = set.all == 3 ? 1 + digit(ROLES - 1) : 0;
  set.d = set.sweeper ? SWEEPS : 0;
  if (set.b < set.a || (set.c && set.c < set.b) || (set.reuse && !set.rotates)) return false;
  int with_q = 0;
  bool about_v = false, renews_v = false;
  for (int role : {set.a, set.b, set.c}) {
    if (role == FIRST_LOGIN || (roles[role].needs_row && !set.N)) return false;
    with_q += role == LOGS_U_IN || role == LOGS_N_IN;
    about_v |= role == NAMES_V;
    renews_v |= role == RENEWS_V;
  }
  if (with_q > 1) return false;                         // a code is exchanged once
  if (!about_v) return !set.V && !set.vfirst && !renews_v;
  return set.all == 2;                                  // two names for one login, and a third: see README.md
}

/// Looks at every pair, or every three, of roles on everything that may be stored. Returns the exit status.
static int look_at_all() {
  u64 numbers = 64 * 16;
  for (int i = 0; i < set.all; i++) numbers *= ROLES - 1;
  size_t chosen = 0, looked_at = 0, states = 0, broken = 0;
  for (u64 number = 0; number < numbers; number++) {
    if (!choose(number) || chosen++ % set.parts != size_t(set.part)) continue;
    auto result = search::all_from(first_state(), size_t(set.maxstates));
    looked_at++;
    states += search::states.size();
    bool fine = result.complete && result.every_run_ends;
    for (auto& [key, _] : events) fine &= search::is_explained(key.first, key.second);
    if (fine) continue;
    broken++;
    printf("rotates=%d consent=%d given=%d vfirst=%d reuse=%d N=%d U=%d V=%d a=%d b=%d c=%d d=%d%s\n", set.rotates,
           set.consent, set.given, set.vfirst, set.reuse, set.N, set.U, set.V, set.a, set.b, set.c, set.d,
           !result.complete ? ": CUT OFF" : !result.every_run_ends ? ": NOT EVERY RUN ENDS" : "");
    search::print_events(false);
  }
  printf("%zu scenarios, %zu states, %zu broken\n", looked_at, states, broken);
  return broken ? 1 : 0;
}

int main(int count, char** arguments) {
  if (count == 2 && !strcmp(arguments[1], "roles")) {
    for (int i = 0; i < ROLES; i++) printf("%2d %s\n", i, roles[i].name);
    return 0;
  }
  read_settings(count, arguments);
  return set.all ? look_at_all() : search::look_and_print(first_state(), size_t(set.maxstates), set.traces);
}
