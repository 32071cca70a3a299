// Launches kv_pages.cu.
#include <algorithm>

#include "ops/ops.h"

namespace toolgrad::cuda {

void kv_prepare(Launcher& launcher, const KvPrepare& op) {
  const KvPagesPlace place = {static_cast<uint16_t*>(op.pages.keys), static_cast<uint16_t*>(op.pages.values),
                              op.layer_bytes / 2, static_cast<int32_t>(op.pages.page_stride),
                              static_cast<int32_t>(op.pages.D)};
  for (int64_t first = 0; first < op.fresh_count; first += kKvPagesAtOnce) {
    const int64_t count = std::min<int64_t>(kKvPagesAtOnce, op.fresh_count - first);
    KvClearParams params{place, {}};
    std::copy_n(op.fresh + first, count, params.pages);
    launcher.launch(kernels::kv_clear, {count, op.layers, 2}, params);
  }
  for (int64_t first = 0; first < op.copy_count; first += kKvPagesAtOnce) {
    const int64_t count = std::min<int64_t>(kKvPagesAtOnce, op.copy_count - first);
    KvCopyParams params{place, {}, {}, {}};
    std::copy_n(op.from + first, count, params.from);
    std::copy_n(op.to + first, count, params.to);
    std::copy_n(op.slots + first, count, params.slots);
    launcher.launch(kernels::kv_copy, {count, op.layers, 2}, params);
  }
}

}  // namespace toolgrad::cuda
