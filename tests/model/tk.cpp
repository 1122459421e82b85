// Looks at every order of the steps of the renewal, breadth first. See README.md.
#include <algorithm>

#include "client.h"
#include "others.h"

using namespace std;

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

void find_next(const State& from) {
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

bool rests(const State& s) {
  if (!is_at_rest(s)) return false;
  look_at_the_end(s);
  return true;
}

string say(const State&, u16 action) {
  int who = action % 8;
  return (who < OTHERS ? string(1, char('A' + who)) + " " : "") + action_name(action / 8);
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
            u8(set.delay), u8(set.unk),   u8(set.exp),  u8(set.hk),   u8(set.extrev),
            u8(set.insist), u8(set.wrong)};
  return s;
}

int main(int count, char** arguments) {
  read_settings(count, arguments);
  return search::look_and_print(first_state(), size_t(set.maxstates), set.traces);
}
