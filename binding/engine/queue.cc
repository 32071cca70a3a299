// The engine thread of a device; see queue.h. One mutex guards the list; work runs outside it.
#include "engine/queue.h"

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

namespace toolgrad {
namespace {

thread_local const std::atomic<bool>* current_cancel = nullptr;

}  // namespace

bool cancel_requested() noexcept {
  return current_cancel != nullptr && current_cancel->load(std::memory_order_relaxed);
}

struct Queue::State {
  struct Entry {
    const void* owner;
    Work work;
    Done done;
  };

  mutable std::mutex mutex;
  std::condition_variable wake;   // a job arrived, or stop
  std::condition_variable ended;  // the running job ended
  std::deque<Entry> waiting;
  const void* running = nullptr;  // owner of the running job
  bool busy = false;
  bool stop = false;
  std::atomic<bool> cancel{false};
  std::thread thread;

  void loop() {
    current_cancel = &cancel;
    std::unique_lock lock(mutex);
    for (;;) {
      wake.wait(lock, [&] { return stop || !waiting.empty(); });
      if (stop) return;
      Entry entry = std::move(waiting.front());
      waiting.pop_front();
      running = entry.owner;
      busy = true;
      cancel.store(false, std::memory_order_relaxed);
      lock.unlock();
      execute(entry);
      lock.lock();
      busy = false;
      running = nullptr;
      ended.notify_all();
    }
  }

  static void execute(Entry& entry) {
    std::exception_ptr failure;
    try {
      entry.work();
    } catch (...) {
      failure = std::current_exception();
    }
    entry.work = nullptr;
    entry.done(std::move(failure));
    entry.done = nullptr;
  }
};

Queue::Queue() : state_(std::make_unique<State>()) {
  state_->thread = std::thread([state = state_.get()] { state->loop(); });
}

Queue::~Queue() {
  std::deque<State::Entry> dropped;
  {
    std::lock_guard lock(state_->mutex);
    state_->stop = true;
    state_->cancel.store(true, std::memory_order_relaxed);
    dropped.swap(state_->waiting);
  }
  state_->wake.notify_all();
  state_->thread.join();
}

std::shared_ptr<Queue> Queue::of_device(int device) {
  static std::mutex mutex;
  static std::map<int, std::weak_ptr<Queue>> queues;
  std::lock_guard lock(mutex);
  auto& slot = queues[device];
  auto queue = slot.lock();
  if (!queue) slot = queue = std::make_shared<Queue>();
  return queue;
}

void Queue::submit(const void* owner, Work work, Done done) {
  {
    std::lock_guard lock(state_->mutex);
    state_->waiting.push_back({owner, std::move(work), std::move(done)});
  }
  state_->wake.notify_one();
}

void Queue::drop_owner(const void* owner) {
  std::deque<State::Entry> dropped;  // destroyed after the lock is released: closures may free large buffers
  std::unique_lock lock(state_->mutex);
  std::deque<State::Entry> kept;
  for (auto& entry : state_->waiting) (entry.owner == owner ? dropped : kept).push_back(std::move(entry));
  state_->waiting.swap(kept);
  if (state_->busy && state_->running == owner) {
    state_->cancel.store(true, std::memory_order_relaxed);
    state_->ended.wait(lock, [&] { return !(state_->busy && state_->running == owner); });
  }
  lock.unlock();
}

int64_t Queue::pending() const {
  std::lock_guard lock(state_->mutex);
  return static_cast<int64_t>(state_->waiting.size()) + (state_->busy ? 1 : 0);
}

}  // namespace toolgrad
