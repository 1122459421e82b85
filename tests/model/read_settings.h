// Settings from the command line. Include it after SETTINGS(X) has been defined: a list of X(key, default, meaning).
#pragma once
#include <cstdio>
#include <cstdlib>
#include <cstring>

struct Settings {
#define FIELD(key, value, meaning) int key = value;
  SETTINGS(FIELD)
#undef FIELD
};
inline Settings set;

/// Reads key=value arguments. Says what there is, and ends, where one is wrong.
inline void read_settings(int count, char** arguments) {
  struct Known {
    const char* key;
    int* value;
    const char* meaning;
  } known[] = {
#define ROW(key, value, meaning) {#key, &set.key, meaning},
      SETTINGS(ROW)
#undef ROW
  };
  for (int i = 1; i < count; i++) {
    const char* equals = strchr(arguments[i], '=');
    bool found = false;
    for (auto& each : known) {
      if (equals && !strncmp(arguments[i], each.key, equals - arguments[i]) &&
          strlen(each.key) == size_t(equals - arguments[i])) {
        *each.value = atoi(equals + 1);
        found = true;
      }
    }
    if (!found) {
      fprintf(stderr, "%s is no setting. There are:\n", arguments[i]);
      for (auto& each : known) fprintf(stderr, "  %s=%d  %s\n", each.key, *each.value, each.meaning);
      exit(2);
    }
  }
}
