// Working directories on disk, for processes without a mount namespace: made empty, measured while the program runs, removed.
// Everything is relative to descriptors and follows no link.
#pragma once
#include <stdint.h>
#include <sys/types.h>

// Makes `<temporary>/toolgrad-<pid>-<random>` and gives its descriptor; `path` gets its name.
int tg_make_root(const char* temporary, char* path, size_t room);
// Removes what dead supervisors left there.
void tg_sweep(const char* temporary);
// Makes the directory `name` beneath `root`, owned by `uid`; its descriptor or -1.
int tg_make_work(int root, const char* name, uid_t uid);
// Whether what lies in it is more than `bytes` or `entries`.
int tg_exceeds(int work, uint64_t bytes, uint64_t entries);
// Removes a directory with all that it holds, however deep and whatever its permissions. 0 or -1.
int tg_remove(int parent, const char* name);
