// CUB inside one block or warp: sorting, scans, reductions, exchanges, histograms. Expected by foreign_test.cc.
#include <cub/block/block_exchange.cuh>
#include <cub/block/block_histogram.cuh>
#include <cub/block/block_load.cuh>
#include <cub/block/block_merge_sort.cuh>
#include <cub/block/block_radix_sort.cuh>
#include <cub/block/block_reduce.cuh>
#include <cub/block/block_scan.cuh>
#include <cub/block/block_store.cuh>
#include <cub/warp/warp_merge_sort.cuh>
#include <cub/warp/warp_reduce.cuh>
#include <cub/warp/warp_scan.cuh>

constexpr int kThreads = 128, kItems = 4, kTile = kThreads * kItems;

extern "C" __global__ void sort_pairs(const float* keys, const unsigned* values, float* keys_out,
                                      unsigned* values_out) {
  using Load = cub::BlockLoad<float, kThreads, kItems, cub::BLOCK_LOAD_WARP_TRANSPOSE>;
  using LoadValues = cub::BlockLoad<unsigned, kThreads, kItems, cub::BLOCK_LOAD_VECTORIZE>;
  using Sort = cub::BlockRadixSort<float, kThreads, kItems, unsigned>;
  using Store = cub::BlockStore<float, kThreads, kItems, cub::BLOCK_STORE_TRANSPOSE>;
  __shared__ union {
    typename Load::TempStorage load;
    typename Sort::TempStorage sort;
    typename Store::TempStorage store;
  } shared;
  float key[kItems];
  unsigned value[kItems];
  const int tile = blockIdx.x * kTile;
  Load(shared.load).Load(keys + tile, key);
  LoadValues().Load(values + tile, value);
  __syncthreads();
  Sort(shared.sort).Sort(key, value);
  __syncthreads();
  Store(shared.store).Store(keys_out + tile, key);
  for (int i = 0; i < kItems; ++i) values_out[tile + threadIdx.x * kItems + i] = value[i];
}

struct Greater {
  __device__ bool operator()(long long a, long long b) const { return a > b; }
};
extern "C" __global__ void merge_sort(const long long* in, long long* out) {
  using Sort = cub::BlockMergeSort<long long, kThreads, kItems>;
  using WarpSort = cub::WarpMergeSort<long long, 2, 16>;
  __shared__ union {
    typename Sort::TempStorage sort;
    typename WarpSort::TempStorage warp[kThreads / 16];
  } shared;
  long long key[kItems];
  for (int i = 0; i < kItems; ++i) key[i] = in[threadIdx.x * kItems + i];
  Sort(shared.sort).Sort(key, Greater());
  for (int i = 0; i < kItems; ++i) out[threadIdx.x * kItems + i] = key[i];
  __syncthreads();
  // Then each half warp sorts 32 numbers again, as they came.
  long long pair[2];
  for (int i = 0; i < 2; ++i) pair[i] = in[threadIdx.x * 2 + i];
  WarpSort(shared.warp[threadIdx.x / 16]).Sort(pair, Greater());
  for (int i = 0; i < 2; ++i) out[kTile + threadIdx.x * 2 + i] = pair[i];
}

/// Sums and scans of integers: each algorithm's results one behind the other, `kThreads` numbers each.
extern "C" __global__ void scans(const int* in, int* out) {
  using Raking = cub::BlockScan<int, kThreads, cub::BLOCK_SCAN_RAKING>;
  using ByWarps = cub::BlockScan<int, kThreads, cub::BLOCK_SCAN_WARP_SCANS>;
  using Reduce = cub::BlockReduce<int, kThreads, cub::BLOCK_REDUCE_WARP_REDUCTIONS>;
  using ReduceRaking = cub::BlockReduce<int, kThreads, cub::BLOCK_REDUCE_RAKING>;
  using Warp = cub::WarpScan<int>;
  using Eight = cub::WarpReduce<int, 8>;
  __shared__ union {
    typename Raking::TempStorage raking;
    typename ByWarps::TempStorage warps;
    typename Reduce::TempStorage reduce;
    typename ReduceRaking::TempStorage reduce_raking;
    typename Warp::TempStorage warp[kThreads / 32];
    typename Eight::TempStorage eight[kThreads / 8];
  } shared;
  const int t = threadIdx.x, x = in[t];
  int r, total;
  Raking(shared.raking).InclusiveSum(x, r);
  out[t] = r;
  __syncthreads();
  ByWarps(shared.warps)
      .ExclusiveScan(
          x, r, -1000000, [](int a, int b) { return a > b ? a : b; }, total);
  out[kThreads + t] = r;
  __syncthreads();
  total = Reduce(shared.reduce).Sum(x);
  if (t == 0) out[2 * kThreads] = total;
  __syncthreads();
  total = ReduceRaking(shared.reduce_raking).Reduce(x, [](int a, int b) { return a < b ? a : b; });
  if (t == 0) out[2 * kThreads + 1] = total;
  __syncthreads();
  Warp(shared.warp[t / 32]).ExclusiveSum(x, r, total);
  out[3 * kThreads + t] = r;
  out[4 * kThreads + t] = total;
  __syncthreads();
  r = Eight(shared.eight[t / 8]).Sum(x);
  if (t % 8 == 0) out[5 * kThreads + t / 8] = r;
}

/// Sums of doubles by the two orders that CUB has; segmented sums of a warp.
extern "C" __global__ void sums_double(const double* in, double* out) {
  using Reduce = cub::BlockReduce<double, kThreads, cub::BLOCK_REDUCE_RAKING_COMMUTATIVE_ONLY>;
  using Warp = cub::WarpReduce<double>;
  __shared__ union {
    typename Reduce::TempStorage reduce;
    typename Warp::TempStorage warp[kThreads / 32];
  } shared;
  const int t = threadIdx.x;
  const double total = Reduce(shared.reduce).Sum(in[t]);
  if (t == 0) out[0] = total;
  __syncthreads();
  const double segment = Warp(shared.warp[t / 32]).HeadSegmentedSum(in[t], t % 32 == 0 || t % 32 == 11);
  if (t % 32 == 0 || t % 32 == 11) out[1 + t / 32 * 2 + (t % 32 == 11)] = segment;
}

extern "C" __global__ void histogram(const unsigned char* in, unsigned* counts, int* striped) {
  using Sorted = cub::BlockHistogram<unsigned char, kThreads, kItems, 256, cub::BLOCK_HISTO_SORT>;
  using Atomic = cub::BlockHistogram<unsigned char, kThreads, kItems, 256, cub::BLOCK_HISTO_ATOMIC>;
  using Exchange = cub::BlockExchange<int, kThreads, kItems, true>;
  __shared__ union {
    typename Sorted::TempStorage sorted;
    typename Atomic::TempStorage atomic;
    typename Exchange::TempStorage exchange;
  } shared;
  __shared__ unsigned bins[256];
  unsigned char item[kItems], copy[kItems];
  int number[kItems];
  for (int i = 0; i < kItems; ++i) {
    copy[i] = item[i] = in[threadIdx.x * kItems + i];
    number[i] = threadIdx.x * kItems + i;
  }
  Sorted(shared.sorted).Histogram(item, bins);
  __syncthreads();
  for (int i = threadIdx.x; i < 256; i += kThreads) counts[i] = bins[i];
  __syncthreads();
  Atomic(shared.atomic).Histogram(copy, bins);
  __syncthreads();
  for (int i = threadIdx.x; i < 256; i += kThreads) counts[256 + i] = bins[i];
  Exchange(shared.exchange).BlockedToStriped(number);
  for (int i = 0; i < kItems; ++i) striped[threadIdx.x * kItems + i] = number[i];
}
