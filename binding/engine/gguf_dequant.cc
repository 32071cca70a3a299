// Decoders and the table of types; see gguf_dequant.h.
#include "engine/gguf_dequant.h"

#include <bit>
#include <cstring>

#include "engine/dtype.h"

namespace toolgrad {

namespace {

static_assert(std::endian::native == std::endian::little, "weight files are little-endian and copied as they are");

uint16_t load_u16(const uint8_t* bytes) {
  return static_cast<uint16_t>(bytes[0] | (bytes[1] << 8));
}

void decode_f32(const uint8_t* source, int64_t blocks, float* out) {
  std::memcpy(out, source, static_cast<size_t>(blocks) * sizeof(float));
}

void decode_f16(const uint8_t* source, int64_t blocks, float* out) {
  for (int64_t i = 0; i < blocks; ++i) out[i] = f16_to_f32(load_u16(source + 2 * i));
}

void decode_bf16(const uint8_t* source, int64_t blocks, float* out) {
  for (int64_t i = 0; i < blocks; ++i) out[i] = bf16_to_f32(load_u16(source + 2 * i));
}

// 32 elements: fp16 scale d, 32 signed bytes q. value = d * q
void decode_q8_0(const uint8_t* source, int64_t blocks, float* out) {
  for (int64_t b = 0; b < blocks; ++b, source += 34, out += 32) {
    const float d = f16_to_f32(load_u16(source));
    for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(static_cast<int8_t>(source[2 + i]));
  }
}

// 32 elements: fp16 scale d, 16 bytes of nibbles (low: elements 0..15, high: 16..31). value = d * (q - 8)
void decode_q4_0(const uint8_t* source, int64_t blocks, float* out) {
  for (int64_t b = 0; b < blocks; ++b, source += 18, out += 32) {
    const float d = f16_to_f32(load_u16(source));
    for (int i = 0; i < 16; ++i) {
      const int byte = source[2 + i];
      out[i] = d * static_cast<float>((byte & 15) - 8);
      out[i + 16] = d * static_cast<float>((byte >> 4) - 8);
    }
  }
}

// 32 elements: fp16 scale d, fp16 minimum m, nibbles as in Q4_0. value = d * q + m
void decode_q4_1(const uint8_t* source, int64_t blocks, float* out) {
  for (int64_t b = 0; b < blocks; ++b, source += 20, out += 32) {
    const float d = f16_to_f32(load_u16(source));
    const float m = f16_to_f32(load_u16(source + 2));
    for (int i = 0; i < 16; ++i) {
      const int byte = source[4 + i];
      out[i] = d * static_cast<float>(byte & 15) + m;
      out[i + 16] = d * static_cast<float>(byte >> 4) + m;
    }
  }
}

// 256 elements: low nibbles ql[128], high two bits qh[64], 16 signed scales, fp16 d. value = d * scale * (q - 32).
// Files called "Q4_0" or "Q4_1" often keep the output or embedding matrix in this type.
void decode_q6_k(const uint8_t* source, int64_t blocks, float* out) {
  for (int64_t b = 0; b < blocks; ++b, source += 210, out += 256) {
    const uint8_t* scales = source + 192;
    const float d = f16_to_f32(load_u16(source + 208));
    for (int i = 0; i < 256; ++i) {
      const int half = i / 128, quarter = i % 128 / 32,
                lane = i % 32;  // qh byte `lane` of a half holds two bits per quarter
      const int low = source[half * 64 + (quarter % 2) * 32 + lane] >> (quarter / 2 * 4) & 15;
      const int high = source[128 + half * 32 + lane] >> (quarter * 2) & 3;
      const float scale = d * static_cast<float>(static_cast<int8_t>(scales[i / 16]));
      out[i] = scale * static_cast<float>((low | high << 4) - 32);
    }
  }
}

constexpr BlockType kTypes[] = {
    {"F32", 0, 1, 4, true, decode_f32},
    {"F16", 1, 1, 2, true, decode_f16},
    {"Q4_0", 2, 32, 18, false, decode_q4_0},
    {"Q4_1", 3, 32, 20, false, decode_q4_1},
    {"Q5_0", 6, 32, 22, false, nullptr},
    {"Q5_1", 7, 32, 24, false, nullptr},
    {"Q8_0", 8, 32, 34, false, decode_q8_0},
    {"Q8_1", 9, 32, 36, false, nullptr},
    {"Q2_K", 10, 256, 84, false, nullptr},
    {"Q3_K", 11, 256, 110, false, nullptr},
    {"Q4_K", 12, 256, 144, false, nullptr},
    {"Q5_K", 13, 256, 176, false, nullptr},
    {"Q6_K", 14, 256, 210, false, decode_q6_k},
    {"Q8_K", 15, 256, 292, false, nullptr},
    {"IQ2_XXS", 16, 256, 66, false, nullptr},
    {"IQ2_XS", 17, 256, 74, false, nullptr},
    {"IQ3_XXS", 18, 256, 98, false, nullptr},
    {"IQ1_S", 19, 256, 50, false, nullptr},
    {"IQ4_NL", 20, 32, 18, false, nullptr},
    {"IQ3_S", 21, 256, 110, false, nullptr},
    {"IQ2_S", 22, 256, 82, false, nullptr},
    {"IQ4_XS", 23, 256, 136, false, nullptr},
    {"I8", 24, 1, 1, true, nullptr},
    {"I16", 25, 1, 2, true, nullptr},
    {"I32", 26, 1, 4, true, nullptr},
    {"I64", 27, 1, 8, true, nullptr},
    {"F64", 28, 1, 8, true, nullptr},
    {"IQ1_M", 29, 256, 56, false, nullptr},
    {"BF16", 30, 1, 2, true, decode_bf16},
    {"TQ1_0", 34, 256, 54, false, nullptr},
    {"TQ2_0", 35, 256, 66, false, nullptr},
    {"MXFP4", 39, 32, 17, false, nullptr},
    {"BOOL", -1, 1, 1, true, nullptr},
    {"U8", -1, 1, 1, true, nullptr},
    {"U16", -1, 1, 2, true, nullptr},
    {"U32", -1, 1, 4, true, nullptr},
    {"U64", -1, 1, 8, true, nullptr},
    {"F8_E4M3", -1, 1, 1, true, nullptr},
    {"F8_E5M2", -1, 1, 1, true, nullptr},
    {"F8_E8M0", -1, 1, 1, true, nullptr},
    {"C64", -1, 1, 8, true, nullptr},
};

}  // namespace

const BlockType* find_block_type(std::string_view name) {
  for (const BlockType& type : kTypes) {
    if (name == type.name) return &type;
  }
  return nullptr;
}

const BlockType* find_gguf_type(uint32_t id) {
  for (const BlockType& type : kTypes) {
    if (type.gguf_id >= 0 && static_cast<uint32_t>(type.gguf_id) == id) return &type;
  }
  return nullptr;
}

}  // namespace toolgrad
