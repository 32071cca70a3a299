// Launches kv_write.cu. Pages are bf16. Scratch slot 0: the page lists of kv_prepare.
#include "ops/ops.h"

namespace toolgrad::cuda {
namespace {

int32_t* upload_list(Launcher& launcher, int32_t* to, const int32_t* from, int64_t count) {
  launcher.upload(to, from, static_cast<size_t>(count) * sizeof(int32_t));
  return to;
}

}  // namespace

void kv_write(Launcher& launcher, const KvWrite& op) {
  if (op.map.T == 0) return;
  // q tokens that start in the last slot of a page touch most pages.
  const int64_t spans = (op.map.max_q + kKvPageSize - 2) / kKvPageSize + 1;
  launcher.launch(kernels::kv_write_pages, {op.map.S * spans * op.pages.G},
                  {op.k, op.v, static_cast<uint16_t*>(op.pages.keys), static_cast<uint16_t*>(op.pages.values),
                   op.pages.page_stride, op.map.q_start, op.map.kv_len, op.map.page_start, op.map.page_table,
                   static_cast<int32_t>(op.pages.G), static_cast<int32_t>(op.pages.D), static_cast<int32_t>(spans)});
}

void kv_prepare(Launcher& launcher, const KvPrepare& op) {
  const int64_t layer_stride = op.layer_bytes / static_cast<int64_t>(sizeof(uint16_t));
  const auto layers = static_cast<int32_t>(op.layers);
  auto *keys = static_cast<uint16_t*>(op.pages.keys), *values = static_cast<uint16_t*>(op.pages.values);
  int32_t* list = launcher.scratch<int32_t>(0, op.fresh_count + 3 * op.copy_count);
  if (op.fresh_count > 0) {
    const int32_t* fresh = upload_list(launcher, list, op.fresh, op.fresh_count);
    launcher.launch(kernels::kv_zero_pages, {op.fresh_count * op.layers * 2},
                    {keys, values, op.pages.page_stride, layer_stride, fresh, layers});
  }
  if (op.copy_count == 0) return;
  list += op.fresh_count;
  const int32_t* from = upload_list(launcher, list, op.from, op.copy_count);
  const int32_t* to = upload_list(launcher, list + op.copy_count, op.to, op.copy_count);
  const int32_t* slots = upload_list(launcher, list + 2 * op.copy_count, op.slots, op.copy_count);
  launcher.launch(kernels::kv_copy_pages, {op.copy_count * op.layers * 2},
                  {keys, values, op.pages.page_stride, layer_stride, from, to, slots, layers,
                   static_cast<int32_t>(op.pages.G), static_cast<int32_t>(op.pages.D)});
}

}  // namespace toolgrad::cuda
