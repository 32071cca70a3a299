// Validation of a ModelShape; see model_shape.h.
#include "engine/model_shape.h"

#include <string>

#include "engine/error.h"

namespace toolgrad {
namespace {

constexpr int64_t kLargest = int64_t{1} << 24;  // of one dimension: products of two stay far from overflow

void check_range(const char* field, int64_t value, int64_t min, int64_t max) {
  if (value >= min && value <= max) return;
  throw Error("ERR_MODEL_SHAPE", std::string("Expected ") + field + " from " + std::to_string(min) + " to " +
                                     std::to_string(max) + " but found " + std::to_string(value));
}

}  // namespace

void check_shape(const ModelShape& s) {
  check_range("vocab_size", s.V, 1, kLargest);
  check_range("hidden_size", s.C, 1, kLargest);
  check_range("num_hidden_layers", s.L, 1, 4096);
  check_range("num_attention_heads", s.H, 1, 65536);
  check_range("num_key_value_heads", s.G, 1, s.H);
  check_range("head_dim", s.D, 2, 1024);
  check_range("intermediate_size", s.F, 1, kLargest);
  check_range("max_position_embeddings", s.max_positions, 1, kLargest);
  if (s.H % s.G != 0)
    throw Error("ERR_MODEL_SHAPE", "Expected num_attention_heads to be a multiple of num_key_value_heads but found " +
                                       std::to_string(s.H) + " and " + std::to_string(s.G));
  if (s.D % 2 != 0)
    throw Error("ERR_MODEL_SHAPE", "Expected an even head_dim (RoPE rotates pairs) but found " + std::to_string(s.D));
  check_range("num_attention_heads * head_dim", s.q_width(), 1, kLargest);
  if (!(s.norm_eps > 0 && s.norm_eps < 1))
    throw Error("ERR_MODEL_SHAPE",
                "Expected rms_norm_eps between 0 and 1 but found " + std::to_string(static_cast<double>(s.norm_eps)));
  if (!(s.rope_theta > 1))
    throw Error("ERR_MODEL_SHAPE", "Expected rope_theta above 1 but found " + std::to_string(s.rope_theta));
  if (s.rope.kind != RopeScaling::Kind::kNone && !(s.rope.factor >= 1))
    throw Error("ERR_MODEL_SHAPE", "Expected a RoPE factor of 1 or more but found " + std::to_string(s.rope.factor));
  if (s.rope.kind == RopeScaling::Kind::kLlama3 &&
      !(s.rope.low_freq_factor > 0 && s.rope.high_freq_factor > s.rope.low_freq_factor &&
        s.rope.original_max_positions > 0))
    throw Error("ERR_MODEL_SHAPE",
                "Expected llama3 RoPE scaling with 0 < low_freq_factor < high_freq_factor and a positive "
                "original_max_position_embeddings but found " +
                    std::to_string(s.rope.low_freq_factor) + ", " + std::to_string(s.rope.high_freq_factor) + " and " +
                    std::to_string(s.rope.original_max_positions));
}

}  // namespace toolgrad
