// See plan.h.
#include "plan.h"

#include <algorithm>
#include <cstring>

namespace toolgrad::bench {
namespace {

using namespace cuda;

/// Of one block over a contraction of length k, all warps: tiles of 16 x 8 x 16.
template <class Shape>
double tile_mma(int64_t k) {
  return static_cast<double>(ceil_div(k, Shape::kK)) * (Shape::kM / 16) * (Shape::kN / 8) * (Shape::kK / 16);
}

/// Sum over the tiles of `rows` queries of a sequence of the tiles of `keys` keys that they see.
double seen_tiles(const Batch& b, int64_t rows, int64_t keys) {
  double sum = 0;
  for (int64_t q0 = 0; q0 < b.queries; q0 += rows)
    sum += static_cast<double>(ceil_div(b.keys - b.queries + std::min(q0 + rows, b.queries), keys));
  return sum;
}
/// Sum over the tiles of 64 keys of the steps of `rows` queries that see them.
double seeing_steps(const Batch& b, int64_t rows) {
  double sum = 0;
  for (int64_t k0 = 0; k0 < b.keys; k0 += kBackwardRows) sum += static_cast<double>(ceil_div(b.keys - k0, rows));
  return sum;
}

template <class Params>
const Params& as(const void* parameters) {
  return *static_cast<const Params*>(parameters);
}

/// A warp's mma of one step of 64 keys: head size / 16 x 8 for the scores, 4 x head size / 8 for the output.
double forward_mma(const Batch& b, const void* parameters, int head, bool decode) {
  const auto& p = as<AttentionForwardParams>(parameters);
  const double each = head;
  if (decode)
    return each * static_cast<double>(b.S) * p.kv.G * p.decode_tiles * static_cast<double>(ceil_div(b.keys, 64));
  return 4 * each * static_cast<double>(b.S) * p.kv.H * seen_tiles(b, kPrefillRows, kAttentionTile);
}
double keys_mma(const Batch& b, const void* parameters, int head, int queries) {
  const auto& p = as<AttentionBackwardParams>(parameters);
  return 4.0 * queries * head / 32 * static_cast<double>(b.S) * p.kv.H * seeing_steps(b, queries);
}
double queries_mma(const Batch& b, const void* parameters, int head) {
  const auto& p = as<AttentionBackwardParams>(parameters);
  return 4.0 * 3 * head / 4 * static_cast<double>(b.S) * p.kv.H * seen_tiles(b, kBackwardRows, 32);
}

double mma_of(const KernelInfo& kernel, const Batch& b, int64_t blocks, const void* p) {
  const double n = static_cast<double>(blocks);
  switch (kernel.index) {
    case kernel_index::linear_forward_wide:
      return n * tile_mma<GemmWide>(as<LinearForwardParams>(p).K);
    case kernel_index::linear_forward_medium:
      return n * tile_mma<GemmMedium>(as<LinearForwardParams>(p).K);
    case kernel_index::linear_forward_skinny:
      return n * tile_mma<GemmSkinny>(as<LinearForwardParams>(p).K);
    case kernel_index::linear_gated_wide:
      return n * tile_mma<GemmWide>(as<LinearGatedParams>(p).K);
    case kernel_index::linear_gated_medium:
      return n * tile_mma<GemmMedium>(as<LinearGatedParams>(p).K);
    case kernel_index::linear_gated_skinny:
      return n * tile_mma<GemmSkinny>(as<LinearGatedParams>(p).K);
    case kernel_index::linear_backward_input_wide:
      return n * tile_mma<GemmWide>(as<LinearBackwardInputParams>(p).N);
    case kernel_index::linear_backward_input_medium:
      return n * tile_mma<GemmMedium>(as<LinearBackwardInputParams>(p).N);
    case kernel_index::linear_backward_weight_wide:
      return n * tile_mma<GemmWide>(as<LinearBackwardWeightParams>(p).T);
    case kernel_index::linear_backward_weight_medium:
      return n * tile_mma<GemmMedium>(as<LinearBackwardWeightParams>(p).T);
    case kernel_index::head_tiles:
      return n * tile_mma<GemmVocabTile>(as<HeadForwardParams>(p).C);
    case kernel_index::head_gradient_wide:
      return n * tile_mma<GemmWide>(as<HeadGradientParams>(p).C);
    case kernel_index::head_gradient_medium:
      return n * tile_mma<GemmMedium>(as<HeadGradientParams>(p).C);
    case kernel_index::attention_prefill_16:
      return forward_mma(b, p, 16, false);
    case kernel_index::attention_prefill_32:
      return forward_mma(b, p, 32, false);
    case kernel_index::attention_prefill_64:
      return forward_mma(b, p, 64, false);
    case kernel_index::attention_prefill_128:
      return forward_mma(b, p, 128, false);
    // The decode kernel leaves long runs of queries to prefill's.
    case kernel_index::attention_decode_16:
      return b.queries > kDecodeTokens ? 0 : forward_mma(b, p, 16, true);
    case kernel_index::attention_decode_32:
      return b.queries > kDecodeTokens ? 0 : forward_mma(b, p, 32, true);
    case kernel_index::attention_decode_64:
      return b.queries > kDecodeTokens ? 0 : forward_mma(b, p, 64, true);
    case kernel_index::attention_decode_128:
      return b.queries > kDecodeTokens ? 0 : forward_mma(b, p, 128, true);
    case kernel_index::attention_backward_keys_16:
      return keys_mma(b, p, 16, kBackwardQueries<16>);
    case kernel_index::attention_backward_keys_32:
      return keys_mma(b, p, 32, kBackwardQueries<32>);
    case kernel_index::attention_backward_keys_64:
      return keys_mma(b, p, 64, kBackwardQueries<64>);
    case kernel_index::attention_backward_keys_128:
      return keys_mma(b, p, 128, kBackwardQueries<128>);
    case kernel_index::attention_backward_queries_16:
      return queries_mma(b, p, 16);
    case kernel_index::attention_backward_queries_32:
      return queries_mma(b, p, 32);
    case kernel_index::attention_backward_queries_64:
      return queries_mma(b, p, 64);
    case kernel_index::attention_backward_queries_128:
      return queries_mma(b, p, 128);
    default:
      return 0;
  }
}

}  // namespace

std::vector<Launch> Plan::of(const Case& item) {
  batch_ = item.batch;
  launches_.clear();
  Arena arena(*this);
  item.prepare(*this, arena)();
  return std::move(launches_);
}

void* Plan::allocate(size_t bytes, const std::string&) {
  const uintptr_t at = next_;
  next_ += (bytes + 255) / 256 * 256;
  return reinterpret_cast<void*>(at);
}

void Plan::download(void* to_host, const void*, size_t bytes) {
  std::memset(to_host, 0, bytes);
}

void* Plan::scratch_bytes(int, size_t bytes) {
  return allocate(bytes, "");
}

void Plan::enqueue(const KernelInfo& kernel, Grid grid, void* parameters) {
  const int64_t blocks = grid.x * grid.y * grid.z;
  launches_.push_back({&kKernels[kernel.index], blocks, mma_of(kernel, batch_, blocks, parameters)});
}

}  // namespace toolgrad::bench
