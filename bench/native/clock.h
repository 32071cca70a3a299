// The clock of the native benches.
#pragma once

#include <chrono>
#include <ctime>

namespace toolgrad::bench {

// On a machine shared with other work, CPU time (of one thread: run with threads = 1) says what the kernel costs.
inline bool cpu_clock = false;

inline double now_seconds() {
  if (cpu_clock) {
    timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace toolgrad::bench
