// The thread pool: every task once, exceptions, nested calls, late workers, many small jobs. Also meant for TSan
// (cmake -DTOOLGRAD_SANITIZE=thread).
#include "engine/thread_pool.h"

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#endif

#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>

#include "testing.h"

using namespace toolgrad;
using namespace toolgrad::test;

namespace {

void test_every_task_once(int threads) {
  ThreadPool pool(threads);
  bool once = true, workers_valid = true;
  for (const int64_t tasks : {0, 1, 2, 3, 7, 64, 1000, 100000}) {
    std::vector<std::atomic<int>> runs(static_cast<size_t>(tasks));
    pool.parallel_for(tasks, [&](int64_t task, int worker) {
      runs[static_cast<size_t>(task)].fetch_add(1);
      if (worker < 0 || worker >= pool.threads()) workers_valid = false;
    });
    for (const auto& count : runs) once = once && count.load() == 1;
  }
  check(once && workers_valid && pool.threads() == threads,
        std::to_string(threads) + " threads: every task runs exactly once, on a worker below threads()");
}

void test_small_jobs(int threads) {
  ThreadPool pool(threads);
  // Plain (not atomic) data handed from job to job: a missing happens-before is a race that TSan reports.
  std::vector<int64_t> values(8, 0);
  for (int64_t job = 0; job < 20000; ++job)
    pool.parallel_for(1 + job % 8, [&](int64_t task, int) { values[static_cast<size_t>(task)] += job; });
  std::vector<int64_t> expected(8, 0);
  for (int64_t job = 0; job < 20000; ++job)
    for (int64_t task = 0; task < 1 + job % 8; ++task) expected[static_cast<size_t>(task)] += job;
  check(values == expected, std::to_string(threads) + " threads: 20000 small jobs in a row see each other's results");
}

void test_sleep_and_wake(int threads) {
  ThreadPool pool(threads);
  bool complete = true;
  for (int pause = 0; pause < 40; ++pause) {
    std::this_thread::sleep_for(std::chrono::microseconds(25 * pause));  // around and past the spinning time
    std::atomic<int> ran{0};
    pool.parallel_for(16, [&](int64_t, int) { ran.fetch_add(1); });
    complete = complete && ran.load() == 16;
  }
  check(complete, std::to_string(threads) + " threads: workers that went to sleep wake up for the next job");
}

#if defined(__linux__)
// A job for all threads of the pool at once: no task ends before all have started (or after 20 s, the failure).
template <class F>
void run_together(ThreadPool& pool, F&& each) {
  std::atomic<int> started{0};
  pool.parallel_for(pool.threads(), [&](int64_t, int worker) {
    each(worker);
    started.fetch_add(1);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (started.load() < pool.threads() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  });
}

void test_wakes_elsewhere(const cpu_set_t& allowed) {
  ThreadPool pool(2);
  constexpr int kRounds = 40;
  int elsewhere = 0, free = 0;
  for (int round = 0; round < kRounds; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));  // by then the worker sleeps
    int processors[2] = {-1, -1};
    cpu_set_t sets[2];
    run_together(pool, [&](int worker) {
      processors[worker] = sched_getcpu();
      pthread_getaffinity_np(pthread_self(), sizeof sets[worker], &sets[worker]);
    });
    elsewhere += processors[0] != processors[1];
    free += CPU_EQUAL(&sets[0], &allowed) && CPU_EQUAL(&sets[1], &allowed);
  }
  check(elsewhere >= kRounds * 3 / 4, "a worker wakes on another processor than the caller's: " +
                                          std::to_string(elsewhere) + " of " + std::to_string(kRounds) + " times");
  check(free == kRounds, "and may then use every processor again");
}

void test_late_workers_stay_awake() {
  ThreadPool pool(2);
  constexpr int kJobs = 2000;
  rusage before{}, after{};
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  getrusage(RUSAGE_SELF, &before);
  for (int job = 0; job < kJobs; ++job) {
    pool.parallel_for(2, [](int64_t, int) {});  // over before a sleeping worker is awake
    const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(30);
    while (std::chrono::steady_clock::now() < until) {
    }
  }
  getrusage(RUSAGE_SELF, &after);
  const long sleeps = after.ru_nvcsw - before.ru_nvcsw;
  check(sleeps < kJobs / 4, "a worker that was too late for a job is awake for the next: it slept " +
                                std::to_string(sleeps) + " times in " + std::to_string(kJobs) + " jobs");
}
#endif

void test_uneven(int threads) {
  ThreadPool pool(threads);
  // Task 0 ends when the 19 others have (or after 20 s, the failure): they must not wait behind it.
  std::atomic<int> others{0};
  int seen = 0;
  pool.parallel_for(20, [&](int64_t task, int) {
    if (task != 0) {
      others.fetch_add(1);
      return;
    }
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (others.load() < 19 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    seen = others.load();
  });
  check(seen == 19, std::to_string(threads) + " threads: a slow task holds up nobody");
}

void test_exceptions(int threads) {
  ThreadPool pool(threads);
  int caught = 0;
  for (int round = 0; round < 200; ++round) {
    try {
      pool.parallel_for(50, [&](int64_t task, int) {
        if (task % 10 == 3) throw Error("ERR_TEST", "task");
      });
    } catch (const Error& error) {
      caught += error.code() == "ERR_TEST";
    }
  }
  std::atomic<int> ran{0};
  pool.parallel_for(50, [&](int64_t, int) { ran.fetch_add(1); });
  check(caught == 200 && ran.load() == 50,
        std::to_string(threads) + " threads: a task's exception reaches the caller and the pool goes on working");
}

void test_nested(int threads) {
  ThreadPool pool(threads);
  std::atomic<int64_t> sum{0};
  std::atomic<bool> same_worker{true};
  pool.parallel_for(10, [&](int64_t outer, int worker) {
    pool.parallel_for(10, [&](int64_t inner, int inner_worker) {
      if (pool.threads() > 1 && inner_worker != worker) same_worker = false;
      sum.fetch_add(outer * 10 + inner);
    });
  });
  ThreadPool other(2);
  std::atomic<int> inner_tasks{0};
  pool.parallel_for(4, [&](int64_t, int) {
    other.parallel_for(4, [&](int64_t, int) { inner_tasks.fetch_add(1); });
    pool.parallel_for(2, [&](int64_t, int) { inner_tasks.fetch_add(1); });
  });
  check(sum.load() == 4950 && same_worker && inner_tasks.load() == 24,
        std::to_string(threads) + " threads: a call from within a task runs inline on the same worker");
}

}  // namespace

int main() {
  for (const int threads : {1, 2, 3, 5}) {
    test_every_task_once(threads);
    test_small_jobs(threads);
    test_sleep_and_wake(threads);
    if (threads > 1) test_uneven(threads);
    test_exceptions(threads);
    test_nested(threads);
  }
#if defined(__linux__)
  cpu_set_t allowed;
  if (pthread_getaffinity_np(pthread_self(), sizeof allowed, &allowed) == 0 && CPU_COUNT(&allowed) > 1) {
    test_wakes_elsewhere(allowed);
    test_late_workers_stay_awake();
  } else {
    std::printf("skipped waking workers: there is one processor\n");
  }
#endif
  check_throws([] { ThreadPool pool(0); }, "ERR_THREADS", "found 0", "a pool without threads is refused");
  return finish();
}
