// Speed of the matrix products and the loss head, per shape: median ms, GFLOP/s, share of the FMA peak measured in the
// same run; for few rows also GB/s of weights read and the share of the DRAM read rate measured in the same run.
//
//   cmake -S . -B build-bench -DTOOLGRAD_TESTS=OFF -DTOOLGRAD_BENCH=ON && cmake --build build-bench -j2
//   build-bench/gemm_bench [threads: 2] [isa: best] [part: all | stream | square | decode | forward | input | weight | head | sample]
//                          [clock: wall | cpu]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "clock.h"
#include "cpu/cpu.h"
#include "engine/arena.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

using namespace toolgrad;
using bench::cpu_clock, bench::now_seconds;

namespace {

struct Timing {
  double median, best;
};

// Seconds of f over runs that together take about a third of a second (at least 5).
template <class F>
Timing time_runs(F&& f) {
  f();
  std::vector<double> seconds;
  const double deadline = now_seconds() + 0.3;
  while (seconds.size() < 5 || (now_seconds() < deadline && seconds.size() < 3000)) {
    const double start = now_seconds();
    f();
    seconds.push_back(now_seconds() - start);
  }
  std::sort(seconds.begin(), seconds.end());
  return {seconds[seconds.size() / 2], seconds[0]};
}

constexpr int kFmaRounds = 200000, kChains = 12;

#if defined(__x86_64__)
__attribute__((target("avx512f"))) float fma_loop_avx512(float seed) {
  __m512 a[kChains];
  for (int i = 0; i < kChains; ++i) a[i] = _mm512_set1_ps(seed + static_cast<float>(i));
  const __m512 x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(1e-3f);
  for (int round = 0; round < kFmaRounds; ++round)
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) a[i] = _mm512_fmadd_ps(a[i], x, y);
  float sum = 0;
  for (int i = 0; i < kChains; ++i) sum += _mm512_cvtss_f32(a[i]);
  return sum;
}
__attribute__((target("avx2,fma"))) float fma_loop_avx2(float seed) {
  __m256 a[kChains];
  for (int i = 0; i < kChains; ++i) a[i] = _mm256_set1_ps(seed + static_cast<float>(i));
  const __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(1e-3f);
  for (int round = 0; round < kFmaRounds; ++round)
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) a[i] = _mm256_fmadd_ps(a[i], x, y);
  float sum = 0;
  for (int i = 0; i < kChains; ++i) sum += _mm256_cvtss_f32(a[i]);
  return sum;
}
#endif

float multiply_add_loop(float seed) {
  typedef float Four __attribute__((vector_size(16)));
  Four a[kChains];
  for (int i = 0; i < kChains; ++i) a[i] = Four{seed, seed, seed, seed} + static_cast<float>(i);
  for (int round = 0; round < kFmaRounds; ++round)
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) a[i] = a[i] * 0.999f + 1e-3f;
  float sum = 0;
  for (int i = 0; i < kChains; ++i) sum += a[i][0];
  return sum;
}

volatile float sink;

// GFLOP/s of independent multiply-adds in registers on every thread of the pool.
double peak_gflops(Isa isa, ThreadPool& pool) {
  int lanes = 4;
  float (*loop)(float) = multiply_add_loop;
#if defined(__x86_64__)
  if (isa >= Isa::kAvx512) loop = fma_loop_avx512, lanes = 16;
  if (isa == Isa::kAvx2) loop = fma_loop_avx2, lanes = 8;
#endif
  const Timing time = time_runs([&] {
    pool.parallel_for(pool.threads(), [&](int64_t, int worker) { sink = loop(static_cast<float>(worker)); });
  });
  return 2.0 * kFmaRounds * kChains * lanes * pool.threads() / time.best * 1e-9;
}

// GB/s of reading memory far larger than the caches.
double read_gbytes(ThreadPool& pool) {
  std::vector<uint64_t> memory(size_t{48} << 20, 1);  // 384 MiB
  const int64_t parts = 64, each = static_cast<int64_t>(memory.size()) / parts;
  const Timing time = time_runs([&] {
    pool.parallel_for(parts, [&](int64_t part, int) {
      const uint64_t* p = memory.data() + part * each;
      uint64_t sums[8] = {};
      for (int64_t i = 0; i < each; i += 8)
        for (int lane = 0; lane < 8; ++lane) sums[lane] += p[i + lane];
      sink = static_cast<float>(sums[0] + sums[1] + sums[2] + sums[3] + sums[4] + sums[5] + sums[6] + sums[7]);
    });
  });
  return static_cast<double>(memory.size() * 8) / time.best * 1e-9;
}

std::vector<float> numbers(int64_t n) {
  std::vector<float> values(static_cast<size_t>(n));
  uint32_t state = 1;
  for (float& value : values) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(static_cast<int32_t>(state)) * 0x1p-31f;
  }
  return values;
}

struct Weights {
  Buffer bytes;  // as the engine takes them: in huge pages
  PackedMatrix matrix;
  Weights(Ops& ops, int64_t rows, int64_t cols, DType dtype)
      : bytes(static_cast<size_t>(packed_elements(rows, cols)) * dtype_size(dtype), "weights"),
        matrix{bytes.as<void>(), dtype, rows, cols} {
    ops.pack(numbers(rows * cols).data(), matrix);
  }
};

struct Bench {
  ThreadPool& pool;
  Ops& ops;
  Isa isa;
  double peak, dram;

  void print(const char* what, int64_t T, int64_t N, int64_t K, DType dtype, double flops, Timing time,
             double calls = 1) const {
    const double seconds = time.median / calls, best = time.best / calls;
    std::printf(
        "%-10s T=%-5ld N=%-6ld K=%-5ld %-8s %9.3f ms (best %9.3f) %7.1f GFLOP/s %5.1f %% (best %5.1f %%) of peak", what,
        static_cast<long>(T), static_cast<long>(N), static_cast<long>(K), dtype_name(dtype), seconds * 1e3, best * 1e3,
        flops / seconds * 1e-9, 100 * flops / seconds * 1e-9 / peak, 100 * flops / best * 1e-9 / peak);
    if (T <= 8) {
      const double bytes = static_cast<double>(N * K) * static_cast<double>(dtype_size(dtype));
      std::printf(" %6.1f GB/s of weights, %5.1f %% of DRAM", bytes / seconds * 1e-9,
                  100 * bytes / seconds * 1e-9 / dram);
    }
    std::printf("\n");
    std::fflush(stdout);
  }

  // Weights are cycled through `copies` matrices so that small ones do not sit in cache between calls.
  void forward(int64_t T, int64_t N, int64_t K, DType dtype, const char* what = "forward", int64_t copies = 1) {
    std::vector<std::unique_ptr<Weights>> w;
    for (int64_t i = 0; i < copies; ++i) w.push_back(std::make_unique<Weights>(ops, N, K, dtype));
    const std::vector<float> x = numbers(T * K);
    std::vector<float> y(static_cast<size_t>(T * N));
    const Timing time = time_runs([&] {
      for (const auto& weights : w) ops.linear_forward({x.data(), weights->matrix, nullptr, nullptr, y.data(), T});
    });
    print(what, T, N, K, dtype, 2.0 * static_cast<double>(T * N * K), time, static_cast<double>(copies));
  }

  void input(int64_t T, int64_t N, int64_t K, DType dtype) {
    const Weights w(ops, N, K, dtype);
    const std::vector<float> dy = numbers(T * N);
    std::vector<float> dx(static_cast<size_t>(T * K));
    const Timing time = time_runs([&] { ops.linear_backward_input({dy.data(), w.matrix, dx.data(), T, false}); });
    print("dx", T, N, K, dtype, 2.0 * static_cast<double>(T * N * K), time);
  }

  void weight(int64_t T, int64_t N, int64_t K, DType dtype) {
    const Weights dw(ops, N, K, DType::kF32);
    const std::vector<float> x = numbers(T * K), dy = numbers(T * N);
    const Timing time = time_runs([&] {
      ops.linear_backward_weight({x.data(), dy.data(), dw.matrix, nullptr, T, dtype});
    });
    print("dw", T, N, K, dtype, 2.0 * static_cast<double>(T * N * K), time);
  }

  void head(int64_t R, int64_t V, int64_t C, DType dtype) {
    const Weights w(ops, V, C, dtype), dw(ops, V, C, DType::kF32);
    const std::vector<float> hidden = numbers(R * C), slope = numbers(R);
    std::vector<int32_t> labels(static_cast<size_t>(R), 3);
    std::vector<float> logprob(labels.size()), entropy(labels.size()), lse(labels.size()), dhidden(hidden.size());
    const double flops = 2.0 * static_cast<double>(R * V * C);
    const Timing ahead = time_runs([&] {
      ops.head_forward({hidden.data(), w.matrix, labels.data(), 1.0f, logprob.data(), entropy.data(), lse.data(), R});
    });
    print("head", R, V, C, dtype, flops, ahead);
    const Timing back = time_runs([&] {
      ops.head_backward({hidden.data(), w.matrix, labels.data(), 1.0f, lse.data(), entropy.data(), slope.data(),
                         slope.data(), dhidden.data(), dw.matrix, R});
    });
    print("head grad", R, V, C, dtype, 3 * flops, back);
  }

  void sample(int64_t R, int64_t V, int32_t top_k, float top_p) {
    const std::vector<float> logits = numbers(R * V);
    const std::vector<float> temperature(static_cast<size_t>(R), 0.9f), p(temperature.size(), top_p),
        min_p(temperature.size(), 0.0f);
    const std::vector<int32_t> k(temperature.size(), top_k);
    const std::vector<SampleKey> keys(temperature.size());
    std::vector<int32_t> token(temperature.size());
    std::vector<float> logprob(temperature.size());
    const Timing time = time_runs([&] {
      ops.sample({logits.data(), temperature.data(), k.data(), p.data(), min_p.data(), keys.data(), token.data(),
                  logprob.data(), R, V});
    });
    std::printf("sample     R=%-5ld V=%-6ld top_k=%-3d top_p=%.2f      %9.3f ms %7.1f M logits/s\n",
                static_cast<long>(R), static_cast<long>(V), top_k, static_cast<double>(top_p), time.median * 1e3,
                static_cast<double>(R * V) / time.median * 1e-6);
  }
};

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 2;
  const Isa isa = argc > 2 && std::string(argv[2]) != "best" ? isa_from_name(argv[2]) : best_isa();
  const std::string part = argc > 3 ? argv[3] : "all";
  cpu_clock = argc > 4 && std::string(argv[4]) == "cpu";
  ThreadPool pool(threads);
  const std::unique_ptr<Ops> ops = make_cpu_ops(isa, pool);
  Bench b{pool, *ops, isa, peak_gflops(isa, pool), read_gbytes(pool)};
  std::printf("%s, %d threads, %s time: multiply-add peak %.1f GFLOP/s, DRAM read %.1f GB/s\n", ops->name(), threads,
              cpu_clock ? "CPU" : "wall", b.peak, b.dram);
  const auto wants = [&](const char* name) { return part == "all" || part == name; };
  const DType bf16 = DType::kBF16, f32 = DType::kF32;

  if (wants("stream")) {  // far more weights than the caches hold
    for (const int64_t T : {1, 8, 16, 32, 64}) {
      b.forward(T, 1536, 576, bf16, "stream", 100);
      b.forward(T, 4864, 896, bf16, "stream", 20);
    }
  }
  if (wants("square")) {  // rows a multiple of 4 KiB apart, and the layers of a training step
    b.forward(512, 2048, 2048, bf16);
    b.forward(2048, 2048, 2048, f32);
    b.forward(512, 576, 1536, bf16);
    b.forward(512, 1536, 576, bf16);
    b.input(512, 2048, 2048, bf16);
    b.input(512, 1536, 576, bf16);
    b.input(512, 576, 1536, bf16);
    b.input(512, 49152, 576, bf16);
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      b.weight(512, 2048, 2048, dtype);
      b.weight(512, 1536, 576, dtype);
      b.weight(512, 576, 1536, dtype);
      b.weight(512, 576, 576, dtype);
    }
    b.head(512, 49152, 576, bf16);
  }
  if (wants("decode")) {
    for (const DType dtype : {bf16, f32}) {
      for (const int64_t T : {1, 2, 4, 5, 8}) b.forward(T, 49152, 576, dtype, "decode");
      b.forward(1, 1536, 576, dtype, "decode", 40);
      b.forward(1, 576, 1536, dtype, "decode", 40);
      b.forward(1, 192, 192, dtype, "decode", 1);
      b.forward(1, 512, 192, dtype, "decode", 1);
    }
  }
  if (wants("forward")) {
    for (const int64_t T : {12, 16, 32, 64}) b.forward(T, 1536, 576, bf16);
    for (const int64_t T : {64, 256, 1024})
      for (const auto& [N, K] : {std::pair<int64_t, int64_t>{192, 192},
                                 {512, 192},
                                 {576, 576},
                                 {1536, 576},
                                 {576, 1536},
                                 {1024, 1024},
                                 {4096, 1536}})
        b.forward(T, N, K, bf16);
    b.forward(1024, 1536, 576, f32);
    b.forward(1024, 1024, 1024, f32);
  }
  if (wants("input"))
    for (const int64_t T : {64, 256, 1024})
      for (const auto& [N, K] : {std::pair<int64_t, int64_t>{192, 192},
                                 {512, 192},
                                 {576, 576},
                                 {1536, 576},
                                 {576, 1536},
                                 {1024, 1024},
                                 {4096, 1536}})
        b.input(T, N, K, bf16);
  if (wants("weight"))
    for (const int64_t T : {64, 256, 1024})
      for (const auto& [N, K] : {std::pair<int64_t, int64_t>{192, 192},
                                 {512, 192},
                                 {576, 576},
                                 {1536, 576},
                                 {576, 1536},
                                 {1024, 1024},
                                 {4096, 1536}})
        for (const DType dtype : {DType::kF32, DType::kBF16}) b.weight(T, N, K, dtype);
  if (wants("head")) {
    b.head(64, 2048, 192, bf16);
    b.head(1024, 2048, 192, bf16);
    b.head(256, 49152, 576, bf16);
    b.head(1024, 49152, 576, bf16);
  }
  if (wants("sample")) {
    b.sample(1, 49152, 0, 1.0f);
    b.sample(16, 49152, 0, 1.0f);
    b.sample(16, 2048, 0, 1.0f);
    b.sample(16, 49152, 50, 0.95f);
  }
  return 0;
}
