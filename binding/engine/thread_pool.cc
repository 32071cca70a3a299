// The thread pool. One 64-bit word, `open`, holds (epoch << 32 | tasks not yet taken): a thread takes a task by a
// compare-and-swap that fails when the job it read about is over, so a worker that wakes late cannot touch a newer job.
// run() waits for the tasks, never for the workers: a worker that sleeps through a job delays nobody. A worker waits for the
// next epoch, not for open tasks: one that was too late for a job is awake for the one after it.
#include "engine/thread_pool.h"

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "engine/error.h"

namespace toolgrad {
namespace {

constexpr std::chrono::microseconds kSpin{50};

void pause_thread() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

// Polls for kSpin; true as soon as `ready` holds.
template <class F>
bool spin_until(F&& ready) {
  const auto deadline = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 32; ++i) {
      if (ready()) return true;
      pause_thread();
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return ready();
}

// Where a worker sleeps. Linux may wake a thread on the processor of the one that wakes it though another is idle (virtual
// machines of two processors do), and there it waits for the caller's time slice to end: 4 ms in which one thread does all
// the work. So a worker that goes to sleep gives up the processor that called last; where the next call comes from another
// one, the caller corrects that. Up again, it may run everywhere. All this is a hint: where the system refuses, the worker
// wakes where it wakes.
class Bed {
 public:
#if defined(__linux__)
  void lie_down(int caller) {
    known_ = pthread_getaffinity_np(pthread_self(), sizeof allowed_, &allowed_) == 0;
    avoid(caller, pthread_self());
  }
  void get_up() {
    if (avoided_ >= 0) (void)pthread_setaffinity_np(pthread_self(), sizeof allowed_, &allowed_);
    known_ = false;
    avoided_ = -1;
  }
  // Called for the worker, asleep or not.
  void avoid(int processor, pthread_t worker) {
    if (!known_ || processor < 0 || processor == avoided_) return;
    cpu_set_t others = allowed_;
    CPU_CLR(static_cast<size_t>(processor), &others);
    if (CPU_COUNT(&others) == 0) return;
    if (pthread_setaffinity_np(worker, sizeof others, &others) == 0) avoided_ = processor;
  }

 private:
  bool known_ = false;  // allowed_ is what the worker, which lies here, may use
  int avoided_ = -1;
  cpu_set_t allowed_;
#else
  void lie_down(int) {}
  void get_up() {}
  template <class Thread>
  void avoid(int, Thread) {}
#endif
};

int current_processor() {
#if defined(__linux__)
  return sched_getcpu();
#else
  return -1;
#endif
}

// The pool and worker number whose task this thread is running, for nested calls.
thread_local const void* current_pool = nullptr;
thread_local int current_worker = 0;

}  // namespace

struct ThreadPool::State {
  using Task = void (*)(void*, int64_t, int);

  alignas(64) std::atomic<uint64_t> open{0};
  // The job; written only while no task is open, read before a take that proves it is still this job.
  std::atomic<Task> fn{nullptr};
  std::atomic<void*> context{nullptr};
  std::atomic<uint32_t> tasks{0};
  std::atomic<int> caller{-1};                    // the processor it came from
  alignas(64) std::atomic<uint64_t> finished{0};  // tasks of this job that are done
  alignas(64) std::atomic<int> sleepers{0};
  std::atomic<bool> stop{false};
  std::atomic<bool> failed{false};
  std::exception_ptr error;  // guarded by mutex
  std::mutex mutex;
  std::condition_variable wake, done;
  std::mutex one_job;
  std::vector<std::thread> workers;
  std::vector<Bed> beds;  // of the workers; guarded by mutex

  // Takes and runs tasks until none is open.
  void work(int worker) {
    const void* const outer_pool = std::exchange(current_pool, this);
    const int outer_worker = std::exchange(current_worker, worker);
    uint64_t ran = 0;
    uint32_t total = 0;
    for (;;) {
      uint64_t word = open.load(std::memory_order_acquire);
      const auto left = static_cast<uint32_t>(word);
      if (left == 0) break;
      const Task f = fn.load(std::memory_order_relaxed);
      void* const c = context.load(std::memory_order_relaxed);
      const uint32_t n = tasks.load(std::memory_order_relaxed);
      if (!open.compare_exchange_weak(word, word - 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
      total = n;
      if (!failed.load(std::memory_order_relaxed)) {
        try {
          f(c, static_cast<int64_t>(n - left), worker);
        } catch (...) {
          const std::lock_guard lock(mutex);
          if (!error) error = std::current_exception();
          failed.store(true, std::memory_order_relaxed);
        }
      }
      ++ran;
    }
    // A job cannot end before its takes are counted, so `ran` never spans two jobs.
    if (ran != 0) finish(ran, total);
    current_pool = outer_pool;
    current_worker = outer_worker;
  }

  void finish(uint64_t ran, uint32_t total) {
    if (finished.fetch_add(ran, std::memory_order_acq_rel) + ran == total) {
      const std::lock_guard lock(mutex);
      done.notify_one();
    }
  }

  uint32_t epoch() const { return static_cast<uint32_t>(open.load(std::memory_order_seq_cst) >> 32); }

  void worker_loop(int worker) {
    uint32_t seen = 0;
    const auto called = [&] { return epoch() != seen || stop.load(); };
    for (;;) {
      if (!spin_until(called)) {
        std::unique_lock lock(mutex);
        Bed& bed = beds[static_cast<size_t>(worker) - 1];
        bed.lie_down(caller.load(std::memory_order_relaxed));
        sleepers.fetch_add(1, std::memory_order_seq_cst);
        wake.wait(lock, called);
        sleepers.fetch_sub(1, std::memory_order_seq_cst);
        bed.get_up();
      }
      if (stop.load()) return;
      seen = epoch();
      work(worker);
    }
  }

  // Called by run(), so that all workers have been started.
  void wake_sleepers() {
    if (sleepers.load(std::memory_order_seq_cst) == 0) return;
    {
      const std::lock_guard lock(mutex);
      const int here = caller.load(std::memory_order_relaxed);
      for (size_t i = 0; i < workers.size(); ++i) beds[i].avoid(here, workers[i].native_handle());
    }
    wake.notify_all();
  }

  ~State() {
    stop.store(true);
    { const std::lock_guard lock(mutex); }
    wake.notify_all();
    for (std::thread& worker : workers) worker.join();
  }
};

ThreadPool::ThreadPool(int threads) : state_(std::make_unique<State>()) {
  if (threads < 1)
    throw Error("ERR_THREADS", "thread pool: expected at least 1 thread, found " + std::to_string(threads));
  state_->beds.resize(static_cast<size_t>(threads) - 1);
  for (int i = 1; i < threads; ++i) {
    try {
      state_->workers.emplace_back([state = state_.get(), i] { state->worker_loop(i); });
    } catch (const std::system_error& e) {
      throw Error("ERR_THREADS", "thread pool: the system refused thread " + std::to_string(i + 1) + " of " +
                                     std::to_string(threads) + " (" + e.what() + "); use fewer threads");
    }
  }
}

ThreadPool::~ThreadPool() = default;

int ThreadPool::threads() const {
  return static_cast<int>(state_->workers.size()) + 1;
}

void ThreadPool::run(int64_t tasks, void (*fn)(void* context, int64_t task, int worker), void* context) {
  if (tasks <= 0) return;
  State& s = *state_;
  if (current_pool == &s) {  // called from a task: this thread already has a worker number
    for (int64_t task = 0; task < tasks; ++task) fn(context, task, current_worker);
    return;
  }
  if (tasks == 1 || s.workers.empty()) {
    for (int64_t task = 0; task < tasks; ++task) fn(context, task, 0);
    return;
  }
  if (tasks > INT32_MAX)
    throw Error("ERR_THREADS", "thread pool: expected at most 2^31 - 1 tasks, found " + std::to_string(tasks));

  const std::lock_guard one(s.one_job);
  s.fn.store(fn, std::memory_order_relaxed);
  s.context.store(context, std::memory_order_relaxed);
  s.tasks.store(static_cast<uint32_t>(tasks), std::memory_order_relaxed);
  s.caller.store(current_processor(), std::memory_order_relaxed);
  s.finished.store(0, std::memory_order_relaxed);
  s.failed.store(false, std::memory_order_relaxed);
  const uint64_t epoch = (s.open.load(std::memory_order_relaxed) >> 32) + 1;
  s.open.store(epoch << 32 | static_cast<uint64_t>(tasks), std::memory_order_seq_cst);
  s.wake_sleepers();

  s.work(0);
  const auto all_done = [&] { return s.finished.load(std::memory_order_acquire) == static_cast<uint64_t>(tasks); };
  if (!spin_until(all_done)) {
    std::unique_lock lock(s.mutex);
    s.done.wait(lock, all_done);
  }
  if (s.failed.load(std::memory_order_relaxed)) {
    std::exception_ptr error;
    {
      const std::lock_guard lock(s.mutex);
      error = std::exchange(s.error, nullptr);
    }
    std::rethrow_exception(error);
  }
}

}  // namespace toolgrad
