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
  return std::string(1, char('A' + who)) + ", who " + roles[first.actor[who].role].name + ": " + action_names[action / 8];
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

/// Is a set of roles worth looking at on what is stored?
static bool makes_sense(std::vector<int> who) {
  bool about_v = false;
  int logins_with_q = 0;
  for (int role : who) {
    if (roles[role].needs_row && !set.N) return false;
    if (role == FIRST_LOGIN) return false;  // they are looked at by themselves
    about_v |= role == 3;
    logins_with_q += role == 4 || role == 5;
  }
  if (logins_with_q > 1) return false;  // a code is exchanged once
  if (set.all == 3 && (about_v || set.V)) return false;  // two names for one login, and a third: see README.md
  bool writes = false;
  for (int role : who) writes |= role == 17;
  return about_v || (!set.V && !set.vfirst && !writes);
}

/// Every pair, or every three, of roles on everything that may be stored.
static int look_at_all() {
  size_t scenarios = 0, states = 0, broken = 0, number = 0;
  std::map<std::string, size_t> found;
  for (set.N = 0; set.N < 4; set.N++)
    for (set.U = 0; set.U < 4; set.U++)
      for (set.V = 0; set.V < 2; set.V++)
        for (int kind = 0; kind < 32; kind++)
          for (set.a = 1; set.a < ROLES; set.a++)
            for (set.b = set.a; set.b < ROLES; set.b++)
              for (set.c = set.all == 3 ? set.b : 0; set.c < (set.all == 3 ? ROLES : 1); set.c++) {
                set.rotates = kind & 1;
                set.consent = kind >> 1 & 1;
                set.given = kind >> 2 & 1;
                set.vfirst = kind >> 3 & 1;
                set.reuse = kind >> 4 & 1;
                if (set.reuse && !set.rotates) continue;
                if (!makes_sense({set.a, set.b, set.c})) continue;
                if (number++ % set.parts != size_t(set.part)) continue;
                set.d = set.sweeper ? SWEEPS : 0;
                auto result = search::all_from(first_state(), size_t(set.maxstates));
                scenarios++;
                states += search::states.size();
                bool bad = !result.complete || !result.every_run_ends;
                for (auto& [key, _] : events)
                  if (!search::is_explained(key.first, key.second)) {
                    bad = true;
                    found[std::string(event_name(key.first)) + " [needs " + names_of(key.second) + "]"]++;
                  }
                if (!bad) continue;
                broken++;
                printf("BROKEN%s N=%d U=%d V=%d rotates=%d consent=%d given=%d vfirst=%d reuse=%d a=%d b=%d c=%d d=%d\n",
                       result.complete ? result.every_run_ends ? "" : " (not every run ends)" : " (cut off)", set.N, set.U,
                       set.V, set.rotates, set.consent, set.given, set.vfirst, set.reuse, set.a, set.b, set.c, set.d);
                search::print_events(false);
                if (getenv("FIRST")) return 1;
              }
  printf("%zu scenarios, %zu states, %zu broken\n", scenarios, states, broken);
  for (auto& [what, often] : found) printf("  %zu: %s\n", often, what.c_str());
  return broken ? 1 : 0;
}

int main(int count, char** arguments) {
  read_settings(count, arguments);
  return set.all ? look_at_all() : search::look_and_print(first_state(), size_t(set.maxstates), set.traces);
}
