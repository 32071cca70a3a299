// See process.h. Order: parent's death, session, capabilities, Landlock, descriptors, limits, seccomp.
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "descriptors.h"

enum { kThreads = 64 };  // beside the processes that a program may start

pid_t tg_clone(unsigned long flags, int* pidfd) {
#if defined(__aarch64__) || defined(__x86_64__)
  return (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, pidfd, NULL, NULL);
#else
#error "expected x86-64 or arm64"
#endif
}

void tg_give_way(int policy, unsigned slice_ms) {
  if (sched_getscheduler(0) != SCHED_OTHER) return;
  const struct {  // sched_attr, which old headers lack
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
  } wanted = {.size = sizeof wanted,
              .policy = (uint32_t)policy,
              .nice = getpriority(PRIO_PROCESS, 0),
              .runtime = (uint64_t)slice_ms * 1000000};
  syscall(SYS_sched_setattr, 0, &wanted, 0);
}

struct tg_event tg_ended(int wait_status, const struct rusage* usage) {
  const uint64_t seconds = (uint64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec);
  return (struct tg_event){
      .kind = TG_EVENT_ENDED,
      .status = wait_status,
      .cpu_us = seconds * 1000000 + (uint64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec),
      .rss_bytes = (uint64_t)usage->ru_maxrss * 1024,
  };
}

void tg_fail(int status, const char* step, int error) {
  struct tg_event failed = {.kind = TG_EVENT_FAILED, .status = error};
  strncpy(failed.text, step, sizeof failed.text - 1);
  tg_send(status, &failed, sizeof failed, NULL, 0);
}

// Tells which step failed, from errno; `result` is 0 if it did not.
static int step(int result, const struct tg_process* process, const char* name) {
  if (result != 0) tg_fail(process->status, name, errno);
  return result;
}

// From 0 or -errno to 0 or -1 with errno.
static int checked(int failed) {
  errno = -failed;
  return failed == 0 ? 0 : -1;
}

// Moves descriptors to where the program finds them: 0 to 2, 3 for the status or the session's socket, 4 for the input; closes
// all others.
static int place(const struct tg_process* process) {
  const int sources[5] = {process->standard[0], process->standard[1], process->standard[2],
                          process->cell >= 0 ? process->cell : process->status, process->input};
  int moved[5];
  for (int i = 0; i < 5; i++) {
    moved[i] = fcntl(sources[i], F_DUPFD, 64);
    if (moved[i] < 0) return -1;
  }
  for (int i = 0; i < 5; i++) {
    if (dup2(moved[i], i) < 0) return -1;
  }
  return tg_close_from(5);
}

int tg_become(struct tg_policy* policy, const struct tg_process* process, struct tg_task* task) {
  const struct tg_spawn* order = process->order;
  const int session = process->cell >= 0;
  // A session whose cells are forks loses its parents one by one; its PID namespace ends it instead.
  const int outlives = session && (policy->layers & TG_NAMESPACES) != 0;
  if (!outlives) {
    if (step(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), process, "PR_SET_PDEATHSIG") != 0) return -1;
    if (getppid() != process->parent) return -1;
  }
  sigset_t none;
  sigemptyset(&none);
  if (step(sigprocmask(SIG_SETMASK, &none, NULL), process, "sigprocmask") != 0) return -1;
  setsid();
  umask(077);
  int work = process->work;
  if (work >= 0) {
    if (step(fchdir(work), process, "working directory") != 0) return -1;
  } else if (policy->layers & TG_NAMESPACES) {
    work = open("/sandbox", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (step(work < 0 ? -1 : chdir("/sandbox"), process, "working directory") != 0) return -1;
  }
  // Processes are counted for each user namespace by itself. Ids stay unmapped in it, which nothing needs.
  const int forks = (policy->layers & TG_NAMESPACES) != 0 && (session || order->processes > 0);
  if (forks && step(unshare(CLONE_NEWUSER), process, "user namespace") != 0) return -1;
  if (step(checked(tg_drop_capabilities()), process, "capabilities") != 0) return -1;
  if (policy->layers & TG_LANDLOCK) {
    const int failed = tg_landlock(policy->read_fds, policy->read_count, work, order->processes > 0);
    if (step(checked(failed), process, "Landlock") != 0) return -1;
  }
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  if (step(place(process), process, "descriptors") != 0) return -1;
  struct tg_process placed = *process;
  placed.status = session ? -1 : 3;
  if (policy->layers & TG_RLIMITS) {
    const struct tg_limits limits = {
        .memory_bytes = order->memory_bytes,
        .file_bytes = order->file_bytes,
        .cpu_seconds = order->cpu_seconds,
        .processes = forks ? order->processes + kThreads : 0,
    };
    if (step(checked(tg_limit(&limits)), &placed, "resource limits") != 0) return -1;
  }
  if (policy->layers & TG_SECCOMP) {
    struct tg_filter* filter = order->processes > 0 ? &policy->processes : session ? &policy->session : &policy->plain;
    if (step(checked(tg_seccomp(filter)), &placed, "seccomp") != 0) return -1;
  }
  *task = (struct tg_task){
      .input = 4,
      .session = (uint32_t)session,
      .code_bytes = order->code_bytes,
      .files_bytes = order->files_bytes,
      .seed = order->seed,
  };
  return 0;
}

int tg_open_result(int work, const char* name) {
  // openat2, struct open_how: old headers lack them.
  const struct {
    uint64_t flags, mode, resolve;
  } how = {.flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
           .resolve = 0x08 | 0x04 | 0x02};  // beneath, no links
  const int file = (int)syscall(437, work, name, &how, sizeof how);
  if (file < 0) return -1;
  struct stat found;
  if (fstat(file, &found) == 0 && S_ISREG(found.st_mode)) return file;
  close(file);
  return -1;
}
