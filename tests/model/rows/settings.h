// What can be set on the command line as key=value: rules of the write side, the provider, who takes part.
#pragma once

#define SETTINGS(X)                                                                                \
  /* The rules. The defaults are the rules; another value takes one out. */                        \
  X(freeze, 1, "a row becomes an alias before its login goes into another: 0 deletes it after")    \
  X(gonein, 1, "a login that has gone into a row is known there by its nonce")                     \
  X(seenlogin, 1, "an alias's login goes in only over the login that was there as it was made")    \
  X(seenstatus, 1, "an alias lifts a revocation only if it was there as it was made")              \
  X(rotation, 1, "what one of two rows had before is spent, or older, not another login")          \
  X(aliasended, 1, "an alias whose row is gone is ended: 0 deletes it")                            \
  X(past, 1, "a token that a row had before is no login")                                          \
  X(credential, 1, "a save also finds what has its credential as owner")                           \
  X(ended, 1, "a deleted row with something to revoke stays as an ended record")                   \
  X(endedfound, 1, "an ended record's refresh token is refused")                                   \
  X(endedowner, 1, "an ended record of a nameless row keeps its owner")                            \
  X(staleid, 1, "a save under an id that was deleted is refused")                                  \
  X(look, 1, "a save looks again after its login was written")                                     \
  X(withdraw, 1, "who then sees a row that contradicts takes its write back")                      \
  X(insists, 1, "it does so, too, if somebody has written the row with its login since")           \
  X(unlooked, 1, "it is seen of a row that no renewal has looked for others yet")                  \
  X(bylogin, 1, "of two that contradict the one that was looked at stays: 0 the earlier")          \
  X(spentfound, 1, "a row with that login that was renewed since is found by its credential")      \
  X(grace, 1, "a row nobody has looked at is left to who wrote it, for a minute")                  \
  X(renewlook, 1, "a row nobody has looked at is looked at before it is renewed")                  \
  X(replacing, 1, "the token that a login replaces is kept, to be revoked or beside")              \
  X(newer, 1, "nothing is revoked where that ends a newer login of the user")                      \
  X(endlogin, 1, "a logout deletes the version it revoked")                                        \
  X(endonce, 1, "a logout revokes once, whatever becomes of the deletion")                         \
  X(makersfirst, 1, "a row is deleted after the aliases that would make it are finished")          \
  X(superseded, 1, "a late answer that is superseded is kept, to be revoked or beside")            \
  X(takeback, 1, "a late answer whose row is gone or revoked is revoked")                          \
  X(latefollow, 1, "a late answer follows an alias")                                               \
  X(leasedead, 1, "a lease is taken over only from who is gone")                                   \
  X(leaselook, 1, "who has a lease looks again before it logs in")                                 \
  /* The provider. */                                                                              \
  X(rotates, 0, "a renewal answers another refresh token")                                         \
  X(consent, 0, "revoking a token ends the consent, with all tokens of it (revokes_grant)")        \
  X(reuse, 0, "a spent token that is sent, or revoked, kills its family")                          \
  /* The store. */                                                                                 \
  X(byowner, 0, "ids are made of owners, as in Secrets Manager")                                   \
  X(N, 0, "a nameless row with R: 0 none, 1 ok, 2 revoked, 3 login_needed")                        \
  X(U, 0, "a row of U with S, likewise")                                                           \
  X(V, 0, "a row of V with T, likewise")                                                           \
  X(given, 0, "R, S and T were given from outside")                                                \
  X(vfirst, 0, "V's row is the earlier one, where U's and V's were made at the same time")         \
  /* Who takes part: numbers of roles, 0 nobody; "rows roles" prints them. */                      \
  X(a, 0, "the first")                                                                             \
  X(b, 0, "the second")                                                                            \
  X(c, 0, "the third")                                                                             \
  X(d, 0, "the fourth")                                                                            \
  X(all, 0, "2: every pair of roles on everything that may be stored; 3: every three")             \
  X(sweeper, 0, "with all: a sweep in between as well")                                            \
  X(part, 0, "with all: only this one")                                                            \
  X(parts, 1, "with all: of so many parts")                                                        \
  /* Faults, how many of each. */                                                                  \
  X(crash, 0, "crashes")                                                                           \
  X(unk, 0, "writes that are committed and reported as failed")                                    \
  X(down, 0, "revocations that do not reach the provider")                                         \
  /* The search. */                                                                                \
  X(traces, 1, "print how each event came about")                                                  \
  X(maxstates, 50000000, "give up after that many")

#include "../read_settings.h"
