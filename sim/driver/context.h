// The primary context of the one simulated device: all that its release takes away.
//
// Between release and the next retain there is no device memory and every table is empty; handles given out before stay
// invalid. The context's own handle is always the same one.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "driver/handles.h"
#include "driver/pinned.h"
#include "driver/work.h"

namespace sim {

struct PoolState {
  uint64_t threshold = 0;  // bytes kept over a synchronisation
  uint64_t reserved = 0, reserved_high = 0, used = 0, used_high = 0;
  int reuse[3] = {1, 1, 1};  // follow events, opportunistic, internal dependencies
};

/// Memory of cuMemAllocAsync, by address.
struct PoolBlock {
  size_t bytes = 0;
  bool freeing = false;  // cuMemFreeAsync was called
};

struct Context {
  int references = 0;
  uint64_t generation = 0;  // of activations
  unsigned flags = 0;
  int sticky = 0;  // the error that every call answers with, 0 none
  std::string sticky_text;

  std::unique_ptr<DeviceMemory> memory;
  std::shared_ptr<Stream> legacy;
  std::vector<std::shared_ptr<Stream>> active;  // with work, live or destroyed, and all live ones
  std::vector<std::shared_ptr<Capture>> captures;
  Table<LoadedModule, HandleKind::kModule> modules{"module"};
  Table<Function, HandleKind::kFunction> functions{"function"};
  Table<Stream, HandleKind::kStream> streams{"stream"};
  Table<Event, HandleKind::kEvent> events{"event"};
  Table<Graph, HandleKind::kGraph> graphs{"graph"};
  Table<GraphExec, HandleKind::kGraphExec> execs{"executable graph"};
  std::map<std::pair<uint64_t, std::string>, uint64_t> function_handles;  // module, name
  std::map<uint64_t, PoolBlock> pool_blocks;
  PoolState pool;
  std::unique_ptr<PinnedMemory> pinned;

  bool alive() const { return references > 0; }
  static uint64_t handle() { return make_handle(HandleKind::kContext, 1); }
  static uint64_t pool_handle() { return make_handle(HandleKind::kPool, 1); }
};

}  // namespace sim
