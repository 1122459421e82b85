// One state of everything: the row, the clients, the provider, the others. And what may not happen.
#pragma once
#include <string>
#include <type_traits>

#include "found.h"
#include "settings.h"

enum { MAX_CLIENTS = 4, FAMILIES = 3 };

/// Families of refresh tokens: the stored grant's, and the one of a login that brings its own.
/// NO_REFRESH stands for a row without a refresh token: never alive, never sent.
enum Family : u8 { FIRST, SECOND, NO_REFRESH };

/// Access and refresh token. Access tokens are numbered in the order in which they were made.
struct Pair {
  u8 family, number, access;
  bool operator==(const Pair& other) const { return same_refresh(other) && access == other.access; }
  bool same_refresh(const Pair& other) const { return family == other.family && number == other.number; }
};

/// Where a client is. Names in capitals are those of docs/renewal.md.
enum Step : u8 {
  START,            // reads and decides
  CLAIM,            // writes its claim
  CLAIM_UNKNOWN,    // reads again: was it written?
  HOLDER,           // looks into the journal
  RECHECK,          // reads again, after a take-over
  SEND,             // has looked at its clock
  SENT,             // waits for the provider
  ANSWERED,         // journals
  SAVE,             // saves on the version of its claim
  SAVED,            // removes the journal entry
  LATE,             // reads, to decide on the answer
  LATE_WRITE,       // writes it
  PERMANENT,        // reads, to decide on the rejection
  PERMANENT_WRITE,  // writes login_needed
  AGAIN,            // after a passing fault: counts a second call
  AGAIN_LOOK,       // looks at its clock before that
  RELEASE,          // reads, to release its claim
  RELEASE_WRITE,    // writes that
  DONE,
  CRASHED
};

struct Client {
  u8 step;
  u8 seen;       // the version it read is still stored; versions are random, so one that is gone never returns
  u8 held_up;    // it was paused past its claim
  u8 journaled;  // its answer is in the journal of its host
  u8 id;         // of the row it claimed
  u8 borrowed;   // the answer is from another's journal entry
  u8 took_over;
  u8 tried;    // its second call after a passing fault is counted
  u8 insists;  // it renews deliberately what needs a login
  Pair base, answer;
};

enum Status : u8 { OK, REVOKED, LOGIN_NEEDED };

struct Row {
  u8 present, id, status, login, claim, claim_over, calls;  // claim: whose, from 1 on; 0 is none
  Pair pair;
};

struct Provider {
  u8 alive[FAMILIES], current[FAMILIES], calls[FAMILIES];
  u8 late, late_family, late_number;  // a request that is still on its way
};

/// Where one of the others is: FINISHED, or at a step of its own, 0 first.
enum { FINISHED = 9 };
struct Revoker {
  u8 step, seen, family, number;
};
struct Deleter {
  u8 step, id;
};
struct Sweeper {
  u8 step, seen, id;
  Pair pair;
};
struct Login {
  u8 step, seen, inserts, nonce, committed, family, access, kind, left;
};
struct Stranger {
  u8 step, seen;
};

/// How many of each fault may still happen.
struct Left {
  u8 crash, pause, skew, lost, trans, delay, unk, exp, hk, extrev, insist, wrong;
};

struct State {
  u16 cause;  // faults that have happened
  Client client[MAX_CLIENTS];
  Row row;
  Provider provider;
  Revoker revoker;
  Deleter deleter;
  Sweeper sweeper;
  Login login;
  Stranger stranger;
  Left left;
  u8 expired_to;  // access tokens up to this one have expired
  u8 next_access, next_login;
  u8 marked[FAMILIES];  // refresh tokens that login_needed was written for, a bit each
  u8 calls_for[16];     // calls that were to replace each access token
  u8 nothing;           // fills the last two bytes
};
static_assert(std::has_unique_object_representations_v<State>, "states are compared byte by byte");

/// WINDOW: a crash after an answer that nobody has written down. EARLY: a pause before the holder looks at its clock.
/// ORPHAN: a deliberate renewal did not come to put login_needed back in time. INSISTED: there was one; no fault.
enum Cause {
  WINDOW = 1,
  LOST = 2,
  DELAYED = 4,
  PAUSED = 8,
  SKEWED = 16,
  CRASH = 32,
  TRANSIENT = 64,
  UNKNOWN = 128,
  EARLY = 256,
  ORPHAN = 512,
  INSISTED = 1024,
  WRONG = 2048
};

inline std::string names_of(int cause) {
  static const char* names[] = {
      "crash-in-answer-window", "answer-lost",          "request-delayed", "pause", "skew", "crash", "transient",
      "write-outcome-unknown",  "pause-before-the-look", "deliberate-one-gone-or-held-up",
      "deliberate", "wrong-rejection"};
  std::string all;
  for (int i = 0; i < 12; i++)
    if (cause >> i & 1) all += (all.empty() ? "" : "+") + std::string(names[i]);
  return all.empty() ? "no fault" : all;
}

#define EVENTS(X)                                                                             \
  X(SECOND_CALL, "a second call for one expired token")                                       \
  X(OVERWRITTEN, "a late save overwrote a newer token")                                       \
  X(RECREATED, "a late save made a deleted row again")                                        \
  X(UNREVOKED, "a late save lifted a revocation")                                             \
  X(MARKED_ANOTHER, "login_needed was written onto another refresh token")                    \
  X(SWEPT_ANOTHER, "a sweep deleted a row it had not judged")                                 \
  X(LOGIN_TWICE, "a login was applied twice, over a revocation")                              \
  X(OVER_BUDGET, "more calls than the budget")                                                \
  X(SPENT_SENT, "a spent refresh token was sent")                                             \
  X(FALSE_VERDICT, "login_needed was told while a living refresh token is stored or held")    \
  X(LOST_REFRESH, "END: the stored refresh token is not the living one")                      \
  X(DEAD_FAMILY, "END: the family was killed by reuse")                                       \
  X(KILLED_LIVING, "reuse killed a family whose living token a holder or a journal had")      \
  X(LEAKED, "END: revoked here, alive at the provider")                                       \
  X(STUCK, "deadlock")                                                                        \
  X(DROPPED, "an answer was dropped although what it replaces is stored")                     \
  X(SENT_AGAIN, "a refresh token was sent again after login_needed was written for it")       \
  X(CALL_BOUND, "more calls for one token than 1 + the number of faults")                     \
  X(MARKED_LIVE, "login_needed was written over a live claim whose holder has the new token") \
  X(PUT_BACK_OVER, "login_needed was put back over what was saved since")                     \
  X(DOWNGRADED, "a living refresh token was replaced by one that is not")                     \
  X(LIFTED, "login_needed was lifted from a refresh token that is dead")

enum Event {
#define NAME(name, text) name,
  EVENTS(NAME)
#undef NAME
};

inline const char* event_name(int event) {
  static const char* texts[] = {
#define TEXT(name, text) text,
      EVENTS(TEXT)
#undef TEXT
  };
  return texts[event];
}

/// Returns the faults that an event is put up with for: the windows that no protocol can close.
inline int windows_of(int event) {
  const int another_host = set.samehost ? 0 : CRASH;  // its journal can't be read here
  const int unwritten = set.journal ? WINDOW : 0;     // the moment before the journal's entry is on disk
  switch (event) {
    case SECOND_CALL:
      return PAUSED | SKEWED | CRASH | TRANSIENT | DELAYED | LOST | INSISTED;
    case SPENT_SENT:
    case KILLED_LIVING:
    case DEAD_FAMILY:
      return PAUSED | SKEWED | unwritten | DELAYED | LOST | another_host;
    case FALSE_VERDICT:
      return PAUSED | SKEWED | another_host | WRONG;
    case SENT_AGAIN:
      return PAUSED | SKEWED | ORPHAN;
    case LOST_REFRESH:
    case LEAKED:
      return unwritten | DELAYED | LOST;
    default:
      return 0;
  }
}

inline void report(int event, const State& s, bool at_rest = false) { found(event, s.cause, at_rest); }
