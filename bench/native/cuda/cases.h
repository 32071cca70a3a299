// What is timed on a GPU, and counted on the simulated one: every op at the shapes of a model in one phase of its work.
//
// `flops` and `bytes` are what the mathematics needs: each operand read once, each result written once, in the types of the
// op contract. `moved` adds what the design moves beside that (casts to bf16, scratch between kernels).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "arena.h"
#include "cublaslt_linear.h"
#include "launcher.h"

namespace toolgrad::bench {

/// Widths of a model: hidden, feed-forward, query heads, key/value heads, head size, vocabulary.
struct Model {
  std::string name;
  int64_t C = 0, F = 0, H = 0, G = 0, D = 0, V = 0;
};
/// S sequences with `queries` new tokens each, at `keys` tokens in all.
struct Batch {
  int64_t S = 1, queries = 1, keys = 1;
  int64_t tokens() const { return S * queries; }
};
enum class Work { kGemm, kAttention, kAttentionBackward, kDecode, kStream };

struct Case {
  std::string op, phase, size;
  Work work = Work::kStream;
  double flops = 0, bytes = 0, moved = 0;
  Batch batch;
  /// Makes the arrays; what it returns queues the op once.
  std::function<std::function<void()>(cuda::Launcher&, Arena&)> prepare;
  /// The same product by cublasLt, where it takes it; false when it does not.
  std::function<std::function<bool()>(cuda::CublasLtLinear&, Arena&)> by_cublaslt{};
};

struct Phases {
  Batch prefill, decode_one, decode_many, train;
};

using Cases = std::vector<Case>;
void add_linear_cases(Cases& cases, const Model& model, const Phases& phases);
/// Short products with a wide tile for every multiprocessor.
void add_wide_cases(Cases& cases);
void add_attention_cases(Cases& cases, const Model& model, const Phases& phases);
void add_row_cases(Cases& cases, const Model& model, const Phases& phases);
void add_loss_cases(Cases& cases, const Phases& phases);
/// All of them. `tiny` is for the simulated device: small batches, and some products large enough for the wide tiles.
Cases all_cases(const Model& model, bool tiny);

}  // namespace toolgrad::bench
