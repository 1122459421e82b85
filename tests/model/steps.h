// What a step is, and what clients and others have in common.
#pragma once
#include "state.h"

#include "search.h"

#define ACTIONS(X)                                                    \
  X(READS, "reads")                                                   \
  X(CLAIMS, "claims")                                                 \
  X(CONFLICT, "conflict")                                             \
  X(CLAIMS_UNKNOWN, "claims, outcome unknown")                        \
  X(IN_TIME, "looks at its clock: in time")                           \
  X(HELD_UP, "looks at its clock: late, steps back")                  \
  X(SENDS, "sends the refresh token")                                 \
  X(SUCCESS, "gets success")                                          \
  X(REJECTED, "gets a rejection")                                     \
  X(TRANSIENT_ERROR, "gets a transient error")                        \
  X(ANSWER_LOST, "gets nothing; the provider has processed it")       \
  X(COUNTS, "counts a second call")                                   \
  X(COUNTS_UNKNOWN, "counts a second call, outcome unknown")          \
  X(NO_ROOM, "has no room for a second call in the budget")           \
  X(INSISTS, "reads that a login is needed, and asks once more")      \
  X(WRONGLY, "gets a rejection that is wrong")                        \
  X(TIMED_OUT, "times out, the request still on its way")             \
  X(JOURNALS, "journals the answer")                                  \
  X(SAVES, "saves")                                                   \
  X(SAVES_UNKNOWN, "saves, outcome unknown")                          \
  X(UNJOURNALS, "removes the journal entry")                          \
  X(LATE_READS, "LATE: reads")                                        \
  X(LATE_SAVES, "LATE: saves")                                        \
  X(PERMANENT_READS, "PERMANENT: reads")                              \
  X(MARKS, "PERMANENT: writes login_needed")                          \
  X(RELEASE_READS, "reads, to release its claim")                     \
  X(RELEASES, "releases its claim")                                   \
  X(CRASHES, "CRASHES")                                               \
  X(CRASHES_SENT, "CRASHES, its request on its way")                  \
  X(REPLAYED, "the journal is replayed")                              \
  X(PAUSES, "PAUSES past its claim")                                  \
  X(LOOKS_OVER, "its claim looks over to others")                     \
  X(RUNS_OUT, "the claim of one that is gone runs out")               \
  X(BORROWS, "finds another's answer in the journal")                 \
  X(FOUND_NOTHING, "finds nothing in the journal")                    \
  X(READS_AGAIN, "reads again")                                       \
  X(LATE_REQUEST, "the provider gets the late request")               \
  X(EXPIRES, "the access token expires")                              \
  X(REVOKER_READS, "a revoker reads")                                 \
  X(REVOKES, "a revoker writes revoked")                              \
  X(REVOKES_THERE, "a revoker revokes at the provider")               \
  X(REVOKES_UNKNOWN, "a revoker writes revoked, outcome unknown")     \
  X(DELETER_READS, "a deleter reads")                                 \
  X(DELETES, "a deleter deletes")                                     \
  X(SWEEPER_READS, "a sweeper reads")                                 \
  X(SWEEPS, "a sweeper deletes")                                      \
  X(LOGIN_READS, "a login reads")                                     \
  X(LOGS_IN, "a login is saved")                                      \
  X(NOTHING_TO_SAVE, "a save without a refresh token: nothing to do") \
  X(LOGS_IN_UNKNOWN, "a login is saved, outcome unknown")             \
  X(STRANGER_READS, "a stranger reads")                               \
  X(STRANGER_WRITES, "a stranger writes")                             \
  X(USER_REVOKES, "the user takes the grant back at the provider")

enum Action {
#define NAME(name, text) name,
  ACTIONS(NAME)
#undef NAME
};

inline const char* action_name(int action) {
  static const char* texts[] = {
#define TEXT(name, text) text,
      ACTIONS(TEXT)
#undef TEXT
  };
  return texts[action];
}

/// Who acts, for the traces: a client's number, or one of the others.
enum { OTHERS = 7 };

inline void settle(Client& c) {
  // What no later step looks at must not make states differ.
  if (c.step == START || c.step == DONE || (c.step == CRASHED && !c.journaled)) {
    u8 step = c.step;
    c = Client{};
    c.step = step;
  }
}

inline void arrive(State& s, int action, int who) {
  for (int i = 0; i < set.n; i++) settle(s.client[i]);
  next_states.push_back({s, u16(action * 8 + who)});
}

/// Adds the state that one atomic step leads to.
template <class Change>
void step(const State& from, int action, int who, Change change) {
  State s = from;
  current_action = u16(action * 8 + who);
  change(s);
  arrive(s, action, who);
}

/// The row gets another version: whatever anybody has read is out of date.
inline void write(State& s) {
  for (int i = 0; i < set.n; i++) s.client[i].seen = 0;
  s.revoker.seen = s.sweeper.seen = s.login.seen = s.stranger.seen = 0;
}

inline void unclaim(State& s) { s.row.claim = s.row.claim_over = 0; }

inline void remove(State& s) {
  s.row.present = s.row.status = 0;
  unclaim(s);
  write(s);
}

inline u8 new_access(State& s) {
  if (s.next_access == 16) {
    fprintf(stderr, "More access tokens than this model counts\n");
    exit(2);
  }
  return s.next_access++;
}

inline bool is_fresh(const State& s) { return s.row.pair.access > s.expired_to; }

/// Would the provider accept it now?
inline bool is_living(const State& s, const Pair& pair) {
  const Provider& p = s.provider;
  if (pair.family == NO_REFRESH || !p.alive[pair.family]) return false;
  if (set.prov == 0 || pair.number == p.current[pair.family]) return true;
  return set.prov == 3 && pair.number + 1 == p.current[pair.family];
}

/// Does a client have an answer that is not saved yet, or its host's journal?
inline bool has_answer(const Client& c) {
  return c.step == ANSWERED || c.step == SAVE || c.step == LATE || c.step == LATE_WRITE ||
         (c.step == CRASHED && c.journaled);
}

/// The provider handles a request. Returns whether it answers with tokens.
inline bool refreshed(State& s, const Pair& sent, Pair& answer) {
  Provider& p = s.provider;
  u8 f = sent.family;
  if (!p.alive[f]) return false;
  if (is_living(s, sent)) {
    // In its time of grace a spent one is answered with the same successor once more.
    if (set.prov && sent.number == p.current[f]) p.current[f]++;
    answer = {f, set.prov ? p.current[f] : sent.number, new_access(s)};
    return true;
  }
  if (set.prov == 1 || set.prov == 3) {
    for (int i = 0; i < set.n; i++) {
      const Client& c = s.client[i];
      if (has_answer(c) && c.answer.family == f && c.answer.number == p.current[f]) report(KILLED_LIVING, s);
    }
    p.alive[f] = 0;
  }
  return false;
}

/// The provider is asked to revoke. A spent token revokes nothing (RFC 7009 allows that), unless reuse kills.
inline void revoke_there(State& s, const Pair& pair) {
  if (pair.family != NO_REFRESH && (is_living(s, pair) || set.prov == 1)) s.provider.alive[pair.family] = 0;
}
