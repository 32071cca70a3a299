// A pool of worker threads for data-parallel loops. The calling thread takes part; tasks are handed out one by one from an
// atomic counter, so a thread that is descheduled delays one task only. Workers spin for 50 us, then sleep, and are woken on
// another processor than the caller's.
// One parallel_for at a time (the engine thread's); results must not depend on which worker runs a task.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace toolgrad {

class ThreadPool {
 public:
  explicit ThreadPool(int threads);  // threads >= 1, the caller included
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;

  // Calls fn(context, task, worker) for task = 0..tasks-1; worker is in [0, threads()). Exceptions of fn are rethrown here
  // (the first one). Runs inline when tasks == 1 or threads() == 1.
  void run(int64_t tasks, void (*fn)(void* context, int64_t task, int worker), void* context);

  template <class F>
  void parallel_for(int64_t tasks, F&& f) {
    run(
        tasks, [](void* c, int64_t task, int worker) { (*static_cast<std::remove_reference_t<F>*>(c))(task, worker); },
        &f);
  }

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace toolgrad
