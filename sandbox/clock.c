// The clocks of the boxes: when a call has used up its processor time, its wall clock, its files. See box.h.
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "box.h"
#include "workdir.h"

enum {
  kEntries = 8192,     // files of one program on disk
  kQuotaCheck = 5000,  // us between two looks at the directory
  kTreeCheck = 20000,  // us between two looks at the processes of a box
  kMostProcesses = 512,
};

int64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

// Processor time of a process so far, all its threads; 0 if it is gone.
uint64_t processor_us(pid_t pid) {
  struct timespec used;
  clockid_t clock;
  if (pid <= 0 || clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) != 0) return 0;
  return (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
}

// How long it has been ready to run without a processor.
uint64_t queued_us(pid_t pid) {
  char name[48], text[96];
  snprintf(name, sizeof name, "/proc/%d/schedstat", (int)pid);
  const int file = open(name, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  const ssize_t size = read(file, text, sizeof text - 1);
  close(file);
  unsigned long long running, queued;
  if (size <= 0) return 0;
  text[size] = 0;
  return sscanf(text, "%llu %llu", &running, &queued) == 2 ? queued / 1000 : 0;
}

// Processor time of the children that a process has waited for, and theirs.
static uint64_t waited_us(pid_t pid) {
  char name[48], text[1024];
  snprintf(name, sizeof name, "/proc/%d/stat", (int)pid);
  const int file = open(name, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  const ssize_t size = read(file, text, sizeof text - 1);
  close(file);
  if (size <= 0) return 0;
  text[size] = 0;
  const char* fields = strrchr(text, ')');  // the name before it is the program's choice
  unsigned long long user, system;
  if (fields == NULL ||
      sscanf(fields + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %llu %llu", &user, &system) != 2)
    return 0;
  return (user + system) * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

// Appends the children of every thread of `pid`.
static size_t add_children(pid_t pid, pid_t* list, size_t count) {
  char name[80];
  snprintf(name, sizeof name, "/proc/%d/task", (int)pid);
  DIR* threads = opendir(name);
  if (threads == NULL) return count;
  for (struct dirent* thread; count < kMostProcesses && (thread = readdir(threads)) != NULL;) {
    if (thread->d_name[0] == '.') continue;
    snprintf(name, sizeof name, "/proc/%d/task/%.20s/children", (int)pid, thread->d_name);
    FILE* children = fopen(name, "re");
    for (int child; children != NULL && count < kMostProcesses && fscanf(children, "%d", &child) == 1;)
      list[count++] = child;
    if (children != NULL) fclose(children);
  }
  closedir(threads);
  return count;
}

void measure_tree(struct box* box) {
  if (box->init == 0) return;
  pid_t list[kMostProcesses] = {box->init};
  size_t count = 1;
  uint64_t sum = 0;
  for (size_t i = 0; i < count; i++) {
    sum += processor_us(list[i]) + waited_us(list[i]);
    count = add_children(list[i], list, count);
  }
  // What a process that nobody waited for had used goes out of the sum, but has been spent.
  if (sum > box->tree_last) box->tree_spent += sum - box->tree_last;
  box->tree_last = sum;
}

bool exceeds_quota(const struct box* box) {
  return box->work >= 0 && tg_exceeds(box->work, box->run.file_bytes, kEntries);
}

static void check_clock(struct supervisor* all, struct box* box, int64_t now) {
  if (!box->started) {
    snprintf(box->error, sizeof box->error, "the interpreter was not ready within %.1f s",
             (double)box->run.start_us / 1e6);
    stop_call(all, box, box->session != 0 && box->run.continues ? kSessionLost : kFailed);
    return;
  }
  const int64_t wall_left = box->started_at + (int64_t)box->run.wall_us - now;
  const uint64_t used = processor_us(box->program);
  uint64_t spent = used > box->processor_before ? used - box->processor_before : 0;
  measure_tree(box);
  if (box->tree_spent > spent) spent = box->tree_spent;
  if (spent >= box->run.cpu_us) return stop_call(all, box, kProcessorTime);
  if (wall_left <= 0) {
    const uint64_t queued = queued_us(box->program) - box->queued_before;
    // It wanted to run most of the time and was not let: the machine's fault, unless its own processes were in the way.
    const bool forks = box->run.processes > 0 || (box->session != 0 && (all->settings.layers & TG_NAMESPACES) != 0);
    box->starved =
        !forks && spent < box->run.cpu_us / 4 && queued > box->run.wall_us / 2 && queued < ((uint64_t)1 << 60);
    return stop_call(all, box, kWallTime);
  }
  if (exceeds_quota(box)) return stop_call(all, box, kQuota);
  // With this many processors it cannot have used up what is left before:
  static long processors;
  if (processors == 0) processors = sysconf(_SC_NPROCESSORS_CONF);
  int64_t next = (int64_t)((box->run.cpu_us - spent) / (uint64_t)(processors > 0 ? processors : 1));
  if (next > wall_left) next = wall_left;
  if (box->work >= 0 && next > kQuotaCheck) next = kQuotaCheck;
  if (box->tree_last > 0 && next > kTreeCheck) next = kTreeCheck;
  if (next < kShortestCheck) next = kShortestCheck;
  box->next_check = now + next;
}

int64_t check_clocks(struct supervisor* all, int64_t now) {
  int64_t next = INT64_MAX;
  for (size_t i = 0; i < all->box_count; i++) {
    struct box* box = &all->boxes[i];
    if (!box->used || box->closed) continue;
    if (box->busy && box->cause == kExit && box->next_check <= now) check_clock(all, box, now);
    if (box->escalate_at != 0 && box->escalate_at <= now) {
      if (box->escalations == 0) box->escalations = 1;
      kill_box(all, box);
    }
    if (box->busy && box->cause == kExit && box->next_check < next) next = box->next_check;
    if (box->escalate_at != 0 && box->escalate_at < next) next = box->escalate_at;
  }
  return next;
}
