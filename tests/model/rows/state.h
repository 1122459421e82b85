// One state of everything: the records, who is doing what, the provider; and what may not happen.
#pragma once
#include <string>
#include <type_traits>
#include <vector>

#include "../found.h"
#include "settings.h"

/// Four actors, and the sweep that ends a run. A slot is a record's id; NOWHERE is no record.
enum { ACTORS = 5, LAST_SWEEP = 4, RECORDS = 12, NOWHERE = 15 };

/// Logins: R, S and Q are U's, T is V's.
enum Family : u8 { R, S, Q, T, FAMILIES };

/// A refresh token: 0 is none, else 1 + 4 * its login's family + how often it was renewed.
using Token = u8;
/// Several tokens, families, records, actors: a bit each.
using Tokens = u16;
using Several = u8;

enum { LAST_TOKEN = 16 };
inline Token first_of(int family) { return Token(1 + 4 * family); }
inline int family_of(Token t) { return (t - 1) / 4; }
inline int number_of(Token t) { return (t - 1) % 4; }
inline Tokens bit(Token t) { return t ? Tokens(1 << (t - 1)) : 0; }
inline bool has(Tokens tokens, Token t) { return tokens & bit(t); }
inline Several families_of(Tokens tokens) {
  Several all = 0;
  for (Token t = 1; t <= LAST_TOKEN; t++)
    if (has(tokens, t)) all |= 1 << family_of(t);
  return all;
}

enum Kind : u8 { NONE, ROW, ALIAS, ENDED, LEASE };
enum Status : u8 { OK, REVOKED, LOGIN_NEEDED };
enum User : u8 { NOBODY, USER_U, USER_V };

/// What a record is for: a user, the first refresh token of who has no name, a login under way, or nothing else.
using Owner = u8;
inline Owner credential_of(Token t) { return Owner(3 + family_of(t)); }
inline Owner lease_of(Token t) { return Owner(8 + family_of(t)); }
inline Owner of_its_own(int slot) { return Owner(16 + slot); }

/// A login's nonce is 1 + the actor who saved it, or something else for what was stored at first.
/// NEVER is what an alias has seen that was made where no row was.
enum { NEVER = 0xFF };

struct Record {
  u8 kind;
  Owner owner;
  u8 user, status;
  Token token;
  u8 login, claim, given, unlooked;
  u8 to, seen_login, seen_status;    // of an alias; what it carries are the fields of the row it was
  Tokens to_revoke, replaced, past;  // past is what it had before
  u8 put_back, moved_by;             // for the checks: it is what a write taken back has left; 1 + who made the alias
};
inline bool is_carrying(const Record& r) { return r.kind == ALIAS && r.token; }
inline bool is_living(const Record& r) { return r.kind == ROW && r.status == OK && r.token; }

enum Doing : u8 { ABSENT, ACTIVE, DONE, FAILED, CRASHED };

struct Actor {
  u8 role, doing;
  u8 phase, steps;                     // where it is: the part of its code, and how many steps of it are done
  u16 results[8];                      // what those have returned
  u16 seen;                            // records whose version it has read and is stored still
  u8 slot, other;                      // what it is about
  u8 saw_login, saw_status, saw_user;  // of the row that an alias will lead to
  u8 moved;                            // saves: a row, in this save
  Record before;                       // saves: what the write has replaced
  Tokens asking, confirmed;            // of who revokes
  Token base, answer;                  // its entry in the journal: for which row and user
  u8 entry, entry_user;
  // For the checks.
  u8 started;
  Several after, after_end;            // actors whose work was acknowledged, and whose was over, when it began
  Token wants, saved;                  // what it is to save, and what it was told is stored
  u8 brings_new;                       // saves: a token that was in no row
  u8 has_looked;                       // renewals: for others of the row; or who wrote that will
  u8 overtaken;                        // a login was saved since it last looked
  u8 nothing[2];
};

struct State {
  Record record[RECORDS];
  Actor actor[ACTORS];
  Several alive;                    // families, at the provider
  u8 current[FAMILIES];             // how often each was renewed
  u8 next;                          // id of the next record
  u8 crashes, unknowns, downs;      // faults that may still happen
  u8 cause;                         // faults that have happened
  Several sent;                     // actors who sent the code
  // For the checks.
  Several acknowledged;             // actors
  Several revokers, deleters;       // actors
  Several ended_by[FAMILIES];       // actors
  Several revoked, deleted;         // families
  Several gone_for_good;            // families that were deleted while nobody was saving them anew
  Several copied, twins;            // families: see witness.h
  u8 nothing;
  Tokens stored;                    // each that ever was in the store
};
static_assert(std::has_unique_object_representations_v<State>, "states are compared byte by byte");

enum Cause { CRASH = 1, UNKNOWN = 2, DOWN = 4 };

inline std::string names_of(int cause) {
  static const char* names[] = {"crash", "write-outcome-unknown", "provider-not-reached"};
  std::string all;
  for (int i = 0; i < 3; i++)
    if (cause >> i & 1) all += (all.empty() ? "" : "+") + std::string(names[i]);
  return all.empty() ? "no fault" : all;
}

#define EVENTS(X)                                                                                   \
  X(TWO_ROWS, "END: one living refresh token is in two living rows")                                \
  X(CARRYING, "END: an alias carries a login")                                                      \
  X(UNSWEPT, "END: sweeping does not end")                                                          \
  X(FORGOTTEN, "END: a refresh token is alive and forgotten")                                       \
  X(LEAKED, "END: revoked here, alive at the provider")                                             \
  X(LOST_SAVE, "END: an acknowledged save is gone, and nobody ended it later")                      \
  X(SPENT_STORED, "END: a living row has a spent token, and another row its successor")             \
  X(RESURRECTED, "what was revoked is handed out again")                                            \
  X(UNDELETED, "what was deleted is there again")                                                   \
  X(IN_USE, "a refresh token was revoked that a living row has")                                    \
  X(NEWER_ENDED, "a revocation ended a newer login of the user")                                    \
  X(OLDER_OVER_NEWER, "an alias's login replaced what came after its maker's end")                  \
  X(GIVEN_UP, "an acknowledged login was given up for one that contradicts it")                     \
  X(DOWNGRADED, "a living refresh token was replaced by a spent one of its login")                  \
  X(DROPPED, "an answer was dropped although its row has what it replaces")                         \
  X(REUSED, "a spent token was sent, its family is dead")                                           \
  X(SENT_TWICE, "a code was sent again, and nobody who sent it had crashed")                        \
  X(STUCK, "deadlock")                                                                              \
  X(OVERTAKEN, "a revocation ended a login that was saved after the look")                          \
  X(NOBODY_KNEW, "a revocation ended a login that nobody knew to be the same user's")               \
  X(PUT_BACK, "a login that contradicted another took its write back, what it had replaced is dead") \
  X(SAVED_TWICE, "a login was saved twice at once and ended in one row; the other is not looked at yet") \
  X(COPIED, "what comes of a copy without a name of a token that another row had before")

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

/// Returns the faults that an event is put up with for. The last ones are windows that no rule closes: see README.md.
inline int windows_of(int event) {
  if (event == GIVEN_UP) return CRASH | UNKNOWN;  // who contradicted it never looked
  return event >= OVERTAKEN ? ALWAYS : 0;
}

/// What a step has brought about. It is noted once the step's name is known.
inline std::vector<int> reported;

/// Says that something happened, to a login of this family.
inline void report(int event, const State& s, int family = FAMILIES) {
  bool copied = family != FAMILIES && s.copied >> family & 1;
  reported.push_back(copied ? COPIED : event);
}
