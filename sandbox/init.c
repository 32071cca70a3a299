// PID 1 of one call's namespaces: mounts the private working directory, forks the process, waits for it, kills whatever
// it left, hands files over and reports. C only: it is a copy of the template in which no Python runs any more.
// When it dies, the kernel kills all that is in its namespace; when the template dies, the kernel kills it.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "descriptors.h"
#include "process.h"

enum { kInodes = 8192, kRounds = 1000 };

static int mount_work(uint64_t bytes) {
  char options[96];
  const unsigned long long size = bytes < 4096 ? 4096 : bytes;
  snprintf(options, sizeof options, "size=%llu,nr_inodes=%d,mode=0700", size, kInodes);
  return mount("work", "/sandbox", "tmpfs", MS_NOSUID | MS_NODEV, options);
}

void tg_send_files(int status, int work, const char* names, size_t bytes) {
  int index = 0;
  for (size_t at = 0; at < bytes; index++) {
    const char* name = names + at;
    const size_t length = strnlen(name, bytes - at);
    if (at + length == bytes) return;  // not ended by NUL
    at += length + 1;
    const int file = tg_open_result(work, name);
    if (file < 0) continue;
    const struct tg_event found = {.kind = TG_EVENT_FILE, .status = index};
    tg_send(status, &found, sizeof found, &file, 1);
    close(file);
  }
}

static void hand_over(const struct tg_process* process) {
  const struct tg_spawn* order = process->order;
  const size_t before = order->code_bytes + order->files_bytes;
  const size_t all = before + order->fetch_bytes;
  const char* input = mmap(NULL, all, PROT_READ, MAP_PRIVATE, process->input, 0);
  const int work = open("/sandbox", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (input != MAP_FAILED && work >= 0) tg_send_files(process->status, work, input + before, order->fetch_bytes);
}

static pid_t kept;  // the interpreter of a session between two cells

// The number of a process that has come and gone: every one before it has a smaller number. -1 if none can be made.
static pid_t next_number(void) {
  const pid_t number = vfork();
  if (number == 0) _exit(0);
  if (number > 0) waitpid(number, NULL, 0);
  return number;
}

// Stops the interpreter and kills what a cell has left, until nobody has come meanwhile: processes may replace each other. Numbers grow, so
// that the newest is told by making one more; threads, which have numbers too, cannot be opened.
// `keep` is the program's word. Returns -1 if it cannot be, the numbers have run over, or there is no end.
static int clean(pid_t keep) {
  static pid_t cleaned = 1;
  if (keep < 2 || kill(keep, SIGSTOP) != 0) return -1;
  for (int round = 0; round < kRounds; round++) {
    const pid_t newest = next_number();
    if (newest < keep || newest < cleaned) return -1;
    if (round > 0 && newest == cleaned + 1) {
      cleaned = newest;
      return 0;
    }
    for (pid_t pid = kept > 0 && kept != keep ? kept : cleaned + 1; pid < newest;
         pid = pid == kept ? cleaned + 1 : pid + 1) {
      const int process = pid == keep ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
      if (process < 0) continue;
      syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0);
      close(process);
    }
    kept = keep;
    cleaned = newest;
  }
  return -1;
}

static void obey(const struct tg_process* process) {
  struct tg_order order;
  const ssize_t size = recv(process->status, &order, sizeof order, MSG_DONTWAIT);
  if (size < 0 && errno == EAGAIN) return;
  if (size == sizeof order && order.kind == TG_ORDER_CLEAN && clean(order.pid) == 0) {
    const struct tg_event cleaned = {.kind = TG_EVENT_CLEANED};
    tg_send(process->status, &cleaned, sizeof cleaned, NULL, 0);
    return;
  }
  if (size == sizeof order && order.kind == TG_ORDER_GO_ON && kept > 0 && kill(kept, SIGCONT) == 0) return;
  kill(-1, SIGKILL);  // everything here but this process: an order, or the end of the supervisor
}

// A call is over when its process is; a session when no process is left, since its cells follow each other as forks.
static _Noreturn void wait_for(const struct tg_process* process, pid_t pid, int signals) {
  const int session = process->cell >= 0;
  struct pollfd waits[2] = {{.fd = process->status, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
  int wait_status = SIGKILL;
  struct rusage usage = {0};
  for (int over = 0; !over;) {
    if (poll(waits, 2, -1) < 0 && errno != EINTR) break;
    if (waits[0].revents & POLLIN) obey(process);
    if (waits[0].revents & (POLLHUP | POLLERR)) {
      kill(-1, SIGKILL);
      waits[0].fd = -1;
    }
    if (waits[1].revents == 0) continue;
    struct signalfd_siginfo ignored;
    while (read(signals, &ignored, sizeof ignored) > 0) {
    }
    for (;;) {
      int ended_as;
      struct rusage used;
      const pid_t ended = wait4(-1, &ended_as, WNOHANG, &used);
      if (ended == 0) break;
      if (ended < 0) {
        over = 1;
        break;
      }
      if (ended != pid && !session) continue;  // an orphan
      wait_status = ended_as;
      usage = used;
      over = !session;
      if (over) break;
    }
  }
  kill(-1, SIGKILL);
  while (waitpid(-1, NULL, 0) > 0) {
  }
  if (process->order->fetch_bytes > 0) hand_over(process);
  const struct tg_event event = tg_ended(wait_status, &usage);
  tg_send(process->status, &event, sizeof event, NULL, 0);
  _exit(0);
}

int tg_init(struct tg_policy* policy, const struct tg_process* process, struct tg_task* task) {
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (mount_work(process->order->file_bytes) != 0) {
    tg_fail(process->status, "mount of /sandbox", errno);
    return -1;
  }
  struct tg_process mine = *process;
  mine.parent = getpid();
  sigset_t child_ended;
  sigemptyset(&child_ended);
  sigaddset(&child_ended, SIGCHLD);
  const int signals = signalfd(-1, &child_ended, SFD_CLOEXEC | SFD_NONBLOCK);  // blocked since the template's start
  if (signals < 0) {
    tg_fail(process->status, "signalfd", errno);
    return -1;
  }
  const pid_t pid = fork();
  if (pid == 0) return tg_become(policy, &mine, task);
  if (pid < 0) {
    tg_fail(process->status, "fork", errno);
    return -1;
  }
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  for (int i = 0; i < 3; i++) close(process->standard[i]);
  if (process->cell >= 0) close(process->cell);
  tg_drop_capabilities();
  wait_for(process, pid, signals);
}
