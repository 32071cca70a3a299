// GGUF names and layout in terms of Hugging Face's (reading the file itself: weight_file.h).
//
// GGUF calls tensors "blk.0.attn_q.weight" where HF says "model.layers.0.self_attn.q_proj.weight", and for the
// architecture `llama` it stores the rows of q and k so that RoPE pairs are neighbours. Source: llama.cpp's converter;
// qwen2 and qwen3 are not permuted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace toolgrad {

/// "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight"; nothing for a name without HF counterpart
/// (such as "rope_freqs.weight", which holds RoPE factors and is no parameter).
std::optional<std::string> gguf_hf_name(std::string_view gguf_name);

/// Whether architecture `arch` ("llama", "qwen2", "qwen3") stores the rows of this tensor interleaved.
bool gguf_rows_interleaved(std::string_view arch, std::string_view hf_name);

/// The row of the file that holds HF row `row` of an interleaved tensor with heads of `head_dim` rows:
/// HF row h*hd + j*hd/2 + i is file row h*hd + 2*i + j.
constexpr int64_t gguf_interleaved_row(int64_t row, int64_t head_dim) {
  const int64_t within = row % head_dim, half = head_dim / 2;
  return row - within + 2 * (within % half) + within / half;
}

}  // namespace toolgrad
