// The two threads of the driver: one calls host functions, one runs what nobody waits for.
//
// Both start when they are first needed, live until the process ends, and hold the driver's lock except while a host
// function runs. Their queues live in one object that is never destroyed.
#include <chrono>
#include <deque>
#include <thread>

#include "driver/driver.h"

namespace sim {
namespace {

// How long work behind a host function stays queued when nothing forces it: long enough for a program that reuses memory
// too early to do so, short enough to wait for.
constexpr auto kIdle = std::chrono::milliseconds(2);

struct Task {
  cu::HostFn function;
  void* data;
  std::shared_ptr<HostWork::State> state;
};
struct Request {
  std::weak_ptr<Stream> stream;
  uint64_t sequence;
  uint64_t generation;
};

struct Threads {
  bool functions_started = false, background_started = false;
  std::deque<Task> tasks;
  std::deque<Request> requests;
  std::condition_variable task_added, request_added;
};

Threads& threads() {
  static auto* const all = new Threads;
  return *all;
}

void call_functions(Driver& driver) {
  thread_state().in_host_function = true;
  Lock lock(driver.mutex);
  while (true) {
    threads().task_added.wait(lock, [] { return !threads().tasks.empty(); });
    const Task task = threads().tasks.front();
    threads().tasks.pop_front();
    lock.unlock();
    task.function(task.data);
    lock.lock();
    task.state->finished = true;
    --driver.running_host_functions;
    driver.changed.notify_all();
  }
}

void run_background(Driver& driver) {
  Lock lock(driver.mutex);
  while (true) {
    threads().request_added.wait(lock, [] { return !threads().requests.empty(); });
    const Request request = threads().requests.front();
    threads().requests.pop_front();
    lock.unlock();
    std::this_thread::sleep_for(kIdle);
    lock.lock();
    const std::shared_ptr<Stream> stream = request.stream.lock();
    const Context& context = driver.context;
    if (driver.exiting || stream == nullptr || !context.alive() || context.generation != request.generation) continue;
    if (context.sticky != 0) continue;
    try {
      driver.run_until(
          lock, [&] { return stream->passed >= request.sequence; }, stream.get());
    } catch (const Fault&) {
      // fail() has said it and made it sticky: the program's next call returns it.
    }
  }
}

}  // namespace

void start_host_function(Driver& driver, const HostWork& work) {
  Threads& all = threads();
  if (!all.functions_started) {
    std::thread(call_functions, std::ref(driver)).detach();
    all.functions_started = true;
  }
  work.state->started = true;
  ++driver.running_host_functions;
  all.tasks.push_back({work.function, work.data, work.state});
  all.task_added.notify_one();
}

void run_soon(Driver& driver, const std::shared_ptr<Stream>& stream, uint64_t sequence) {
  Threads& all = threads();
  if (!all.background_started) {
    std::thread(run_background, std::ref(driver)).detach();
    all.background_started = true;
  }
  all.requests.push_back({stream, sequence, driver.context.generation});
  all.request_added.notify_one();
}

}  // namespace sim
