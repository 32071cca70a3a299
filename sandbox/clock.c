// The clocks of the boxes: when a call has used up its processor time, its wall clock, its files. See box.h.
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "box.h"
#include "workdir.h"

enum {
  kEntries = 8192,      // files of one program on disk
  kQuotaCheck = 50000,  // us between two looks at the directory
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

static void check_clock(struct supervisor* all, struct box* box, int64_t now) {
  if (!box->started) {
    snprintf(box->error, sizeof box->error, "the interpreter was not ready within %.1f s",
             (double)box->run.start_us / 1e6);
    stop_call(all, box, kFailed);
    return;
  }
  const int64_t wall_left = box->started_at + (int64_t)box->run.wall_us - now;
  const uint64_t used = processor_us(box->program);
  const uint64_t spent = used > box->processor_before ? used - box->processor_before : 0;
  if (spent >= box->run.cpu_us) return stop_call(all, box, kProcessorTime);
  if (wall_left <= 0) {
    const uint64_t queued = queued_us(box->program) - box->queued_before;
    // It wanted to run most of the time and was not let: the machine's fault, unless its own processes were in the way.
    const bool forks = box->run.processes > 0 || (box->session != 0 && (all->settings.layers & TG_NAMESPACES) != 0);
    box->starved =
        !forks && spent < box->run.cpu_us / 4 && queued > box->run.wall_us / 2 && queued < ((uint64_t)1 << 60);
    return stop_call(all, box, kWallTime);
  }
  if (box->work >= 0 && tg_exceeds(box->work, box->run.file_bytes, kEntries)) return stop_call(all, box, kQuota);
  // With this many processors it cannot have used up what is left before:
  const long processors = sysconf(_SC_NPROCESSORS_ONLN);
  int64_t next = (int64_t)((box->run.cpu_us - spent) / (uint64_t)(processors > 0 ? processors : 1));
  if (next > wall_left) next = wall_left;
  if (box->work >= 0 && next > kQuotaCheck) next = kQuotaCheck;
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
