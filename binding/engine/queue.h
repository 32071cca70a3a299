// The queue of one device: one engine thread that executes jobs strictly in the order they were submitted.
//
// A job never throws out of the thread: what it throws is handed to its `done` callback. `done` runs on the engine
// thread, exactly once for a job that ran, and never for a job that was dropped. The work closure is destroyed before
// `done` runs. Owners (one per JavaScript environment) share the queue of a device; the thread ends with the last
// owner.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>

namespace toolgrad {

class Queue {
 public:
  using Work = std::function<void()>;
  using Done = std::function<void(std::exception_ptr)>;

  Queue();
  ~Queue();  // drops the jobs that have not started, asks the running one to stop, and joins the thread
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  // The process-wide queue of a device; it lives as long as somebody holds it.
  static std::shared_ptr<Queue> of_device(int device);

  // Appends a job. `owner` groups jobs for drop_owner.
  void submit(const void* owner, Work work, Done done);

  // Removes the owner's jobs that have not started, asks its running job to stop and waits until it has ended, its
  // `done` included. Other owners' jobs are untouched. Not to be called from the engine thread.
  void drop_owner(const void* owner);

  // Jobs of every owner that are waiting or running.
  int64_t pending() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// True on the engine thread when the job that is running there was asked to stop (its owner is going away). Long jobs
// look at it between layers or micro-batches and throw Error("ERR_CANCELLED"). False on every other thread.
bool cancel_requested() noexcept;

}  // namespace toolgrad
