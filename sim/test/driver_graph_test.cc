// Graphs: capture and what it forbids, instantiation, replay, update.
#include <set>
#include <thread>

#include "driver_calls.h"

namespace {

using namespace sim::test;

int end(cu::Stream stream, cu::Graph* graph) {
  *graph = nullptr;
  return calls().StreamEndCapture(stream, graph);
}

cu::GraphExec instantiate(cu::Graph graph) {
  cu::GraphExec exec = nullptr;
  succeeds(calls().GraphInstantiate(&exec, graph, 0), "instantiate");
  return exec;
}

void replay() {
  const Calls& c = calls();
  Session session;
  const cu::Stream stream = session.stream();
  const cu::DevicePtr number = session.integer(1);
  const cu::Function add = session.function("add");
  cu::CaptureStatus status{};
  cu::Graph graph = nullptr;
  succeeds(c.StreamBeginCapture(stream, cu::kCaptureThreadLocal), "begin");
  succeeds(c.StreamIsCapturing(stream, &status), "status");
  check(status == cu::kCaptureActive, "the capture is active");
  int source = 5, result = 0;
  succeeds(c.MemcpyHtoDAsync(number, &source, 4, stream), "captured copy of pageable memory");
  int k = 3;
  cu::DevicePtr pointer = number;
  void* parameters[] = {&pointer, &k};
  succeeds(c.LaunchKernel(add, 1, 1, 1, 1, 1, 1, 0, stream, parameters, nullptr), "captured launch");
  k = 100, pointer = 0;  // parameters are copied at the capture
  succeeds(c.MemcpyDtoHAsync(&result, number, 4, stream), "captured copy to the host");
  succeeds(end(stream, &graph), "end");
  succeeds(c.StreamIsCapturing(stream, &status), "status");
  check(status == cu::kCaptureNone, "the capture is over");
  check(result == 0 && read_integer(number) == 1, "a capture runs nothing");
  const cu::GraphExec exec = instantiate(graph);
  succeeds(c.GraphDestroy(graph), "the graph may go");
  expect(c.GraphDestroy(graph), cu::kInvalidHandle, "but once");
  succeeds(c.GraphLaunch(exec, stream), "launch");
  succeeds(c.StreamSynchronize(stream), "synchronise");
  check(result == 8, "replay: " + std::to_string(result));
  source = 50;
  succeeds(c.GraphLaunch(exec, stream), "launch again");
  succeeds(c.StreamSynchronize(stream), "synchronise");
  check(result == 53, "only the pointer of pageable memory is captured: " + std::to_string(result));
  succeeds(c.GraphExecDestroy(exec), "destroy");
  expect(c.GraphLaunch(exec, stream), cu::kInvalidHandle, "a destroyed executable graph");
}

void refused() {
  const Calls& c = calls();
  Session session;
  const cu::Stream stream = session.stream();
  const cu::DevicePtr number = session.integer(1);
  const cu::Function add = session.function("add");
  cu::Graph graph = nullptr;
  cu::GraphExec exec = nullptr;
  succeeds(c.set("fail", "captured:2,graph:1"), "inject");
  succeeds(c.StreamBeginCapture(stream, cu::kCaptureThreadLocal), "begin");
  succeeds(launch(add, number, 1, stream), "captured launch 1");
  expect(launch(add, number, 1, stream), cu::kLaunchOutOfResources, "captured launch 2 is refused");
  succeeds(end(stream, &graph), "the capture goes on without it");
  expect(c.GraphInstantiate(&exec, graph, 0), cu::kOutOfMemory, "no memory for the first executable graph");
  succeeds(c.GraphInstantiate(&exec, graph, 0), "but for the second");
  succeeds(c.GraphLaunch(exec, stream), "launch");
  succeeds(c.StreamSynchronize(stream), "synchronise");
  check(read_integer(number) == 2, "with the launch that was captured");
  succeeds(c.GraphExecDestroy(exec), "destroy");
  succeeds(c.GraphDestroy(graph), "destroy");
  succeeds(c.set("fail", ""), "no more failures");
}

/// Fork to a second stream and, perhaps, join.
int fork(Session& session, bool joins, cu::Graph* graph, cu::DevicePtr a, cu::DevicePtr b) {
  const Calls& c = calls();
  const cu::Stream origin = session.stream(), side = session.stream();
  const cu::Event forked = session.event(), joined = session.event();
  const cu::Function add = session.function("add"), times = session.function("times");
  succeeds(c.StreamBeginCapture(origin, cu::kCaptureGlobal), "begin");
  succeeds(launch(add, a, 1, origin), "origin");
  succeeds(c.EventRecord(forked, origin), "record");
  succeeds(c.StreamWaitEvent(side, forked, 0), "fork");
  succeeds(launch(add, b, 2, side), "side");
  succeeds(c.EventRecord(joined, side), "record");
  succeeds(launch(times, a, 10, origin), "origin");
  if (joins) succeeds(c.StreamWaitEvent(origin, joined, 0), "join");
  if (joins) succeeds(launch(times, b, 7, origin), "after both");
  const int result = end(origin, graph);
  cu::CaptureStatus status{};
  succeeds(c.StreamIsCapturing(side, &status), "status");
  check(status == cu::kCaptureNone, "the side stream is free again");
  return result;
}

void branches() {
  const Calls& c = calls();
  for (const char* seed : {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}) {
    succeeds(c.set("seed", seed), "seed");
    Session session;
    const cu::DevicePtr a = session.integer(1), b = session.integer(1);
    cu::Graph graph = nullptr;
    succeeds(fork(session, true, &graph, a, b), "a joined fork");
    const cu::GraphExec exec = instantiate(graph);
    const cu::Stream one = session.stream(), two = session.stream();
    succeeds(c.GraphLaunch(exec, one), "launch");
    succeeds(c.GraphLaunch(exec, two), "launch elsewhere");  // ordered: launches of one graph never overlap
    succeeds(c.CtxSynchronize(), "synchronise");
    check(read_integer(a) == 210 && read_integer(b) == (3 * 7 + 2) * 7, std::string("two replays, seed ") + seed);
    expect(fork(session, false, &graph, a, b), cu::kStreamCaptureUnjoined, "a fork without a join");
    check(graph == nullptr, "makes no graph");
  }
  succeeds(c.set("seed", "0"), "seed");
}

/// Two branches that should have been ordered: 20 or 11.
void branches_without_order() {
  const Calls& c = calls();
  std::set<int> results;
  for (int seed = 1; seed <= 12; ++seed) {
    succeeds(c.set("seed", std::to_string(seed).c_str()), "seed");
    Session session;
    const cu::DevicePtr number = session.integer(1);
    const cu::Stream origin = session.stream(), side = session.stream();
    const cu::Event forked = session.event(), joined = session.event();
    cu::Graph graph = nullptr;
    succeeds(c.StreamBeginCapture(origin, cu::kCaptureGlobal), "begin");
    succeeds(c.EventRecord(forked, origin), "record");
    succeeds(c.StreamWaitEvent(side, forked, 0), "fork");
    succeeds(launch(session.function("add"), number, 1, origin), "origin");
    succeeds(launch(session.function("times"), number, 10, side), "side");
    succeeds(c.EventRecord(joined, side), "record");
    succeeds(c.StreamWaitEvent(origin, joined, 0), "join");
    succeeds(end(origin, &graph), "end");
    succeeds(c.GraphLaunch(instantiate(graph), origin), "launch");
    succeeds(c.StreamSynchronize(origin), "synchronise");
    results.insert(read_integer(number));
  }
  check(results == std::set<int>{11, 20}, "branches of a graph run in both orders");
  succeeds(c.set("seed", "0"), "seed");
}

/// Begins a capture, does something illegal, and looks at the capture's end.
template <class Illegal>
void forbids(const char* what, int code, unsigned stream_flags, cu::CaptureMode mode, Illegal illegal,
             int end_code = cu::kStreamCaptureInvalidated) {
  Session session;
  const cu::Stream stream = session.stream(stream_flags);
  const cu::DevicePtr number = session.integer(1);
  cu::Graph graph = nullptr;
  succeeds(calls().StreamBeginCapture(stream, mode), "begin");
  succeeds(launch(session.function("add"), number, 1, stream), "captured");
  expect(illegal(session, stream, number), code, what);
  expect(end(stream, &graph), end_code, std::string("the capture's end after: ") + what);
  succeeds(calls().CtxSynchronize(), "the context lives on");
}

void what_a_capture_forbids() {
  const Calls& c = calls();
  const unsigned free = cu::kStreamNonBlocking;
  const auto allocate = [&](Session&, cu::Stream, cu::DevicePtr) {
    cu::DevicePtr pointer = 0;
    return c.MemAlloc(&pointer, 4);
  };
  forbids("cuMemAlloc, global", cu::kStreamCaptureUnsupported, free, cu::kCaptureGlobal, allocate);
  forbids("cuMemAlloc, thread-local", cu::kStreamCaptureUnsupported, free, cu::kCaptureThreadLocal, allocate);
  forbids("cuMemAlloc, relaxed", 0, free, cu::kCaptureRelaxed, allocate, 0);
  const auto elsewhere = [&](Session& session, cu::Stream, cu::DevicePtr) {
    int result = -1;
    std::thread([&] {
      cu::DevicePtr pointer = 0;
      c.CtxSetCurrent(session.context);
      result = c.MemAlloc(&pointer, 4);
    }).join();
    return result;
  };
  forbids("cuMemAlloc on another thread, global", cu::kStreamCaptureUnsupported, free, cu::kCaptureGlobal, elsewhere);
  forbids("cuMemAlloc on another thread, thread-local", 0, free, cu::kCaptureThreadLocal, elsewhere, 0);
  forbids("cuStreamSynchronize", cu::kStreamCaptureUnsupported, free, cu::kCaptureThreadLocal,
          [&](Session&, cu::Stream stream, cu::DevicePtr) { return c.StreamSynchronize(stream); });
  forbids("cuStreamQuery, relaxed", cu::kStreamCaptureUnsupported, free, cu::kCaptureRelaxed,
          [&](Session&, cu::Stream stream, cu::DevicePtr) { return c.StreamQuery(stream); });
  forbids("cuCtxSynchronize", cu::kStreamCaptureUnsupported, free, cu::kCaptureThreadLocal,
          [&](Session&, cu::Stream, cu::DevicePtr) { return c.CtxSynchronize(); });
  forbids("a blocking copy", cu::kStreamCaptureUnsupported, free, cu::kCaptureThreadLocal,
          [&](Session&, cu::Stream, cu::DevicePtr number) {
            int value = 0;
            return c.MemcpyDtoH(&value, number, 4);
          });
  forbids("a launch on the legacy stream while a blocking stream is captured", cu::kStreamCaptureImplicit, 0,
          cu::kCaptureRelaxed, [&](Session& session, cu::Stream, cu::DevicePtr number) {
            return launch(session.function("add"), number, 1, nullptr);
          });
  forbids(
      "a launch on the legacy stream while another stream is captured", 0, free, cu::kCaptureThreadLocal,
      [&](Session& session, cu::Stream, cu::DevicePtr number) {
        return launch(session.function("add"), number, 1, nullptr);
      },
      0);
  forbids("a wait for work outside the capture", 905, free, cu::kCaptureThreadLocal,
          [&](Session& session, cu::Stream stream, cu::DevicePtr) {
            const cu::Event event = session.event();
            succeeds(c.EventRecord(event, session.stream()), "record");
            return c.StreamWaitEvent(stream, event, 0);
          });
  forbids("a query of a captured event", cu::kCapturedEvent, free, cu::kCaptureRelaxed,
          [&](Session& session, cu::Stream stream, cu::DevicePtr) {
            const cu::Event event = session.event();
            succeeds(c.EventRecord(event, stream), "record");
            return c.EventQuery(event);
          });
  forbids(
      "a second capture of the stream", cu::kIllegalState, free, cu::kCaptureThreadLocal,
      [&](Session&, cu::Stream stream, cu::DevicePtr) { return c.StreamBeginCapture(stream, cu::kCaptureRelaxed); }, 0);
  forbids(
      "the end on another thread", 908, free, cu::kCaptureThreadLocal,
      [&](Session& session, cu::Stream stream, cu::DevicePtr) {
        int result = -1;
        std::thread([&] {
          cu::Graph graph = nullptr;
          c.CtxSetCurrent(session.context);
          result = c.StreamEndCapture(stream, &graph);
        }).join();
        return result;
      },
      0);
  Session session;
  cu::Graph graph = nullptr;
  expect(c.StreamBeginCapture(nullptr, cu::kCaptureRelaxed), cu::kStreamCaptureUnsupported, "the legacy stream");
  const cu::Stream stream = session.stream();
  expect(end(stream, &graph), cu::kIllegalState, "an end without a beginning");
  succeeds(c.StreamBeginCapture(stream, cu::kCaptureGlobal), "begin");
  const cu::DevicePtr pointer = 0;
  expect(c.CtxSynchronize(), cu::kStreamCaptureUnsupported, "illegal");
  expect(launch(session.function("add"), pointer, 1, stream), cu::kStreamCaptureInvalidated,
         "an invalid capture takes nothing");
  cu::CaptureStatus status{};
  succeeds(c.StreamIsCapturing(stream, &status), "status");
  check(status == cu::kCaptureStatusInvalidated, "and says so");
  expect(end(stream, &graph), cu::kStreamCaptureInvalidated, "until its end");
  const cu::Stream gone = session.stream();
  succeeds(c.StreamBeginCapture(gone, cu::kCaptureGlobal), "begin");
  succeeds(c.StreamDestroy(gone), "destroy the stream of a capture");
  succeeds(c.CtxSynchronize(), "which ends it");
  succeeds(c.StreamBeginCapture(stream, cu::kCaptureGlobal), "begin");
  cu::CaptureMode mine = cu::kCaptureRelaxed;
  succeeds(c.ThreadExchangeStreamCaptureMode(&mine), "this thread knows what it does");
  check(mine == cu::kCaptureGlobal, "a thread is strict at first");
  cu::DevicePtr allowed = 0;
  succeeds(c.MemAlloc(&allowed, 4), "allocate during a capture");
  succeeds(c.ThreadExchangeStreamCaptureMode(&mine), "strict again");
  expect(c.MemAlloc(&allowed, 4), cu::kStreamCaptureUnsupported, "allocate during a capture");
  expect(end(stream, &graph), cu::kStreamCaptureInvalidated, "the end");
}

cu::Graph capture_add(const Session& session, cu::Stream stream, cu::DevicePtr number, int k, int launches) {
  cu::Graph graph = nullptr;
  succeeds(calls().StreamBeginCapture(stream, cu::kCaptureThreadLocal), "begin");
  for (int i = 0; i < launches; ++i) succeeds(launch(session.function("add"), number, k, stream), "captured");
  succeeds(end(stream, &graph), "end");
  return graph;
}

void update() {
  const Calls& c = calls();
  Session session;
  const cu::Stream stream = session.stream();
  const cu::DevicePtr number = session.integer(0);
  const cu::GraphExec exec = instantiate(capture_add(session, stream, number, 1, 1));
  succeeds(c.GraphLaunch(exec, stream), "launch");
  cu::GraphExecUpdateResultInfo info{};
  succeeds(c.GraphExecUpdate(exec, capture_add(session, stream, number, 10, 1), &info), "update");
  check(info.result == 0, "the update is good");
  succeeds(c.GraphLaunch(exec, stream), "launch");
  succeeds(c.StreamSynchronize(stream), "synchronise");
  check(read_integer(number) == 11, "an update is for later launches only");
  expect(c.GraphExecUpdate(exec, capture_add(session, stream, number, 10, 2), &info), 910, "another shape");
  check(info.result == 2, "the topology changed");
  cu::Graph fill = nullptr;
  succeeds(c.StreamBeginCapture(stream, cu::kCaptureThreadLocal), "begin");
  succeeds(c.MemsetD32Async(number, 0, 1, stream), "captured");
  succeeds(end(stream, &fill), "end");
  expect(c.GraphExecUpdate(exec, fill, &info), 910, "another kind of node");
  check(info.result == 3, "the node's type changed");
  succeeds(c.GraphLaunch(exec, stream), "the executable graph is as it was");
  succeeds(c.ModuleUnload(session.module), "unload");
  expect(c.GraphLaunch(exec, stream), cu::kInvalidHandle, "its module is gone");
}

void host_functions_and_graphs_in_graphs() {
  const Calls& c = calls();
  Session session;
  const cu::Stream stream = session.stream();
  const cu::DevicePtr number = session.integer(0);
  const cu::GraphExec inner = instantiate(capture_add(session, stream, number, 1, 2));
  int runs = 0;
  cu::Graph graph = nullptr;
  succeeds(c.StreamBeginCapture(stream, cu::kCaptureThreadLocal), "begin");
  succeeds(c.GraphLaunch(inner, stream), "a graph in a graph");
  succeeds(c.LaunchHostFunc(
               stream, [](void* count) { ++*static_cast<int*>(count); }, &runs),
           "a host function");
  succeeds(launch(session.function("times"), number, 10, stream), "captured");
  succeeds(end(stream, &graph), "end");
  const cu::GraphExec exec = instantiate(graph);
  for (int i = 0; i < 3; ++i) succeeds(c.GraphLaunch(exec, stream), "launch");
  succeeds(c.StreamSynchronize(stream), "synchronise");
  check(runs == 3, "the host function ran in every replay");
  check(read_integer(number) == ((2 * 10 + 2) * 10 + 2) * 10, "the inner graph ran first");
  cu::DevicePtr pointer = 0;
  succeeds(c.StreamBeginCapture(stream, cu::kCaptureThreadLocal), "begin");
  expect(c.MemAllocAsync(&pointer, 4, stream), cu::kNotSupported, "memory nodes are not simulated");
  succeeds(end(stream, &graph), "end");
}

}  // namespace

int main() {
  replay();
  refused();
  branches();
  branches_without_order();
  what_a_capture_forbids();
  update();
  host_functions_and_graphs_in_graphs();
  return finish("driver_graph");
}
