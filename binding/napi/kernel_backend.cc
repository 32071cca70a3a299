// The backend of kernels.*; see kernel_backend.h.
#include "napi/kernel_backend.h"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <thread>

namespace toolgrad {

std::shared_ptr<KernelBackend> KernelBackend::of_process() {
  static std::mutex mutex;
  static std::weak_ptr<KernelBackend> current;
  const std::lock_guard lock(mutex);
  auto backend = current.lock();
  if (!backend) current = backend = std::make_shared<KernelBackend>();
  return backend;
}

void KernelBackend::run(const char* op, const std::function<void(KernelBackend&)>& work) {
  taken_ = 0;
  ops();  // starting the threads is not part of the first call's time
  const auto start = std::chrono::steady_clock::now();
  work(*this);
  if (!tracing_) return;
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
  trace_.emplace_back(op, spent.count());
}

void KernelBackend::set_threads(int threads) {
  ops_.reset();
  pool_ = std::make_unique<ThreadPool>(threads);
}

ThreadPool& KernelBackend::pool() {
  if (!pool_) set_threads(static_cast<int>(std::max(1u, std::thread::hardware_concurrency())));
  return *pool_;
}

Ops& KernelBackend::ops() {
  if (!ops_) ops_ = make_cpu_ops(isa_from_environment(), pool());
  return *ops_;
}

void* KernelBackend::take_bytes(size_t bytes) {
  if (taken_ == staging_.size()) staging_.emplace_back();
  Buffer& buffer = staging_[taken_];
  if (buffer.size() < bytes) {
    buffer = Buffer();  // given back first, so that both are never held
    buffer = Buffer(bytes, "the scratch memory of a kernel call");
  }
  ++taken_;
  return buffer.data();
}

PackedMatrix KernelBackend::panels(const Operand& matrix) {
  const int64_t rows = matrix.shape[0], cols = matrix.shape[1], count = rows * cols;
  if (matrix.panels) return {matrix.data, matrix.dtype, rows, cols};
  const float* source = matrix.floats();
  const int64_t packed = packed_elements(rows, cols);
  PackedMatrix copy{nullptr, matrix.dtype, rows, cols};
  if (matrix.dtype == DType::kBF16) {
    float* wide = take<float>(count);
    const auto* bits = static_cast<const uint16_t*>(matrix.data);
    pool().parallel_for(rows, [&](int64_t row, int) {
      for (int64_t i = row * cols; i < (row + 1) * cols; ++i) wide[i] = bf16_to_f32(bits[i]);
    });
    source = wide;
    copy.data = take<uint16_t>(packed);
  } else {
    copy.data = take<float>(packed);
  }
  ops().pack(source, copy);
  return copy;
}

void KernelBackend::accumulate(const Operand& gradient, const std::function<void(PackedMatrix)>& add) {
  const PackedMatrix in_panels = panels(gradient);
  add(in_panels);
  if (!gradient.panels) ops().unpack(in_panels, gradient.floats());
}

const RopeTable& KernelBackend::rope(int64_t head_size, double theta, const RopeScaling& scaling, int64_t positions) {
  constexpr size_t kMostTables = 4;
  const auto same = [&](const Rope& rope) {
    const RopeScaling& s = rope.shape.rope;
    return rope.shape.D == head_size && rope.shape.rope_theta == theta && s.kind == scaling.kind &&
           s.factor == scaling.factor && s.low_freq_factor == scaling.low_freq_factor &&
           s.high_freq_factor == scaling.high_freq_factor && s.original_max_positions == scaling.original_max_positions;
  };
  auto found = std::find_if(ropes_.begin(), ropes_.end(), same);
  if (found == ropes_.end()) {
    if (ropes_.size() == kMostTables) ropes_.erase(ropes_.begin());
    ModelShape shape;
    shape.D = head_size;
    shape.rope_theta = theta;
    shape.rope = scaling;
    shape.max_positions = kMostPositions;
    ropes_.push_back({shape, RopeTable(shape)});
    found = ropes_.end() - 1;
  }
  found->table.grow(positions);
  return found->table;
}

std::vector<std::pair<const char*, double>> KernelBackend::swap_trace(bool on) {
  tracing_ = on;
  return std::exchange(trace_, {});
}

}  // namespace toolgrad
