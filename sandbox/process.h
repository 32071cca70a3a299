// One sandboxed process, from the template's fork to the program: process.c makes the process, init.c waits for it.
#pragma once
#include <sys/resource.h>
#include <sys/types.h>

#include "policy.h"
#include "wire.h"

struct tg_policy {
  unsigned layers;
  int* read_fds;
  size_t read_count;
  struct tg_filter plain, session, processes;
};

struct tg_process {
  const struct tg_spawn* order;
  int status, input, standard[3];
  int cell;      // -1: no session
  int work;      // -1: a tmpfs at /sandbox
  pid_t parent;  // must still be there when death is tied to it
};

// The trainer's event loop, which wakes for a moment to hand out the next program, is not to wait for programs: they get the processor
// as much as they would, but later (SCHED_BATCH) and for longer at a time; the supervisor is between the two. Linux before 6.12 takes
// the policy and ignores the slice; a kernel that will have neither does without. No nice value: templates would starve beside programs
// that use up their time, and programs beside a trainer that computes. A trainer that was started under another policy keeps it for all.
// What a process forks inherits it.
void tg_give_way(int policy, unsigned slice_ms);

// A fork by system call, for processes that run C only: no handlers run, and nothing of libc's state is renewed.
pid_t tg_clone(unsigned long flags, int* pidfd);
// Turns the calling process, a fresh fork, into the one that is to run the program. 0, or -1 after telling why.
int tg_become(struct tg_policy* policy, const struct tg_process* process, struct tg_task* task);
// The same through an init of its own: the caller becomes PID 1 of its namespace, waits, reports and never returns; the
// process that it forks returns 0.
int tg_init(struct tg_policy* policy, const struct tg_process* process, struct tg_task* task);
struct tg_event tg_ended(int wait_status, const struct rusage* usage);
// Sends what of `names` (NUL-separated) are regular files beneath the working directory.
void tg_send_files(int status, int work, const char* names, size_t bytes);
// Opens a regular file beneath `work`, following no link: a descriptor or -1.
int tg_open_result(int work, const char* name);
void tg_fail(int status, const char* step, int error);
