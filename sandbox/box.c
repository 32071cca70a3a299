// See box.h.
#include "box.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "descriptors.h"
#include "process.h"
#include "workdir.h"

enum {
  kChunk = 1 << 16,
  kEscalate = 1000000,  // us until a kill that had no effect is followed by a stronger one
  kMaxFileBytes = 1 << 26,
};

static void shut(int* descriptor) {
  if (*descriptor >= 0) close(*descriptor);
  *descriptor = -1;
}

static void close_box(struct box* box) {
  if (box->closed) return;
  box->closed = true;
  for (int port = 0; port < kPorts; port++) shut(&box->ports[port]);
}

void collect_boxes(struct supervisor* all) {
  for (size_t i = 0; i < all->box_count; i++) {
    struct box* box = &all->boxes[i];
    if (!box->used || !box->closed) continue;
    if (box->pidfd >= 0) {
      syscall(SYS_pidfd_send_signal, box->pidfd, SIGKILL, NULL, 0);  // over already but after a failure
      shut(&box->pidfd);
    }
    shut(&box->work);
    if (box->work_name[0] != 0) tg_remove(all->root, box->work_name);
    for (int s = 0; s < 2; s++) tg_keep_free(&box->streams[s]);
    tg_free(&box->files);
    free(box->fetch);
    if (box->template != NULL) box->template->active -= 1;
    *box = (struct box){0};
  }
  while (all->box_count > 0 && !all->boxes[all->box_count - 1].used) all->box_count -= 1;
}

// ---------------------------------------------------------------------------------------------------------- beginning

static struct box* free_box(struct supervisor* all) {
  for (size_t i = 0; i < kMaxBoxes; i++) {
    struct box* box = &all->boxes[i];
    if (box->used) continue;
    *box = (struct box){.used = true, .pidfd = -1, .work = -1, .ports = {-1, -1, -1, -1}};
    if (i >= all->box_count) all->box_count = i + 1;
    return box;
  }
  return NULL;
}

static void begin_clock(struct box* box, const struct tg_run* run) {
  box->run = *run;
  box->run.code = box->run.input = box->run.files = box->run.fetch = (struct tg_text){0};
  box->id = run->id;
  box->busy = true;
  box->started = box->starved = false;
  box->cause = kExit;
  box->begun = now_us();
  box->next_check = box->begun + (int64_t)run->start_us;
  box->escalate_at = 0;
  box->escalations = 0;
  box->file_count = 0;
  box->error[0] = 0;
  box->done.kind = 0;
  box->tree_last = box->tree_spent = 0;
  for (int i = 0; i < 2; i++) tg_keep_begin(&box->streams[i], run->kept_bytes);
}

static int watch_port(struct supervisor* all, struct box* box, enum port port) {
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = port_key(all, box, port)};
  return epoll_ctl(all->epoll, EPOLL_CTL_ADD, box->ports[port], &event);
}

// A pair of sockets of which the supervisor's end passes credentials and never blocks.
static int make_pair(int* ours, int* theirs) {
  int ends[2];
  const int on = 1;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return -1;
  *ours = ends[0];
  *theirs = ends[1];
  if (setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) return -1;
  return fcntl(ends[0], F_SETFL, O_NONBLOCK);
}

static int make_stream(int* ours, int* theirs) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return -1;
  *ours = ends[0];
  *theirs = ends[1];
  return fcntl(ends[0], F_SETFL, O_NONBLOCK);
}

static struct tg_bytes bytes_of(struct tg_text text) {
  return (struct tg_bytes){.data = text.data, .size = text.size};
}

// Makes the box's descriptors and sends the order. Descriptors of the other side lie in `theirs`. Returns the step that failed.
static const char* open_box(struct supervisor* all, struct box* box, const struct tg_run* run, int* theirs) {
  const bool session = run->session != 0;
  struct tg_spawn order = {
      .flags = (session ? TG_SPAWN_SESSION : 0) | (all->root >= 0 ? TG_SPAWN_WORKDIR : 0),
      .processes = run->processes,
      .memory_bytes = run->memory_bytes,
      .file_bytes = run->file_bytes,
      // Seconds are too coarse to judge by, and a session's interpreter lives longer than one call.
      .cpu_seconds = session ? UINT32_MAX : (uint32_t)(run->cpu_us / 1000000 + 2),
      .serial = ++all->serial,
      .seed = run->seed,
      .code_bytes = run->code.size,
      .files_bytes = run->files.size,
      .fetch_bytes = run->fetch.size,
  };
  const struct tg_bytes parts[] = {bytes_of(run->code), bytes_of(run->files), bytes_of(run->fetch)};
  const struct tg_bytes text = bytes_of(run->input);
  if (make_pair(&box->ports[kStatus], &theirs[0]) != 0) return "socketpair";
  if ((theirs[1] = session ? open("/dev/null", O_RDONLY | O_CLOEXEC) : tg_memory_file("input", parts, 3)) < 0)
    return "memfd";
  theirs[2] = text.size == 0 ? open("/dev/null", O_RDONLY | O_CLOEXEC) : tg_memory_file("stdin", &text, 1);
  if (theirs[2] < 0) return "stdin";
  if (make_stream(&box->ports[kStdout], &theirs[3]) != 0 || make_stream(&box->ports[kStderr], &theirs[4]) != 0)
    return "pipe";
  size_t count = TG_SPAWN_DESCRIPTORS;
  if (session && make_pair(&box->ports[kCell], &theirs[count++]) != 0) return "socketpair";
  if (all->root >= 0) {
    const uid_t owner = geteuid() == 0 && all->settings.stranger_runs ? all->settings.stranger : geteuid();
    snprintf(box->work_name, sizeof box->work_name, "%u", order.serial);
    box->work = tg_make_work(all->root, box->work_name, owner);
    if (run->fetch.size > 0) {
      box->fetch = calloc((size_t)run->fetch.size + 1, 1);
      if (box->fetch == NULL) return "names of files";
      memcpy(box->fetch, run->fetch.data, run->fetch.size);
    }
    if (box->work < 0 || (theirs[count++] = fcntl(box->work, F_DUPFD_CLOEXEC, 3)) < 0) return "working directory";
  }
  for (int port = 0; port < kPorts; port++) {
    if (box->ports[port] >= 0 && watch_port(all, box, (enum port)port) != 0) return "epoll";
  }
  if (tg_send(box->template->control, &order, sizeof order, theirs, count) != 0) return "order to the template";
  box->template->served += 1;
  return NULL;
}

static int send_cell(struct box* box, const struct tg_run* run) {
  const struct tg_bytes code = bytes_of(run->code);
  const int input = tg_memory_file("cell", &code, 1);
  if (input < 0) return -1;
  const struct tg_cell order = {
      .kind = TG_CELL_RUN, .code_bytes = run->code.size, .nonce = ++box->nonce, .seed = run->seed};
  const int result = tg_send(box->ports[kCell], &order, sizeof order, &input, 1);
  close(input);
  return result;
}

static void drain(struct supervisor* all, struct box* box, enum port port);

static struct box* box_of_session(struct supervisor* all, uint64_t session) {
  for (size_t i = 0; i < all->box_count; i++) {
    struct box* box = &all->boxes[i];
    if (box->used && !box->closed && box->session == session) return box;
  }
  return NULL;
}

void begin_call(struct supervisor* all, const struct tg_run* run) {
  struct box* box = run->session == 0 ? NULL : box_of_session(all, run->session);
  if (box != NULL && !box->busy) {
    // What was written since the last cell ended belongs to none.
    begin_clock(box, run);
    for (enum port port = kStdout; port <= kStderr; port++) drain(all, box, port);
    for (int i = 0; i < 2; i++) tg_keep_begin(&box->streams[i], run->kept_bytes);
    const struct tg_order order = {.kind = TG_ORDER_GO_ON};
    const bool goes_on = (all->settings.layers & TG_NAMESPACES)
                             ? tg_send(box->ports[kStatus], &order, sizeof order, NULL, 0) == 0
                             : syscall(SYS_pidfd_send_signal, box->pidfd, SIGCONT, NULL, 0) == 0;
    if (goes_on && send_cell(box, run) == 0) return;
    lose_session(all, box);
    close_box(box);
    return;
  }
  if (run->processes > 0 && !(all->settings.layers & TG_NAMESPACES)) {
    struct box refused = {.ports = {-1, -1, -1, -1}};
    begin_clock(&refused, run);
    fail_call(all, &refused, "processes need namespaces", 0);
    return;
  }
  struct box refused = {.ports = {-1, -1, -1, -1}};
  const bool busy = box != NULL;
  box = busy ? NULL : free_box(all);
  if (box == NULL) {
    begin_clock(&refused, run);
    fail_call(all, &refused, busy ? "the session is busy" : "too many processes", 0);
    return;
  }
  box->session = run->session;
  begin_clock(box, run);
  if (run->session != 0 && run->continues) {
    lose_session(all, box);
    close_box(box);
    return;
  }
  box->template = current_template(all, run->template_index);
  if (box->template == NULL) {
    fail_call(all, box, "there is no such template", 0);
    close_box(box);
    return;
  }
  box->template->active += 1;
  int theirs[TG_MAX_DESCRIPTORS] = {-1, -1, -1, -1, -1, -1, -1};
  const char* failed = open_box(all, box, run, theirs);
  if (failed == NULL && run->session != 0 && send_cell(box, run) != 0) failed = "first cell";
  const int error = errno;
  for (int i = 0; i < TG_MAX_DESCRIPTORS; i++) shut(&theirs[i]);
  if (failed == NULL) return;
  fail_call(all, box, failed, error);
  close_box(box);
}

// ---------------------------------------------------------------------------------------------------------- ending

// Each order is stronger than the one before: the cell, all processes of the box, its init.
void kill_box(struct supervisor* all, struct box* box) {
  const bool namespaces = (all->settings.layers & TG_NAMESPACES) != 0;
  int stage = box->escalations++;
  box->escalate_at = now_us() + kEscalate;
  if (stage == 0 && namespaces && box->session != 0 && box->started) {
    const struct tg_cell order = {.kind = TG_CELL_KILL, .nonce = box->nonce};
    if (tg_send(box->ports[kCell], &order, sizeof order, NULL, 0) == 0) return;
  }
  if (stage <= 1 && namespaces) {
    const struct tg_order order = {.kind = TG_ORDER_KILL};
    box->escalations = 2;
    if (tg_send(box->ports[kStatus], &order, sizeof order, NULL, 0) == 0) return;
  }
  if (box->pidfd >= 0) syscall(SYS_pidfd_send_signal, box->pidfd, SIGKILL, NULL, 0);
}

void stop_call(struct supervisor* all, struct box* box, int cause) {
  if (!box->busy || box->cause != kExit) return;
  box->cause = cause;
  kill_box(all, box);
}

void cancel_call(struct supervisor* all, uint64_t id) {
  for (size_t i = 0; i < all->box_count; i++) {
    struct box* box = &all->boxes[i];
    if (box->used && !box->closed && box->busy && box->id == id) stop_call(all, box, kCancelled);
  }
}

void end_session(struct supervisor* all, uint64_t session) {
  struct box* box = box_of_session(all, session);
  if (box == NULL) return;
  box->escalations = 1;
  if (box->busy && box->cause == kExit) box->cause = kCancelled;
  kill_box(all, box);
}

static void drain(struct supervisor* all, struct box* box, enum port port) {
  static uint8_t chunk[kChunk];
  // Nobody is left who could write for ever, but in a session.
  for (uint64_t taken = 0; box->ports[port] >= 0 && taken < (1 << 22);) {
    const ssize_t size = read(box->ports[port], chunk, sizeof chunk);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return;
    if (size == 0) {
      epoll_ctl(all->epoll, EPOLL_CTL_DEL, box->ports[port], NULL);
      shut(&box->ports[port]);
      return;
    }
    taken += (uint64_t)size;
    if (tg_keep(&box->streams[port - kStdout], chunk, (size_t)size) != 0) _exit(70);
  }
}

static void finish(struct supervisor* all, struct box* box, const struct tg_event* event, int flags) {
  for (enum port port = kStdout; port <= kStderr; port++) drain(all, box, port);
  if (box->cause == kExit && !box->started && event->kind == TG_EVENT_ENDED) {
    fail_call(all, box, "the interpreter ended before the program began", 0);
    return;
  }
  // It may have ended before the next look; a session's next cell gets another.
  if (box->cause == kExit && box->session == 0 && exceeds_quota(box)) box->cause = kQuota;
  measure_tree(box);
  const uint64_t cpu = event->cpu_us > box->tree_spent ? event->cpu_us : box->tree_spent;
  // Killed, and not by us: by the kernel for want of memory, or by itself.
  if (box->cause == kExit && (event->status & 0x7f) == SIGKILL && tg_memory_kills(&all->cgroup) > all->memory_kills) {
    all->memory_kills += 1;
    flags |= kOutOfMemory;
  }
  send_result(all, box, (uint32_t)event->status, cpu, event->rss_bytes, flags);
}

static void take_file(struct box* box, uint32_t index, int file) {
  struct stat found;
  const size_t before = box->files.size;
  if (fstat(file, &found) == 0 && S_ISREG(found.st_mode) && found.st_size <= kMaxFileBytes - (off_t)before &&
      box->file_count < kMaxFiles) {
    const size_t size = (size_t)found.st_size;
    uint8_t* content = malloc(size + 1);
    size_t there = 0;
    while (content != NULL && there < size) {
      const ssize_t part = pread(file, content + there, size - there, (off_t)there);
      if (part <= 0) break;
      there += (size_t)part;
    }
    if (content != NULL && there == size) {
      tg_put(&box->files, index, 4);
      tg_put(&box->files, size, 4);
      tg_put_bytes(&box->files, content, size);
      box->file_count += 1;
    }
    free(content);
  }
  close(file);
}

static void on_started(struct box* box, pid_t sender) {
  box->started = true;
  box->started_at = now_us();
  box->program = sender;
  box->processor_before = processor_us(sender);
  box->queued_before = queued_us(sender);
  measure_tree(box);
  box->tree_spent = 0;
  box->next_check = box->started_at + kShortestCheck;
}

// The process id behind a pidfd.
static pid_t process_of(int pidfd) {
  char name[48], line[128];
  int pid = 0;
  snprintf(name, sizeof name, "/proc/self/fdinfo/%d", pidfd);
  FILE* file = fopen(name, "re");
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    if (sscanf(line, "Pid: %d", &pid) == 1) break;
  }
  if (file != NULL) fclose(file);
  return pid > 0 ? pid : 0;
}

// Between two cells nothing of a session runs.
static void pause_session(struct supervisor* all, struct box* box, struct tg_event done) {
  box->done.kind = 0;
  syscall(SYS_pidfd_send_signal, box->pidfd, SIGSTOP, NULL, 0);
  finish(all, box, &done, 0);
}

static void on_status(struct supervisor* all, struct box* box) {
  struct tg_event event;
  int descriptor;
  pid_t sender;
  const ssize_t size = tg_receive(box->ports[kStatus], &event, sizeof event, &descriptor, 1, &sender, MSG_DONTWAIT);
  if (size < 0 && errno == EAGAIN) return;
  if (size != sizeof event) {
    // Its init or its template is gone.
    const struct tg_event killed = {.kind = TG_EVENT_FAILED, .status = SIGKILL};
    if (box->busy && box->cause != kExit)
      finish(all, box, &killed, box->session != 0 ? kSessionEnded : 0);
    else if (box->busy)
      fail_call(all, box, "whoever waited for the process is gone", 0);
    close_box(box);
    return;
  }
  event.text[sizeof event.text - 1] = 0;
  if (event.kind == TG_EVENT_PROCESS && descriptor >= 0 && box->pidfd < 0) {
    box->pidfd = descriptor;
    // Whoever may fork is measured with all that it forked.
    const bool forks = (all->settings.layers & TG_NAMESPACES) && (box->session != 0 || box->run.processes > 0);
    box->init = forks ? process_of(descriptor) : 0;
    descriptor = -1;
    if (box->started) measure_tree(box), box->tree_spent = 0;  // what it has used until now is lost
    if (box->cause != kExit)
      kill_box(all, box);  // stopped before there was what could be killed
    else if (box->done.kind == TG_EVENT_DONE && !(all->settings.layers & TG_NAMESPACES))
      pause_session(all, box, box->done);  // its cell was faster than the template
  } else if (event.kind == TG_EVENT_STARTED && box->session == 0) {
    on_started(box, sender);
  } else if (event.kind == TG_EVENT_CLEANED && box->busy && box->done.kind == TG_EVENT_DONE) {
    event = box->done;
    box->done.kind = 0;
    finish(all, box, &event, 0);
  } else if (event.kind == TG_EVENT_FILE && descriptor >= 0) {
    take_file(box, (uint32_t)event.status, descriptor);
    descriptor = -1;
  } else if (event.kind == TG_EVENT_FAILED) {
    if (box->busy) fail_call(all, box, event.text, event.status);
    close_box(box);
  } else if (event.kind == TG_EVENT_ENDED) {
    if (box->work >= 0) {
      const char* name = box->fetch;
      for (uint32_t index = 0; name != NULL && *name != 0; name += strlen(name) + 1, index++) {
        const int file = tg_open_result(box->work, name);
        if (file >= 0) take_file(box, index, file);
      }
    }
    if (box->busy) finish(all, box, &event, box->session != 0 ? kSessionEnded : 0);
    close_box(box);
  }
  if (descriptor >= 0) close(descriptor);
}

// What comes here may be forged by the program of the session.
static void on_cell(struct supervisor* all, struct box* box) {
  struct tg_event event;
  pid_t sender;
  const ssize_t size = tg_receive(box->ports[kCell], &event, sizeof event, NULL, 0, &sender, MSG_DONTWAIT);
  if (size < 0 && errno == EAGAIN) return;
  const bool expected = size == sizeof event && box->busy && event.nonce == box->nonce && box->done.kind == 0;
  if (expected && event.kind == TG_EVENT_STARTED && !box->started) {
    on_started(box, sender);
  } else if (expected && event.kind == TG_EVENT_DONE && box->started) {
    if (box->escalations >= 2) return;  // everything has been told to die; its end tells the result
    event.rss_bytes = event.rss_bytes < ((uint64_t)1 << 50) ? event.rss_bytes : 0;
    const uint64_t now = processor_us(box->program);
    if (event.cpu_us == 0 && now > box->processor_before) event.cpu_us = now - box->processor_before;
    box->escalate_at = 0;
    const struct tg_order order = {.kind = TG_ORDER_CLEAN, .pid = event.pid};
    box->done = event;
    if ((all->settings.layers & TG_NAMESPACES) && tg_send(box->ports[kStatus], &order, sizeof order, NULL, 0) == 0)
      return;
    if (box->pidfd >= 0) pause_session(all, box, event);
  } else if (size <= 0) {
    // The interpreter goes, or the program closed the socket: the session is over, and its end will be reported.
    epoll_ctl(all->epoll, EPOLL_CTL_DEL, box->ports[kCell], NULL);
    shut(&box->ports[kCell]);
    if (box->escalate_at == 0) box->escalations = 1, box->escalate_at = now_us() + kEscalate;
  } else {
    box->escalations = 1;
    kill_box(all, box);
  }
}

void serve_port(struct supervisor* all, struct box* box, enum port port) {
  if (!box->used || box->closed || box->ports[port] < 0) return;
  if (port == kStatus) {
    on_status(all, box);
  } else if (port == kCell) {
    on_cell(all, box);
  } else if (box->busy) {
    static uint8_t chunk[kChunk];
    const ssize_t size = read(box->ports[port], chunk, sizeof chunk);
    if (size < 0) return;
    if (size == 0) {
      epoll_ctl(all->epoll, EPOLL_CTL_DEL, box->ports[port], NULL);
      shut(&box->ports[port]);
      return;
    }
    if (tg_keep(&box->streams[port - kStdout], chunk, (size_t)size) != 0) _exit(70);
    if (box->streams[0].total + box->streams[1].total > box->run.hard_bytes) stop_call(all, box, kOutput);
  } else {
    // A session that writes between two cells: nobody waits for it, so it is read and dropped.
    static uint8_t dropped[kChunk];
    const ssize_t size = read(box->ports[port], dropped, sizeof dropped);
    if (size == 0) {
      epoll_ctl(all->epoll, EPOLL_CTL_DEL, box->ports[port], NULL);
      shut(&box->ports[port]);
    }
  }
}
