// See cgroup.h.
#include "cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Where the hierarchy of `controller` ("" is version 2) is mounted, and this process's place in it.
static int find(const char* controller, char* folder, size_t room) {
  char line[1024], mount[400] = "", place[400] = "";
  FILE* mounts = fopen("/proc/self/mountinfo", "re");
  if (mounts == NULL) return -1;
  while (mount[0] == 0 && fgets(line, sizeof line, mounts) != NULL) {
    char point[400], type[32], options[200];
    const char* rest = strstr(line, " - ");
    if (rest == NULL || sscanf(line, "%*d %*d %*s %*s %399s", point) != 1) continue;
    if (sscanf(rest, " - %31s %*s %199s", type, options) != 2) continue;
    if (controller[0] == 0 ? strcmp(type, "cgroup2") != 0 : strcmp(type, "cgroup") != 0) continue;
    char wanted[48], listed[204];
    snprintf(wanted, sizeof wanted, ",%s,", controller);
    snprintf(listed, sizeof listed, ",%s,", options);
    if (controller[0] == 0 || strstr(listed, wanted) != NULL) memcpy(mount, point, sizeof mount);
  }
  fclose(mounts);
  FILE* groups = fopen("/proc/self/cgroup", "re");
  if (groups == NULL) return -1;
  while (mount[0] != 0 && place[0] == 0 && fgets(line, sizeof line, groups) != NULL) {
    line[strcspn(line, "\n")] = 0;
    char* names = strchr(line, ':');
    char* path = names == NULL ? NULL : strchr(names + 1, ':');
    if (path == NULL) continue;
    *path++ = 0;
    char wanted[48], listed[204];
    snprintf(wanted, sizeof wanted, ",%s,", controller);
    snprintf(listed, sizeof listed, ",%.200s,", names + 1);
    if (controller[0] == 0 ? names[1] == 0 : strstr(listed, wanted) != NULL) snprintf(place, sizeof place, "%s", path);
  }
  fclose(groups);
  if (mount[0] == 0 || place[0] == 0) return errno = ENOENT, -1;
  const int size = snprintf(folder, room, "%s%s", mount, strcmp(place, "/") == 0 ? "" : place);
  return size > 0 && (size_t)size < room ? 0 : (errno = ENAMETOOLONG, -1);
}

static int put(const char* folder, const char* name, unsigned long long value) {
  char path[700], text[32];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  const int file = open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) return -1;
  const int size = snprintf(text, sizeof text, "%llu", value);
  const int failed = write(file, text, (size_t)size) == size ? 0 : -1;
  const int error = errno;
  close(file);
  errno = error;
  return failed;
}

// Groups of supervisors that were killed.
static void sweep(const char* folder) {
  DIR* entries = opendir(folder);
  if (entries == NULL) return;
  for (struct dirent* entry; (entry = readdir(entries)) != NULL;) {
    int pid, end = 0;
    if (sscanf(entry->d_name, "toolgrad-sandbox-%d%n", &pid, &end) != 1 || entry->d_name[end] != 0) continue;
    if (pid > 0 && kill(pid, 0) != 0 && errno == ESRCH) unlinkat(dirfd(entries), entry->d_name, AT_REMOVEDIR);
  }
  closedir(entries);
}

// Makes a group in `parent` and opens the file that takes processes in.
static int make(const char* parent, char* path, size_t room) {
  sweep(parent);
  if ((size_t)snprintf(path, room, "%s/toolgrad-sandbox-%d", parent, (int)getpid()) >= room)
    return errno = ENAMETOOLONG, -1;
  if (mkdir(path, 0755) != 0) {
    path[0] = 0;
    return -1;
  }
  char procs[600];
  snprintf(procs, sizeof procs, "%s/cgroup.procs", path);
  const int file = open(procs, O_WRONLY | O_CLOEXEC);
  if (file < 0) {
    const int error = errno;
    rmdir(path);
    path[0] = 0;
    errno = error;
  }
  return file;
}

static void discard(int* file, char* path) {
  const int error = errno;
  if (*file >= 0) close(*file);
  if (path[0] != 0) rmdir(path);
  *file = -1;
  path[0] = 0;
  errno = error;
}

void tg_make_cgroup(struct tg_cgroup* group, uint64_t memory_bytes, unsigned processes, char* text, size_t room) {
  char folder[450];
  *group = (struct tg_cgroup){.memory = -1, .pids = -1};
  if (find("memory", folder, sizeof folder) == 0) {  // version 1
    group->memory = make(folder, group->memory_path, sizeof group->memory_path);
    if (group->memory >= 0 && put(group->memory_path, "memory.limit_in_bytes", memory_bytes) != 0)
      discard(&group->memory, group->memory_path);
    if (find("pids", folder, sizeof folder) == 0) group->pids = make(folder, group->pids_path, sizeof group->pids_path);
    if (group->pids >= 0 && put(group->pids_path, "pids.max", processes) != 0) discard(&group->pids, group->pids_path);
  } else if (find("", folder, sizeof folder) == 0) {
    // Version 2 allows limits only where no processes are, so it must lie beside the trainer's own group.
    char* last = strrchr(folder, '/');
    if (last != NULL) *last = 0;
    group->memory = make(folder, group->memory_path, sizeof group->memory_path);
    if (group->memory >= 0 && (put(group->memory_path, "memory.max", memory_bytes) != 0 ||
                               put(group->memory_path, "pids.max", processes) != 0))
      discard(&group->memory, group->memory_path);
  }
  if (group->memory >= 0 || group->pids >= 0)
    snprintf(text, room, "%s%s%s of all programs together", group->memory >= 0 ? "memory" : "",
             group->memory >= 0 && group->pids >= 0 ? " and " : "", group->pids >= 0 ? "processes" : "");
  else
    snprintf(text, room, "none can be made: %s", strerror(errno));
}

void tg_enter_cgroup(const struct tg_cgroup* group) {
  const int files[] = {group->memory, group->pids};
  for (int i = 0; i < 2; i++) {
    if (files[i] >= 0 && write(files[i], "0", 1) != 1) continue;
  }
}

uint64_t tg_memory_kills(const struct tg_cgroup* group) {
  static const char* const names[] = {"memory.oom_control", "memory.events"};  // of versions 1 and 2
  char path[600], line[128];
  FILE* file = NULL;
  for (int i = 0; i < 2 && group->memory >= 0 && file == NULL; i++) {
    snprintf(path, sizeof path, "%s/%s", group->memory_path, names[i]);
    file = fopen(path, "re");
  }
  if (file == NULL) file = fopen("/proc/vmstat", "re");
  unsigned long long kills = 0;
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    if (sscanf(line, "oom_kill %llu", &kills) == 1) break;
  }
  if (file != NULL) fclose(file);
  return kills;
}

static int remove_one(const char* path) {
  if (path[0] == 0) return 0;
  const int failed = rmdir(path) != 0 && errno != ENOENT ? -1 : 0;
  // Again: a group whose last processes were still ending when this supervisor began could not be removed then.
  char parent[600];
  snprintf(parent, sizeof parent, "%s", path);
  char* last = strrchr(parent, '/');
  if (last != NULL) *last = 0;
  sweep(parent);
  return failed;
}

int tg_remove_cgroup(const struct tg_cgroup* group) {
  const int memory = remove_one(group->memory_path), pids = remove_one(group->pids_path);
  return memory == 0 && pids == 0 ? 0 : -1;
}
