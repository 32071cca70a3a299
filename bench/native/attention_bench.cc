// Speed of attention and of the memory-bound kernels on this machine: best and median of many runs, per instruction
// set.
//
// Usage: attention_bench [threads] [isa] [part: all | attention | rows] [clock: wall | cpu]. FLOPs of attention count the causal half only (4 D per query-key pair
// forward, 10 D backward); bytes of the element-wise ops count each array once per read or write.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "clock.h"
#include "cpu/cpu.h"
#include "engine/arena.h"
#include "engine/error.h"

using namespace toolgrad;
using bench::cpu_clock, bench::now_seconds;

namespace {

using Floats = std::vector<float>;

Floats numbers(int64_t n) {
  Floats values(static_cast<size_t>(n));
  uint32_t state = 12345;
  for (float& value : values) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(static_cast<int32_t>(state)) * 0x1p-31f;
  }
  return values;
}

// Prints `work / time` in 1e9 per second for the fastest and the median run.
void measure(const char* name, double work, const char* unit, const std::function<void()>& f) {
  std::vector<double> seconds;
  f();
  for (double total = 0; total < 0.4 || seconds.size() < 7;) {
    const double start = now_seconds();
    f();
    seconds.push_back(now_seconds() - start);
    total += seconds.back();
  }
  std::sort(seconds.begin(), seconds.end());
  std::printf("%-58s %9.1f us  best %7.2f  median %7.2f %s\n", name, seconds[0] * 1e6, work / seconds[0] * 1e-9,
              work / seconds[seconds.size() / 2] * 1e-9, unit);
}

// S sequences whose last `queries` of `length` tokens attend.
struct Attention {
  int64_t S, length, queries, H, G, D;
  DType dtype;
  Buffer half_keys, half_values;  // as the engine takes them: in huge pages
  Floats keys, values, q, k, v, out, lse, dq, dk, dv;
  std::vector<int32_t> q_start{0}, kv_len, page_start, page_table;

  Attention(int64_t sequences, int64_t tokens, int64_t last, int64_t heads, int64_t groups, int64_t size, DType type)
      : S(sequences), length(tokens), queries(last), H(heads), G(groups), D(size), dtype(type) {
    const int64_t pages = (length + kKvPageSize - 1) / kKvPageSize, T = S * queries;
    const int64_t elements = S * pages * kKvPageSize * G * D;
    for (int64_t s = 0; s < S; ++s) {
      q_start.push_back(static_cast<int32_t>((s + 1) * queries));
      kv_len.push_back(static_cast<int32_t>(length));
      page_start.push_back(static_cast<int32_t>(s * pages));
      for (int64_t p = 0; p < pages; ++p) page_table.push_back(static_cast<int32_t>(s * pages + p));
    }
    keys = numbers(elements);
    values = numbers(elements);
    for (Buffer* half : {&half_keys, &half_values}) {
      *half = Buffer(static_cast<size_t>(elements) * 2, "keys and values");
      for (int64_t i = 0; i < elements; ++i) half->as<uint16_t>()[i] = f32_to_bf16(keys[static_cast<size_t>(i)]);
    }
    q = numbers(T * H * D);
    k = numbers(T * G * D);
    v = k;
    out = dq = q;
    dk = dv = k;
    lse.assign(static_cast<size_t>(T * H), 0);
  }
  KvPages pages() {
    const bool half = dtype == DType::kBF16;
    return {half ? half_keys.as<void>() : keys.data(),
            half ? half_values.as<void>() : values.data(),
            dtype,
            kKvPageSize * G * D,
            G,
            D};
  }
  SequenceMap map() const {
    return sequence_map(q_start.data(), kv_len.data(), page_start.data(), page_table.data(), S);
  }
  double pairs() const {
    return static_cast<double>(S * H) * static_cast<double>(queries) *
           (static_cast<double>(length) - 0.5 * static_cast<double>(queries - 1));
  }
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(D)); }
  void forward(Ops& ops) { ops.attention_forward({q.data(), pages(), map(), out.data(), lse.data(), H, scale()}); }
  void backward(Ops& ops) {
    ops.attention_backward(
        {q.data(), q.data(), out.data(), lse.data(), pages(), map(), dq.data(), dk.data(), dv.data(), H, scale()});
  }
};

std::string describe(const char* what, const Attention& a) {
  return std::string(what) + " S=" + std::to_string(a.S) + " keys=" + std::to_string(a.length) +
         " queries=" + std::to_string(a.queries) + " H=" + std::to_string(a.H) + "/" + std::to_string(a.G) +
         " D=" + std::to_string(a.D) + " " + dtype_name(a.dtype);
}

void attention(Ops& ops) {
  struct Size {
    int64_t S, length, H, G, D;
  };
  for (const Size& size : {Size{1, 512, 9, 3, 64}, Size{1, 2048, 9, 3, 64}, Size{4, 256, 4, 2, 64},
                           Size{2, 512, 14, 2, 64}, Size{8, 100, 4, 2, 32}, Size{1, 512, 8, 2, 128}}) {
    Attention a(size.S, size.length, size.length, size.H, size.G, size.D, DType::kBF16);
    const double flops = a.pairs() * static_cast<double>(a.D);
    measure(describe("forward ", a).c_str(), 4 * flops, "GFLOP/s", [&] { a.forward(ops); });
    measure(describe("backward", a).c_str(), 10 * flops, "GFLOP/s", [&] { a.backward(ops); });
  }
  for (const Size& size : {Size{1, 4096, 9, 3, 64}, Size{16, 512, 9, 3, 64}, Size{16, 512, 4, 2, 64},
                           Size{8, 2048, 14, 2, 64}, Size{32, 512, 9, 3, 64}, Size{128, 512, 9, 3, 64}}) {
    Attention a(size.S, size.length, 1, size.H, size.G, size.D, DType::kBF16);
    const double bytes = 4.0 * static_cast<double>(a.S * a.length * a.G * a.D);
    measure(describe("decode  ", a).c_str(), bytes, "GB/s of K and V", [&] { a.forward(ops); });
  }
  Attention a(8, 64, 64, 9, 3, 64, DType::kBF16);
  measure(describe("kv_write", a).c_str(), 2 * 6.0 * static_cast<double>(a.S * a.queries * a.G * a.D), "GB/s", [&] {
    ops.kv_write({a.k.data(), a.v.data(), a.pages(), a.map()});
  });
}

void elementwise(Ops& ops) {
  const int64_t T = 2048, C = 576, F = 1536, n = 16 << 20;
  Floats x = numbers(T * F), y = x, z = x, dx = x, dz = x, w = numbers(F), dw = w, rstd(static_cast<size_t>(T), 1.0f);
  const double rows = 4.0 * static_cast<double>(T * C), wide = 4.0 * static_cast<double>(T * F);
  measure("rms_norm forward  T=2048 C=576", 2 * rows, "GB/s", [&] {
    ops.rms_norm_forward({x.data(), w.data(), y.data(), rstd.data(), T, C, 1e-5f});
  });
  measure("rms_norm backward T=2048 C=576 (accumulate)", 4 * rows, "GB/s", [&] {
    ops.rms_norm_backward({y.data(), x.data(), w.data(), rstd.data(), dx.data(), dw.data(), T, C, true});
  });
  measure("swiglu forward    T=2048 F=1536", 3 * wide, "GB/s", [&] {
    ops.swiglu_forward({x.data(), y.data(), z.data(), T, F});
  });
  measure("swiglu backward   T=2048 F=1536", 5 * wide, "GB/s", [&] {
    ops.swiglu_backward({z.data(), x.data(), y.data(), dx.data(), dz.data(), T, F});
  });
  std::vector<int32_t> positions, ids;
  for (int64_t t = 0; t < T; ++t) {
    positions.push_back(static_cast<int32_t>(t));
    ids.push_back(static_cast<int32_t>(t * 7919 % 49152));
  }
  const Floats cos = numbers(T * 32), sin = numbers(T * 32);
  measure("rope              T=2048 heads=9 D=64", 2 * rows, "GB/s", [&] {
    ops.rope({x.data(), cos.data(), sin.data(), positions.data(), T, 9, 64, false});
  });
  Floats table = numbers(49152 * C);
  std::vector<uint16_t> half(table.size());
  measure("embedding forward T=2048 C=576 V=49152 bf16", 1.5 * rows, "GB/s", [&] {
    ops.embedding_forward({ids.data(), {half.data(), DType::kBF16, 49152, C}, y.data(), T});
  });
  measure("embedding backward T=2048 C=576 V=49152", 3 * rows, "GB/s", [&] {
    ops.embedding_backward({ids.data(), x.data(), {table.data(), DType::kF32, 49152, C}, T});
  });
  Floats master = numbers(n), m = numbers(n), v(static_cast<size_t>(n), 1.0f), grad = numbers(n);
  half.resize(static_cast<size_t>(n));
  AdamW adam{master.data(), m.data(), v.data(), grad.data(), half.data(), DType::kBF16, false, n,
             1e-6,          0.9,      0.95,     1e-8,        0.1,         1.0f,         3};
  measure("adamw             n=16M, bf16 weights", 30.0 * static_cast<double>(n), "GB/s", [&] { ops.adamw(adam); });
  double sum = 0;
  measure("sum_of_squares    n=16M", 4.0 * static_cast<double>(n), "GB/s",
          [&] { sum += ops.sum_of_squares(grad.data(), n); });
  bool finite = std::isfinite(sum);
  measure("all_finite        n=16M", 4.0 * static_cast<double>(n), "GB/s",
          [&] { finite = finite && ops.all_finite(grad.data(), n); });
  if (!finite) std::printf("unexpected: the benchmark's numbers are not finite\n");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const int threads = argc > 1 ? std::atoi(argv[1]) : 2;
    const Isa isa = argc > 2 && std::string(argv[2]) != "best" ? isa_from_name(argv[2]) : best_isa();
    const std::string part = argc > 3 ? argv[3] : "all";
    cpu_clock = argc > 4 && std::string(argv[4]) == "cpu";
    ThreadPool pool(threads);
    const std::unique_ptr<Ops> ops = make_cpu_ops(isa, pool);
    std::printf("%s, %d threads\n", ops->name(), threads);
    if (part != "rows") attention(*ops);
    if (part != "attention") elementwise(*ops);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s: %s\n", error.code().c_str(), error.what());
    return 1;
  }
  return 0;
}
