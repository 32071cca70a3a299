// Queue: order, errors, dropping an owner, cancellation, and the end of the thread. Also run under TSan by .ci/run.
#include "engine/queue.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

int failures = 0;

void expect(bool ok, const std::string& what) {
  std::printf("%s %s\n", ok ? "ok  " : "FAIL", what.c_str());
  if (!ok) ++failures;
}

void runs_jobs_in_order_of_submission() {
  toolgrad::Queue queue;
  std::vector<int> order;  // written by the engine thread only, read after the last `done`
  std::promise<void> last;
  for (int i = 0; i < 1000; ++i) {
    queue.submit(
        &order, [&order, i] { order.push_back(i); },
        [&last, i](std::exception_ptr) {
          if (i == 999) last.set_value();
        });
  }
  last.get_future().wait();
  bool sorted = order.size() == 1000;
  for (size_t i = 0; i < order.size(); ++i) sorted = sorted && order[i] == static_cast<int>(i);
  expect(sorted, "1000 jobs ran in order of submission");
}

void hands_exceptions_to_done_and_goes_on() {
  toolgrad::Queue queue;
  std::promise<std::string> first, second;
  const auto message = [](std::promise<std::string>& to) {
    return [&to](std::exception_ptr exception) {
      try {
        if (exception) std::rethrow_exception(exception);
        to.set_value("none");
      } catch (const std::exception& error) {
        to.set_value(error.what());
      }
    };
  };
  queue.submit(
      nullptr, [] { throw std::runtime_error("no"); }, message(first));
  queue.submit(
      nullptr, [] {}, message(second));
  expect(first.get_future().get() == "no", "the exception of a job reaches its done callback");
  expect(second.get_future().get() == "none", "the queue goes on after a job that threw");
}

void drops_one_owner_and_keeps_the_other() {
  toolgrad::Queue queue;
  int a = 0, b = 0;
  std::promise<void> started, b_done;
  std::atomic<bool> saw_cancel{false}, dropped_ran{false}, running_done{false};
  queue.submit(
      &a,
      [&] {
        started.set_value();
        while (!toolgrad::cancel_requested()) std::this_thread::yield();
        saw_cancel = true;
      },
      [&](std::exception_ptr) { running_done = true; });
  queue.submit(
      &a, [&] { dropped_ran = true; }, [&](std::exception_ptr) { dropped_ran = true; });
  std::atomic<bool> b_cancelled{true};
  queue.submit(
      &b, [&] { b_cancelled = toolgrad::cancel_requested(); }, [&](std::exception_ptr) { b_done.set_value(); });
  started.get_future().wait();
  queue.drop_owner(&a);
  expect(saw_cancel, "the owner's running job is asked to stop");
  expect(running_done, "drop_owner returns after the running job and its done callback");
  b_done.get_future().wait();
  expect(!dropped_ran, "the owner's waiting job never runs");
  expect(!b_cancelled, "the other owner's job runs and is not cancelled");
  expect(!toolgrad::cancel_requested(), "cancel_requested is false off the engine thread");
}

void frees_a_closure_before_done_runs() {
  toolgrad::Queue queue;
  auto buffer = std::make_shared<int>(1);
  std::weak_ptr<int> watch = buffer;
  std::promise<bool> alive;
  queue.submit(
      nullptr, [buffer = std::move(buffer)] {}, [&](std::exception_ptr) { alive.set_value(!watch.expired()); });
  expect(!alive.get_future().get(), "the work closure is destroyed before done runs");
}

void shares_a_device_queue_until_the_last_owner_leaves() {
  auto one = toolgrad::Queue::of_device(7);
  auto two = toolgrad::Queue::of_device(7);
  expect(one == two, "a device has one queue");
  expect(one != toolgrad::Queue::of_device(8), "another device has another queue");
  const std::weak_ptr<toolgrad::Queue> watch = one;
  one.reset();
  two.reset();
  expect(watch.expired(), "the queue ends with its last owner");
}

void destruction_with_waiting_jobs_ends() {
  std::atomic<int> ran{0};
  {
    toolgrad::Queue queue;
    for (int i = 0; i < 100; ++i)
      queue.submit(
          nullptr,
          [&] {
            ++ran;
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
          },
          [](std::exception_ptr) {});
  }
  expect(ran < 100, "destruction dropped waiting jobs (" + std::to_string(ran.load()) + " of 100 ran)");
}

}  // namespace

int main() {
  runs_jobs_in_order_of_submission();
  hands_exceptions_to_done_and_goes_on();
  drops_one_owner_and_keeps_the_other();
  frees_a_closure_before_done_runs();
  shares_a_device_queue_until_the_last_owner_leaves();
  destruction_with_waiting_jobs_ends();
  return failures == 0 ? 0 : 1;
}
