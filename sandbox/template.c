// The template's side: `toolgrad-sandbox.so`, loaded by template.py through ctypes. tg_serve waits for orders of the
// supervisor and makes a sandboxed process for each. The template never runs a program; what it forks returns to Python
// only after every layer is in place, so that a failing step ends the call and never weakens it.
//
//   namespaces: template --clone(PID, mounts)--> init (init.c) --fork--> the process
//   otherwise:  template --fork--> the process, which can fork nothing; the template waits for it
#include "template.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "descriptors.h"
#include "policy.h"
#include "process.h"
#include "wire.h"

enum { kControl = 3, kMaxChildren = 4096, kMaxPaths = 64 };

struct child {
  pid_t pid;
  int status;  // socket to report on; -1 under an init, which reports itself
};

static struct tg_policy policy;
static struct child children[kMaxChildren];
static size_t child_count;
static int child_signals = -1;

int tg_open(unsigned layers, const char* const* read_paths, size_t read_count) {
  static int read_fds[kMaxPaths + 4];
  static const char* const devices[] = {"/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"};
  if (read_count > kMaxPaths) return -E2BIG;
  policy.layers = layers;
  policy.read_fds = read_fds;
  for (size_t i = 0; i < read_count + 4; i++) {
    const int path = open(i < 4 ? devices[i] : read_paths[i - 4], O_PATH | O_CLOEXEC);
    if (path >= 0) read_fds[policy.read_count++] = path;
  }
  int failed = 0;
  if (layers & TG_SECCOMP) {
    failed = tg_filter_build(&policy.plain, 0);
    if (failed == 0) failed = tg_filter_build(&policy.session, layers & TG_NAMESPACES ? TG_ALLOW_FORK : 0);
    if (failed == 0) failed = tg_filter_build(&policy.processes, TG_ALLOW_PROCESSES);
  }
  if (failed != 0) return failed;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) return -errno;
  child_signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  return child_signals < 0 ? -errno : 0;
}

// A process with threads cannot be forked safely. Unsharing threads has no effect but to fail where there is a second one; where
// no unsharing is allowed at all, which a container does, there is a /proc to look into.
static int single_threaded(void) {
  if (unshare(CLONE_THREAD) == 0) return 1;
  if (errno == EINVAL) return 0;
  struct stat tasks;
  return stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink == 3;  // itself, its parent, and one for each thread
}

int tg_ready(void) {
  if (!single_threaded()) return -EBUSY;
  const struct tg_event ready = {.kind = TG_EVENT_READY};
  return tg_send(kControl, &ready, sizeof ready, NULL, 0) == 0 ? 0 : -errno;
}

static void report(int status, int wait_status, const struct rusage* usage) {
  const struct tg_event ended = tg_ended(wait_status, usage);
  tg_send(status, &ended, sizeof ended, NULL, 0);
}

static void reap(void) {
  struct signalfd_siginfo ignored;
  while (read(child_signals, &ignored, sizeof ignored) > 0) {
  }
  for (;;) {
    int wait_status;
    struct rusage usage;
    const pid_t pid = wait4(-1, &wait_status, WNOHANG, &usage);
    if (pid <= 0) return;
    for (size_t i = 0; i < child_count; i++) {
      if (children[i].pid != pid) continue;
      if (children[i].status >= 0) {
        // Without seccomp, which only an unsafe sandbox is, the process may have left others behind.
        if (!(policy.layers & TG_SECCOMP)) kill(-pid, SIGKILL);
        report(children[i].status, wait_status, &usage);
        close(children[i].status);
      }
      children[i] = children[--child_count];
      break;
    }
  }
}

// Returns 1 in the new process, 0 in the template.
static int spawn(const struct tg_spawn* order, int* descriptors, struct tg_task* task) {
  const int status = descriptors[0];
  struct tg_process process = {
      .order = order,
      .status = status,
      .input = descriptors[1],
      .standard = {descriptors[2], descriptors[3], descriptors[4]},
      .cell = order->flags & TG_SPAWN_SESSION ? descriptors[5] : -1,
      .work = order->flags & TG_SPAWN_WORKDIR ? descriptors[order->flags & TG_SPAWN_SESSION ? 6 : 5] : -1,
      .parent = getpid(),
  };
  const int namespaces = (policy.layers & TG_NAMESPACES) != 0;
  int pidfd = -1;
  pid_t pid = -1;
  if (child_count == kMaxChildren) {
    errno = EAGAIN;
  } else if (namespaces) {
    pid = tg_clone(CLONE_NEWPID | CLONE_NEWNS | CLONE_PIDFD, &pidfd);
  } else {
    pid = fork();
    if (pid > 0) pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
  }
  if (pid == 0) {
    const int result = namespaces ? tg_init(&policy, &process, task) : tg_become(&policy, &process, task);
    if (result == 0) return 1;
    _exit(125);  // which step failed has been told
  }
  if (pid < 0) {
    tg_fail(status, "fork", errno);
  } else {
    const struct tg_event made = {.kind = TG_EVENT_PROCESS};
    if (pidfd >= 0) {
      tg_send(status, &made, sizeof made, &pidfd, 1);
      close(pidfd);
    } else {
      kill(pid, SIGKILL);
      tg_fail(status, "pidfd", errno);
    }
    children[child_count++] =
        (struct child){.pid = pid, .status = namespaces ? -1 : fcntl(status, F_DUPFD_CLOEXEC, 10)};
  }
  for (int i = 0; i < TG_MAX_DESCRIPTORS; i++) {
    if (descriptors[i] >= 0) close(descriptors[i]);
  }
  return 0;
}

int tg_serve(struct tg_task* task) {
  struct pollfd waits[2] = {{.fd = kControl, .events = POLLIN}, {.fd = child_signals, .events = POLLIN}};
  for (;;) {
    if (poll(waits, 2, -1) < 0 && errno != EINTR) return -errno;
    if (waits[1].revents != 0) reap();
    if (waits[0].revents == 0) continue;
    struct tg_spawn order;
    int descriptors[TG_MAX_DESCRIPTORS];
    const ssize_t size = tg_receive(kControl, &order, sizeof order, descriptors, TG_MAX_DESCRIPTORS, NULL, 0);
    if (size == 0) return 0;
    if (size != sizeof order) return -EPROTO;
    if (spawn(&order, descriptors, task) == 1) return 1;
  }
}
