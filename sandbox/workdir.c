// See workdir.h.
#include "workdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { kFolder = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, kDeepest = 64 };

int tg_make_root(const char* temporary, char* path, size_t room) {
  unsigned random;
  if (getrandom(&random, sizeof random, 0) != sizeof random) return -1;
  if ((size_t)snprintf(path, room, "%s/toolgrad-%d-%08x", temporary, (int)getpid(), random) >= room)
    return errno = ENAMETOOLONG, -1;
  if (mkdir(path, 0711) != 0) return -1;
  return open(path, kFolder);
}

void tg_sweep(const char* temporary) {
  const int parent = open(temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* entries = parent < 0 ? NULL : fdopendir(parent);
  if (entries == NULL) {
    if (parent >= 0) close(parent);
    return;
  }
  for (struct dirent* entry; (entry = readdir(entries)) != NULL;) {
    int pid, end = 0;
    unsigned random;
    if (sscanf(entry->d_name, "toolgrad-%d-%8x%n", &pid, &random, &end) != 2 || entry->d_name[end] != 0) continue;
    struct stat found;
    if (fstatat(parent, entry->d_name, &found, AT_SYMLINK_NOFOLLOW) != 0 || found.st_uid != geteuid()) continue;
    if (pid > 0 && kill(pid, 0) != 0 && errno == ESRCH) tg_remove(parent, entry->d_name);
  }
  closedir(entries);
}

int tg_make_work(int root, const char* name, uid_t uid) {
  if (mkdirat(root, name, 0700) != 0) return -1;
  const int work = openat(root, name, kFolder);
  if (work >= 0 && (uid == geteuid() || fchown(work, uid, uid) == 0)) return work;
  const int error = errno;
  if (work >= 0) close(work);
  unlinkat(root, name, AT_REMOVEDIR);
  errno = error;
  return -1;
}

static DIR* open_entries(int parent, const char* name) {
  int folder = openat(parent, name, kFolder);
  if (folder < 0 && errno == EACCES) {  // the program took its own permission away
    fchmodat(parent, name, 0700, 0);
    folder = openat(parent, name, kFolder);
  }
  if (folder < 0) return NULL;
  DIR* entries = fdopendir(folder);
  if (entries == NULL) close(folder);
  return entries;
}

static int is_dots(const char* name) {
  return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

struct usage {
  uint64_t bytes, entries, most_bytes, most_entries;
};

// A directory that cannot be looked into holds what it held; one that is too deep is counted as too much.
static int measure(int parent, const char* name, struct usage* usage, int depth) {
  if (depth > kDeepest) return 1;
  const int folder = openat(parent, name, kFolder);
  if (folder < 0) return 0;
  DIR* entries = fdopendir(folder);
  if (entries == NULL) {
    close(folder);
    return 0;
  }
  int over = 0;
  for (struct dirent* entry; !over && (entry = readdir(entries)) != NULL;) {
    struct stat found;
    if (is_dots(entry->d_name) || fstatat(folder, entry->d_name, &found, AT_SYMLINK_NOFOLLOW) != 0) continue;
    usage->entries += 1;
    usage->bytes += (uint64_t)found.st_blocks * 512;
    over = usage->bytes > usage->most_bytes || usage->entries > usage->most_entries;
    if (!over && S_ISDIR(found.st_mode)) over = measure(folder, entry->d_name, usage, depth + 1);
  }
  closedir(entries);
  return over;
}

int tg_exceeds(int work, uint64_t bytes, uint64_t entries) {
  struct usage usage = {.most_bytes = bytes, .most_entries = entries};
  return measure(work, ".", &usage, 0);
}

// Empties `name`; directories in it are moved up to `top` first, so that depth costs neither descriptors nor stack.
static int empty(int top, int parent, const char* name, unsigned* serial) {
  DIR* entries = open_entries(parent, name);
  if (entries == NULL) return -1;
  const int folder = dirfd(entries);
  fchmod(folder, 0700);
  int failed = 0;
  for (struct dirent* entry; (entry = readdir(entries)) != NULL;) {
    if (is_dots(entry->d_name)) continue;
    if (unlinkat(folder, entry->d_name, 0) == 0) continue;
    if (errno != EISDIR && errno != EPERM) {
      failed = -1;
      continue;
    }
    char moved[32];
    int result;
    fchmodat(folder, entry->d_name, 0700, 0);  // a directory is only moved by who may write it
    do {
      snprintf(moved, sizeof moved, "toolgrad-%u", (*serial)++);
      result = renameat2(folder, entry->d_name, top, moved, RENAME_NOREPLACE);
    } while (result != 0 && errno == EEXIST);
    if (result != 0) failed = -1;
  }
  closedir(entries);
  return failed;
}

int tg_remove(int parent, const char* name) {
  DIR* entries = open_entries(parent, name);
  if (entries == NULL) return errno == ENOENT ? 0 : -1;
  const int top = dirfd(entries);
  fchmod(top, 0700);
  unsigned serial = 0;
  int failed = 0, found = 1;
  while (found && !failed) {
    found = 0;
    rewinddir(entries);
    for (struct dirent* entry; (entry = readdir(entries)) != NULL;) {
      if (is_dots(entry->d_name)) continue;
      found = 1;
      if (unlinkat(top, entry->d_name, 0) == 0) continue;
      failed |= empty(top, top, entry->d_name, &serial);
      failed |= unlinkat(top, entry->d_name, AT_REMOVEDIR);
    }
  }
  closedir(entries);
  return failed != 0 ? -1 : unlinkat(parent, name, AT_REMOVEDIR);
}
