// Launches reduce.cu; those that return a value wait for it. Scratch slot 0: block sums, slot 1: the answer.
#include "ops/ops.h"

namespace toolgrad::cuda {

double sum_of_squares(Launcher& launcher, const float* x, int64_t n) {
  if (n == 0) return 0;
  const int64_t blocks = ceil_div(n, kReducePerBlock);
  double *sums = launcher.scratch<double>(0, blocks), *total = launcher.scratch<double>(1, 1), answer = 0;
  launcher.launch(kernels::sum_squares_blocks, {blocks}, {x, sums, n});
  launcher.launch(kernels::sum_squares_total, {1}, {sums, total, blocks});
  launcher.download(&answer, total, sizeof answer);
  return answer;
}

bool all_finite(Launcher& launcher, const float* x, int64_t n) {
  if (n == 0) return true;
  int32_t *found = launcher.scratch<int32_t>(1, 1), answer = 0;
  find_not_finite(launcher, x, n, found);
  launcher.download(&answer, found, sizeof answer);
  return answer == 0;
}

void find_not_finite(Launcher& launcher, const float* x, int64_t n, int32_t* found) {
  launcher.zero(found, sizeof *found);
  if (n > 0) launcher.launch(kernels::find_not_finite, {ceil_div(n, kReducePerBlock)}, {x, found, n});
}

}  // namespace toolgrad::cuda
