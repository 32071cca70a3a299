// The interpreter of a session: takes cells from the supervisor's socket (descriptor 3). With `fork_first` each cell runs in
// a fork; when it has ended by itself the fork becomes the interpreter and its parent goes, when it was killed the parent,
// which has the state from before it, goes on. The program shares this process: what it does to the socket harms its own
// session only.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "descriptors.h"
#include "policy.h"
#include "template.h"

enum { kSocket = 3 };

static uint64_t nonce;
static int parent = -1;  // in a fork: its parent

static int tell(uint32_t kind, int status, const struct rusage* usage) {
  struct tg_event event = {.kind = kind, .status = status, .nonce = nonce, .pid = getpid()};
  if (usage != NULL) {
    event.cpu_us = (uint64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000 +
                   (uint64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec);
    event.rss_bytes = (uint64_t)usage->ru_maxrss * 1024;
  }
  return tg_send(kSocket, &event, sizeof event, NULL, 0);
}

int tg_started(void) {
  const struct tg_event started = {.kind = TG_EVENT_STARTED, .nonce = nonce};
  const int sent = tg_send(kSocket, &started, sizeof started, NULL, 0);
  if (nonce == 0) close(kSocket);  // no session: the program does not get the socket
  return sent;
}

// In the parent of a cell's fork. Returns when the fork is dead; exits when it takes over.
static void watch(pid_t pid, int child) {
  struct pollfd waits[2] = {{.fd = child, .events = POLLIN}, {.fd = kSocket, .events = POLLIN}};
  for (;;) {
    if (poll(waits, 2, -1) < 0) continue;
    if (waits[1].revents != 0) {
      struct tg_cell order;
      const ssize_t size = tg_receive(kSocket, &order, sizeof order, NULL, 0, NULL, MSG_DONTWAIT);
      if (size == 0) _exit(0);  // the supervisor has let go of the session
      if (size == sizeof order && order.kind == TG_CELL_KILL) kill(pid, SIGKILL);
    }
    if (waits[0].revents == 0) continue;
    char word;
    if (read(child, &word, 1) == 1) {
      close(child);  // the fork goes on now, not when all of this process is gone
      _exit(0);
    }
    break;
  }
  close(child);
  int wait_status;
  struct rusage usage;
  while (wait4(pid, &wait_status, 0, &usage) < 0 && errno == EINTR) {
  }
  tell(TG_EVENT_DONE, wait_status, &usage);
}

int tg_next_cell(struct tg_task* task, int fork_first) {
  for (;;) {
    struct tg_cell order;
    int input;
    const ssize_t size = tg_receive(kSocket, &order, sizeof order, &input, 1, NULL, 0);
    if (size != sizeof order) return 0;
    if (order.kind != TG_CELL_RUN) continue;  // an order to kill that came too late
    nonce = order.nonce;
    int forked = 0;
    if (fork_first) {
      int ends[2];
      if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return 0;
      const pid_t pid = fork();
      if (pid < 0) {
        close(ends[0]);
        close(ends[1]);  // it runs here, without the safety of a copy
      } else if (pid > 0) {
        close(input);
        close(ends[1]);
        watch(pid, ends[0]);
        continue;
      } else {
        close(ends[0]);
        parent = ends[1];
        forked = 1;
      }
    }
    *task = (struct tg_task){
        .input = input, .forked = forked, .session = 1, .code_bytes = order.code_bytes, .seed = order.seed};
    return 1;
  }
}

int tg_cell_done(int status) {
  if (parent >= 0) {
    char unused;
    if (write(parent, "D", 1) != 1) return -errno;
    while (read(parent, &unused, 1) < 0 && errno == EINTR) {
    }  // ends when the parent is gone, so that two never wait for one cell
    close(parent);
    parent = -1;
  }
  return tell(TG_EVENT_DONE, status << 8, NULL);
}
