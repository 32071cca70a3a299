// CUB over a whole grid: the agents of its scan (decoupled look-back: blocks wait for the status words of earlier ones)
// and of its radix sort (histograms, then one sweep a digit). Expected by foreign_test.cc.
#include <cub/agent/agent_radix_sort_histogram.cuh>
#include <cub/agent/agent_radix_sort_onesweep.cuh>
#include <cub/agent/agent_scan.cuh>
#include <cub/agent/single_pass_scan_operators.cuh>
#include <cub/device/dispatch/tuning/tuning_scan.cuh>

using ScanPolicy = cub::AgentScanPolicy<128, 4, int, cub::BLOCK_LOAD_WARP_TRANSPOSE, cub::LOAD_DEFAULT,
                                        cub::BLOCK_STORE_WARP_TRANSPOSE, cub::BLOCK_SCAN_WARP_SCANS>;
struct WideSum {
  long long low, high;  // more than one word of a status: partial sums lie beside it
};
struct AddWide {
  __device__ WideSum operator()(const WideSum& a, const WideSum& b) const { return {a.low + b.low, a.high ^ b.high}; }
};
using WidePolicy =
    cub::AgentScanPolicy<128, 2, WideSum, cub::BLOCK_LOAD_DIRECT, cub::LOAD_DEFAULT, cub::BLOCK_STORE_DIRECT,
                         cub::BLOCK_SCAN_RAKING, cub::detail::MemBoundScaling<128, 8, WideSum>>;

template <class T>
__device__ cub::ScanTileState<T> tile_state(int tiles, void* memory) {
  cub::ScanTileState<T> state;
  size_t bytes = 0;
  cub::ScanTileState<T>::AllocationSize(tiles, bytes);
  state.Init(tiles, memory, bytes);
  return state;
}

extern "C" __global__ void scan_begin(void* memory, int tiles) {
  tile_state<int>(tiles, memory).InitializeStatus(tiles);
}
extern "C" __global__ void __launch_bounds__(128) scan_tiles(const int* in, int* out, void* memory, int n, int tiles) {
  using Agent = cub::detail::scan::AgentScan<ScanPolicy, const int*, int*, cuda::std::plus<>, int, int, int>;
  __shared__ typename Agent::TempStorage shared;
  auto state = tile_state<int>(tiles, memory);
  Agent(shared, in, out, cuda::std::plus<>(), 100).ConsumeRange(n, state, 0);
}

extern "C" __global__ void scan_wide_begin(void* memory, int tiles) {
  tile_state<WideSum>(tiles, memory).InitializeStatus(tiles);
}
extern "C" __global__ void __launch_bounds__(128)
    scan_wide_tiles(const WideSum* in, WideSum* out, void* memory, int n, int tiles) {
  using Agent = cub::detail::scan::AgentScan<WidePolicy, const WideSum*, WideSum*, AddWide, WideSum, int, WideSum>;
  __shared__ typename Agent::TempStorage shared;
  auto state = tile_state<WideSum>(tiles, memory);
  Agent(shared, in, out, AddWide(), WideSum{0, 0}).ConsumeRange(n, state, 0);
}

using HistogramPolicy = cub::AgentRadixSortHistogramPolicy<128, 8, 1, unsigned, 8>;
using SweepPolicy = cub::AgentRadixSortOnesweepPolicy<128, 8, unsigned, 1, cub::RADIX_RANK_MATCH_EARLY_COUNTS_ANY,
                                                      cub::BLOCK_SCAN_WARP_SCANS, cub::RADIX_SORT_STORE_DIRECT, 8>;

/// Four histograms of 256 bins, one for each byte; then their exclusive sums.
extern "C" __global__ void __launch_bounds__(128) sort_count(const unsigned* keys, unsigned* bins, unsigned n) {
  using Agent = cub::detail::radix_sort::AgentRadixSortHistogram<HistogramPolicy, false, unsigned, unsigned>;
  __shared__ typename Agent::TempStorage shared;
  Agent(shared, bins, keys, n, 0, 32).Process();
}
extern "C" __global__ void __launch_bounds__(256) sort_offsets(unsigned* bins) {
  using Scan = cub::BlockScan<unsigned, 256>;
  __shared__ typename Scan::TempStorage shared;
  unsigned x = bins[blockIdx.x * 256 + threadIdx.x];
  Scan(shared).ExclusiveSum(x, x);
  bins[blockIdx.x * 256 + threadIdx.x] = x;
}
extern "C" __global__ void __launch_bounds__(128)
    sort_sweep(int* lookback, int* counter, unsigned* bins, const unsigned* keys, unsigned* keys_out,
               const unsigned* values, unsigned* values_out, int n, int bit) {
  using Agent = cub::detail::radix_sort::AgentRadixSortOnesweep<SweepPolicy, false, unsigned, unsigned, unsigned, int>;
  __shared__ typename Agent::TempStorage shared;
  Agent(shared, lookback, counter, nullptr, bins, keys_out, keys, values_out, values, n, bit, 8).Process();
}
