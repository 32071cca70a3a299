// Clearing and copying whole KV pages. One block does one page of one side (keys, values) of one layer; page numbers come
// with the launch, so nothing is uploaded. Bound by memory: 2 bytes written an element, 2 read by a copy.
#include "kernels/kv_pages.h"

namespace toolgrad::cuda {
namespace {

constexpr int kSlots = 32;  // kKvPageSize

__device__ __forceinline__ uint16_t* side_of(const KvPagesPlace& place, int page) {
  uint16_t* side = blockIdx.z == 0 ? place.keys : place.values;
  return side + blockIdx.y * place.layer_stride + static_cast<int64_t>(page) * place.page_elements;
}

}  // namespace

extern "C" __global__ void __launch_bounds__(kKvPagesThreads) kv_clear(const KvClearParams p) {
  uint4* page = reinterpret_cast<uint4*>(side_of(p.place, p.pages[blockIdx.x]));
  for (int i = threadIdx.x; i < p.place.page_elements / 8; i += kKvPagesThreads) page[i] = make_uint4(0, 0, 0, 0);
}

extern "C" __global__ void __launch_bounds__(kKvPagesThreads) kv_copy(const KvCopyParams p) {
  const uint16_t* from = side_of(p.place, p.from[blockIdx.x]);
  uint16_t* to = side_of(p.place, p.to[blockIdx.x]);
  const int slots = p.slots[blockIdx.x];
  for (int i = threadIdx.x; i < p.place.page_elements; i += kKvPagesThreads) {
    // Keys are [G, D, slot], values [G, slot, D].
    const int slot = blockIdx.z == 0 ? i % kSlots : i / p.place.D % kSlots;
    to[i] = slot < slots ? from[i] : static_cast<uint16_t>(0);
  }
}

}  // namespace toolgrad::cuda
