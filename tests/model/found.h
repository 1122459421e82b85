// What was found, and by which way first.
#pragma once
#include <cstdint>
#include <map>
#include <utility>

using u8 = uint8_t;
using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;

/// Where an event was: in a state that is at rest, or in a step from it.
struct Seen {
  u32 from;
  u16 action;
  bool at_rest;
};

/// The first, so shortest, way to each event with each set of faults.
inline std::map<std::pair<int, int>, Seen> events;
inline bool collecting = true;
inline u32 current_state;
inline u16 current_action;

/// The bit of windows_of for what is put up with without any fault.
enum { ALWAYS = 1 << 30 };

inline void found(int event, int cause, bool at_rest = false) {
  if (collecting) events.emplace(std::make_pair(event, cause), Seen{current_state, current_action, at_rest});
}
