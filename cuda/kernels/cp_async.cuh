// Asynchronous copies of 16 (or 8) bytes from global to shared memory, in groups, as inline PTX.
//
// A copy of fewer than 16 bytes fills the rest with zeros and reads nothing past them: how every tile tail is made.
#pragma once

#include <cstdint>

namespace toolgrad::cuda {

__device__ __forceinline__ uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}
/// `bytes` (0 to 16) of `from`, then zeros. `from` must be aligned to 16 bytes; it is not read when bytes is 0.
__device__ __forceinline__ void copy_async(uint32_t to, const void* from, int bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(__cvta_generic_to_global(from)),
               "r"(bytes)
               : "memory");
}
/// `bytes` (0 to 8) of `from`, aligned to 8, then zeros.
__device__ __forceinline__ void copy_async_8(uint32_t to, const void* from, int bytes) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(to), "l"(__cvta_generic_to_global(from)), "r"(bytes)
               : "memory");
}
__device__ __forceinline__ void commit_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
/// Waits until at most `kPending` of this thread's latest groups are under way.
template <int kPending>
__device__ __forceinline__ void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

}  // namespace toolgrad::cuda
