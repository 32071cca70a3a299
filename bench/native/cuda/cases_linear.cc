// Cases of linear layers, LoRA and the loss head.
#include <cstdint>

#include "cases.h"
#include "ops/ops.h"

namespace toolgrad::bench {
namespace {

using cuda::Launcher;

std::string product(int64_t T, int64_t N, int64_t K) {
  return "T " + std::to_string(T) + ", N " + std::to_string(N) + ", K " + std::to_string(K);
}
double real(int64_t n) {
  return static_cast<double>(n);
}
PackedMatrix weights(Arena& arena, int64_t rows, int64_t cols) {
  return {arena.halves(packed_elements(rows, cols)), DType::kBF16, rows, cols};
}
PackedMatrix gradient(Arena& arena, int64_t rows, int64_t cols) {
  return {arena.zeros<float>(packed_elements(rows, cols)), DType::kF32, rows, cols};
}
PackedMatrix factor(Arena& arena, int64_t rows, int64_t cols) {
  return {arena.floats(packed_elements(rows, cols)), DType::kF32, rows, cols};
}

ProductRowsOut rounded(Arena& arena, int64_t T, int64_t width) {
  return {arena.halves(T * product_stride(DType::kBF16, width)), DType::kBF16};
}

void forward(Cases& cases, const std::string& phase, int64_t T, int64_t N, int64_t K) {
  const double bytes = 4 * real(T * K) + 2 * real(N * K) + 4 * real(T * N);
  cases.push_back({"linear forward",
                   phase,
                   product(T, N, K),
                   Work::kGemm,
                   2 * real(T) * real(N) * real(K),
                   bytes,
                   bytes + 4 * real(T * K),  // x as bf16, written and read
                   {},
                   [=](Launcher& gpu, Arena& arena) {
                     const LinearForward op{
                         arena.floats(T * K), weights(arena, N, K), nullptr, nullptr, arena.zeros<float>(T * N), T};
                     return [&gpu, op] { cuda::linear_forward(gpu, op); };
                   },
                   [=](cuda::CublasLtLinear& library, Arena& arena) {
                     const LinearForward op{
                         arena.floats(T * K), weights(arena, N, K), nullptr, nullptr, arena.zeros<float>(T * N), T};
                     return [&library, op] { return library.forward(op); };
                   }});
}
/// `keep`: gate and up are written for the backward pass.
void gated(Cases& cases, const std::string& phase, int64_t T, int64_t F, int64_t K, bool keep) {
  const double bytes = 2 * real(T * K) + 4 * real(F * K) + (keep ? 10 : 2) * real(T * F);
  cases.push_back({keep ? "gate, up, SwiGLU, kept" : "gate, up, SwiGLU",
                   phase,
                   product(T, F, K),
                   Work::kGemm,
                   4 * real(T) * real(F) * real(K),
                   bytes,
                   bytes,
                   {},
                   [=](Launcher& gpu, Arena& arena) {
                     const GatedForward op{
                         rounded(arena, T, K),      weights(arena, F, K),      weights(arena, F, K), nullptr, nullptr,
                         arena.zeros<float>(T * F), arena.zeros<float>(T * F), rounded(arena, T, F), T,       keep};
                     return [&gpu, op] { cuda::gated_forward(gpu, op); };
                   },
                   [=](cuda::CublasLtLinear& library, Arena& arena) {
                     const GatedForward op{
                         rounded(arena, T, K),      weights(arena, F, K),      weights(arena, F, K), nullptr, nullptr,
                         arena.zeros<float>(T * F), arena.zeros<float>(T * F), rounded(arena, T, F), T,       keep};
                     return [&library, op] { return library.gated(op); };
                   }});
}
void input(Cases& cases, const std::string& phase, int64_t T, int64_t N, int64_t K) {
  const double bytes = 4 * real(T * N) + 2 * real(N * K) + 4 * real(T * K);
  cases.push_back(
      {"linear dX",
       phase,
       product(T, N, K),
       Work::kGemm,
       2 * real(T) * real(N) * real(K),
       bytes,
       bytes + 4 * real(T * N),
       {},
       [=](Launcher& gpu, Arena& arena) {
         const LinearBackwardInput op{arena.floats(T * N), weights(arena, N, K), arena.zeros<float>(T * K), T, false};
         return [&gpu, op] { cuda::linear_backward_input(gpu, op); };
       },
       [=](cuda::CublasLtLinear& library, Arena& arena) {
         const LinearBackwardInput op{arena.floats(T * N), weights(arena, N, K), arena.zeros<float>(T * K), T, false};
         return [&library, op] { return library.backward_input(op); };
       }});
}
void weight(Cases& cases, const std::string& phase, int64_t T, int64_t N, int64_t K, bool bias) {
  const double bytes = 4 * real(T * K) + 4 * real(T * N) + 8 * real(N * K);
  cases.push_back(
      {bias ? "linear dW and db" : "linear dW",
       phase,
       product(T, N, K),
       Work::kGemm,
       2 * real(T) * real(N) * real(K),
       bytes,
       bytes + 4 * real(T * K) + (bias ? 8 : 4) * real(T * N),
       {},
       [=](Launcher& gpu, Arena& arena) {
         const LinearBackwardWeight op{
             arena.floats(T * K), arena.floats(T * N), gradient(arena, N, K), bias ? arena.zeros<float>(N) : nullptr, T,
             DType::kBF16};
         return [&gpu, op] { cuda::linear_backward_weight(gpu, op); };
       }});
}

void head(Cases& cases, const std::string& phase, int64_t R, int64_t V, int64_t C) {
  const auto labels = [=](Arena& arena) {
    std::vector<int32_t> values(static_cast<size_t>(R));
    for (int64_t r = 0; r < R; ++r) values[static_cast<size_t>(r)] = static_cast<int32_t>(r * 7919 % V);
    return arena.values(values);
  };
  const std::string size = product(R, V, C);
  const double flops = 2 * real(R) * real(V) * real(C), operands = 4 * real(R * C) + 2 * real(V * C);
  cases.push_back({"head forward",
                   phase,
                   size,
                   Work::kGemm,
                   flops,
                   operands + 16 * real(R),
                   operands + 4 * real(R * C) + 24 * real(R * ((V + 255) / 256)),
                   {},
                   [=](Launcher& gpu, Arena& arena) {
                     const HeadForward op{arena.floats(R * C),   weights(arena, V, C),  labels(arena),         1.0f,
                                          arena.zeros<float>(R), arena.zeros<float>(R), arena.zeros<float>(R), R};
                     return [&gpu, op] { cuda::head_forward(gpu, op); };
                   }});
  // dz passes through memory as bf16: written once, read by two products; dhidden is added to once a range.
  const double ranges = real((V + 8191) / 8192);
  cases.push_back({"head gradient",
                   phase,
                   size,
                   Work::kGemm,
                   3 * flops,
                   operands + 4 * real(R * C) + 8 * real(V * C) + 20 * real(R),
                   operands + 4 * real(R * C) + 8 * real(V * C) + 6 * real(R * V) + 2 * real(V * C) +
                       (8 * ranges - 4) * real(R * C),
                   {},
                   [=](Launcher& gpu, Arena& arena) {
                     const HeadBackward op{arena.floats(R * C),
                                           weights(arena, V, C),
                                           labels(arena),
                                           1.0f,
                                           arena.floats(R),
                                           arena.floats(R),
                                           arena.floats(R),
                                           arena.floats(R),
                                           arena.zeros<float>(R * C),
                                           gradient(arena, V, C),
                                           R};
                     return [&gpu, op] { cuda::head_backward(gpu, op); };
                   }});
}

void low_rank(Cases& cases, const std::string& phase, int64_t T, int64_t N, int64_t K, int64_t r) {
  const std::string size = product(T, N, K) + ", r " + std::to_string(r);
  const double x = 4 * real(T * K), y = 4 * real(T * N), h = 4 * real(T * r), a = 4 * real(r * (N + K));
  const double flops = 2 * real(T) * real(r) * real(N + K);
  cases.push_back({"LoRA forward",
                   phase,
                   size,
                   Work::kStream,
                   flops,
                   x + 2 * y + a,
                   x + 2 * y + a + 2 * h,
                   {},
                   [=](Launcher& gpu, Arena& arena) {
                     const LowRankForward op{
                         arena.floats(T * K), factor(arena, r, K), factor(arena, N, r), 0.5f, arena.floats(T * N), T};
                     return [&gpu, op] { cuda::low_rank_forward(gpu, op); };
                   }});
  cases.push_back({"LoRA gradient",
                   phase,
                   size,
                   Work::kStream,
                   2.5 * flops,
                   3 * x + y + 3 * a,
                   4 * x + 2 * y + 4 * a + 6 * h,
                   {},
                   [=](Launcher& gpu, Arena& arena) {
                     const LowRankBackward op{arena.floats(T * K),
                                              arena.floats(T * N),
                                              factor(arena, r, K),
                                              factor(arena, N, r),
                                              0.5f,
                                              gradient(arena, r, K),
                                              gradient(arena, N, r),
                                              arena.floats(T * K),
                                              T};
                     return [&gpu, op] { cuda::low_rank_backward(gpu, op); };
                   }});
}

// One output, in fp32: its value, then the gradients of its weights, its bias and its input.
void value_head(Cases& cases, const std::string& phase, int64_t T, int64_t K) {
  const double bytes = 4 * (real(T * K) + 2 * real(K) + 2 * real(T));
  cases.push_back({"value head",
                   phase,
                   product(T, 1, K),
                   Work::kStream,
                   2 * real(T * K),
                   bytes,
                   bytes,
                   {},
                   [=](Launcher& gpu, Arena& arena) {
                     const LinearForward op{
                         arena.floats(T * K), factor(arena, 1, K), arena.floats(1), nullptr, arena.zeros<float>(T), T};
                     return [&gpu, op] { cuda::linear_f32_forward(gpu, op); };
                   }});
  cases.push_back({"value head gradient",
                   phase,
                   product(T, 1, K),
                   Work::kStream,
                   4 * real(T * K),
                   2 * bytes,
                   2 * bytes + 8 * real(T),
                   {},
                   [=](Launcher& gpu, Arena& arena) {
                     const float *x = arena.floats(T * K), *dy = arena.floats(T);
                     const LinearBackwardWeight weight{x, dy,         gradient(arena, 1, K), arena.zeros<float>(1),
                                                       T, DType::kF32};
                     const LinearBackwardInput input{dy, factor(arena, 1, K), arena.zeros<float>(T * K), T, false};
                     return [&gpu, weight, input] {
                       cuda::linear_f32_backward_weight(gpu, weight);
                       cuda::linear_f32_backward_input(gpu, input);
                     };
                   }});
}

}  // namespace

void add_linear_cases(Cases& cases, const Model& m, const Phases& phases) {
  const int64_t prefill = phases.prefill.tokens(), train = phases.train.tokens();
  forward(cases, "prefill", prefill, m.H * m.D, m.C);
  gated(cases, "prefill", prefill, m.F, m.C, false);
  forward(cases, "prefill", prefill, m.C, m.F);
  for (const Batch& batch : {phases.decode_one, phases.decode_many}) {
    const std::string phase = "decode " + std::to_string(batch.S);
    gated(cases, phase, batch.S, m.F, m.C, false);
    forward(cases, phase, batch.S, m.C, m.F);
    forward(cases, phase, batch.S, m.V, m.C);
  }
  gated(cases, "training", train, m.F, m.C, true);
  input(cases, "training", train, m.F, m.C);
  weight(cases, "training", train, m.F, m.C, false);
  weight(cases, "training", train, m.G * m.D, m.C, true);
  head(cases, "training", train / 2, m.V, m.C);
  low_rank(cases, "training", train, m.F, m.C, 16);
  value_head(cases, "training", train, m.C);
}

void add_wide_cases(Cases& cases) {
  forward(cases, "wide tiles", 1408, 1280, 64);
  gated(cases, "wide tiles", 1408, 640, 64, true);
  input(cases, "wide tiles", 1408, 64, 1280);
  weight(cases, "wide tiles", 64, 1408, 1280, false);
  head(cases, "wide tiles", 1408, 1280, 64);
}

}  // namespace toolgrad::bench
