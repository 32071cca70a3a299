// Launches sample.cu. Scratch slot 0: tile statistics, slot 1: the first bad row.
#include "ops/ops.h"

namespace toolgrad::cuda {
namespace {

uint32_t* launch_sample(Launcher& launcher, const Sample& op) {
  const int64_t tiles = ceil_div(op.V, kVocabTile), tile_blocks = ceil_div(tiles, kSampleTilesPerBlock);
  auto* bad = launcher.scratch<uint32_t>(1, 1);
  launcher.zero(bad, sizeof(uint32_t));
  const SampleParams p{op.logits,
                       op.temperature,
                       op.top_p,
                       op.min_p,
                       op.top_k,
                       op.keys,
                       launcher.scratch<SampleTile>(0, op.R * tiles),
                       op.token,
                       op.logprob,
                       bad,
                       op.R,
                       static_cast<int32_t>(op.V),
                       static_cast<int32_t>(tiles),
                       static_cast<int32_t>(tile_blocks)};
  launcher.launch(kernels::sample_tiles, {op.R * tile_blocks}, p);
  launcher.launch(kernels::sample_pick, {op.R}, p);
  return bad;
}

}  // namespace

void sample_without_check(Launcher& launcher, const Sample& op) {
  if (op.R > 0) launch_sample(launcher, op);
}

void sample(Launcher& launcher, const Sample& op) {
  if (op.R <= 0) return;
  const uint32_t* bad = launch_sample(launcher, op);
  uint32_t answer = 0;
  launcher.download(&answer, bad, sizeof answer);
  if (answer != 0) bad_logits(op.R - answer);
}

}  // namespace toolgrad::cuda
