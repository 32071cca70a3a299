// Entry points: capture of streams into graphs, and launches of graphs.
//
// A capture records kernels with their copied parameters, copies, fills and host functions; an executable graph has its
// own copy of all of it. The nodes of a launch run in any order that their dependencies allow. Child graphs are taken in
// node by node; memory nodes are not simulated.
#include <algorithm>

#include "driver/driver.h"

namespace sim {
namespace {

enum UpdateResult : int {  // CUgraphExecUpdateResult
  kUpdateSuccess = 0,
  kUpdateTopologyChanged = 2,
  kUpdateNodeTypeChanged = 3,
};

/// Every node of a capture must lead to the origin's last ones, or some stream was not joined.
bool all_joined(const GraphBody& body, const std::vector<size_t>& tail) {
  std::vector<bool> reached(body.nodes.size());
  for (size_t node : tail) reached[node] = true;
  for (size_t i = body.nodes.size(); i-- > 0;)  // nodes come after what they depend on
    if (reached[i])
      for (size_t before : body.nodes[i].after) reached[before] = true;
  return std::find(reached.begin(), reached.end(), false) == reached.end();
}

/// Refuses kernels whose module is gone: hardware would run whatever lies there now.
void check_modules(const GraphBody& body, const char* what) {
  for (const GraphNode& node : body.nodes)
    if (const auto* kernel = std::get_if<KernelWork>(&node.work); kernel != nullptr && kernel->module->unloaded)
      throw Fault{cu::kInvalidHandle,
                  std::string(what) + ": the module of " + facts(*kernel->launch.kernel).name + " was unloaded"};
}

/// A copy whose host functions have not run.
std::shared_ptr<GraphBody> fresh_copy(const GraphBody& body) {
  auto copy = std::make_shared<GraphBody>(body);
  for (GraphNode& node : copy->nodes)
    if (auto* host = std::get_if<HostWork>(&node.work)) host->state = std::make_shared<HostWork::State>();
  return copy;
}

}  // namespace

namespace api {

Result ThreadExchangeStreamCaptureMode(CaptureMode* mode) {
  return call("cuThreadExchangeStreamCaptureMode", Needs::kInit, [&](Driver&, Lock&) {
    require_pointer(mode, "mode");
    const int asked = *mode;
    if (asked < 0 || asked > 2) throw Fault{kInvalidValue, "unknown capture mode"};
    *mode = static_cast<CaptureMode>(thread_state().capture_mode);
    thread_state().capture_mode = asked;
    return kSuccess;
  });
}

Result StreamBeginCapture(Stream stream, CaptureMode mode) {
  return call("cuStreamBeginCapture_v2", Needs::kContext, [&](Driver& d, Lock&) {
    const std::shared_ptr<sim::Stream> queue = d.stream(stream);
    const int asked = mode;
    if (asked < 0 || asked > 2) throw Fault{kInvalidValue, "unknown capture mode"};
    if (queue == d.context.legacy) throw Fault{kStreamCaptureUnsupported, "the legacy stream cannot be captured"};
    if (queue->capture != nullptr) throw Fault{kIllegalState, "the stream is being captured already"};
    auto capture = std::make_shared<Capture>();
    capture->mode = asked;
    capture->thread = std::this_thread::get_id();
    capture->origin = queue.get();
    capture->members.push_back(queue);
    queue->capture = capture;
    queue->tail.clear();
    d.context.captures.push_back(std::move(capture));
    return kSuccess;
  });
}

Result StreamEndCapture(Stream stream, Graph* graph) {
  return call("cuStreamEndCapture", Needs::kContext, [&](Driver& d, Lock&) {
    require_pointer(graph, "graph");
    *graph = nullptr;
    const std::shared_ptr<sim::Stream> queue = d.stream(stream);
    const std::shared_ptr<Capture> capture = queue->capture;
    if (capture == nullptr) throw Fault{kIllegalState, "the stream is not being captured"};
    if (capture->origin != queue.get())
      throw Fault{kStreamCaptureUnmatched, "the capture did not begin in this stream"};
    if (capture->mode != kCaptureRelaxed && capture->thread != std::this_thread::get_id())
      throw Fault{kStreamCaptureWrongThread, "another thread began the capture"};
    const std::vector<size_t> tail = queue->tail;
    d.end_capture(capture);
    if (capture->invalid) throw Fault{kStreamCaptureInvalidated, "an earlier call made the capture invalid"};
    if (!all_joined(capture->body, tail))
      throw Fault{kStreamCaptureUnjoined, "work of another stream was not joined to the stream of the capture"};
    auto made = std::make_shared<sim::Graph>();
    made->body = std::move(capture->body);
    *graph = to_handle<Graph>(d.context.graphs.add(std::move(made)));
    return kSuccess;
  });
}

Result StreamIsCapturing(Stream stream, CaptureStatus* status) {
  return call("cuStreamIsCapturing", Needs::kContext, [&](Driver& d, Lock&) {
    require_pointer(status, "status");
    const std::shared_ptr<sim::Stream> queue = d.stream(stream);
    if (queue == d.context.legacy) d.refuse_legacy_during_capture();
    *status = queue->capture == nullptr ? kCaptureNone
              : queue->capture->invalid ? kCaptureStatusInvalidated
                                        : kCaptureActive;
    return kSuccess;
  });
}

Result GraphInstantiate(GraphExec* exec, Graph graph, unsigned long long flags) {
  return call("cuGraphInstantiateWithFlags", Needs::kContext, [&](Driver& d, Lock&) {
    require_pointer(exec, "exec");
    // Free on launch (1) and node priorities (8) change nothing here; upload (2) and launch from the device (4) would.
    if ((flags & ~9ull) != 0) throw Fault{kInvalidValue, "these flags are not simulated"};
    const std::shared_ptr<sim::Graph> source = d.context.graphs.get(graph);
    check_modules(source->body, "cuGraphInstantiateWithFlags");
    if (++d.graph_number == d.settings.fail.graph)
      throw Fault{kOutOfMemory, "executable graph " + std::to_string(d.graph_number) + " was refused (injected)"};
    auto made = std::make_shared<sim::GraphExec>();
    made->body = source->body;
    *exec = to_handle<GraphExec>(d.context.execs.add(std::move(made)));
    return kSuccess;
  });
}

Result GraphLaunch(GraphExec exec, Stream stream) {
  return call("cuGraphLaunch", Needs::kContext, [&](Driver& d, Lock&) {
    const std::shared_ptr<sim::GraphExec> launched = d.context.execs.get(exec);
    const std::shared_ptr<sim::Stream> queue = d.stream(stream);
    check_modules(launched->body, "cuGraphLaunch");
    GraphWork work;
    work.body = fresh_copy(launched->body);
    work.done.resize(work.body->nodes.size());
    const bool calls_host = std::any_of(work.body->nodes.begin(), work.body->nodes.end(), [](const GraphNode& node) {
      return std::holds_alternative<HostWork>(node.work);
    });
    std::vector<Dependency> after;
    if (launched->last_launch.stream != nullptr && !is_over(launched->last_launch))
      after.push_back(launched->last_launch);
    const uint64_t sequence = d.submit(*queue, std::move(work), std::move(after));
    if (sequence == 0) return kSuccess;  // captured into another graph
    launched->last_launch = {queue, sequence};
    if (calls_host) run_soon(d, queue, sequence);
    return kSuccess;
  });
}

Result GraphExecUpdate(GraphExec exec, Graph graph, GraphExecUpdateResultInfo* info) {
  return call("cuGraphExecUpdate_v2", Needs::kContext, [&](Driver& d, Lock&) {
    require_pointer(info, "info");
    *info = GraphExecUpdateResultInfo{};
    const std::shared_ptr<sim::GraphExec> updated = d.context.execs.get(exec);
    const std::shared_ptr<sim::Graph> source = d.context.graphs.get(graph);
    const auto& old_nodes = updated->body.nodes;
    const auto& new_nodes = source->body.nodes;
    info->result = old_nodes.size() == new_nodes.size() ? kUpdateSuccess : kUpdateTopologyChanged;
    for (size_t i = 0; i < new_nodes.size() && info->result == kUpdateSuccess; ++i) {
      if (old_nodes[i].after != new_nodes[i].after) info->result = kUpdateTopologyChanged;
      if (old_nodes[i].work.index() != new_nodes[i].work.index()) info->result = kUpdateNodeTypeChanged;
    }
    if (info->result != kUpdateSuccess)
      throw Fault{kGraphExecUpdateFailure, info->result == kUpdateNodeTypeChanged ? "the kind of a node changed"
                                                                                  : "the shape of the graph changed"};
    check_modules(source->body, "cuGraphExecUpdate");
    updated->body = source->body;
    return kSuccess;
  });
}

Result GraphExecDestroy(GraphExec exec) {
  return call("cuGraphExecDestroy", Needs::kContext, [&](Driver& d, Lock&) {
    d.context.execs.get(exec);
    d.context.execs.remove(exec);
    return kSuccess;
  });
}

Result GraphDestroy(Graph graph) {
  return call("cuGraphDestroy", Needs::kContext, [&](Driver& d, Lock&) {
    d.context.graphs.get(graph);
    d.context.graphs.remove(graph);
    return kSuccess;
  });
}

}  // namespace api
}  // namespace sim
