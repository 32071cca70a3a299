// Launches kv_write.cu. Pages are bf16.
#include "ops/ops.h"

namespace toolgrad::cuda {

void kv_write(Launcher& launcher, const KvWrite& op) {
  if (op.map.T == 0) return;
  // q tokens that start in the last slot of a page touch most pages.
  const int64_t spans = (op.map.max_q + kKvPageSize - 2) / kKvPageSize + 1;
  launcher.launch(kernels::kv_write_pages, {op.map.S * spans * op.pages.G},
                  {op.k, op.v, static_cast<uint16_t*>(op.pages.keys), static_cast<uint16_t*>(op.pages.values),
                   op.pages.page_stride, op.map.q_start, op.map.kv_len, op.map.page_start, op.map.page_table,
                   static_cast<int32_t>(op.pages.G), static_cast<int32_t>(op.pages.D), static_cast<int32_t>(spans)});
}

}  // namespace toolgrad::cuda
