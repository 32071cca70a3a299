// What this processor can do at best, one build per ISA: the measure against which kernels are held. Not ops.
#pragma once

#include <cstdint>

#define TOOLGRAD_DECLARE_PROBES(isa)                      \
  namespace toolgrad::isa {                               \
  float probe_multiply_add(int64_t rounds, float factor); \
  int64_t probe_operations_per_round();                   \
  float probe_bf16_multiply_add(int64_t, float);          \
  int64_t probe_bf16_operations_per_round();              \
  float probe_read(const float* x, int64_t n);            \
  }

#ifdef TOOLGRAD_ISA
TOOLGRAD_DECLARE_PROBES(TOOLGRAD_ISA)
#endif
