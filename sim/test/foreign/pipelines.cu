// Asynchronous copies and barriers of libcu++: cuda::pipeline, cuda::barrier, __pipeline_*, cuda::atomic. Expected by
// foreign_test.cc.
#include <cooperative_groups.h>
#include <cuda_pipeline.h>

#include <cuda/atomic>
#include <cuda/barrier>
#include <cuda/pipeline>
#include <cuda/std/array>
#include <cuda/std/complex>

namespace cg = cooperative_groups;

/// Two stages through shared memory, one thread's own pipeline: out = 3 in, n a multiple of 128.
extern "C" __global__ void thread_pipeline(const float* in, float* out, int n) {
  __shared__ float stage[2][128];
  const int t = threadIdx.x, steps = n / 128;
  __pipeline_memcpy_async(&stage[0][t], in + t, sizeof(float));
  __pipeline_commit();
  for (int step = 0; step < steps; ++step) {
    if (step + 1 < steps) __pipeline_memcpy_async(&stage[(step + 1) & 1][t], in + (step + 1) * 128 + t, sizeof(float));
    __pipeline_commit();
    __pipeline_wait_prior(1);
    out[step * 128 + t] = 3 * stage[step & 1][t];
  }
}

/// The same with a pipeline of the whole block.
extern "C" __global__ void block_pipeline(const int4* in, int4* out, int n) {
  __shared__ int4 stage[2][128];
  using State = cuda::pipeline_shared_state<cuda::thread_scope_block, 2>;
  __shared__ alignas(State) unsigned char storage[sizeof(State)];
  const auto block = cg::this_thread_block();
  auto pipeline = cuda::make_pipeline(block, reinterpret_cast<State*>(storage));
  const int t = threadIdx.x, steps = n / 128;
  const auto fetch = [&](int step) {
    pipeline.producer_acquire();
    cuda::memcpy_async(block, stage[step & 1], in + step * 128, cuda::aligned_size_t<16>(sizeof stage[0]), pipeline);
    pipeline.producer_commit();
  };
  fetch(0);
  for (int step = 0; step < steps; ++step) {
    if (step + 1 < steps) fetch(step + 1);
    pipeline.consumer_wait();
    int4 v = stage[step & 1][127 - t];
    v.x += v.y, v.z ^= v.w;
    out[step * 128 + t] = v;
    pipeline.consumer_release();
  }
}

/// Producers and consumers: the first 64 threads write, the others read, in turns, through two cuda::barriers.
extern "C" __global__ void producer_consumer(const int* in, int* out, int n) {
  using Barrier = cuda::barrier<cuda::thread_scope_block>;
  __shared__ alignas(Barrier) unsigned char storage[2 * sizeof(Barrier)];
  Barrier* barriers = reinterpret_cast<Barrier*>(storage);
  __shared__ int slot[64];
  if (threadIdx.x == 0) {
    init(&barriers[0], 128);
    init(&barriers[1], 128);
  }
  __syncthreads();
  Barrier &full = barriers[0], &empty = barriers[1];
  const int t = threadIdx.x % 64;
  if (threadIdx.x >= 64) static_cast<void>(empty.arrive());
  for (int step = 0; step < n / 64; ++step) {
    if (threadIdx.x < 64) {
      empty.arrive_and_wait();
      slot[t] = in[step * 64 + t] + 1;
      static_cast<void>(full.arrive());
    } else {
      full.arrive_and_wait();
      out[step * 64 + t] = slot[63 - t];
      static_cast<void>(empty.arrive());
    }
  }
}

/// A copy that arrives at a barrier by itself, and a wait by parity.
extern "C" __global__ void copy_to_barrier(const int* in, int* out) {
  using Barrier = cuda::barrier<cuda::thread_scope_block>;
  __shared__ alignas(Barrier) unsigned char storage[sizeof(Barrier)];
  Barrier& barrier = *reinterpret_cast<Barrier*>(storage);
  __shared__ alignas(16) int buffer[512];
  if (threadIdx.x == 0) init(&barrier, blockDim.x);
  __syncthreads();
  for (int round = 0; round < 3; ++round) {
    // Of 4 bytes: larger aligned copies are bulk copies from sm_90 on, which the simulator does not have.
    for (int i = 0; i < 4; ++i) {
      const int at = i * 128 + threadIdx.x;
      cuda::memcpy_async(buffer + at, in + 512 * round + at, sizeof(int), barrier);
    }
    static_cast<void>(barrier.arrive());
    barrier.wait_parity(round & 1);
    for (int i = 0; i < 4; ++i) out[512 * round + 4 * threadIdx.x + i] = buffer[511 - 4 * threadIdx.x - i];
    __syncthreads();
  }
}

/// Every block adds its share; the last one to arrive writes the sum. Scoped atomics, no fence by hand.
extern "C" __global__ void last_block(const int* in, long long* parts, unsigned* arrived, long long* out, int n) {
  if (threadIdx.x != 0) return;
  long long sum = 0;
  for (int i = blockIdx.x; i < n; i += gridDim.x) sum += in[i];
  parts[blockIdx.x] = sum;
  cuda::atomic_ref<unsigned, cuda::thread_scope_device> count(*arrived);
  if (count.fetch_add(1, cuda::std::memory_order_acq_rel) != gridDim.x - 1) return;
  long long total = 0;
  for (unsigned i = 0; i < gridDim.x; ++i) total += parts[i];
  *out = total;
}

struct Pair {
  int first, second;
};
/// Atomics of every size and order; a lock-free maximum by compare-exchange.
extern "C" __global__ void atomics(unsigned long long* words, float* most, double* sum, Pair* pairs, short* small) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  cuda::atomic_ref<unsigned long long, cuda::thread_scope_system> wide(words[0]);
  wide.fetch_or(1ull << (i % 64), cuda::std::memory_order_seq_cst);
  cuda::atomic_ref<float, cuda::thread_scope_device> top(*most);
  top.fetch_max(static_cast<float>((i * 37) % 101), cuda::std::memory_order_relaxed);
  atomicAdd(sum, 0.5);
  cuda::atomic_ref<Pair, cuda::thread_scope_device> pair(pairs[0]);
  Pair old = pair.load();
  while (!pair.compare_exchange_weak(old, Pair{old.first + 1, old.second + i})) {
  }
  atomicInc(reinterpret_cast<unsigned*>(words + 1), 6);
  atomicMin(reinterpret_cast<long long*>(words + 2), static_cast<long long>(5 - i));
  atomicExch_block(reinterpret_cast<unsigned*>(words + 3), 77u);
  cuda::atomic_ref<short, cuda::thread_scope_device> narrow(*small);
  narrow.fetch_add(1);
}

extern "C" __global__ void complex_numbers(const float2* in, float2* out) {
  const cuda::std::complex<float> z(in[threadIdx.x].x, in[threadIdx.x].y);
  const cuda::std::complex<float> r = z * z / (z + cuda::std::complex<float>(1, 2));
  out[threadIdx.x] = {r.real(), r.imag()};
}
