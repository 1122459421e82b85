// What can be set on the command line as key=value: rules of the protocol, the provider, bounds of the search.
#pragma once

#define SETTINGS(X)                                                                                 \
  /* The protocol. The defaults are the protocol; another value takes a rule out. */                \
  X(save, 3, "a late answer: 0 dropped, 1 written over anything, 2 refresh token compared, 3 pair") \
  X(keeprt, 1, "a late answer with another refresh token is saved if the base's one is stored")     \
  X(lift, 2, "a late answer lifts login_needed: 0 never, 1 always, 2 with another refresh token")   \
  X(laterevoke, 1, "a late answer to a row that is gone or revoked is revoked at the provider")     \
  X(journal, 1, "an answer is journaled before it is saved")                                        \
  X(jlook, 1, "the journal is looked into before a call, and before login_needed")                  \
  X(jrt, 1, "that look goes by the refresh token if the answer has another one, not by the pair")   \
  X(recheck, 1, "after a take-over and that look the row is read again")                            \
  X(precheck, 1, "the own clock is looked at before the call")                                      \
  X(perm, 2, "a rejection is written: 0 blindly, 1 to that token, 2 not over a live claim")         \
  X(again, 1, "a passing fault: 0 ends it, 1 one more call; 2 that is not counted, 3 without the clock")  \
  X(putback, 1, "a deliberate renewal without a verdict: login_needed put back 0 never, 2 over anything") \
  X(mintat, 1, "a call is counted 1 with its claim, 0 with its save")                               \
  X(ownimage, 0, "1: a late save writes the mint times as they were at its claim")                  \
  X(nonce, 1, "claims and logins of unknown outcome are recognised by their nonce")                 \
  X(sweepcond, 1, "a sweep deletes the version it judged")                                          \
  X(loginclaim, 1, "a login that keeps the stored refresh token leaves the claim: 0 clears it")     \
  /* The provider. */                                                                               \
  X(prov, 0, "0 no rotation; rotation, and reuse 1 kills, 2 is refused, 3 is a grace of one")       \
  /* Who takes part, and how often. */                                                              \
  X(n, 2, "clients, 4 at most")                                                                     \
  X(samehost, 0, "all on one host: its journal can be read, a dead holder is known")                \
  X(rel, 0, "logins or other saves by others")                                                      \
  X(omitrt, 0, "those: 0 bring a refresh token, 1 are a login without, 2 a mere save, 3 = 1 or 2")  \
  X(old, 0, "the access token of omitrt=1 or 2 has expired already")                                \
  X(rev, 0, "revocations")                                                                          \
  X(del, 0, "deletions")                                                                            \
  X(sweep, 0, "sweeps that delete")                                                                 \
  X(idreuse, 0, "a row that is made again gets the same id")                                        \
  X(extrev, 0, "times the user takes the grant back at the provider itself")                        \
  X(insist, 0, "deliberate renewals of what needs a login")                                         \
  X(hk, 0, "writes by somebody who changes nothing of this")                                        \
  X(exp, 0, "times an access token expires, after the first")                                       \
  X(budget, 9, "calls for one refresh token")                                                       \
  /* Faults, how many of each. */                                                                   \
  X(crash, 0, "crashes")                                                                            \
  X(pause, 0, "pauses past the own claim")                                                          \
  X(skew, 0, "claims that look over to others while they are not")                                  \
  X(lost, 0, "answers that are lost")                                                               \
  X(trans, 0, "transient errors")                                                                   \
  X(wrong, 0, "rejections of a refresh token that lives on")                                        \
  X(delay, 0, "requests that arrive after their timeout")                                           \
  X(unk, 0, "writes that are committed and reported as failed")                                     \
  /* The search. */                                                                                 \
  X(sym, 1, "clients are interchangeable: far fewer states, but traces that are hard to read")      \
  X(traces, 1, "print how each event came about")                                                   \
  X(maxstates, 200000000, "give up after that many")

#include "read_settings.h"
