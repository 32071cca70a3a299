// The largest request for each slot; see scratch_plan.h.
#include "cpu/scratch_plan.h"

#include <algorithm>

#include "engine/generate.h"
#include "engine/model.h"

namespace toolgrad {
namespace {

constexpr int64_t kTilePanels = 2;                                 // gemm_tile.h: of AVX-512; the other builds have one
constexpr int64_t kWeightBlock = 1024 * kTilePanels * kPanelRows;  // gemm_block.h: a widened block
constexpr int64_t kForwardRows = 384, kBackwardRows = 512;         // gemm.cc, gemm_backward.cc: rows of a task
constexpr int64_t kAttentionRows = 64;                             // attention.cc: rows of a task
constexpr int64_t kHeadForwardRows = 240, kHeadBackwardRows = 512;  // head.cc: rows of a block
constexpr int64_t kHeadColumns = 2048 + 16;                         // head.cc: a row of dz
constexpr int64_t kTiles = 3;          // gemm.cc: accumulators of gate, up and what they go through
constexpr int64_t kTileStats = 3;      // softmax_tile.h: floats of TileStats
constexpr int64_t kWeightSteps = 128;  // gemm_block.h: rows of a padded strip

// The largest block when `rows` are cut into equal ones of at most `most`.
int64_t block_rows(int64_t rows, int64_t most) {
  const int64_t blocks = (rows + most - 1) / most;
  return blocks == 0 ? 0 : (rows + blocks - 1) / blocks;
}

// gemm_block.h: rows whose width is a multiple of 256 are copied apart.
int64_t padded(int64_t width) {
  return width % 256 == 0 ? kWeightSteps * (width + kPanelRows) : 0;
}

// gemm_block.h: rows 4 KiB apart are copied apart.
int64_t spread(int64_t rows, int64_t width) {
  return width % 1024 == 0 ? rows * (width + kPanelRows) : 0;
}

}  // namespace

int64_t scratch_bytes(const ModelShape& s, const Pass& pass, int threads) {
  const bool vocabulary = pass.kind == Pass::Kind::kTraining || pass.kind == Pass::Kind::kScoring;
  const int64_t T = tokens_at_once(pass), longest = std::min(pass.longest, T);
  const int64_t tiles = (s.V + kVocabTile - 1) / kVocabTile, narrow = T * pass.lora_rank;

  int64_t per_thread_0 = std::max(kWeightBlock, kAttentionRows * (2 * s.D + kKvPageSize + 2) + 2 * kKvPageSize * s.D);
  const int64_t forward_rows = block_rows(T, kForwardRows);
  int64_t per_thread_1 = kTiles * forward_rows * kTilePanels * kPanelRows;
  int64_t slot_2 = narrow, slot_3 = 0, per_thread_4 = 0;
  int64_t slot_5 =
      threads * std::max({spread(forward_rows, s.C), spread(forward_rows, s.F), spread(forward_rows, s.q_width())});
  if (vocabulary) {
    const int64_t rows = block_rows(T, kHeadForwardRows);
    per_thread_1 = std::max(per_thread_1, rows * kVocabTile);
    slot_2 = std::max(slot_2, rows * tiles * kTileStats);
    slot_5 = std::max(slot_5, spread(rows, s.C));
  }
  if (pass.trains()) {
    const int64_t parts = (s.H / s.G - 1) * T * s.kv_width();  // of dk and dv, one per query head but the first
    per_thread_0 =
        std::max(per_thread_0, longest * (3 * s.D + 1) + 2 * kKvPageSize * kKvPageSize + 6 * kKvPageSize * s.D);
    per_thread_1 = std::max(
        {per_thread_1, block_rows(T, kBackwardRows) * kPanelRows, padded(s.C), padded(s.F), padded(s.q_width())});
    slot_2 = std::max(slot_2, parts);
    slot_3 = std::max(parts, narrow);
  }
  if (pass.kind == Pass::Kind::kTraining) {
    const int64_t rows = block_rows(T, kHeadBackwardRows);
    slot_2 = std::max(slot_2, rows * kHeadColumns);
    slot_3 = std::max(slot_3, rows * s.C);
    per_thread_4 = padded(s.C);
    slot_5 = std::max(slot_5, spread(rows, s.C));
  }
  const int64_t sampling =
      pass.kind == Pass::Kind::kStep ? std::min(T, kStepTokens) * tiles * kTileStats : 0;  // in slot 0 too
  const int64_t floats =
      std::max(threads * per_thread_0, sampling) + threads * (per_thread_1 + per_thread_4) + slot_2 + slot_3 + slot_5;
  return floats * static_cast<int64_t>(sizeof(float));
}

}  // namespace toolgrad
