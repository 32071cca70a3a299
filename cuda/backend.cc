// The op contract on a GPU: each op queues its kernels (cuda/ops/), those that return a value wait for it.
#include "backend.h"

#include <string>

#include "cublaslt_linear.h"
#include "device.h"
#include "engine/error.h"
#include "ops/ops.h"
#include "ops/policy_loss.h"

namespace toolgrad {
namespace {

// The tensor cores read bf16. Weights in fp32 are those of small matrices (value head, adapters), which have kernels of
// their own; a whole model in fp32 is refused when it is opened.
bool on_tensor_cores(const PackedMatrix& w) {
  return w.dtype == DType::kBF16;
}

class CudaOps final : public Ops {
 public:
  CudaOps(int ordinal, CublasLtUse cublaslt) : device_(cuda::CudaDevice::open(ordinal)), memory_(device_) {
    if (cublaslt.products != CublasLtProducts::kNone)
      cublaslt_ = std::make_unique<cuda::CublasLtLinear>(device_, cublaslt);
  }

  const char* name() const override { return "cuda"; }
  const std::shared_ptr<Memory>& memory() const override { return memory_; }
  int64_t scratch_held() const override { return device_->scratch_held(); }

  void pack(const float* src, PackedMatrix dst) override { cuda::pack(*device_, src, dst); }
  void unpack(PackedMatrix src, float* dst) override { cuda::unpack(*device_, src, dst); }
  void linear_forward(const LinearForward& op) override {
    if (cublaslt_ && cublaslt_->forward(op)) return;
    on_tensor_cores(op.w) ? cuda::linear_forward(*device_, op) : cuda::linear_f32_forward(*device_, op);
  }
  void linear_backward_input(const LinearBackwardInput& op) override {
    if (cublaslt_ && cublaslt_->backward_input(op)) return;
    on_tensor_cores(op.w) ? cuda::linear_backward_input(*device_, op) : cuda::linear_f32_backward_input(*device_, op);
  }
  void linear_backward_weight(const LinearBackwardWeight& op) override {
    op.weights == DType::kBF16 ? cuda::linear_backward_weight(*device_, op)
                               : cuda::linear_f32_backward_weight(*device_, op);
  }
  void linear_backward(const LinearBackward& op) override {
    if (cublaslt_ && cublaslt_->backward(op)) return;
    cuda::linear_backward(*device_, op);
  }
  DType product_dtype(DType) const override { return DType::kBF16; }
  void low_rank_forward(const LowRankForward& op) override { cuda::low_rank_forward(*device_, op); }
  void low_rank_backward(const LowRankBackward& op) override { cuda::low_rank_backward(*device_, op); }
  void rms_norm_forward(const RmsNormForward& op) override { cuda::rms_norm_forward(*device_, op); }
  void rms_norm_backward(const RmsNormBackward& op) override { cuda::rms_norm_backward(*device_, op); }
  void rope(const Rope& op) override { cuda::rope(*device_, op); }
  void kv_write(const KvWrite& op) override { cuda::kv_write(*device_, op); }
  void kv_prepare(const KvPrepare& op) override { cuda::kv_prepare(*device_, op); }
  void attention_forward(const AttentionForward& op) override { cuda::attention_forward(*device_, op); }
  void attention_backward(const AttentionBackward& op) override { cuda::attention_backward(*device_, op); }
  void swiglu_forward(const SwigluForward& op) override { cuda::swiglu_forward(*device_, op); }
  void swiglu_backward(const SwigluBackward& op) override { cuda::swiglu_backward(*device_, op); }
  void gated_forward(const GatedForward& op) override {
    if (cublaslt_ && cublaslt_->gated(op)) return;
    cuda::gated_forward(*device_, op);
  }
  void embedding_forward(const EmbeddingForward& op) override { cuda::embedding_forward(*device_, op); }
  void embedding_backward(const EmbeddingBackward& op) override { cuda::embedding_backward(*device_, op); }
  void gather_rows(const GatherRows& op) override { cuda::gather_rows(*device_, op); }
  void scatter_rows(const ScatterRows& op) override { cuda::scatter_rows(*device_, op); }
  void head_forward(const HeadForward& op) override { cuda::head_forward(*device_, op); }
  void head_backward(const HeadBackward& op) override { cuda::head_backward(*device_, op); }
  PolicyLossStats policy_loss(const PolicyLossOptions& options, const PolicyLossBatch& batch, float* d_logprob,
                              float* d_entropy) override {
    return cuda::policy_loss(*device_, options, batch, d_logprob, d_entropy);
  }
  void sample(const Sample& op) override { cuda::sample(*device_, op); }
  void sample_unchecked(const Sample& op) override { cuda::sample_without_check(*device_, op); }
  void adamw(const AdamW& op) override { cuda::adamw(*device_, op); }
  void add(float* to, const float* x, int64_t n) override { cuda::add(*device_, to, x, n); }
  double sum_of_squares(const float* x, int64_t n) override { return cuda::sum_of_squares(*device_, x, n); }
  bool all_finite(const float* x, int64_t n) override { return cuda::all_finite(*device_, x, n); }
  void find_not_finite(const float* x, int64_t n, int32_t* found) override {
    cuda::find_not_finite(*device_, x, n, found);
  }
  void recorded(const std::function<void()>& body) override { device_->recorded(body); }

 private:
  std::shared_ptr<cuda::CudaDevice> device_;
  std::shared_ptr<Memory> memory_;
  std::unique_ptr<cuda::CublasLtLinear> cublaslt_;  // null: not asked for
};

}  // namespace

std::unique_ptr<Ops> make_cuda_ops(int ordinal, CublasLtUse cublaslt) {
  return std::make_unique<CudaOps>(ordinal, cublaslt);
}

}  // namespace toolgrad
