// Group advantages (GRPO, Dr.GRPO, RLOO), discounted returns (REINFORCE++), GAE, and whitening: one launch each.
//
// Groups: one block; a thread has a group, its moments in the order of trajectories, the CPU's bits; moments of the whole
// batch, where asked for, in a fixed tree. Tokens: a warp has a sequence and sweeps it from the end, 32 tokens loaded at a
// time, every lane carrying the same state, so the recurrence runs in the CPU's order and has its bits. Whitening needs
// all tokens: the block that finishes last does it, in an order that depends on T alone.
// Formulas are those of engine/. Arithmetic in double. A few numbers a token: bound by latency, the sweep by about 30
// cycles a token of the longest sequence.
#include "kernels/advantages.h"
#include "kernels/lanes.cuh"

namespace toolgrad::cuda {
namespace {

__device__ __forceinline__ bool finite(float x) {
  return (__float_as_uint(x) & 0x7f800000u) != 0x7f800000u;
}
__device__ __forceinline__ void note(TokenAdvantageAnswer* answer, AdvantageFault what, int64_t token) {
  atomicMax(&answer->fault, ~(static_cast<unsigned long long>(token) << 8 | static_cast<unsigned long long>(what)));
}

// Sum over the block; every thread gets it. Barriers before and after, so that it can be called again.
__device__ __forceinline__ double add_all(double x, double* shared) {
  const double sum = add_block<kAdvantageWarps>(x, shared);
  __syncthreads();
  return sum;
}

// Count, mean and squares of all valid rewards.
__device__ RewardMoments batch_moments(const GroupAdvantageParams& p, double* shared) {
  RewardMoments m;
  double sum = 0, count = 0, squares = 0;
#pragma unroll 1
  for (int64_t i = threadIdx.x; i < p.P * p.G; i += kAdvantageThreads) {
    if (p.valid != nullptr && p.valid[i] == 0) continue;
    sum += static_cast<double>(p.rewards[i]);
    count += 1;
  }
  m.sum = add_all(sum, shared);
  m.count = static_cast<int64_t>(add_all(count, shared));
  m.mean = m.count == 0 ? 0 : m.sum / static_cast<double>(m.count);
#pragma unroll 1
  for (int64_t i = threadIdx.x; i < p.P * p.G; i += kAdvantageThreads) {
    if (p.valid != nullptr && p.valid[i] == 0) continue;
    const double deviation = static_cast<double>(p.rewards[i]) - m.mean;
    squares += deviation * deviation;
  }
  m.squares = add_all(squares, shared);
  return m;
}

// x -> (x - mean) / sqrt(variance + eps) over the tokens of the mask; engine/token_advantages.h whiten.
__device__ void whiten(const TokenAdvantageParams& p, float* x, double* shared) {
  const uint8_t* mask = p.tokens.mask;
  const int64_t T = p.tokens.T;
  double count = 0, sum = 0, differing = 0, bad = 0;
  float mine = 0;
#pragma unroll 1
  for (int64_t t = threadIdx.x; t < T; t += kAdvantageThreads) {
    if (mask[t] == 0) continue;
    const float value = __ldcg(x + t);  // written by other blocks: not from this multiprocessor's L1
    if (!finite(value)) {
      note(p.answer, AdvantageFault::kResult, t);
      bad = 1;
    }
    if (count == 0) mine = value;
    if (value != mine) differing = 1;
    sum += static_cast<double>(value);
    count += 1;
  }
  if (add_all(bad, shared) > 0) return;  // nothing is changed
  const double n = add_all(count, shared), total = add_all(sum, shared);
  const double mean = n == 0 ? 0 : total / n;
  // All equal: no thread saw two values, and each thread's is that of the first thread that saw any.
  __shared__ float first;
  __shared__ int holder;
  if (threadIdx.x == 0) holder = kAdvantageThreads;
  __syncthreads();
  if (count > 0) atomicMin(&holder, static_cast<int>(threadIdx.x));
  __syncthreads();
  if (static_cast<int>(threadIdx.x) == holder) first = mine;
  __syncthreads();
  if (count > 0 && mine != first) differing = 1;
  const bool all_equal = add_all(differing, shared) == 0;
  double squares = 0;
#pragma unroll 1
  for (int64_t t = threadIdx.x; t < T; t += kAdvantageThreads) {
    if (mask[t] == 0) continue;
    const double deviation = static_cast<double>(__ldcg(x + t)) - mean;
    squares += deviation * deviation;
  }
  squares = add_all(squares, shared);
  const double scale = n < 2 ? 0 : 1 / sqrt(squares / (n - 1) + p.eps);
#pragma unroll 1
  for (int64_t t = threadIdx.x; t < T; t += kAdvantageThreads) {
    if (mask[t] == 0) continue;  // 0 since the sweep
    const float value = __ldcg(x + t);
    const bool keep = p.keep_mean != 0;
    if (all_equal)
      x[t] = keep ? value : 0.0f;
    else
      x[t] = static_cast<float>((static_cast<double>(value) - mean) * scale + (keep ? mean : 0));
  }
  if (threadIdx.x == 0) p.answer->whitened = static_cast<int64_t>(n);
}

// One warp, one sequence.
__device__ void sweep_sequence(const TokenAdvantageParams& p, int64_t s) {
  const int lane = threadIdx.x % 32;
  const int64_t begin = p.tokens.seq_starts[s], end = p.tokens.seq_starts[s + 1];
  ReturnSweep sweep;
  for (int64_t last = end; last > begin; last -= 32) {
    const int64_t first = last - begin > 32 ? last - 32 : begin, t = first + lane;
    const int count = static_cast<int>(last - first);
    float reward = 0, value = 0;
    int in_mask = 0;
    if (lane < count) {
      in_mask = p.tokens.mask[t] != 0;
      reward = p.tokens.reward[t];
      if (!finite(reward))
        note(p.answer, AdvantageFault::kReward, t);
      else if (in_mask == 0 && reward != 0)
        note(p.answer, AdvantageFault::kRewardOffMask, t);
      if (p.value != nullptr && in_mask != 0) {
        value = p.value[t];
        if (!finite(value)) note(p.answer, AdvantageFault::kValue, t);
      }
    }
    double mine = 0;
#pragma unroll 1
    for (int j = count - 1; j >= 0; --j) {
      const double r = static_cast<double>(__shfl_sync(0xffffffffu, reward, j));
      const double v = static_cast<double>(__shfl_sync(0xffffffffu, value, j));
      if (__shfl_sync(0xffffffffu, in_mask, j) == 0) continue;
      const double result =
          p.value == nullptr ? discounted_return(&sweep, r, p.gamma) : gae_advantage(&sweep, r, v, p.gamma, p.lambda);
      if (lane == j) mine = result;
    }
    if (lane >= count) continue;
    if (p.value != nullptr) p.advantages[t] = static_cast<float>(mine);
    p.returns[t] = p.value == nullptr ? static_cast<float>(mine)
                   : in_mask != 0     ? static_cast<float>(mine + static_cast<double>(value))
                                      : 0.0f;
  }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(kAdvantageThreads, 2) group_advantages_all(const GroupAdvantageParams p) {
  __shared__ double shared[kAdvantageWarps];
  __shared__ unsigned long long bad;
  if (threadIdx.x == 0) bad = ~0ull;
  __syncthreads();
#pragma unroll 1
  for (int64_t i = threadIdx.x; i < p.P * p.G; i += kAdvantageThreads)
    if ((p.valid == nullptr || p.valid[i] != 0) && !finite(p.rewards[i]))
      atomicMin(&bad, static_cast<unsigned long long>(i));
  __syncthreads();
  const bool of_batch = p.options.scope == AdvantageOptions::Scope::kBatch;
  const double batch_scale = of_batch ? deviation_scale(p.options, batch_moments(p, shared)) : 1;
  double trajectories = 0, groups = 0, dead_groups = 0, reward_sum = 0;
  for (int64_t g = threadIdx.x; g < p.P; g += kAdvantageThreads) {
    const RewardMoments group = reward_moments(p.rewards, p.valid, g * p.G, (g + 1) * p.G);
    const bool dead = group.dead();
    trajectories += static_cast<double>(group.count);
    groups += group.count > 0 ? 1 : 0;
    dead_groups += group.count > 0 && dead ? 1 : 0;
    reward_sum += group.sum;
    double scale = batch_scale;
    if (!of_batch && !dead) scale = deviation_scale(p.options, group);
#pragma unroll 1
    for (int64_t i = g * p.G; i < (g + 1) * p.G; ++i) {
      const bool zero = dead || (p.valid != nullptr && p.valid[i] == 0);
      p.out[i] = zero ? 0.0f : group_advantage(p.options, group, p.rewards[i], scale);
    }
  }
  trajectories = add_all(trajectories, shared);
  groups = add_all(groups, shared);
  dead_groups = add_all(dead_groups, shared);
  reward_sum = add_all(reward_sum, shared);
  if (threadIdx.x == 0)
    *p.answer = {static_cast<int64_t>(trajectories), static_cast<int64_t>(groups), static_cast<int64_t>(dead_groups),
                 reward_sum, static_cast<int64_t>(bad)};
}

extern "C" __global__ void __launch_bounds__(kAdvantageThreads) token_advantages_all(const TokenAdvantageParams p) {
  __shared__ double shared[kAdvantageWarps];
  __shared__ bool last;
  const int64_t s = static_cast<int64_t>(blockIdx.x) * kAdvantageWarps + threadIdx.x / 32;
  if (s < p.tokens.S) sweep_sequence(p, s);
  if (p.whiten == 0) return;
  __threadfence();  // the sweep's results before the count
  __syncthreads();
  if (threadIdx.x == 0) last = atomicAdd(&p.answer->blocks_done, 1u) == gridDim.x - 1;
  __syncthreads();
  if (!last) return;
  __threadfence();
  whiten(p, p.value == nullptr ? p.returns : p.advantages, shared);
}

}  // namespace toolgrad::cuda
