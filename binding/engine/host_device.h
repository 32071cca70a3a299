// Marks scalar functions that both the C++ and the CUDA compiler build from one source.
#pragma once

#if defined(__CUDACC__)
#define TOOLGRAD_HOST_DEVICE __host__ __device__
#else
#define TOOLGRAD_HOST_DEVICE
#endif
