// Bytes of small weight files, valid or damaged on purpose, and random damage to them.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "check.h"

namespace toolgrad::test {

using Bytes = std::vector<uint8_t>;

inline Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
inline Bytes& operator+=(Bytes& a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

template <typename T>
Bytes number_bytes(T value) {
  Bytes bytes(sizeof value);
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}
inline Bytes u32_bytes(uint32_t value) {
  return number_bytes(value);
}
inline Bytes u64_bytes(uint64_t value) {
  return number_bytes(value);
}
inline Bytes string_bytes(std::string_view text) {
  return u64_bytes(text.size()) + Bytes(text.begin(), text.end());
}

/// Length, header and `data_bytes` counting bytes.
inline Bytes safetensors_bytes(const std::string& header, uint64_t data_bytes) {
  Bytes bytes = u64_bytes(header.size()) + Bytes(header.begin(), header.end());
  for (uint64_t i = 0; i < data_bytes; ++i) bytes.push_back(static_cast<uint8_t>(i));
  return bytes;
}

/// A GGUF metadata pair; `value` is its encoded value.
inline Bytes pair_bytes(std::string_view key, uint32_t type, const Bytes& value) {
  return string_bytes(key) + u32_bytes(type) + value;
}

struct GgufTensor {
  std::string name;
  std::vector<uint64_t> dims;  // innermost first
  uint32_t type;
  uint64_t offset;
};

struct GgufSpec {
  uint32_t version = 3;
  uint64_t tensor_count = 0, pair_count = 0;
  int64_t alignment = -1;  // negative: no such pair
  Bytes pairs;
  std::vector<GgufTensor> tensors;
  Bytes data;
};

inline Bytes gguf_bytes(const GgufSpec& spec) {
  Bytes bytes = Bytes{'G', 'G', 'U', 'F'} + u32_bytes(spec.version) + u64_bytes(spec.tensor_count);
  bytes += u64_bytes(spec.pair_count + (spec.alignment >= 0 ? 1 : 0)) + spec.pairs;
  if (spec.alignment >= 0)
    bytes += pair_bytes("general.alignment", 4, u32_bytes(static_cast<uint32_t>(spec.alignment)));
  for (const GgufTensor& tensor : spec.tensors) {
    bytes += string_bytes(tensor.name) + u32_bytes(static_cast<uint32_t>(tensor.dims.size()));
    for (const uint64_t dimension : tensor.dims) bytes += u64_bytes(dimension);
    bytes += u32_bytes(tensor.type) + u64_bytes(tensor.offset);
  }
  const size_t alignment = spec.alignment > 0 ? static_cast<size_t>(spec.alignment) : 32;
  bytes.resize((bytes.size() + alignment - 1) / alignment * alignment);
  return bytes + spec.data;
}

/// Three tensors (F32 [2, 4], Q8_0 [2, 32], Q4_1 [32]), every kind of metadata value, alignment 32 stated.
inline GgufSpec small_gguf() {
  GgufSpec spec;
  const auto add = [&](std::string_view key, uint32_t type, const Bytes& value) {
    spec.pairs += pair_bytes(key, type, value);
    ++spec.pair_count;
  };
  add("general.architecture", 8, string_bytes("test"));
  add("n.u8", 0, {200});
  add("n.i16", 3, number_bytes<int16_t>(-3));
  add("n.f32", 6, number_bytes(0.5f));
  add("n.bool", 7, {1});
  add("n.u64", 10, u64_bytes(UINT64_MAX));
  add("n.f64", 12, number_bytes(0.25));
  add("n.strings", 9, u32_bytes(8) + u64_bytes(2) + string_bytes("a") + string_bytes(""));
  add("n.ints", 9, u32_bytes(5) + u64_bytes(3) + u32_bytes(1) + u32_bytes(2) + u32_bytes(3));
  spec.alignment = 32;
  spec.tensors = {{"plain", {4, 2}, 0, 0}, {"blocks", {32, 2}, 8, 32}, {"last", {32}, 3, 128}};
  spec.tensor_count = spec.tensors.size();
  for (int i = 0; i < 128 + 20; ++i) spec.data.push_back(static_cast<uint8_t>(i * 7));
  return spec;
}

/// One random edit: a bit, a byte, a run of equal bytes, an 8-byte extreme, a cut, a removed or a doubled span.
inline void mutate(Bytes* bytes, Random* random) {
  static constexpr uint64_t kExtremes[] = {0,
                                           1,
                                           0x7f,
                                           0xff,
                                           0xffff,
                                           0x7fffffff,
                                           0xffffffff,
                                           uint64_t{1} << 40,
                                           uint64_t{1} << 62,
                                           uint64_t{1} << 63,
                                           UINT64_MAX - 7,
                                           UINT64_MAX};
  if (bytes->empty()) return;
  const size_t at = random->next() % bytes->size();
  const size_t length = std::min<size_t>(1 + random->next() % 12, bytes->size() - at);
  const auto begin = bytes->begin() + static_cast<std::ptrdiff_t>(at);
  const auto end = begin + static_cast<std::ptrdiff_t>(length);
  switch (random->next() % 7) {
    case 0:
      *begin ^= static_cast<uint8_t>(1u << random->next() % 8);
      return;
    case 1:
      *begin = static_cast<uint8_t>(random->next());
      return;
    case 2:
      std::fill(begin, end, static_cast<uint8_t>(random->next()));
      return;
    case 3: {
      const uint64_t value = kExtremes[random->next() % std::size(kExtremes)];
      std::memcpy(&*begin, &value, std::min(sizeof value, bytes->size() - at));
      return;
    }
    case 4:
      bytes->resize(at);
      return;
    case 5:
      bytes->erase(begin, end);
      return;
    default: {
      const Bytes span(begin, end);
      bytes->insert(begin, span.begin(), span.end());
    }
  }
}

}  // namespace toolgrad::test
