// The largest request for each slot; see scratch_plan.h.
#include "cpu/scratch_plan.h"

#include <algorithm>
#include <initializer_list>

#include "engine/generate.h"
#include "engine/model.h"

namespace toolgrad {
namespace {

constexpr int64_t kWeightBlock = 1024 * 16;                   // gemm_block.h: one panel of a weight block, widened
constexpr int64_t kForwardBlock = 384, kBackwardBlock = 512;  // gemm.cc, gemm_backward.cc: rows of a task
constexpr int64_t kAttentionRows = 64;                        // attention.cc: rows of a task
constexpr int64_t kHeadForwardRows = 240, kHeadBackwardRows = 512;  // head.cc: rows of a block
constexpr int64_t kHeadColumns = 2048;                              // head.cc: columns of dz
constexpr int64_t kTileStats = 3;                                   // softmax_tile.h: floats of TileStats
constexpr int64_t kWeightSteps = 128;                               // gemm_block.h: rows of a padded strip

// The largest block when `rows` are cut into equal ones of at most `most`.
int64_t block_rows(int64_t rows, int64_t most) {
  const int64_t blocks = (rows + most - 1) / most;
  return blocks == 0 ? 0 : (rows + blocks - 1) / blocks;
}

// gemm_block.h: rows whose width is a multiple of 256 are copied apart.
int64_t padded(int64_t width) {
  return width % 256 == 0 ? kWeightSteps * (width + kPanelRows) : 0;
}

}  // namespace

int64_t scratch_bytes(const ModelShape& s, const Pass& pass, int threads) {
  const bool training = pass.kind == Pass::Kind::kTraining, step = pass.kind == Pass::Kind::kStep;
  const int64_t longest = std::min(pass.longest, pass.T), tiles = (s.V + kVocabTile - 1) / kVocabTile;
  const int64_t T = pass.kind == Pass::Kind::kScoring ? std::max(longest, std::min(pass.T, kScoreTokens)) : pass.T;
  const int64_t parts = (s.H / s.G - 1) * T * s.kv_width(), narrow = T * pass.lora_rank;

  int64_t shared_block = std::max(kWeightBlock, kAttentionRows * (3 * s.D + kKvPageSize + 2) + 2 * kKvPageSize * s.D);
  int64_t rows_block = std::max(block_rows(T, kForwardBlock) * kPanelRows, 2 * kKvPageSize * kPanelRows);
  int64_t statistics = step ? 0 : block_rows(T, kHeadForwardRows) * tiles * kTileStats, partial = 0, strip = 0;
  if (!step) rows_block = std::max(rows_block, block_rows(T, kHeadForwardRows) * kVocabTile);
  if (training) {
    shared_block =
        std::max(shared_block, longest * (3 * s.D + 1) + 2 * kKvPageSize * kKvPageSize + 6 * kKvPageSize * s.D);
    rows_block = std::max(
        {rows_block, block_rows(T, kBackwardBlock) * kPanelRows, padded(s.C), padded(s.F), padded(s.q_width())});
    statistics = std::max({statistics, block_rows(T, kHeadBackwardRows) * kHeadColumns, parts});
    partial = std::max({block_rows(T, kHeadBackwardRows) * s.C, parts, narrow});
    strip = threads * padded(s.C);
  }
  const int64_t sampling = step ? std::min(T, kStepTokens) * tiles * kTileStats : 0;
  const int64_t floats = std::max(threads * shared_block, sampling) + threads * rows_block +
                         std::max(statistics, narrow) + partial + strip;
  return floats * static_cast<int64_t>(sizeof(float));
}

}  // namespace toolgrad
