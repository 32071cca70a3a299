// toolgrad-sandbox: runs a trainer's Python programs, each in a sandboxed process of its own. Frames of the trainer come on
// descriptor 0 and go out on 1 (frames.h); when 0 ends, so does everything here. One thread, one epoll loop, no wait.
//
//   trainer --frames--> supervisor --orders--> templates (Python, modules imported) --fork--> processes (box.h)
//
// Nothing here reads what a program writes but as bytes of bounded number.
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "box.h"
#include "descriptors.h"
#include "namespaces.h"
#include "policy.h"
#include "process.h"
#include "workdir.h"

enum {
  kTrainer = 0,
  kTrainerOut = 1,
  kChildren = 2,
  kTemplateKey = 16,       // and the following, one for each place
  kBoxKey = 64,            // and the following, kPorts for each place
  kRecycle = 20000,        // processes after which a template is replaced
  kMostRestarts = 8,       // of templates that died by themselves
  kMostProcesses = 16384,  // of all programs together, threads included
  kMostEvents = 64,
  kSliceMs = 10,
};

static struct supervisor all = {.root = -1, .cgroup = {.memory = -1, .pids = -1}};

uint64_t port_key(const struct supervisor* supervisor, const struct box* box, enum port port) {
  return kBoxKey + (uint64_t)(box - supervisor->boxes) * kPorts + (uint64_t)port;
}

static void watch(int descriptor, uint32_t events, uint64_t key) {
  struct epoll_event event = {.events = events, .data.u64 = key};
  if (epoll_ctl(all.epoll, EPOLL_CTL_ADD, descriptor, &event) != 0 && errno != EPERM) _exit(71);
}

static void send_text(uint8_t kind, const char* text) {
  const size_t begin = tg_begin_frame(&all.outgoing, kind);
  tg_put_bytes(&all.outgoing, text, strlen(text));
  if (tg_end_frame(&all.outgoing, begin) != 0) _exit(70);
}

// Writes what can be written now.
static void flush(bool all_of_it) {
  static bool watched;
  struct tg_buffer* out = &all.outgoing;
  while (out->taken < out->size) {
    const ssize_t written = write(1, out->data + out->taken, out->size - out->taken);
    if (written > 0) {
      out->taken += (size_t)written;
    } else if (errno == EAGAIN && !all_of_it) {
      break;
    } else if (errno != EINTR && errno != EAGAIN) {
      _exit(0);  // the trainer is gone
    }
  }
  if (out->taken == out->size) out->taken = out->size = 0;
  const bool wanted = out->size > 0;
  if (wanted == watched) return;
  watched = wanted;
  struct epoll_event event = {.events = EPOLLOUT, .data.u64 = kTrainerOut};
  epoll_ctl(all.epoll, wanted ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, 1, &event);
}

static _Noreturn void give_up(const char* text) {
  send_text(TG_FRAME_FAILED, text);
  flush(true);
  _exit(1);
}

// ---------------------------------------------------------------------------------------------------------- templates

static void start_template(size_t index) {
  struct template* template = NULL;
  const size_t places = sizeof all.templates / sizeof *all.templates;
  for (size_t i = 0; i < places && template == NULL; i++) {
    if (!all.templates[i].used) template = &all.templates[i];
  }
  if (template == NULL) give_up("expected a free place for a template, found none: old ones do not end");
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) give_up("socketpair failed");
  const pid_t pid = fork();
  if (pid < 0) give_up("fork failed");
  if (pid == 0) {
    close(0);  // the trainer's end of file must be ours alone
    close(1);
    tg_enter_cgroup(&all.cgroup);
    dup2(ends[1], 3);
    tg_run_template(&all.settings, index, ends[1]);
  }
  close(ends[1]);
  const int on = 1;
  if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0 || setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0)
    give_up("a socket cannot be prepared");
  *template = (struct template){.used = true, .index = index, .pid = pid, .control = ends[0]};
  watch(ends[0], EPOLLIN, kTemplateKey + (uint64_t)(template - all.templates));
}

struct template* current_template(struct supervisor* supervisor, uint32_t index) {
  for (size_t i = 0; i < sizeof all.templates / sizeof *all.templates; i++) {
    struct template* template = &supervisor->templates[i];
    if (!template->used || template->retired || template->index != index) continue;
    if (template->served < kRecycle) return template;
    template->retired = true;
    start_template(index);
    return current_template(supervisor, index);
  }
  if (index >= supervisor->settings.template_count) return NULL;
  start_template(index);  // the first call that wants it waits for it
  return current_template(supervisor, index);
}

// The first template is enough to begin with.
static void tell_ready(void) {
  static bool told;
  if (told) return;
  told = true;
  char text[400];
  snprintf(text, sizeof text, "{\"pid\":%d,\"landlockAbi\":%d,\"user\":%ld,\"cgroup\":%s,\"cgroupText\":\"%s\"}",
           (int)getpid(), tg_landlock_abi(), (long)(all.settings.stranger_runs ? all.settings.stranger : geteuid()),
           all.cgroup.memory >= 0 || all.cgroup.pids >= 0 ? "true" : "false", all.cgroup_text);
  send_text(TG_FRAME_READY, text);
}

static void serve_template(struct template* template) {
  struct tg_event event;
  pid_t sender;
  const ssize_t size = tg_receive(template->control, &event, sizeof event, NULL, 0, &sender, MSG_DONTWAIT);
  if (size < 0 && errno == EAGAIN) return;
  if (size == sizeof event && event.kind == TG_EVENT_READY) {
    template->ready = true;
    template->pid = sender;  // what was forked has made the namespaces and gone
    tell_ready();
    return;
  }
  char text[300] = "a template ended before it was ready";
  if (size == sizeof event && event.kind == TG_EVENT_FAILED) {
    event.text[sizeof event.text - 1] = 0;
    snprintf(text, sizeof text, "a template could not be started: %s: %s", event.text, strerror(event.status));
  }
  // It is gone, and with it the processes that it made; their boxes see that by themselves.
  if (!template->ready && template->index == 0) give_up(text);
  const bool retired = template->retired;
  const size_t index = template->index;
  kill(template->pid, SIGKILL);
  close(template->control);
  for (size_t i = 0; i < all.box_count; i++) {
    if (all.boxes[i].template == template) all.boxes[i].template = NULL;
  }
  *template = (struct template){0};
  if (retired || index > 0) return;  // the others are started when they are wanted
  if (++all.restarts > kMostRestarts) give_up("templates died too often");
  start_template(index);
}

static void retire_templates(void) {
  for (size_t i = 0; i < sizeof all.templates / sizeof *all.templates; i++) {
    struct template* template = &all.templates[i];
    if (template->used && template->retired && template->active == 0) shutdown(template->control, SHUT_RDWR);
  }
}

static void reap(int signals) {
  struct signalfd_siginfo ignored;
  while (read(signals, &ignored, sizeof ignored) > 0) {
  }
  while (waitpid(-1, NULL, WNOHANG) > 0) {
  }
}

// ---------------------------------------------------------------------------------------------------------- the trainer

static void settle(struct tg_text body) {
  char error[400];
  struct tg_settings* settings = &all.settings;
  if (tg_parse_settings(body, settings, error, sizeof error) != 0) give_up(error);
  const uid_t user = (uid_t)settings->user;
  if (settings->user >= 0 &&
      (setgroups(0, NULL) != 0 || setresgid(user, user, user) != 0 || setresuid(user, user, user) != 0))
    give_up("the user of the settings cannot be become");
  if (settings->container && tg_pretend_container() != 0) give_up("the container's filter cannot be loaded");
  if (settings->layers & TG_NAMESPACES) {
    settings->stranger_runs = geteuid() == 0;
  } else {
    settings->stranger_runs = geteuid() == 0 && tg_stranger_can_run(settings);
    tg_sweep(settings->temporary);
    all.root = tg_make_root(settings->temporary, all.root_path, sizeof all.root_path - 64);
    if (all.root < 0) {
      snprintf(error, sizeof error, "working directories cannot be made in %.200s: %s", settings->temporary,
               strerror(errno));
      give_up(error);
    }
  }
  snprintf(all.cgroup_text, sizeof all.cgroup_text, "not asked for");
  if (settings->budget_bytes > 0)
    tg_make_cgroup(&all.cgroup, settings->budget_bytes, kMostProcesses, all.cgroup_text, sizeof all.cgroup_text);
  all.memory_kills = tg_memory_kills(&all.cgroup);
  start_template(0);
}

static void obey(uint8_t kind, struct tg_text body) {
  struct tg_run run;
  uint64_t id;
  if (kind == TG_FRAME_SETTINGS && all.settings.python == NULL) {
    settle(body);
  } else if (all.settings.python == NULL) {
    give_up("expected settings first");
  } else if (kind == TG_FRAME_RUN && tg_parse_run(body, &run) == 0) {
    begin_call(&all, &run);
  } else if (kind == TG_FRAME_CANCEL && tg_parse_id(body, &id) == 0) {
    cancel_call(&all, id);
  } else if (kind == TG_FRAME_END_SESSION && tg_parse_id(body, &id) == 0) {
    end_session(&all, id);
  } else {
    give_up("expected a frame of a known kind and shape");
  }
}

// False at the end.
static bool serve_trainer(void) {
  static uint8_t chunk[1 << 16];
  const ssize_t size = read(0, chunk, sizeof chunk);
  if (size < 0) return errno == EAGAIN || errno == EINTR;
  if (size == 0) return false;
  if (tg_append(&all.incoming, chunk, (size_t)size) != 0) give_up("out of memory");
  uint8_t kind;
  struct tg_text body;
  int found;
  while ((found = tg_next_frame(&all.incoming, &kind, &body)) == 1) obey(kind, body);
  if (found < 0) give_up("expected a frame, found something else");
  return true;
}

// Everything that was started goes with the templates; one that has not begun to serve goes with this process.
static void stop(void) {
  for (size_t i = 0; i < sizeof all.templates / sizeof *all.templates; i++) {
    if (!all.templates[i].used) continue;
    kill(all.templates[i].pid, SIGKILL);
    close(all.templates[i].control);
  }
  for (size_t i = 0; i < all.box_count; i++) {
    struct box* box = &all.boxes[i];
    if (box->used && box->pidfd >= 0) syscall(SYS_pidfd_send_signal, box->pidfd, SIGKILL, NULL, 0);
  }
  for (int i = 0; i < 200; i++) {
    const pid_t ended = waitpid(-1, NULL, WNOHANG);
    if (ended < 0 && errno == ECHILD) break;
    if (ended <= 0) usleep(2000);
  }
  for (int i = 0; i < 50 && tg_remove_cgroup(&all.cgroup) != 0; i++) usleep(2000);
  if (all.root < 0) return;
  const int parent = open(all.settings.temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  // A process may write until the kernel has ended it.
  for (int i = 0; i < 50 && tg_remove(parent, strrchr(all.root_path, '/') + 1) != 0; i++) usleep(20000);
}

static void dispatch(const struct epoll_event* event, int signals, bool* over) {
  const uint64_t key = event->data.u64;
  if (key == kTrainer) {
    *over = !serve_trainer();
  } else if (key == kTrainerOut) {
    flush(false);
  } else if (key == kChildren) {
    reap(signals);
  } else if (key < kBoxKey) {
    struct template* template = &all.templates[key - kTemplateKey];
    if (template->used) serve_template(template);
  } else {
    serve_port(&all, &all.boxes[(key - kBoxKey) / kPorts], (enum port)((key - kBoxKey) % kPorts));
  }
}

int main(void) {
  prctl(PR_SET_NAME, "toolgrad-sandbox", 0, 0, 0);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  tg_give_way(SCHED_OTHER, kSliceMs);
  tg_close_from(3);
  const int signals_ignored[] = {SIGPIPE, SIGINT, SIGHUP, SIGTERM,
                                 SIGQUIT};  // the trainer decides: it closes our socket
  for (size_t i = 0; i < sizeof signals_ignored / sizeof *signals_ignored; i++) signal(signals_ignored[i], SIG_IGN);
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  sigprocmask(SIG_BLOCK, &children, NULL);
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  const int signals = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
  all.epoll = epoll_create1(EPOLL_CLOEXEC);
  all.boxes = calloc(kMaxBoxes, sizeof *all.boxes);
  if (signals < 0 || all.epoll < 0 || all.boxes == NULL) return 71;
  fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);
  fcntl(1, F_SETFL, fcntl(1, F_GETFL) | O_NONBLOCK);
  watch(0, EPOLLIN, kTrainer);
  watch(signals, EPOLLIN, kChildren);
  for (bool over = false; !over;) {
    const int64_t next = check_clocks(&all, now_us());
    flush(false);
    collect_boxes(&all);
    retire_templates();
    const int64_t wait = next == INT64_MAX ? -1 : (next - now_us()) / 1000 + 1;
    struct epoll_event events[kMostEvents];
    const int count = epoll_wait(all.epoll, events, kMostEvents,
                                 next == INT64_MAX ? -1
                                 : wait < 0        ? 0
                                                   : (int)(wait < 60000 ? wait : 60000));
    for (int i = 0; i < count && !over; i++) dispatch(&events[i], signals, &over);
  }
  stop();
  return 0;
}
