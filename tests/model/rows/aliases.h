// How a row's login moves into another row: `tokenkeep.aliases`. Whoever meets a carrying alias finishes the move.
#pragma once
#include "saving.h"

/// TAKE: the login goes in. ASIDE: it came too late. OLDER: the row went on from it. STRIP: it has gone in.
/// MAKE: there is no row yet. LOST: there is none any more.
enum Move : u8 { TAKE, ASIDE, OLDER, STRIP, MAKE, LOST, MOVED_ALREADY };

inline Move judge(const Record& alias, const Record& row) {
  if (row.kind != ROW) return alias.seen_login == NEVER ? MAKE : LOST;
  bool is_older = set.rotation && has_had(row, alias.token);
  bool as_seen = !set.seenlogin || row.login == alias.seen_login;
  bool revoked_since = set.seenstatus && row.status == REVOKED && alias.seen_status != REVOKED;
  if (as_seen && !revoked_since && !is_older) return TAKE;
  if (set.gonein && row.login == alias.login) return STRIP;
  return is_older ? OLDER : ASIDE;
}

inline void strip(Record& alias) {
  Record stripped{};
  stripped.kind = ALIAS;
  stripped.owner = alias.owner;
  stripped.to = alias.to;
  alias = stripped;
}

/// A record that is only there to be revoked at the provider.
inline void become_ended(Record& r, Owner owner, Tokens to_revoke) {
  Record ended{};
  ended.kind = ENDED;
  ended.owner = owner;
  ended.user = r.user;
  ended.token = r.token;
  ended.to_revoke = to_revoke;
  r = ended;
}

/// Finishes the move of a carrying alias that was read. Whoever calls begins anew after it.
inline void finish(int id) {
  u16 found = step("reads the row that its alias leads to", [&](State& s) -> int {
    const Record& alias = s.record[id];
    if (!is_as_seen(id)) return MOVED_ALREADY;
    look_at(alias.to);
    return judge(alias, s.record[alias.to]) | alias.to << 4;
  });
  Move move = Move(found & 15);
  int to = found >> 4;
  bool fine = move != MOVED_ALREADY;
  if (move == LOST && set.aliasended)
    fine = write("ends the alias", id, [&](State& s, Record& alias) {
      ended_by(s, 1 << family_of(alias.token), s.deleters | who_moved(alias));
      become_ended(alias, alias.owner, all_of(alias));
    });
  if (move == LOST && !set.aliasended) fine = erase("deletes the alias", id);
  if (move == LOST) return;
  if (move == MAKE)
    fine = written(Written(step("TAKE: makes the row", [&](State& s) -> int {
      Record& row = s.record[to];
      if (!is_as_seen(id) || row.kind || is_taken(s, s.record[id].user)) return CONFLICT;
      row = s.record[id];
      row.kind = ROW;
      row.owner = row.user;
      row.to = row.seen_login = row.seen_status = row.moved_by = 0;
      new_version(s, to);
      overtake(s);
      return is_unknown(s) ? NOT_KNOWN : WRITTEN;
    })));
  const char* names[] = {"TAKE", "TAKE: too late, sees to its tokens", "TAKE: it is older"};
  if (move == TAKE || move == ASIDE || move == OLDER)
    fine = write(names[move], to, [&](State& s, Record& row) {
      // As it was read: it changes only after its row, which would then not be as it was read.
      const Record& alias = s.record[id];
      if (!is_carrying(alias)) return;
      if (move == TAKE) take(s, row, alias);
      if (move == ASIDE) {
        see_to(row, all_of(alias));
        Several by = who_logged_in(row) | who_moved(alias) | (row.status == REVOKED ? s.revokers : 0);
        ended_by(s, 1 << family_of(alias.token), by);
      }
      if (move == OLDER) see_to(row, alias.to_revoke | alias.replaced);
    });
  if (fine) write("STRIP", id, [](State&, Record& alias) { strip(alias); });
}

/// FREEZE: a row turns into an alias that carries its login to another row, then the move is finished.
/// `change` is what else is saved in it.
template <class Change>
bool move(const char* name, int source, int target, Change change) {
  Actor& a = self();
  if (!set.freeze) {
    bool copied = write("copies the login", target, [&](State& s, Record& r) {
      Record copy = s.record[source];
      change(s, copy);
      take(s, r, copy);
    });
    return copied && erase("deletes what was copied", source);
  }
  bool done = write(name, source, [&](State& s, Record& r) {
    change(s, r);
    r.kind = ALIAS;
    r.to = u8(target);
    r.moved_by = me + 1;
    r.seen_login = a.saw_login;
    r.seen_status = a.saw_status;
  });
  if (done) finish(source);
  return done;
}

/// Where an id leads: to a row, to an alias that has to be finished first, or NOWHERE.
struct Led {
  int slot = NOWHERE;
  bool carries = false;
  u16 packed() const { return u16(slot | carries << 4); }
  static Led of(u16 packed) { return {packed & 15, bool(packed >> 4 & 1)}; }
};
inline Led follow(const State& s, int id) {
  const Record& r = s.record[id];
  look_at(id);
  if (is_carrying(r)) return {id, true};
  int slot = r.kind == ALIAS ? r.to : id;
  if (s.record[slot].kind != ROW) return {};
  look_at(slot);
  return {slot};
}
