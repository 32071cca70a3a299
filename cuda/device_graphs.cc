// Recorded steps of a device: into graphs, and launches of graphs; see device.h and graph_cache.h.
//
// A graph comes from capturing the very calls that queue the recording, so both do the same. Memory for a graph that cannot be
// had is no failure of the step, which is then queued; a launch that the driver refuses is one, whether captured or not.
#include "device.h"
#include "engine/error.h"

namespace toolgrad::cuda {

void CudaDevice::recorded(const std::function<void()>& body) {
  if (!makes_graphs_ || recording_) return body();
  enter();
  recording_ = true;
  written_.clear();
  try {
    body();
  } catch (...) {
    recording_ = false;  // what was written down is never queued
    throw;
  }
  if (!recording_) return;
  recording_ = false;
  run_recording();
}

void CudaDevice::end_recording() {
  if (!recording_) return;
  recording_ = false;
  ++counts_.queued;
  enter();
  queue_recording();
}

void CudaDevice::queue_recording() {
  struct Queue {
    CudaDevice& device;
    void operator()(const Recording::Launch& launch) {
      device.queue_launch(kKernels[launch.kernel], launch.grid, launch.parameters);
    }
    void operator()(const Recording::Fill& fill) {
      device.check((*device.driver_)->MemsetD8Async(fill.to, 0, fill.bytes, device.stream_), "cuMemsetD8Async");
    }
    void operator()(const Recording::Copy& copy) {
      device.check((*device.driver_)->MemcpyDtoDAsync(copy.to, copy.from, copy.bytes, device.stream_),
                   "cuMemcpyDtoDAsync");
    }
  };
  written_.each(Queue{*this});
}

void CudaDevice::run_recording() {
  GraphCache::Entry* entry = graphs_.find(written_.bytes());
  if (entry == nullptr) {
    ++counts_.queued;
    return queue_recording();
  }
  const bool replay = entry->graph != nullptr;
  if (!replay) entry->graph = graph_of_recording();
  const cu::Result launched =
      entry->graph == nullptr ? cu::kOutOfMemory : (*driver_)->GraphLaunch(entry->graph, stream_);
  if (launched == cu::kOutOfMemory) {
    graphs_.clear();
    ++counts_.queued;
    return queue_recording();
  }
  check(launched, "launching the graph of a step");
  ++(replay ? counts_.replayed : counts_.made);
}

cu::GraphExec CudaDevice::graph_of_recording() {
  const Driver& driver = *driver_;
  const std::lock_guard lock(capture_mutex_);
  // Of this thread only: others may use the driver meanwhile.
  check(driver->StreamBeginCapture(stream_, cu::kCaptureThreadLocal), "cuStreamBeginCapture");
  cu::Graph graph = nullptr;
  try {
    queue_recording();
  } catch (...) {
    if (driver->StreamEndCapture(stream_, &graph) == cu::kSuccess && graph != nullptr) driver->GraphDestroy(graph);
    throw;
  }
  check(driver->StreamEndCapture(stream_, &graph), "cuStreamEndCapture");
  cu::GraphExec made = nullptr;
  const cu::Result result = driver->GraphInstantiate(&made, graph, 0);
  driver->GraphDestroy(graph);
  if (result == cu::kOutOfMemory) return nullptr;
  check(result, "cuGraphInstantiate");
  return made;
}

}  // namespace toolgrad::cuda
