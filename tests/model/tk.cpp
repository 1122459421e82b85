// Looks at every order of the steps of the renewal, breadth first. See README.md.
#include <algorithm>
#include <chrono>

#include "client.h"
#include "others.h"

using namespace std;

// States, and how each was reached first.
static vector<State> states;
static vector<u32> parents, indegree, table;
static vector<uint16_t> actions;

static u64 hashed(const State& s) {
  const u8* p = (const u8*)&s;
  u64 h = 1469598103934665603ULL;
  size_t i = 0;
  for (; i + 8 <= sizeof(State); i += 8) {
    u64 word;
    memcpy(&word, p + i, 8);
    h = (h ^ word) * 0x9E3779B97F4A7C15ULL;
    h ^= h >> 29;
  }
  for (; i < sizeof(State); i++) h = (h ^ p[i]) * 1099511628211ULL;
  return h ^ (h >> 32);
}

static size_t slot_of(const State& s) {
  size_t mask = table.size() - 1, k = hashed(s) & mask;
  while (table[k] && memcmp(&states[table[k] - 1], &s, sizeof(State))) k = (k + 1) & mask;
  return k;
}

static u32 number_of(const State& s, u32 parent, uint16_t action) {
  size_t k = slot_of(s);
  if (table[k]) return table[k] - 1;
  states.push_back(s);
  parents.push_back(parent);
  actions.push_back(action);
  indegree.push_back(0);
  table[k] = u32(states.size());
  if (states.size() * 10 > table.size() * 6) {
    table.assign(table.size() * 2, 0);
    for (u32 i = 0; i < states.size(); i++) table[slot_of(states[i])] = i + 1;
  }
  return u32(states.size() - 1);
}

/// Clients are interchangeable: one order of them stands for all.
static void sort_clients(State& s) {
  if (!set.sym) return;
  int order[MAX_CLIENTS] = {0, 1, 2, 3};
  stable_sort(order, order + set.n, [&](int a, int b) {
    int differs = memcmp(&s.client[a], &s.client[b], sizeof(Client));
    return differs ? differs < 0 : (s.row.claim == a + 1) < (s.row.claim == b + 1);
  });
  Client sorted[MAX_CLIENTS];
  u8 claim = s.row.claim;
  for (int i = 0; i < set.n; i++) {
    sorted[i] = s.client[order[i]];
    if (s.row.claim == order[i] + 1) claim = i + 1;
  }
  memcpy(s.client, sorted, sizeof(Client) * set.n);
  s.row.claim = claim;
}

static void find_next(const State& from) {
  next_states.clear();
  for (int i = 0; i < set.n; i++) client_steps(from, i);
  others_steps(from);
  for (auto& next : next_states) sort_clients(next.state);
}

/// Has everything come to rest, so that what is stored is what stays?
static bool is_at_rest(const State& s) {
  for (int i = 0; i < set.n; i++) {
    const Client& c = s.client[i];
    if (c.step != DONE && !(c.step == CRASHED && !c.journaled)) return false;
  }
  for (u8 step : {s.revoker.step, s.deleter.step, s.sweeper.step, s.login.step})
    if (step != 0 && step != FINISHED) return false;
  return s.stranger.step == 0 && !s.provider.late;
}

static void look_at_the_end(const State& s) {
  const Row& row = s.row;
  u8 f = row.pair.family;
  if (!row.present || f == NO_REFRESH) return;
  bool alive = s.provider.alive[f], wanted_dead = s.revoker.step || set.extrev != s.left.extrev;
  if (row.status != REVOKED && alive && !is_living(s, row.pair)) report(LOST_REFRESH, s, true);
  if (row.status != REVOKED && !alive && !wanted_dead) report(DEAD_FAMILY, s, true);
  if (row.status == REVOKED && s.revoker.step == FINISHED && alive) report(LEAKED, s, true);
}

static void print_trace(const Seen& seen) {
  vector<uint16_t> path;
  if (!seen.at_rest) path.push_back(seen.action);
  for (u32 i = seen.from; i; i = parents[i]) path.push_back(actions[i]);
  for (size_t i = path.size(); i--;) {
    int who = path[i] % 8;
    printf("    %2zu. %s%s\n", path.size() - i, who < OTHERS ? (string(1, 'A' + who) + " ").c_str() : "",
           action_name(path[i] / 8));
  }
}

/// Does every run end? Then takes the states away in order, and nothing is left.
static bool is_acyclic() {
  collecting = false;
  vector<u32> free = {0};
  size_t taken = 0;
  while (!free.empty()) {
    u32 i = free.back();
    free.pop_back();
    taken++;
    State from = states[i];
    find_next(from);
    for (auto& next : next_states) {
      u32 k = number_of(next.state, i, next.action);
      if (--indegree[k] == 0) free.push_back(k);
    }
  }
  return taken == states.size();
}

/// Prints each event with the smallest sets of faults it needs. Returns how many no window explains.
static int print_events() {
  int unexplained = 0;
  for (auto& [key, seen] : events) {
    auto [event, cause] = key;
    bool smallest = true;
    for (auto& [other, _] : events)
      if (other.first == event && other.second != cause && (other.second & cause) == other.second) smallest = false;
    if (!smallest) continue;
    bool known = cause & windows_of(event);
    unexplained += !known;
    printf("  %s: %s [needs %s]\n", known ? "window" : "BROKEN", event_name(event), names_of(cause).c_str());
    if (set.traces) print_trace(seen);
  }
  return unexplained;
}

static State first_state() {
  State s{};
  s.row = {1, 1, OK, 0, 0, 0, 0, {FIRST, 0, 1}};
  s.expired_to = 1;
  s.next_access = 2;
  s.next_login = 1;
  s.login.left = u8(set.rel);
  s.provider.alive[FIRST] = s.provider.alive[SECOND] = 1;
  s.left = {u8(set.crash), u8(set.pause), u8(set.skew), u8(set.lost), u8(set.trans),
            u8(set.delay), u8(set.unk),   u8(set.exp),  u8(set.hk),   u8(set.extrev)};
  return s;
}

int main(int count, char** arguments) {
  read_settings(count, arguments);
  table.assign(1 << 20, 0);
  number_of(first_state(), 0, 0);
  auto began = chrono::steady_clock::now();
  bool complete = true;
  u64 steps = 0;
  for (u32 i = 0; i < states.size() && complete; i++) {
    complete = states.size() <= size_t(set.maxstates);
    State from = states[i];
    current_state = i;
    find_next(from);
    current_action = 0;
    bool rests = is_at_rest(from);
    if (rests) look_at_the_end(from);
    if (next_states.empty() && !rests) report(STUCK, from, true);
    for (auto& next : next_states) indegree[number_of(next.state, i, next.action)]++;
    steps += next_states.size();
  }
  const char* ends = !complete      ? "whether every run ends is not known"
                     : is_acyclic() ? "every run ends"
                                    : "NOT EVERY RUN ENDS";
  double seconds = chrono::duration<double>(chrono::steady_clock::now() - began).count();
  printf("%s: %zu states, %llu steps, %s, %.1f s\n", complete ? "all" : "CUT OFF", states.size(),
         (unsigned long long)steps, ends, seconds);
  int unexplained = print_events();
  return !complete ? 3 : unexplained || ends[0] == 'N' ? 1 : 0;
}
