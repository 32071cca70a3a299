// Resource limits of a program: only ever lowered, soft and hard, so nothing it runs can raise them again.
#include <errno.h>
#include <sys/resource.h>

#include "policy.h"

static rlim_t smaller(rlim_t a, rlim_t b) {
  return a < b ? a : b;
}  // RLIM_INFINITY is the largest value

static int lower(int resource, rlim_t soft, rlim_t hard) {
  struct rlimit limit;
  if (getrlimit(resource, &limit) != 0) return -errno;
  limit.rlim_max = smaller(limit.rlim_max, hard);
  limit.rlim_cur = smaller(smaller(limit.rlim_cur, soft), limit.rlim_max);
  return setrlimit(resource, &limit) == 0 ? 0 : -errno;
}

int tg_limit(const struct tg_limits* limits) {
  const struct {
    int resource;
    rlim_t soft, hard;
  } wanted[] = {
      {RLIMIT_AS, limits->memory_bytes, limits->memory_bytes},
      {RLIMIT_FSIZE, limits->file_bytes, limits->file_bytes},
      {RLIMIT_CPU, limits->cpu_seconds, (rlim_t)limits->cpu_seconds + 1},
      {RLIMIT_NOFILE, 64, 64},
      {RLIMIT_CORE, 0, 0},
      {RLIMIT_MEMLOCK, 0, 0},
      {RLIMIT_MSGQUEUE, 0, 0},
      {RLIMIT_SIGPENDING, 128, 128},
      {RLIMIT_STACK, 8 << 20, 8 << 20},
      {RLIMIT_NICE, 0, 0},
      {RLIMIT_RTPRIO, 0, 0},
  };
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; ++i) {
    const int failed = lower(wanted[i].resource, wanted[i].soft, wanted[i].hard);
    if (failed != 0) return failed;
  }
  return limits->processes > 0 ? lower(RLIMIT_NPROC, limits->processes, limits->processes) : 0;
}
