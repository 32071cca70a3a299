// One control group for everything that a supervisor starts, where one can be made: memory and processes of all programs together
// are bounded, and the kernel ends a program rather than the trainer. An extra: no level depends on it.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct tg_cgroup {
  int memory, pids;  // descriptors of the files that take processes in; -1: none. The same hierarchy in version 2
  char memory_path[512], pids_path[512];
};

// Makes it beneath (version 1) or beside (version 2) the group of this process; `text` says what is there or why not.
void tg_make_cgroup(struct tg_cgroup* group, uint64_t memory_bytes, unsigned processes, char* text, size_t room);
// Puts the calling process into it. What cannot be entered is left: it was there a moment ago, and is an extra.
void tg_enter_cgroup(const struct tg_cgroup* group);
// How often the kernel has killed in it for want of memory; without a group: on the whole machine.
uint64_t tg_memory_kills(const struct tg_cgroup* group);
// Removes it; its processes must be gone. 0 or -1.
int tg_remove_cgroup(const struct tg_cgroup* group);
