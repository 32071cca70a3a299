// The CPU backend: Ops over the kernel table of one ISA build, with the scratch memory all of them share.
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "cpu/cpu.h"
#include "cpu/kernels/kernels.h"
#include "engine/error.h"
#include "engine/philox.h"

TOOLGRAD_DECLARE_KERNELS(portable)
#if defined(TOOLGRAD_X86)
TOOLGRAD_DECLARE_KERNELS(avx2)
TOOLGRAD_DECLARE_KERNELS(avx512)
TOOLGRAD_DECLARE_KERNELS(avx512bf16)
#endif

namespace toolgrad {

struct Scratch::Block {
  void* data = nullptr;
  size_t size = 0;
};

Scratch::Scratch() : blocks_(std::make_unique<Block[]>(kSlots)) {}

Scratch::~Scratch() {
  for (int slot = 0; slot < kSlots; ++slot) ::operator delete (blocks_[slot].data, std::align_val_t{64});
}

void* Scratch::bytes(int slot, size_t count) {
  if (slot < 0 || slot >= kSlots)
    throw Error("ERR_SCRATCH",
                "scratch: expected a slot below " + std::to_string(kSlots) + ", found " + std::to_string(slot));
  Block& block = blocks_[slot];
  if (block.size >= count) return block.data;
  ::operator delete (block.data, std::align_val_t{64});
  block = Block{};
  block.data = ::operator new (count, std::align_val_t{64}, std::nothrow);
  if (block.data == nullptr)
    throw Error("ERR_OUT_OF_MEMORY",
                "scratch: could not allocate " + std::to_string(count) + " bytes; use a smaller micro-batch");
  block.size = count;
  return block.data;
}

float* Scratch::floats(int slot, int64_t count) {
  return static_cast<float*>(bytes(slot, static_cast<size_t>(count) * sizeof(float)));
}

size_t Scratch::allocated() const {
  size_t total = 0;
  for (int slot = 0; slot < kSlots; ++slot) total += blocks_[slot].size;
  return total;
}

namespace {

const KernelTable& table_of(Isa isa) {
#if defined(TOOLGRAD_X86)
  if (isa == Isa::kAvx512Bf16) return avx512bf16::kernel_table();
  if (isa == Isa::kAvx512) return avx512::kernel_table();
  if (isa == Isa::kAvx2) return avx2::kernel_table();
#endif
  (void)isa;
  return portable::kernel_table();
}

class CpuOps final : public Ops {
 public:
  CpuOps(Isa isa, ThreadPool& pool)
      : isa_(isa), name_(std::string("cpu-") + isa_name(isa)), kernels_(table_of(isa)), pool_(pool) {}

  const char* name() const override { return name_.c_str(); }
  const std::shared_ptr<Memory>& memory() const override { return memory_; }
  int64_t scratch_held() const override { return static_cast<int64_t>(scratch_.allocated()); }

  void pack(const float* src, PackedMatrix dst) override { kernels_.pack(src, dst, pool_); }
  void unpack(PackedMatrix src, float* dst) override { kernels_.unpack(src, dst, pool_); }
  void linear_forward(const LinearForward& op) override { kernels_.linear_forward(&op, 1, pool_, scratch_); }
  void linear_forwards(const LinearForward* ops, int64_t count) override {
    kernels_.linear_forward(ops, count, pool_, scratch_);
  }
  void linear_backward_input(const LinearBackwardInput& op) override {
    kernels_.linear_backward_input(op, pool_, scratch_);
  }
  void linear_backward_weight(const LinearBackwardWeight& op) override {
    kernels_.linear_backward_weight(op, pool_, scratch_);
  }
  void linear_backward(const LinearBackward& op) override {
    if (op.dw.data != nullptr) linear_backward_weight({op.x, op.dy, op.dw, op.db, op.T, op.w.dtype});
    linear_backward_input({op.dy, op.w, op.dx, op.T, op.accumulate});
  }
  DType product_dtype(DType weights) const override { return cpu_product_dtype(isa_, weights); }
  void low_rank_forward(const LowRankForward& op) override { kernels_.low_rank_forward(op, pool_, scratch_); }
  void low_rank_backward(const LowRankBackward& op) override { kernels_.low_rank_backward(op, pool_, scratch_); }
  void rms_norm_forward(const RmsNormForward& op) override { kernels_.rms_norm_forward(op, pool_, scratch_); }
  void rms_norm_backward(const RmsNormBackward& op) override { kernels_.rms_norm_backward(op, pool_, scratch_); }
  void rope(const Rope& op) override { kernels_.rope(op, pool_, scratch_); }
  void kv_write(const KvWrite& op) override { kernels_.kv_write(op, pool_, scratch_); }
  void attention_forward(const AttentionForward& op) override { kernels_.attention_forward(op, pool_, scratch_); }
  void attention_backward(const AttentionBackward& op) override { kernels_.attention_backward(op, pool_, scratch_); }
  void swiglu_forward(const SwigluForward& op) override { kernels_.swiglu_forward(op, pool_, scratch_); }
  void swiglu_backward(const SwigluBackward& op) override { kernels_.swiglu_backward(op, pool_, scratch_); }
  void gated_forward(const GatedForward& op) override { kernels_.gated_forward(op, pool_, scratch_); }
  void embedding_forward(const EmbeddingForward& op) override { kernels_.embedding_forward(op, pool_, scratch_); }
  void embedding_backward(const EmbeddingBackward& op) override { kernels_.embedding_backward(op, pool_, scratch_); }
  void kv_prepare(const KvPrepare& op) override;
  void gather_rows(const GatherRows& op) override {
    const size_t bytes = static_cast<size_t>(op.C) * sizeof(float);
    for (int64_t r = 0; r < op.R; ++r) std::memcpy(op.out + r * op.C, op.x + op.rows[r] * op.C, bytes);
  }
  void scatter_rows(const ScatterRows& op) override {
    const size_t bytes = static_cast<size_t>(op.C) * sizeof(float);
    std::memset(op.out, 0, static_cast<size_t>(op.T) * bytes);
    for (int64_t r = 0; r < op.R; ++r) std::memcpy(op.out + op.rows[r] * op.C, op.x + r * op.C, bytes);
  }
  void head_forward(const HeadForward& op) override { kernels_.head_forward(op, pool_, scratch_); }
  void head_backward(const HeadBackward& op) override { kernels_.head_backward(op, pool_, scratch_); }
  PolicyLossStats policy_loss(const PolicyLossOptions& options, const PolicyLossBatch& batch, float* d_logprob,
                              float* d_entropy) override {
    PolicyLossResult result;
    result.d_logprob = d_logprob;
    result.d_entropy = d_entropy;
    toolgrad::policy_loss(options, batch, &result);
    return result;
  }

  void sample(const Sample& op) override {
    const int64_t bad = run_sample(op);
    if (bad >= 0) bad_logits(bad);
  }
  void sample_unchecked(const Sample& op) override { run_sample(op); }

  void adamw(const AdamW& op) override { kernels_.adamw(op, pool_, scratch_); }
  void add(float* to, const float* x, int64_t n) override {
    for (int64_t i = 0; i < n; ++i) to[i] += x[i];
  }
  double sum_of_squares(const float* x, int64_t n) override { return kernels_.sum_of_squares(x, n, pool_, scratch_); }
  bool all_finite(const float* x, int64_t n) override { return kernels_.all_finite(x, n, pool_, scratch_); }
  void find_not_finite(const float* x, int64_t n, int32_t* found) override { *found = all_finite(x, n) ? 0 : 1; }

 private:
  /// The first row without a distribution, or -1.
  int64_t run_sample(const Sample& op) {
    if (op.R <= 0) return -1;
    uniforms_.resize(static_cast<size_t>(op.R));
    for (int64_t r = 0; r < op.R; ++r) {
      const SampleKey& key = op.keys[r];
      uniforms_[static_cast<size_t>(r)] = sample_uniform(key.seed, key.step, key.prompt, key.sample, key.position);
    }
    return kernels_.sample(op, uniforms_.data(), pool_, scratch_);
  }

  Isa isa_;
  std::string name_;
  const KernelTable& kernels_;
  ThreadPool& pool_;
  Scratch scratch_;
  std::vector<double> uniforms_;
  std::shared_ptr<Memory> memory_ = host_memory();
};

void CpuOps::kv_prepare(const KvPrepare& op) {
  const auto element = static_cast<int64_t>(dtype_size(op.pages.dtype));
  const int64_t page_bytes = op.pages.page_stride * element;
  for (int64_t l = 0; l < op.layers; ++l) {
    std::byte* keys = static_cast<std::byte*>(op.pages.keys) + l * op.layer_bytes;
    std::byte* values = static_cast<std::byte*>(op.pages.values) + l * op.layer_bytes;
    for (int64_t i = 0; i < op.fresh_count; ++i) {
      std::memset(keys + op.fresh[i] * page_bytes, 0, static_cast<size_t>(page_bytes));
      std::memset(values + op.fresh[i] * page_bytes, 0, static_cast<size_t>(page_bytes));
    }
    for (int64_t i = 0; i < op.copy_count; ++i) {
      // Keys are [G, D, slot]: a run of slots per (g, d). Values are [G, slot, D]: one run per g.
      const int64_t from = op.from[i] * page_bytes, to = op.to[i] * page_bytes;
      const int64_t key_run = op.slots[i] * element, value_run = key_run * op.pages.D;
      for (int64_t row = 0; row < op.pages.G * op.pages.D; ++row) {
        const int64_t at = row * kKvPageSize * element;
        std::memcpy(keys + to + at, keys + from + at, static_cast<size_t>(key_run));
      }
      for (int64_t g = 0; g < op.pages.G; ++g) {
        const int64_t at = g * kKvPageSize * op.pages.D * element;
        std::memcpy(values + to + at, values + from + at, static_cast<size_t>(value_run));
      }
    }
  }
}

}  // namespace

DType cpu_product_dtype(Isa isa, DType weights) {
  return isa == Isa::kAvx512Bf16 ? weights : DType::kF32;  // gemm_rows.h
}

std::unique_ptr<Ops> make_cpu_ops(Isa isa, ThreadPool& pool) {
  if (isa > best_isa())
    throw Error("ERR_ISA", std::string("instruction set ") + isa_name(isa) + ": this processor supports " +
                               isa_name(best_isa()) + " at most");
  return std::make_unique<CpuOps>(isa, pool);
}

}  // namespace toolgrad
