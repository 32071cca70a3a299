// The shapes of GEMM tiles: which part of C a block makes, how its warps share it, how deep the pipeline is.
//
// Wide is the 64x64 warp tile of 3 stages in 48 KB: two blocks fit the 100 KB of an sm_86 or sm_89. Medium fills the
// device when there are few rows or columns. Skinny is decoding: rows up to 16, bound by reading the weights, so a narrow
// tile makes many blocks and 24 KB of weights under way in each. VocabTile spans one tile of the loss head.
#pragma once

#include <cstdint>

namespace toolgrad::cuda {

template <int kM_, int kN_, int kK_, int kWarpsM_, int kWarpsN_, int kStages_>
struct GemmShape {
  static constexpr int kM = kM_, kN = kN_, kK = kK_, kWarpsM = kWarpsM_, kWarpsN = kWarpsN_, kStages = kStages_;
  static constexpr int kThreads = 32 * kWarpsM * kWarpsN;
  static constexpr int kWarpM = kM / kWarpsM, kWarpN = kN / kWarpsN;
  static constexpr int kBytesA = kM * kK * 2, kBytesB = kN * kK * 2, kStageBytes = kBytesA + kBytesB;
  static constexpr int kSharedBytes = kStages * kStageBytes;
  static_assert(kWarpM % 16 == 0 && kWarpN % 16 == 0 && kK % 16 == 0, "whole fragments");
};
using GemmWide = GemmShape<128, 128, 32, 2, 2, 3>;
using GemmMedium = GemmShape<64, 64, 32, 2, 2, 4>;
using GemmSkinny = GemmShape<16, 32, 128, 1, 2, 4>;
using GemmVocabTile = GemmShape<64, 256, 32, 1, 4, 3>;

/// Which tile of C a block makes, of tiles_m x tiles_n: bands of kBand rows of tiles, so that the blocks that run at one
/// time share rows and columns in the L2 cache.
struct TilePlace {
  int m, n;
};
constexpr int kBand = 8;
#if defined(__CUDACC__)
__device__ __forceinline__ TilePlace tile_place(int block, int tiles_m, int tiles_n) {
  const int band = block / (kBand * tiles_n), in_band = block % (kBand * tiles_n);
  const int rows = tiles_m - band * kBand < kBand ? tiles_m - band * kBand : kBand;
  return {band * kBand + in_band % rows, in_band / rows};
}
#endif

}  // namespace toolgrad::cuda
