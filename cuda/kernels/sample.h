// Parameters of sample.cu: one token per row of logits.
#pragma once

#include <cstdint>

#include "engine/philox.h"

namespace toolgrad::cuda {

constexpr int kSampleTileThreads = 256;
constexpr int kSampleTilesPerBlock = kSampleTileThreads / 32;
constexpr int kSamplePickThreads = 512;

/// (max, sum, weighted) of vocab_tile.cuh.
struct SampleTile {
  float max, sum, weighted;
};
struct SampleParams {
  const float* logits;                       // [R, V]
  const float *temperature, *top_p, *min_p;  // [R]; temperature 0: greedy
  const int32_t* top_k;                      // [R]; 0: off
  const SampleKey* keys;                     // [R]
  SampleTile* tiles;                         // [R, tiles]
  int32_t* token;                            // [R]; -1 where a row has no usable distribution
  float* logprob;                            // [R]; NaN there
  uint32_t* bad;                             // R - r of the first such row r; zero before the launch
  int64_t R;
  int32_t V;
  int32_t tile_count;   // ceil(V / 256)
  int32_t tile_blocks;  // ceil(tile_count / kSampleTilesPerBlock)
};

}  // namespace toolgrad::cuda

#define TOOLGRAD_SAMPLE_KERNELS(X)                                                                 \
  X(sample, sample_tiles, ::toolgrad::cuda::SampleParams, ::toolgrad::cuda::kSampleTileThreads, 0) \
  X(sample, sample_pick, ::toolgrad::cuda::SampleParams, ::toolgrad::cuda::kSamplePickThreads, 0)
