// Storage types of tensor elements: how many bytes they take and, for those that can be weights, how to widen them to
// fp32.
//
// A type is a block of `block_elements` consecutive elements of a row in `block_bytes` bytes; plain types have blocks
// of one. Formats follow ggml's block layouts (ggml-common.h) and the values are those of the `gguf` Python package bit
// for bit: fp16 scale times integer is exact in fp32 for every type decoded here, so the order of multiplication does
// not matter. Sources need no alignment.
#pragma once

#include <cstdint>
#include <string_view>

namespace toolgrad {

struct BlockType {
  const char* name;
  int32_t gguf_id;  // -1: a safetensors type that GGUF does not have
  int64_t block_elements;
  int64_t block_bytes;
  bool safetensors;                                                   // also the name of a safetensors dtype
  void (*decode)(const uint8_t* source, int64_t blocks, float* out);  // null: listed for its size only
};

/// By the name in a file ("F32", "Q4_0"); null when unknown.
const BlockType* find_block_type(std::string_view name);
/// By the number in a GGUF file; null when unknown.
const BlockType* find_gguf_type(uint32_t id);

}  // namespace toolgrad
