// Cases of everything that streams: rows, elements, optimizer, sampling, packing.
#include <cstdint>

#include "cases.h"
#include "ops/ops.h"

namespace toolgrad::bench {
namespace {

using cuda::Launcher;
using Prepare = std::function<std::function<void()>(Launcher&, Arena&)>;

double real(int64_t n) {
  return static_cast<double>(n);
}
std::string rows_text(int64_t T, int64_t C) {
  return "T " + std::to_string(T) + ", C " + std::to_string(C);
}

struct Rows {
  Cases& cases;
  const Model& m;

  void stream(const char* op, const std::string& phase, const std::string& size, double bytes, double moved,
              Prepare prepare) const {
    cases.push_back({op, phase, size, Work::kStream, 0, bytes, moved, {}, std::move(prepare)});
  }

  ProductRowsOut out(Arena& arena, int64_t T, int64_t width, DType dtype) const {
    if (dtype == DType::kF32) return arena.zeros<float>(T * width);
    return {arena.zeros<uint16_t>(T * product_stride(dtype, width)), dtype};
  }

  void norm(const std::string& phase, int64_t T, int64_t C, DType dtype) const {
    const double bytes = real(T * C) * static_cast<double>(4 + dtype_size(dtype));
    stream(dtype == DType::kF32 ? "RMSNorm" : "RMSNorm, rounded", phase, rows_text(T, C), bytes, bytes,
           [=, *this](Launcher& gpu, Arena& arena) {
             const RmsNormForward op{
                 arena.floats(T * C), arena.floats(C), out(arena, T, C, dtype), arena.zeros<float>(T), T, C, 1e-5f};
             return [&gpu, op] { cuda::rms_norm_forward(gpu, op); };
           });
  }
  void norm_gradient(const std::string& phase, int64_t T, int64_t C) const {
    const double one = 4 * real(T * C);
    stream("RMSNorm gradient", phase, rows_text(T, C), 4 * one, 6 * one, [=](Launcher& gpu, Arena& arena) {
      const RmsNormBackward op{arena.floats(T * C),
                               arena.floats(T * C),
                               arena.floats(C),
                               arena.floats(T),
                               arena.floats(T * C),
                               arena.zeros<float>(C),
                               T,
                               C,
                               true};
      return [&gpu, op] { cuda::rms_norm_backward(gpu, op); };
    });
  }
  void rope(const std::string& phase, int64_t T) const {
    const int64_t H = m.H, D = m.D;
    const double bytes = 8 * real(T * H * D);
    stream("RoPE", phase, rows_text(T, H * D), bytes, bytes, [=](Launcher& gpu, Arena& arena) {
      std::vector<int32_t> positions;
      for (int64_t t = 0; t < T; ++t) positions.push_back(static_cast<int32_t>(t % 512));
      const Rope op{arena.floats(T * H * D),
                    arena.floats(512 * D / 2),
                    arena.floats(512 * D / 2),
                    arena.values(positions),
                    T,
                    H,
                    D,
                    false};
      return [&gpu, op] { cuda::rope(gpu, op); };
    });
  }
  void swiglu(const std::string& phase, int64_t T, DType dtype) const {
    const int64_t F = m.F;
    const double bytes = real(T * F) * static_cast<double>(8 + dtype_size(dtype));
    stream(dtype == DType::kF32 ? "SwiGLU" : "SwiGLU, rounded", phase, rows_text(T, F), bytes, bytes,
           [=, *this](Launcher& gpu, Arena& arena) {
             const SwigluForward op{arena.floats(T * F), arena.floats(T * F), out(arena, T, F, dtype), T, F};
             return [&gpu, op] { cuda::swiglu_forward(gpu, op); };
           });
  }
  void swiglu_gradient(const std::string& phase, int64_t T) const {
    const int64_t F = m.F;
    const double bytes = 20 * real(T * F);
    stream("SwiGLU gradient", phase, rows_text(T, F), bytes, bytes, [=](Launcher& gpu, Arena& arena) {
      const SwigluBackward op{arena.floats(T * F),
                              arena.floats(T * F),
                              arena.floats(T * F),
                              arena.zeros<float>(T * F),
                              arena.zeros<float>(T * F),
                              T,
                              F};
      return [&gpu, op] { cuda::swiglu_backward(gpu, op); };
    });
  }

  std::vector<int32_t> ids(int64_t T) const {
    std::vector<int32_t> values;
    for (int64_t t = 0; t < T; ++t) values.push_back(static_cast<int32_t>(t * 7919 % m.V));
    return values;
  }
  void embedding(const std::string& phase, int64_t T) const {
    const int64_t C = m.C, V = m.V;
    stream("embedding", phase, rows_text(T, C), 6 * real(T * C), 6 * real(T * C),
           [=, tokens = ids(T)](Launcher& gpu, Arena& arena) {
             const EmbeddingForward op{arena.values(tokens),
                                       {arena.halves(packed_elements(V, C)), DType::kBF16, V, C},
                                       arena.zeros<float>(T * C),
                                       T};
             return [&gpu, op] { cuda::embedding_forward(gpu, op); };
           });
  }
  void embedding_gradient(const std::string& phase, int64_t T) const {
    const int64_t C = m.C, V = m.V;
    stream("embedding gradient", phase, rows_text(T, C), 12 * real(T * C), 12 * real(T * C),
           [=, tokens = ids(T)](Launcher& gpu, Arena& arena) {
             const EmbeddingBackward op{arena.values(tokens),
                                        arena.floats(T * C),
                                        {arena.zeros<float>(packed_elements(V, C)), DType::kF32, V, C},
                                        T};
             return [&gpu, op] { cuda::embedding_backward(gpu, op); };
           });
  }
  void moves(const std::string& phase, int64_t T) const {
    const int64_t C = m.C, R = T / 2;
    std::vector<int32_t> rows;
    for (int64_t r = 0; r < R; ++r) rows.push_back(static_cast<int32_t>(2 * r));
    stream("gather rows", phase, rows_text(R, C), 8 * real(R * C), 8 * real(R * C), [=](Launcher& gpu, Arena& arena) {
      const GatherRows op{arena.floats(T * C), arena.values(rows), arena.zeros<float>(R * C), R, C};
      return [&gpu, op] { cuda::gather_rows(gpu, op); };
    });
    stream("scatter rows", phase, rows_text(T, C), 4 * real(R * C) + 4 * real(T * C), 8 * real(R * C) + 4 * real(T * C),
           [=](Launcher& gpu, Arena& arena) {
             const ScatterRows op{arena.floats(R * C), arena.values(rows), arena.zeros<float>(T * C), R, T, C};
             return [&gpu, op] { cuda::scatter_rows(gpu, op); };
           });
    stream("add", phase, rows_text(T, C), 12 * real(T * C), 12 * real(T * C), [=](Launcher& gpu, Arena& arena) {
      float *to = arena.zeros<float>(T * C), *x = arena.floats(T * C);
      return [=, &gpu] { cuda::add(gpu, to, x, T * C); };
    });
  }

  // One matrix of the feed-forward network: masters, moments and gradient in fp32, a bf16 copy.
  void optimizer(const std::string& phase) const {
    const int64_t n = packed_elements(m.F, m.C);
    const std::string size = "n " + std::to_string(n);
    const auto step = [n](Arena& arena, bool master) {
      return AdamW{master ? arena.floats(n) : nullptr,
                   arena.zeros<float>(n),
                   arena.zeros<float>(n),
                   arena.floats(n),
                   arena.halves(n),
                   DType::kBF16,
                   false,
                   n,
                   1e-4,
                   0.9,
                   0.999,
                   1e-8,
                   0.01,
                   1.0f,
                   1};
    };
    stream("AdamW", phase, size, 30 * real(n), 30 * real(n),
           [=](Launcher& gpu, Arena& arena) { return [&gpu, op = step(arena, true)] { cuda::adamw(gpu, op); }; });
    stream("AdamW, bf16 only", phase, size, 24 * real(n), 24 * real(n), [=](Launcher& gpu, Arena& arena) {
      return [&gpu, op = step(arena, false)] { cuda::adamw_without_master(gpu, op, 1); };
    });
    // The two kernels of each op without its wait for the answer.
    const int64_t blocks = cuda::ceil_div(n, cuda::kReducePerBlock);
    stream("sum of squares", phase, size, 4 * real(n), 4 * real(n), [=](Launcher& gpu, Arena& arena) {
      const float* x = arena.floats(n);
      double *sums = arena.zeros<double>(blocks), *total = arena.zeros<double>(1);
      return [=, &gpu] {
        gpu.launch(cuda::kernels::sum_squares_blocks, {blocks}, {x, sums, n});
        gpu.launch(cuda::kernels::sum_squares_total, {1}, {sums, total, blocks});
      };
    });
    stream("all finite", phase, size, 4 * real(n), 4 * real(n), [=](Launcher& gpu, Arena& arena) {
      const float* x = arena.floats(n);
      int32_t* found = arena.zeros<int32_t>(1);
      return [=, &gpu] { gpu.launch(cuda::kernels::find_not_finite, {blocks}, {x, found, n}); };
    });
  }
  void packing(const std::string& phase) const {
    const int64_t F = m.F, C = m.C;
    const double bytes = 6 * real(F * C);
    stream("pack", phase, rows_text(F, C), bytes, bytes, [=](Launcher& gpu, Arena& arena) {
      const float* from = arena.floats(F * C);
      const PackedMatrix to{arena.zeros<uint16_t>(packed_elements(F, C)), DType::kBF16, F, C};
      return [=, &gpu] { cuda::pack(gpu, from, to); };
    });
    stream("unpack", phase, rows_text(F, C), bytes, bytes, [=](Launcher& gpu, Arena& arena) {
      const PackedMatrix from{arena.halves(packed_elements(F, C)), DType::kBF16, F, C};
      float* to = arena.zeros<float>(F * C);
      return [=, &gpu] { cuda::unpack(gpu, from, to); };
    });
  }

  // Reads the logits twice at least: for the log-prob of the whole row, then for the filters.
  void sample(const std::string& phase, int64_t R) const {
    const int64_t V = m.V;
    const std::string size = "R " + std::to_string(R) + ", V " + std::to_string(V) + ", top-k 50, top-p 0.95";
    stream("sampling", phase, size, 4 * real(R * V), 8 * real(R * V), [=](Launcher& gpu, Arena& arena) {
      const auto every = [&](auto value) {
        return arena.values(std::vector<decltype(value)>(static_cast<size_t>(R), value));
      };
      const Sample op{arena.floats(R * V),
                      every(0.9f),
                      every(int32_t{50}),
                      every(0.95f),
                      every(0.0f),
                      every(SampleKey{}),
                      arena.zeros<int32_t>(R),
                      arena.zeros<float>(R),
                      R,
                      V};
      return [&gpu, op] { cuda::sample_without_check(gpu, op); };
    });
  }
};

}  // namespace

void add_row_cases(Cases& cases, const Model& model, const Phases& phases) {
  const Rows rows{cases, model};
  const int64_t prefill = phases.prefill.tokens(), train = phases.train.tokens();
  rows.embedding("prefill", prefill);
  rows.norm("prefill", prefill, model.C, DType::kBF16);
  rows.norm("prefill", prefill * model.H, model.D, DType::kF32);  // QK-norm of models that have it
  rows.rope("prefill", prefill);
  for (const Batch& batch : {phases.decode_one, phases.decode_many}) {
    const std::string phase = "decode " + std::to_string(batch.S);
    rows.norm(phase, batch.S, model.C, DType::kBF16);
    rows.rope(phase, batch.S);
    rows.sample(phase, batch.S);
  }
  rows.swiglu("training", train, DType::kBF16);  // made again for the gradient
  rows.swiglu("training, adapter", train, DType::kF32);
  rows.norm("loss head", train / 2, model.C, DType::kF32);
  rows.norm_gradient("training", train, model.C);
  rows.norm_gradient("training", train * model.H, model.D);
  rows.swiglu_gradient("training", train);
  rows.embedding_gradient("training", train);
  rows.moves("training", train);
  rows.optimizer("training");
  rows.packing("loading");
}

}  // namespace toolgrad::bench
