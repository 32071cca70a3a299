// Marks scalar functions that several compilations build from one source: the host, CUDA, and one build per instruction
// set.
//
// Always inlined: a copy emitted under a shared name could carry instructions that the processor at hand lacks.
#pragma once

#if defined(__CUDACC__)
#define TOOLGRAD_HOST_DEVICE __host__ __device__ inline
#else
#define TOOLGRAD_HOST_DEVICE inline __attribute__((always_inline))
#endif
