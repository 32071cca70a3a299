// The policy loss: per-token gradients and statistics of S packed sequences; the formulas are engine/policy_loss.h's.
//
// A block has a sequence. Sequence-level ratios take a pass of their own first; then each thread takes tokens 256 apart in
// order; a token's gradient depends on its own sequence only. Sums: each thread's in token order, then a fixed tree over
// the block, then the sequences in a fixed order of their own: no atomics on values. Arithmetic in double.
// About 40 bytes and two exponentials in double a token: microseconds beside a forward pass, bound by latency (one
// block a sequence) or, on GPUs with few fp64 units, by them.
#include "kernels/lanes.cuh"
#include "kernels/policy_loss.h"

namespace toolgrad::cuda {
namespace {

constexpr int kWarps = kPolicyLossThreads / 32;

__device__ __forceinline__ bool finite(double x) {
  return fabs(x) < HUGE_VAL;
}
__device__ __forceinline__ double max_lanes(double x) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) x = fmax(x, __shfl_xor_sync(0xffffffffu, x, distance));
  return x;
}

class Faults {
 public:
  __device__ explicit Faults(unsigned long long* report) : report_(report) {}
  __device__ void note(LossFault what, int64_t token, double value) const {
    const unsigned long long code = static_cast<unsigned long long>(token) << 8 |
                                    static_cast<unsigned long long>(what) << 1 | (value != value ? 1u : 0u);
    atomicMax(report_, ~code);
  }
  __device__ void check(LossFault what, int64_t token, double value) const {
    if (!finite(value)) note(what, token, value);
  }

 private:
  unsigned long long* report_;
};

// The inputs that a token in the loss reads must be finite.
__device__ void check_token(const PolicyLossOptions& o, const PolicyLossBatch& b, int64_t t, const Faults& faults) {
  const float weight = b.weight[t];
  if (!finite(weight)) return faults.note(LossFault::kWeight, t, weight);
  if (weight < 0) return faults.note(LossFault::kNegativeWeight, t, weight);
  if (weight == 0) return;
  faults.check(LossFault::kLogprob, t, b.logprob[t]);
  if (b.old_logprob != nullptr) faults.check(LossFault::kOldLogprob, t, b.old_logprob[t]);
  if (o.kl != PolicyLossOptions::Kl::kNone) faults.check(LossFault::kRefLogprob, t, b.ref_logprob[t]);
  if (o.kind != PolicyLossOptions::Kind::kCrossEntropy) faults.check(LossFault::kAdvantage, t, b.advantage[t]);
  if (b.policy_weight != nullptr) faults.check(LossFault::kPolicyWeight, t, b.policy_weight[t]);
  if (b.entropy != nullptr) faults.check(LossFault::kEntropy, t, b.entropy[t]);
}

__device__ __forceinline__ LossToken load_token(const PolicyLossOptions& o, const PolicyLossBatch& b, int64_t t) {
  const bool has_old = b.old_logprob != nullptr;
  LossToken token{b.weight[t], b.logprob[t], 0, 0, 0, 1, has_old};
  if (has_old) token.old_logprob = b.old_logprob[t];
  if (o.kl != PolicyLossOptions::Kl::kNone) token.ref_logprob = b.ref_logprob[t];
  if (o.kind != PolicyLossOptions::Kind::kCrossEntropy) token.advantage = b.advantage[t];
  if (b.policy_weight != nullptr) token.correction = b.policy_weight[t];
  return token;
}

}  // namespace

extern "C" __global__ void __launch_bounds__(kPolicyLossThreads, 2) policy_loss_sequences(const PolicyLossParams p) {
  __shared__ double warp_sums[kWarps][kPolicyLossFields];
  __shared__ double shared_gradient;
  const PolicyLossOptions& o = p.options;
  const PolicyLossBatch& b = p.batch;
  const Faults faults(p.fault);
  const int64_t s = blockIdx.x, begin = b.seq_starts[s], end = b.seq_starts[s + 1];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;

  double log_ratios = 0, tokens = 0;
#pragma unroll 1
  for (int64_t t = begin + threadIdx.x; t < end; t += kPolicyLossThreads) {
    p.d_logprob[t] = 0;
    if (p.d_entropy != nullptr) p.d_entropy[t] = 0;
    check_token(o, b, t, faults);
    if (b.weight[t] == 0 || b.old_logprob == nullptr) continue;
    log_ratios += static_cast<double>(b.logprob[t]) - static_cast<double>(b.old_logprob[t]);
    tokens += 1;
  }
  SequenceRatio ratio;
  if (uses_sequence_ratio(o.kind)) {
    log_ratios = add_lanes(log_ratios);
    tokens = add_lanes(tokens);
    if (lane == 0) {
      warp_sums[warp][0] = log_ratios;
      warp_sums[warp][1] = tokens;
    }
    __syncthreads();
    log_ratios = tokens = 0;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      log_ratios += warp_sums[w][0];
      tokens += warp_sums[w][1];
    }
    __syncthreads();
    if (tokens > 0) ratio = sequence_ratio(log_ratios, static_cast<int64_t>(tokens), o);
  }

  const bool through_sequence = uses_sequence_ratio(o.kind) && o.kind != PolicyLossOptions::Kind::kGspoToken;
  double sums[kPolicyLossFields] = {};
#pragma unroll 1
  for (int64_t t = begin + threadIdx.x; t < end; t += kPolicyLossThreads) {
    if (b.weight[t] == 0) continue;
    const LossToken token = load_token(o, b, t);
    const LossTerm term = loss_term(token, ratio, o);
    faults.check(LossFault::kRatio, t, term.ratio);
    const auto gradient = static_cast<float>(through_sequence ? term.direct : term.direct + term.by_ratio);
    faults.check(LossFault::kGradient, t, gradient);
    p.d_logprob[t] = gradient;
    if (through_sequence) sums[kLossShared] += term.by_ratio;
    if (b.entropy != nullptr) {
      const double share = entropy_weight(token.weight, o), entropy = b.entropy[t];
      sums[kLossEntropySum] += entropy;
      sums[kLossEntropyBonus] += share * entropy;
      if (p.d_entropy != nullptr) p.d_entropy[t] = static_cast<float>(-static_cast<double>(o.entropy_coef) * share);
    }
    sums[kLossPolicy] += term.policy_loss;
    sums[kLossKl] += term.kl_loss;
    sums[kLossKlSum] += term.kl;
    sums[kLossTokens] += 1;
    sums[kLossRatioSum] += term.ratio;
    sums[kLossOldKlSum] -= term.log_ratio;
    sums[kLossClipLow] += term.clip_low ? 1 : 0;
    sums[kLossClipHigh] += term.clip_high ? 1 : 0;
    sums[kLossDualClip] += term.dual_clip ? 1 : 0;
    sums[kLossClamp] += term.clamped ? 1 : 0;
    sums[kLossRatioMax] = fmax(sums[kLossRatioMax], term.ratio);
    sums[kLossLogRatioMax] = fmax(sums[kLossLogRatioMax], fabs(term.log_ratio));
  }
#pragma unroll
  for (int field = 0; field < kPolicyLossFields; ++field) {
    const double x = field < kLossSums ? add_lanes(sums[field]) : max_lanes(sums[field]);
    if (lane == 0) warp_sums[warp][field] = x;
  }
  __syncthreads();
  if (threadIdx.x < kPolicyLossFields) {
    const int field = static_cast<int>(threadIdx.x);
    double x = warp_sums[0][field];
    for (int w = 1; w < kWarps; ++w) x = field < kLossSums ? x + warp_sums[w][field] : fmax(x, warp_sums[w][field]);
    p.sums[field * b.S + s] = x;
    if (field == kLossShared) shared_gradient = x;
  }
  __syncthreads();
  // Gradient through a ratio that all tokens share; each thread adds to what it wrote itself.
  if (shared_gradient == 0) return;
  const double addition = shared_gradient * ratio.share;
#pragma unroll 1
  for (int64_t t = begin + threadIdx.x; t < end; t += kPolicyLossThreads) {
    if (b.weight[t] == 0) continue;
    const auto gradient = static_cast<float>(static_cast<double>(p.d_logprob[t]) + addition);
    faults.check(LossFault::kGradient, t, gradient);
    p.d_logprob[t] = gradient;
  }
}

// A warp has a field, in turn; lanes take sequences 32 apart in order.
extern "C" __global__ void __launch_bounds__(kPolicyLossThreads) policy_loss_total(const PolicyLossTotalParams p) {
  const int lane = threadIdx.x % 32;
  for (int field = threadIdx.x / 32; field < kPolicyLossFields; field += kWarps) {
    const bool is_sum = field < kLossSums;
    double x = 0;
#pragma unroll 1
    for (int64_t s = lane; s < p.S; s += 32) {
      const double of_sequence = p.sums[field * p.S + s];
      x = is_sum ? x + of_sequence : fmax(x, of_sequence);
    }
    x = is_sum ? add_lanes(x) : max_lanes(x);
    if (lane == 0) p.total[field] = x;
  }
}

}  // namespace toolgrad::cuda
