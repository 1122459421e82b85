// Breadth first through all states, for both models. Include it after the model's State and events.
#pragma once
#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include "found.h"

/// What one step leads to. An action is whatever the model's `say` can read.
struct Next {
  State state;
  u16 action;
};
inline std::vector<Next> next_states;

// What each model says.
void find_next(const State& from);                  // fills next_states, in the same order each time
bool rests(const State& s);                         // does nothing go on? Then looks at what is left
std::string say(const State& first, u16 action);    // who did what

namespace search {

// States, and how each was reached first.
inline std::vector<State> states;
inline std::vector<u32> parents, indegree, table;
inline std::vector<u16> actions;

inline u64 hashed(const State& s) {
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

inline size_t slot_of(const State& s) {
  size_t mask = table.size() - 1, k = hashed(s) & mask;
  while (table[k] && memcmp(&states[table[k] - 1], &s, sizeof(State))) k = (k + 1) & mask;
  return k;
}

inline u32 number_of(const State& s, u32 parent, u16 action) {
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

/// Does every run end? Then takes the states away in order, and nothing is left.
inline bool is_acyclic() {
  collecting = false;
  std::vector<u32> free = {0};
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
  collecting = true;
  return taken == states.size();
}

struct Result {
  bool complete, every_run_ends;
  u64 steps;
  double seconds;
};

/// Looks at every state that can be reached, until there are more than `most`. What it finds is in `events`.
inline Result all_from(const State& first, size_t most) {
  auto began = std::chrono::steady_clock::now();
  events.clear();
  states.clear();
  parents.clear();
  indegree.clear();
  actions.clear();
  table.assign(1 << 12, 0);
  number_of(first, 0, 0);
  Result result = {true, false, 0, 0};
  for (u32 i = 0; i < states.size() && result.complete; i++) {
    result.complete = states.size() <= most;
    State from = states[i];
    current_state = i;
    find_next(from);
    current_action = 0;
    bool at_rest = rests(from);
    if (next_states.empty() && !at_rest) found(STUCK, from.cause, true);
    for (auto& next : next_states) indegree[number_of(next.state, i, next.action)]++;
    result.steps += next_states.size();
  }
  result.every_run_ends = result.complete && is_acyclic();
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  return result;
}

inline bool is_explained(int event, int cause) { return (cause | ALWAYS) & windows_of(event); }

inline void print_trace(const Seen& seen) {
  std::vector<u16> path;
  if (!seen.at_rest) path.push_back(seen.action);
  for (u32 i = seen.from; i; i = parents[i]) path.push_back(actions[i]);
  for (size_t i = path.size(); i--;) printf("    %2zu. %s\n", path.size() - i, say(states[0], path[i]).c_str());
}

/// Prints each event with the smallest sets of faults it needs, and the way there. Returns how many no window explains.
inline int print_events(bool traces) {
  int unexplained = 0;
  for (auto& [key, seen] : events) {
    auto [event, cause] = key;
    bool smallest = true;
    for (auto& [other, _] : events)
      if (other.first == event && other.second != cause && (other.second & cause) == other.second) smallest = false;
    if (!smallest) continue;
    bool known = is_explained(event, cause);
    unexplained += !known;
    printf("  %s: %s [needs %s]\n", known ? "window" : "BROKEN", event_name(event), names_of(cause).c_str());
    if (traces) print_trace(seen);
  }
  return unexplained;
}

/// Looks at everything from a first state and prints what was found.
/// Returns the exit status: 0 if nothing but windows was found, 1 if not, 3 if the search was cut off.
inline int look_and_print(const State& first, size_t most, bool traces) {
  Result result = all_from(first, most);
  const char* ends = !result.complete         ? "whether every run ends is not known"
                     : result.every_run_ends ? "every run ends"
                                             : "NOT EVERY RUN ENDS";
  printf("%s: %zu states, %llu steps, %s, %.1f s\n", result.complete ? "all" : "CUT OFF", states.size(),
         (unsigned long long)result.steps, ends, result.seconds);
  int unexplained = print_events(traces);
  return !result.complete ? 3 : unexplained || !result.every_run_ends ? 1 : 0;
}

}  // namespace search
