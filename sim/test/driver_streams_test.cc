// The order of queued work: streams, events, host memory of copies, host functions, several threads.
#include <atomic>
#include <chrono>
#include <cstring>
#include <set>
#include <thread>

#include "driver_calls.h"

namespace {

using namespace sim::test;

void nothing_runs_before_it_must() {
  const Calls& c = calls();
  Session session;
  const cu::Stream stream = session.stream();
  const cu::DevicePtr number = session.integer(1);
  int* pinned = nullptr;
  succeeds(c.MemHostAlloc(reinterpret_cast<void**>(&pinned), 8, 0), "page-locked memory");
  check(static_cast<unsigned>(pinned[0]) == 0xffffffffu, "fresh page-locked memory is NaN");
  pinned[0] = 10;
  succeeds(c.MemcpyHtoDAsync(number, pinned, 4, stream), "copy");
  pinned[0] = 20;  // too early: hardware may or may not have read it
  check(c.StreamQuery(stream) == cu::kNotReady, "a poll finds queued work unfinished");
  succeeds(c.StreamSynchronize(stream), "synchronise");
  check(read_integer(number) == 20, "page-locked memory is read when the copy runs");

  int pageable = 30;
  succeeds(c.MemcpyHtoDAsync(number, &pageable, 4, stream), "copy");
  pageable = 40;
  succeeds(c.StreamSynchronize(stream), "synchronise");
  check(read_integer(number) == 30, "pageable memory is staged at the call");

  succeeds(launch(session.function("add"), number, 1, stream), "launch");
  succeeds(c.MemcpyDtoHAsync(&pageable, number, 4, stream), "copy to pageable memory");
  check(pageable == 31, "which waits");

  pinned[1] = 77;
  succeeds(c.MemcpyDtoHAsync(pinned + 1, number, 4, stream), "copy to page-locked memory");
  check(pinned[1] != 31 && pinned[1] != 77, "which does not wait, and what it will overwrite is poisoned");
  succeeds(c.StreamSynchronize(stream), "synchronise");
  check(pinned[1] == 31, "and is there after a wait");
  check(c.StreamQuery(stream) == 0, "an idle stream is ready");
  succeeds(c.MemFreeHost(pinned), "free");
}

void polling_makes_progress() {
  const Calls& c = calls();
  Session session;
  const cu::Stream stream = session.stream();
  const cu::Event event = session.event();
  const cu::DevicePtr number = session.integer(0);
  const cu::Function add = session.function("add");
  for (int i = 0; i < 100; ++i) succeeds(launch(add, number, 1, stream), "launch");
  succeeds(c.EventRecord(event, stream), "record");
  int polls = 0;
  while (c.EventQuery(event) == cu::kNotReady && polls < 1000) ++polls;
  check(polls >= 2 && polls <= 102, "some polls find it unfinished: " + std::to_string(polls));
  check(read_integer(number) == 100, "all has run");
  float milliseconds = -1;
  const cu::Event later = session.event();
  expect(c.EventElapsedTime(&milliseconds, event, later), cu::kInvalidHandle, "an event that was never recorded");
  succeeds(c.EventRecord(later, stream), "record");
  expect(c.EventElapsedTime(&milliseconds, event, later), cu::kNotReady, "an event that has not passed");
  succeeds(c.EventSynchronize(later), "wait");
  succeeds(c.EventElapsedTime(&milliseconds, event, later), "time");
  check(milliseconds >= 0, "time passes");
  cu::Event untimed = nullptr;
  succeeds(c.EventCreate(&untimed, cu::kEventDisableTiming), "an event without timing");
  succeeds(c.EventRecord(untimed, stream), "record");
  expect(c.EventElapsedTime(&milliseconds, event, untimed), cu::kInvalidHandle, "has no time");
}

/// A producer adds 1 and a consumer multiplies by 10, with or without an event between them: 20 in order, 11 not.
int produce_and_consume(bool with_event, const char* seed) {
  const Calls& c = calls();
  succeeds(c.set("seed", seed), "seed");
  Session session;
  const cu::Stream producer = session.stream(), consumer = session.stream();
  const cu::Event made = session.event();
  const cu::DevicePtr number = session.integer(1);
  succeeds(launch(session.function("add"), number, 1, producer), "produce");
  succeeds(c.EventRecord(made, producer), "record");
  if (with_event) succeeds(c.StreamWaitEvent(consumer, made, 0), "wait");
  succeeds(launch(session.function("times"), number, 10, consumer), "consume");
  succeeds(c.StreamSynchronize(consumer), "synchronise the consumer");
  succeeds(c.CtxSynchronize(), "synchronise");
  return read_integer(number);
}

void a_missing_event_shows() {
  for (const char* seed : {"0", "1", "2", "3", "4", "5", "6", "7"})
    check(produce_and_consume(true, seed) == 20, std::string("with the event the order is certain, seed ") + seed);
  check(produce_and_consume(false, "0") == 11, "without it the plain schedule is the wrong order");
  int wrong = 0;
  for (int seed = 1; seed <= 8; ++seed) wrong += produce_and_consume(false, std::to_string(seed).c_str()) == 11;
  check(wrong >= 2 && wrong <= 8, "and seeds choose it too: " + std::to_string(wrong) + " of 8");
  // The same seed is the same schedule.
  const int first = produce_and_consume(false, "42");
  for (int i = 0; i < 3; ++i) check(produce_and_consume(false, "42") == first, "a seed repeats");
  succeeds(calls().set("seed", "0"), "seed");
}

void seeds_reach_many_orders() {
  const Calls& c = calls();
  std::set<int> results;
  for (int seed = 1; seed <= 24; ++seed) {
    succeeds(c.set("seed", std::to_string(seed).c_str()), "seed");
    Session session;
    const cu::DevicePtr number = session.integer(1);
    const cu::Function add = session.function("add"), times = session.function("times");
    for (int k = 1; k <= 3; ++k) {
      const cu::Stream stream = session.stream();
      succeeds(launch(times, number, 10, stream), "launch");
      succeeds(launch(add, number, k, stream), "launch");
    }
    succeeds(c.CtxSynchronize(), "synchronise");
    results.insert(read_integer(number));
  }
  check(results.size() >= 8, "three streams in any order: " + std::to_string(results.size()) + " results of 24 seeds");
  succeeds(c.set("seed", "0"), "seed");
}

void the_legacy_stream_waits_for_blocking_streams() {
  const Calls& c = calls();
  Session session;
  const cu::Function add = session.function("add"), times = session.function("times");
  const cu::DevicePtr number = session.integer(1);
  const cu::Stream blocking = session.stream(0);
  unsigned flags = 9;
  succeeds(c.StreamGetFlags(blocking, &flags), "flags");
  check(flags == 0, "a blocking stream");
  succeeds(launch(add, number, 1, blocking), "blocking");
  succeeds(launch(times, number, 10, nullptr), "legacy, after it");
  succeeds(launch(add, number, 3, blocking), "blocking, after that");
  succeeds(c.StreamSynchronize(blocking), "synchronise");
  check(read_integer(number) == 23, "the legacy stream is ordered with blocking streams");

  const cu::Stream free = session.stream();
  succeeds(launch(add, number, 1, free), "not blocking");
  check(read_integer(number) == 23, "a copy on the legacy stream does not wait for a non-blocking stream");
  succeeds(launch(add, number, 1, blocking), "blocking");
  succeeds(c.StreamSynchronize(nullptr), "synchronise the legacy stream");
  check(c.StreamQuery(blocking) == 0, "which waits for blocking streams");
  check(c.StreamQuery(free) == cu::kNotReady, "and not for others");
  succeeds(c.CtxSynchronize(), "synchronise");
  check(read_integer(number) == 25, "all has run");
  const auto per_thread = reinterpret_cast<cu::Stream>(2);
  succeeds(launch(add, number, 1, per_thread), "the thread's own stream");
  succeeds(c.StreamSynchronize(per_thread), "synchronise it");
  check(read_integer(number) == 26, "it ran");
}

void destroyed_streams_finish_their_work() {
  const Calls& c = calls();
  Session session;
  const cu::Stream stream = session.stream();
  const cu::DevicePtr number = session.integer(1);
  const cu::Event event = session.event();
  succeeds(launch(session.function("add"), number, 1, stream), "launch");
  succeeds(c.EventRecord(event, stream), "record");
  succeeds(c.StreamDestroy(stream), "destroy the stream with work");
  succeeds(c.EventSynchronize(event), "its event passes");
  check(read_integer(number) == 2, "its work has run");
  // cuMemFree waits for what is queued.
  const cu::Stream other = session.stream();
  succeeds(launch(session.function("add"), number, 1, other), "launch");
  succeeds(c.MemFree(number), "free memory that queued work uses");
  check(c.StreamQuery(other) == 0, "the work has run before");
}

void freeing_what_a_queued_copy_needs_is_a_defect() {
  const Calls& c = calls();
  {
    Session session;
    const cu::Stream stream = session.stream();
    const cu::DevicePtr number = session.integer(1);
    void* pinned = nullptr;
    succeeds(c.MemHostAlloc(&pinned, 4, 0), "page-locked memory");
    succeeds(c.MemcpyHtoDAsync(number, pinned, 4, stream), "copy");
    succeeds(c.MemFreeHost(pinned), "free too early");
    check(reported("cuMemFreeHost: a queued copy still uses"), "the report has the defect");
    expect(c.StreamSynchronize(stream), cu::kIllegalAddress, "and the copy fails");
  }
  {
    Session session;
    const cu::Stream stream = session.stream();
    const cu::DevicePtr number = session.integer(1);
    int registered = 5;
    succeeds(c.MemHostRegister(&registered, sizeof registered, 0), "register");
    succeeds(c.MemcpyDtoHAsync(&registered, number, 4, stream), "copy");
    succeeds(c.MemHostUnregister(&registered), "unregister too early");
    expect(c.StreamSynchronize(stream), cu::kIllegalAddress, "the copy fails");
  }
  {
    Session session;
    const cu::Stream stream = session.stream();
    succeeds(launch(session.function("add"), session.integer(1), 1, stream), "launch");
    succeeds(c.ModuleUnload(session.module), "unload too early");
    check(reported("cuModuleUnload: launches of the module's kernels are still queued"), "the report has the defect");
    expect(c.StreamSynchronize(stream), cu::kLaunchFailed, "and the launch fails");
  }
}

void host_functions() {
  const Calls& c = calls();
  Session session;
  const cu::Stream stream = session.stream();
  int* seen = nullptr;
  succeeds(c.MemHostAlloc(reinterpret_cast<void**>(&seen), 4, 0), "page-locked memory");
  const cu::DevicePtr number = session.integer(1);
  struct Note {
    const int* from;
    int value = 0, answer = -1;
    std::thread::id thread;
    std::atomic<bool> done{false};
  } note;
  note.from = seen;
  const auto look = [](void* data) {
    auto* n = static_cast<Note*>(data);
    n->value = *n->from;
    cu::DevicePtr pointer = 0;
    n->answer = calls().MemAlloc(&pointer, 4);
    n->thread = std::this_thread::get_id();
    n->done = true;
  };
  succeeds(launch(session.function("add"), number, 1, stream), "launch");
  succeeds(c.MemcpyDtoHAsync(seen, number, 4, stream), "copy");
  succeeds(c.LaunchHostFunc(stream, look, &note), "host function");
  succeeds(launch(session.function("add"), number, 5, stream), "launch");
  succeeds(c.StreamSynchronize(stream), "synchronise");
  check(note.done && note.value == 2, "a host function runs in the order of its stream");
  check(note.thread != std::this_thread::get_id(), "on another thread");
  check(note.answer == cu::kNotPermitted, "and may not call the driver");
  check(read_integer(number) == 7, "what follows it runs after it");

  note.done = false;
  succeeds(launch(session.function("add"), number, 1, stream), "launch");
  succeeds(c.LaunchHostFunc(stream, look, &note), "host function");
  for (int i = 0; i < 1000 && !note.done; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  check(note.done, "a host function runs although nobody waits for it");
  succeeds(c.StreamSynchronize(stream), "synchronise");
  succeeds(c.MemFreeHost(seen), "free");
}

void threads_share_the_driver() {
  const Calls& c = calls();
  Session session;
  const cu::Function add = session.function("add");
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      wrong += c.CtxSetCurrent(session.context) != 0;
      cu::Stream stream = nullptr;
      cu::DevicePtr number = 0;
      int result = -1;
      wrong += c.StreamCreate(&stream, cu::kStreamNonBlocking) != 0;
      wrong += c.MemAllocAsync(&number, 4, stream) != 0;
      wrong += c.MemsetD32Async(number, 0, 1, stream) != 0;
      for (int i = 0; i < 200; ++i) {
        wrong += launch(add, number, 1, stream) != 0;
        if (i % 50 == 49)
          wrong += c.LaunchHostFunc(
                       stream, [](void*) {}, nullptr) != 0;
      }
      wrong += c.MemcpyDtoHAsync(&result, number, 4, stream) != 0;
      wrong += result != 200;
      wrong += c.MemFreeAsync(number, stream) != 0;
      wrong += c.StreamSynchronize(stream) != 0;
      wrong += c.StreamDestroy(stream) != 0;
    });
  for (std::thread& thread : threads) thread.join();
  check(wrong == 0, "four threads with their own streams: " + std::to_string(wrong) + " wrong results");
}

}  // namespace

int main() {
  nothing_runs_before_it_must();
  polling_makes_progress();
  a_missing_event_shows();
  seeds_reach_many_orders();
  the_legacy_stream_waits_for_blocking_streams();
  destroyed_streams_finish_their_work();
  freeing_what_a_queued_copy_needs_is_a_defect();
  host_functions();
  threads_share_the_driver();
  return finish("driver_streams");
}
