// From a call to queued work: streams by handle, capture, order against the legacy stream, numbers of launches.
#include <algorithm>

#include "driver/driver.h"

namespace sim {
namespace {

/// Appends a node to a capture, after everything that the stream has done in it.
void capture_work(Stream& stream, Work work) {
  Capture& capture = *stream.capture;
  if (capture.invalid) throw Fault{cu::kStreamCaptureInvalidated, "the capture of this stream is invalid"};
  if (std::holds_alternative<FreeWork>(work))
    throw Fault{cu::kNotSupported, "the simulator has no memory nodes in graphs"};
  capture.body.nodes.push_back({std::move(work), stream.tail});
  stream.tail = {capture.body.nodes.size() - 1};
}

/// A graph launched into a capture becomes part of it, node by node.
void capture_graph(Stream& stream, const GraphBody& body) {
  Capture& capture = *stream.capture;
  if (capture.invalid) throw Fault{cu::kStreamCaptureInvalidated, "the capture of this stream is invalid"};
  const size_t shift = capture.body.nodes.size();
  std::vector<bool> followed(body.nodes.size());
  for (const GraphNode& node : body.nodes) {
    GraphNode copy{node.work, {}};
    for (size_t before : node.after) copy.after.push_back(shift + before), followed[before] = true;
    if (node.after.empty()) copy.after = stream.tail;
    capture.body.nodes.push_back(std::move(copy));
  }
  if (body.nodes.empty()) return;
  stream.tail.clear();
  for (size_t i = 0; i < followed.size(); ++i)
    if (!followed[i]) stream.tail.push_back(shift + i);
}

uint64_t launches_in(const Work& work) {
  if (std::holds_alternative<KernelWork>(work)) return 1;
  const auto* graph = std::get_if<GraphWork>(&work);
  if (graph == nullptr) return 0;
  return static_cast<uint64_t>(
      std::count_if(graph->body->nodes.begin(), graph->body->nodes.end(),
                    [](const auto& node) { return std::holds_alternative<KernelWork>(node.work); }));
}

}  // namespace

std::shared_ptr<Stream> Driver::stream(cu::Stream handle) {
  const uint64_t value = from_handle(handle);
  if (value <= 1) return context.legacy;  // NULL and CU_STREAM_LEGACY
  if (value != 2) return context.streams.get(handle);
  ThreadState& thread = thread_state();  // CU_STREAM_PER_THREAD
  if (thread.stream_generation != context.generation) {
    auto made = std::make_shared<Stream>();
    context.active.push_back(made);
    made->handle = thread.stream = context.streams.add(made);
    thread.stream_generation = context.generation;
  }
  return context.streams.get(to_handle<cu::Stream>(thread.stream));
}

void Driver::check_launch_error(uint64_t launches) {
  const uint64_t injected = settings.fail.launch_error;
  if (injected <= launch_number || injected > launch_number + launches) return;
  launch_number += launches;
  throw Fault{cu::kLaunchOutOfResources, "launch " + std::to_string(injected) + " was refused (injected)"};
}

void Driver::refuse_legacy_during_capture() {
  for (const auto& capture : context.captures)
    for (const auto& member : capture->members)
      if (const auto captured = member.lock(); captured != nullptr && captured->blocking) {
        capture->invalid = true;
        throw Fault{cu::kStreamCaptureImplicit,
                    "the legacy stream waits for all blocking streams, and one is captured"};
      }
}

uint64_t Driver::submit(Stream& stream, Work work, std::vector<Dependency> after) {
  if (&stream == context.legacy.get()) refuse_legacy_during_capture();
  if (stream.capture != nullptr) {
    if (std::holds_alternative<KernelWork>(work) && ++captured_number == settings.fail.captured)
      throw Fault{cu::kLaunchOutOfResources, "a launch into a capture was refused (injected)"};
    if (const auto* graph = std::get_if<GraphWork>(&work))
      capture_graph(stream, *graph->body);
    else
      capture_work(stream, std::move(work));
    return 0;
  }
  const uint64_t launches = launches_in(work);
  check_launch_error(launches);
  if (auto* kernel = std::get_if<KernelWork>(&work)) kernel->number = launch_number + 1;
  if (auto* graph = std::get_if<GraphWork>(&work)) graph->first_number = launch_number + 1;
  launch_number += launches;

  Operation operation{++sequence, std::move(after), std::move(work)};
  if (&stream == context.legacy.get()) {
    for (const auto& other : context.active)
      if (other.get() != &stream && other->blocking && !other->queue.empty())
        operation.after.push_back({other, other->last});
  } else if (stream.blocking && !context.legacy->queue.empty()) {
    operation.after.push_back({context.legacy, context.legacy->last});
  }
  stream.last = operation.sequence;
  stream.queue.push_back(std::move(operation));
  return stream.last;
}

void Driver::refuse_during_capture(const char* what) {
  // As cuThreadExchangeStreamCaptureMode describes it: this thread's own captures count unless they are relaxed, those of
  // other threads when they are global.
  const int thread_mode = thread_state().capture_mode;
  if (thread_mode == cu::kCaptureRelaxed) return;
  bool refused = false;
  for (const auto& capture : context.captures) {
    const bool own = capture->thread == std::this_thread::get_id();
    const bool counts = own ? capture->mode != cu::kCaptureRelaxed
                            : capture->mode == cu::kCaptureGlobal && thread_mode == cu::kCaptureGlobal;
    if (counts) capture->invalid = refused = true;
  }
  if (refused) throw Fault{cu::kStreamCaptureUnsupported, std::string(what) + " is not permitted during a capture"};
}

void Driver::refuse_if_capturing(Stream& stream, const char* what) {
  if (stream.capture == nullptr) return;
  stream.capture->invalid = true;
  throw Fault{cu::kStreamCaptureUnsupported, std::string(what) + ": the stream is being captured"};
}

void Driver::end_capture(const std::shared_ptr<Capture>& capture) {
  for (const auto& member : capture->members)
    if (const auto stream = member.lock(); stream != nullptr) {
      stream->capture = nullptr;
      stream->tail.clear();
    }
  std::erase(context.captures, capture);
}

bool Driver::queued(const std::function<bool(const Work&)>& matches) const {
  for (const auto& stream : context.active)
    for (const Operation& operation : stream->queue) {
      if (matches(operation.work)) return true;
      const auto* graph = std::get_if<GraphWork>(&operation.work);
      if (graph == nullptr) continue;
      for (size_t i = 0; i < graph->done.size(); ++i)
        if (!graph->done[i] && matches(graph->body->nodes[i].work)) return true;
    }
  return false;
}

}  // namespace sim
