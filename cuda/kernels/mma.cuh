// The tensor core step: a 16x8 tile of fp32 sums += a 16x16 tile of bf16 times a 16x8 tile of bf16 (sm_80 and up).
//
// Lane l holds, with g = l / 4 and j = 2 (l % 4): of A rows g and g + 8, columns j, j + 1, j + 8, j + 9; of B column g, rows
// j, j + 1 and j + 8, j + 9; of C rows g (c[0], c[1]) and g + 8 (c[2], c[3]), columns j, j + 1.
#pragma once

#include <cstdint>

namespace toolgrad::cuda {

__device__ __forceinline__ void mma_bf16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

}  // namespace toolgrad::cuda
