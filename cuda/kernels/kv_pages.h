// Parameters of kv_pages.cu: pages of the KV cache made ready for a step, in all layers at once.
#pragma once

#include <cstdint>

namespace toolgrad::cuda {

constexpr int kKvPagesThreads = 256;
constexpr int kKvPagesAtOnce = 256;  // page numbers in one launch's parameters

/// Where the pages of a bf16 cache lie: page p of layer l has its keys at keys + l * layer_stride + p * page_elements.
struct KvPagesPlace {
  uint16_t *keys, *values;
  int64_t layer_stride;  // elements
  int32_t page_elements, D;
};
struct KvClearParams {
  KvPagesPlace place;
  int32_t pages[kKvPagesAtOnce];  // one for each block along x
};
/// The first slots[i] tokens of page from[i] go to page to[i], whose other slots become zero.
struct KvCopyParams {
  KvPagesPlace place;
  int32_t from[kKvPagesAtOnce], to[kKvPagesAtOnce], slots[kKvPagesAtOnce];
};

}  // namespace toolgrad::cuda

#define TOOLGRAD_KV_PAGES_KERNELS(X)                                                           \
  X(kv_pages, kv_clear, ::toolgrad::cuda::KvClearParams, ::toolgrad::cuda::kKvPagesThreads, 0) \
  X(kv_pages, kv_copy, ::toolgrad::cuda::KvCopyParams, ::toolgrad::cuda::kKvPagesThreads, 0)
