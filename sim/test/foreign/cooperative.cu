// cooperative_groups: partitions of a block, their collectives, copies by a group. Expected by foreign_test.cc.
#include <cooperative_groups.h>
#include <cooperative_groups/memcpy_async.h>
#include <cooperative_groups/reduce.h>
#include <cooperative_groups/scan.h>

#include <cuda/std/utility>

namespace cg = cooperative_groups;

/// 128 threads; eight results of each, thread by thread.
extern "C" __global__ void groups(const int* in, int* out) {
  const auto block = cg::this_thread_block();
  const auto eight = cg::tiled_partition<8>(block);
  const auto warp = cg::tiled_partition<32>(block);
  const int t = static_cast<int>(block.thread_rank()), x = in[t];
  int* to = out + 8 * t;
  to[0] = cg::reduce(eight, x, cg::plus<int>());
  to[1] = cg::reduce(warp, x, cg::greater<int>());
  to[2] = cg::inclusive_scan(warp, x, cg::plus<int>());
  to[3] = cg::exclusive_scan(eight, x, cg::plus<int>());
  to[4] = eight.shfl_xor(x, 3) + eight.shfl_down(x, 1) + static_cast<int>(eight.meta_group_rank());
  to[5] = static_cast<int>(warp.match_any(x & 3)) ^ static_cast<int>(warp.ballot(x > 0)) ^ warp.any(x > 100);
  to[6] = to[7] = 0;
  if (x & 1) {
    const auto odd = cg::coalesced_threads();
    to[6] = cg::reduce(odd, x, cg::plus<int>()) + static_cast<int>(odd.thread_rank());
  }
  const auto labelled = cg::labeled_partition(warp, x & 3);
  to[7] = cg::reduce(labelled, x, cg::bit_xor<int>()) + static_cast<int>(labelled.size());
}

/// The block copies 1,000 words to shared memory without registers, reverses them, and one warp sums doubles.
extern "C" __global__ void copy_by_group(const unsigned* in, unsigned* out, const double* numbers, double* sum) {
  __shared__ alignas(16) unsigned buffer[1000];
  const auto block = cg::this_thread_block();
  cg::memcpy_async(block, buffer, in, sizeof buffer);
  cg::wait(block);
  for (unsigned i = block.thread_rank(); i < 1000; i += block.size()) out[i] = buffer[999 - i];
  const auto warp = cg::tiled_partition<32>(block);
  if (warp.meta_group_rank() == 0) {
    const double total = cg::reduce(warp, numbers[warp.thread_rank()], cg::plus<double>());
    cg::invoke_one(warp, [&] { *sum = total; });
  }
}

/// Tiles of more than one warp, and groups whose size is known at run time only.
extern "C" __global__ void wide_tiles(const int* in, int* out) {
  __shared__ cg::block_tile_memory<128> memory;
  const auto block = cg::this_thread_block(memory);
  const auto pair = cg::tiled_partition<64>(block);
  const int t = static_cast<int>(block.thread_rank());
  out[t] = cg::reduce(pair, in[t], cg::plus<int>());
  const auto four = cg::tiled_partition(block, 4u);
  auto token = block.barrier_arrive();
  const int rank = static_cast<int>(four.thread_rank());
  block.barrier_wait(cuda::std::move(token));
  out[128 + t] = rank;
}
