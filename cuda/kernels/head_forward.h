// Parameters of head_forward.cu: hidden states to log-prob and entropy without logits in memory.
#pragma once

#include <cstdint>

#include "kernels/gemm_shape.h"

namespace toolgrad::cuda {

struct HeadForwardParams {
  const uint16_t* hidden;          // [R, stride] bf16, zero from column C on
  const uint16_t* w;               // [V, C] bf16 panels
  const int32_t* labels;           // [R]
  void* stats;                     // [R, tiles] TileStats (vocab_tile.cuh)
  float* label_z;                  // [R]
  float *logprob, *entropy, *lse;  // [R]
  int64_t R;
  int32_t V, C, stride;
  int32_t tiles_m, tiles_n;  // tiles_n: tiles of the vocabulary
  float inv_temperature;
};
constexpr int kTileStatsBytes = 12;
constexpr int kHeadMergeThreads = 128;  // a warp a row
constexpr int kHeadMergeRows = kHeadMergeThreads / 32;

}  // namespace toolgrad::cuda

#define TOOLGRAD_HEAD_FORWARD_KERNELS(X)                                                                      \
  X(head_forward, head_tiles, ::toolgrad::cuda::HeadForwardParams, ::toolgrad::cuda::GemmVocabTile::kThreads, \
    ::toolgrad::cuda::GemmVocabTile::kSharedBytes)                                                            \
  X(head_forward, head_merge, ::toolgrad::cuda::HeadForwardParams, ::toolgrad::cuda::kHeadMergeThreads, 0)
