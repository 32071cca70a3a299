// Launches attention: prefill for sequences with more than a few query tokens, decoding for the others. The device tells
// them apart; the host only knows the longest.
#include <algorithm>
#include <cstdint>
#include <string>

#include "engine/error.h"
#include "ops/linear.h"
#include "ops/ops.h"

namespace toolgrad::cuda {
namespace {

constexpr float kLog2e = 1.44269504088896340736f;

PagedKv paged_kv(const KvPages& pages, const SequenceMap& map, int64_t H) {
  return {static_cast<const uint16_t*>(pages.keys),
          static_cast<const uint16_t*>(pages.values),
          pages.page_stride,
          map.q_start,
          map.kv_len,
          map.page_start,
          map.page_table,
          static_cast<int32_t>(pages.G),
          static_cast<int32_t>(pages.D),
          static_cast<int32_t>(H)};
}

/// Calls launch with the kernel whose head size is the smallest that holds D. Rows must start on 16 bytes.
template <class Params, class Launch>
void for_head_size(int64_t D, const Kernel<Params>& d16, const Kernel<Params>& d32, const Kernel<Params>& d64,
                   const Kernel<Params>& d128, Launch launch) {
  if (D > 128 || D % 8 != 0)
    throw Error("ERR_MODEL_SHAPE",
                "Expected a head size that is a multiple of 8 up to 128 for attention on the GPU but "
                "received " +
                    std::to_string(D) + "; use the CPU for this model");
  launch(D <= 16 ? d16 : D <= 32 ? d32 : D <= 64 ? d64 : d128);
}

}  // namespace

void attention_forward(Launcher& launcher, const AttentionForward& op) {
  const SequenceMap& map = op.map;
  if (map.S <= 0 || map.max_q <= 0) return;
  const int64_t D = op.pages.D, G = op.pages.G, group = op.H / G;
  const int64_t part_tokens = std::min<int64_t>(map.max_q, kDecodeTokens),
                chunks = ceil_div(map.max_kv, kAttentionChunk);
  AttentionForwardParams p{};
  p.kv = paged_kv(op.pages, map, op.H);
  p.q = op.q;
  p.out = op.out;
  p.lse = op.lse;
  p.scale_log2 = op.scale * kLog2e;
  p.chunks = static_cast<int32_t>(chunks);
  p.part_tokens = static_cast<int32_t>(part_tokens);
  p.query_tiles = static_cast<int32_t>(ceil_div(map.max_q, kPrefillRows));
  p.decode_tiles = static_cast<int32_t>(ceil_div(part_tokens * group, kDecodeRows));
  if (map.max_q > kDecodeTokens)
    for_head_size(D, kernels::attention_prefill_16, kernels::attention_prefill_32, kernels::attention_prefill_64,
                  kernels::attention_prefill_128, [&](const Kernel<AttentionForwardParams>& kernel) {
                    launcher.launch(kernel, {p.query_tiles, op.H, map.S}, p);
                  });
  if (map.max_q > kDecodeTokens && map.S == 1) return;
  if (chunks > 1) p.parts = launcher.scratch<float>(0, map.S * part_tokens * op.H * chunks * (D + 2));
  for_head_size(D, kernels::attention_decode_16, kernels::attention_decode_32, kernels::attention_decode_64,
                kernels::attention_decode_128, [&](const Kernel<AttentionForwardParams>& kernel) {
                  launcher.launch(kernel, {map.S, G * p.decode_tiles, chunks}, p);
                });
  if (chunks > 1) launcher.launch(kernels::attention_merge, {map.S, op.H}, p);
}

void attention_backward(Launcher& launcher, const AttentionBackward& op) {
  const SequenceMap& map = op.map;
  if (map.S <= 0 || map.T <= 0) return;
  const int64_t D = op.pages.D, G = op.pages.G, T = map.T;
  AttentionBackwardParams p{};
  p.kv = paged_kv(op.pages, map, op.H);
  p.q = to_bf16_rows(launcher, 0, op.q, T, op.H * D).data;
  p.dout = to_bf16_rows(launcher, 1, op.dout, T, op.H * D).data;
  p.dout_exact = op.dout;
  p.out = op.out;
  p.lse = op.lse;
  p.stats = launcher.scratch<float>(2, 2 * T * op.H);
  p.dq = op.dq;
  p.dk = op.dk;
  p.dv = op.dv;
  p.T = T;
  p.tiles = static_cast<int32_t>(ceil_div(map.max_q, kBackwardRows));
  p.scale = op.scale;
  p.scale_log2 = op.scale * kLog2e;
  launcher.launch(kernels::attention_backward_stats, {ceil_div(T * op.H, kStatsRows)}, p);
  for_head_size(D, kernels::attention_backward_keys_16, kernels::attention_backward_keys_32,
                kernels::attention_backward_keys_64, kernels::attention_backward_keys_128,
                [&](const Kernel<AttentionBackwardParams>& kernel) {
                  launcher.launch(kernel, {p.tiles, G, map.S}, p);
                });
  for_head_size(D, kernels::attention_backward_queries_16, kernels::attention_backward_queries_32,
                kernels::attention_backward_queries_64, kernels::attention_backward_queries_128,
                [&](const Kernel<AttentionBackwardParams>& kernel) {
                  launcher.launch(kernel, {p.tiles, op.H, map.S}, p);
                });
}

}  // namespace toolgrad::cuda
