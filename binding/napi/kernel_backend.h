// What kernels.* runs on: one backend for the process, with the memory calls need besides the caller's.
//
// Everything but of_process() is called by jobs, on the engine thread. Threads start at the first call. Staging memory
// (packed copies of row-major weights, KV pages) grows to the largest call and is reused; its contents last for one
// call.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "cpu/cpu.h"
#include "engine/arena.h"
#include "engine/ops.h"
#include "engine/rope_table.h"
#include "engine/thread_pool.h"
#include "napi/tensor.h"

namespace toolgrad {

class KernelBackend {
 public:
  /// The backend of the process; it lives as long as an environment or a job holds it.
  static std::shared_ptr<KernelBackend> of_process();

  /// Runs one call; its time goes into the trace when that is on.
  void run(const char* op, const std::function<void(KernelBackend&)>& work);
  /// Uses `threads` threads from now on.
  void set_threads(int threads);
  /// Whether a number of threads was chosen; the first call otherwise takes all processors.
  bool started() const { return pool_ != nullptr; }
  int threads() { return pool().threads(); }
  const char* name() { return ops().name(); }

  Ops& ops();
  ThreadPool& pool();
  /// Memory for this call, 64-byte aligned, not initialised.
  template <class T>
  T* take(int64_t count) {
    return static_cast<T*>(take_bytes(static_cast<size_t>(count) * sizeof(T)));
  }
  /// The matrix in panels: the operand's own memory, or a copy of its rows.
  PackedMatrix panels(const Operand& matrix);
  /// Runs `add` on the gradient in panels; the gradient of an operand in rows is copied there and back.
  void accumulate(const Operand& gradient, const std::function<void(PackedMatrix)>& add);
  static constexpr int64_t kMostPositions = 1 << 24;
  /// The table for these frequencies with at least `positions` rows.
  const RopeTable& rope(int64_t head_size, double theta, const RopeScaling& scaling, int64_t positions);

  /// Entries since the trace was turned on, then turned on or off.
  std::vector<std::pair<const char*, double>> swap_trace(bool on);

 private:
  void* take_bytes(size_t bytes);

  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<Ops> ops_;
  std::vector<Buffer> staging_;
  size_t taken_ = 0;
  struct Rope {
    ModelShape shape;
    RopeTable table;
  };
  std::vector<Rope> ropes_;
  bool tracing_ = false;
  std::vector<std::pair<const char*, double>> trace_;
};

}  // namespace toolgrad
