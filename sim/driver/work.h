// What waits in streams, and the objects behind the driver's handles.
//
// An operation runs when it is at the front of its stream and everything in `after` is over. Sequence numbers grow over
// all streams, so "stream S is over up to n" names any moment of S. Objects are shared: a destroyed stream lives until its
// work is done, a launched graph until its launch is over.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "driver/api.h"
#include "exec/executor.h"

namespace sim {

namespace cu = toolgrad::cu;
struct Stream;

struct Dependency {
  std::shared_ptr<Stream> stream;
  uint64_t sequence = 0;
};

struct LoadedModule {
  std::unique_ptr<Module> module;
  int target = 0;         // 80: compiled for compute_80
  bool unloaded = false;  // by the program, while work of it was still queued
};

struct Function {
  std::shared_ptr<LoadedModule> module;
  const Kernel* kernel = nullptr;
  size_t max_dynamic_shared = 0;
};

/// Host memory of a copy. `pinned` is the number of the page-locked range that holds it, 0 for pageable memory.
struct HostSide {
  std::byte* pointer = nullptr;
  uint64_t pinned = 0;
};

struct KernelWork {
  std::shared_ptr<LoadedModule> module;
  Launch launch;
  uint64_t number = 0;  // of all launches, for injected failures
};
struct UploadWork {
  uint64_t to = 0;
  HostSide from;
  size_t bytes = 0;
  std::shared_ptr<const std::vector<std::byte>> staged;  // of pageable memory: the bytes as they were at the call
};
struct DownloadWork {
  HostSide to;
  uint64_t from = 0;
  size_t bytes = 0;
};
struct CopyWork {
  uint64_t to = 0, from = 0;
  size_t bytes = 0;
};
struct FillWork {
  uint64_t to = 0;
  uint32_t value = 0;
  size_t width = 1, count = 0;  // bytes of one element; elements
};
/// A host function; `state` is shared with the thread that runs it.
struct HostWork {
  struct State {
    bool started = false, finished = false;
  };
  cu::HostFn function = nullptr;
  void* data = nullptr;
  std::shared_ptr<State> state = std::make_shared<State>();
};
struct FreeWork {
  uint64_t base = 0;
};

/// One recording of an event: over when its stream has passed it.
struct EventRecord {
  Dependency moment;
  double milliseconds = 0;  // host clock when it was passed
};
struct MarkWork {
  std::shared_ptr<EventRecord> record;
};
struct WaitWork {};  // only its dependencies

struct GraphBody;
struct GraphWork {
  std::shared_ptr<GraphBody> body;  // the launch's own: host functions keep their state in it
  std::vector<bool> done;
  uint64_t first_number = 0;  // of its launches
};

using Work = std::variant<KernelWork, UploadWork, DownloadWork, CopyWork, FillWork, HostWork, FreeWork, MarkWork,
                          WaitWork, GraphWork>;

struct GraphNode {
  Work work;
  std::vector<size_t> after;  // earlier nodes
};
struct GraphBody {
  std::vector<GraphNode> nodes;
};

struct Operation {
  uint64_t sequence = 0;
  std::vector<Dependency> after;
  Work work;
};

/// A capture in progress. Its streams point at it until it ends.
struct Capture {
  GraphBody body;
  int mode = 0;
  std::thread::id thread;
  Stream* origin = nullptr;
  bool invalid = false;
  std::vector<std::weak_ptr<Stream>> members;
};

struct Stream {
  uint64_t handle = 0;
  unsigned flags = 0;
  bool blocking = true;  // waits for the legacy stream, and the other way round
  std::deque<Operation> queue;
  uint64_t last = 0;    // sequence of the newest operation
  uint64_t passed = 0;  // sequence of the newest finished operation
  std::shared_ptr<Capture> capture;
  std::vector<size_t> tail;  // nodes of the capture that the next one comes after
};

inline bool is_over(const Dependency& dependency) {
  return dependency.stream->passed >= dependency.sequence;
}

struct Event {
  unsigned flags = 0;
  std::shared_ptr<EventRecord> record;  // the newest; null: never recorded
  std::shared_ptr<Capture> capture;     // recorded last in this capture, after these nodes:
  std::vector<size_t> tail;
};

struct Graph {
  GraphBody body;
};
struct GraphExec {
  GraphBody body;
  Dependency last_launch;  // launches of one executable graph never overlap
};

}  // namespace sim
