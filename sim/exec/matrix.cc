// mma.sync, ldmatrix, stmatrix. Fragments are laid out as the PTX manual says (g = lane / 4, t = lane % 4): a register of
// A holds row g, columns 2t and 2t + 1 of an 8 x 8 block, so the 32 lanes of a slot are that block in row-major order.
//
// The sum of an element starts with C and adds the products in ascending k, each with one rounding to single precision
// (to half precision at the end where D is f16). The hardware adds groups of products at once:
// Options::tensor, tensor_sums.h.
#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#endif

#include "exec/access.h"
#include "exec/floats.h"
#include "exec/form.h"
#include "exec/lanes.h"
#include "exec/place.h"
#include "exec/tensor_sums.h"

namespace sim {
namespace {

using ptx::Type;

inline float widen(uint32_t half, Element element) {
  return element == Element::kBrain ? float_of(half << 16) : from_half(static_cast<uint16_t>(half));
}

/// Registers to a row-major matrix of `rows` x `k`; a register holds an 8-row block of 8 (or, for tf32, 4) columns, and
/// registers go down the rows first.
template <Element E>
void unpack(Warp& w, const uint32_t* slots, int row_blocks, int k, float* out) {
  constexpr int kColumns = E == Element::kTf32 ? 4 : 8;
  for (int block = 0; block < row_blocks * (k / kColumns); ++block) {
    const uint32_t* v = w.word(slots[block]);
    float* to = out + (block % row_blocks) * 8 * k + block / row_blocks * kColumns;
    for (int g = 0; g < 8; ++g) {
      for (int t = 0; t < 4; ++t) {
        const uint32_t word = v[4 * g + t];
        if constexpr (E == Element::kTf32) {
          to[g * k + t] = float_of(word & 0xffffe000u);
        } else {
          to[g * k + 2 * t] = widen(word & 0xffffu, E);
          to[g * k + 2 * t + 1] = widen(word >> 16, E);
        }
      }
    }
  }
}

/// d[16][8] += a[16][k] * b[n][k], ascending k.
template <int K>
void multiply(const float* a, const float* b, float* d) {
  alignas(32) float columns[K][8];
  for (int k = 0; k < K; ++k) {
    for (int n = 0; n < 8; ++n) columns[k][n] = b[n * K + k];
  }
#if defined(__AVX2__) && defined(__FMA__)
  __m256 sum[16];
  for (int g = 0; g < 16; ++g) sum[g] = _mm256_load_ps(d + 8 * g);
  for (int k = 0; k < K; ++k) {
    const __m256 row = _mm256_load_ps(columns[k]);
    for (int g = 0; g < 16; ++g) sum[g] = _mm256_fmadd_ps(_mm256_broadcast_ss(a + g * K + k), row, sum[g]);
  }
  for (int g = 0; g < 16; ++g) _mm256_store_ps(d + 8 * g, sum[g]);
#else
  for (int g = 0; g < 16; ++g) {
    for (int k = 0; k < K; ++k) {
      for (int n = 0; n < 8; ++n) d[8 * g + n] = __builtin_fmaf(a[g * K + k], columns[k][n], d[8 * g + n]);
    }
  }
#endif
}

template <int K, Element E, bool HalfSum>
void mma(Warp& w, const Instr& in, uint32_t mask) {
  if (mask != kFull) raise(w, in, -1, 719, "mma needs all 32 lanes of a warp");
  ++w.cta->worker->counters.mma;
  constexpr int kColumns = E == Element::kTf32 ? 4 : 8, kSums = HalfSum ? 2 : 4;
  const uint32_t* d_slots = w.cta->run->kernel->slots.data() + in.more;
  const uint32_t *a_slots = d_slots + kSums, *b_slots = a_slots + 2 * (K / kColumns), *c_slots = b_slots + K / kColumns;
  alignas(64) float a[16 * K], b[8 * K], d[16 * 8];
  unpack<E>(w, a_slots, 2, K, a);
  unpack<E>(w, b_slots, 1, K, b);
  for (int half = 0; half < 2; ++half) {
    if constexpr (HalfSum) {
      const uint32_t* c = w.word(c_slots[half]);
      for (int l = 0; l < kLanes; ++l) {
        d[half * 64 + 2 * l] = from_half(static_cast<uint16_t>(c[l]));
        d[half * 64 + 2 * l + 1] = from_half(static_cast<uint16_t>(c[l] >> 16));
      }
    } else {
      const float* even = reinterpret_cast<const float*>(w.arena + c_slots[2 * half]);
      const float* odd = reinterpret_cast<const float*>(w.arena + c_slots[2 * half + 1]);
      for (int l = 0; l < kLanes; ++l) d[half * 64 + 2 * l] = even[l], d[half * 64 + 2 * l + 1] = odd[l];
    }
  }
  const TensorSums how = w.cta->run->options.tensor;
  if (how.group == 0) {
    multiply<K>(a, b, d);
  } else {
    for (int i = 0; i < 128; ++i) d[i] = tensor_sum(a + i / 8 * K, b + i % 8 * K, K, d[i], E, HalfSum, how);
  }
  for (int half = 0; half < 2; ++half) {
    if constexpr (HalfSum) {
      uint32_t* to = w.word(d_slots[half]);
      for (int l = 0; l < kLanes; ++l) {
        to[l] = to_half(d[half * 64 + 2 * l]) | static_cast<uint32_t>(to_half(d[half * 64 + 2 * l + 1])) << 16;
      }
    } else {
      float* even = reinterpret_cast<float*>(w.arena + d_slots[2 * half]);
      float* odd = reinterpret_cast<float*>(w.arena + d_slots[2 * half + 1]);
      for (int l = 0; l < kLanes; ++l) {
        even[l] = canonical(d[half * 64 + 2 * l]), odd[l] = canonical(d[half * 64 + 2 * l + 1]);
      }
    }
  }
}

void fragment(Form& f, size_t index, size_t count, bool result) {
  const ptx::Operand& vector = f.operand(index);
  const bool single = count == 1 && vector.kind == ptx::Operand::kRegister;
  if (!single && (vector.kind != ptx::Operand::kVector || vector.parts.size() != count)) {
    f.unknown("operand " + std::to_string(index + 1) + " is no vector of " + std::to_string(count));
  }
  for (size_t i = 0; i < count; ++i) {
    const ptx::Operand& part = single ? vector : vector.parts[i];
    // .b32 and .f32 registers hold the same bits; immediates (zeros of C) are 0f….
    f.more(result ? f.to(part, Type::kB32) : f.in(part, part.kind == ptx::Operand::kFloat32 ? Type::kF32 : Type::kB32));
  }
}

void mma_form(Form& f) {
  if (!f.take("sync") || !f.take("aligned")) f.unknown("form");
  if (mma_of_other_types(f)) return;
  const int shape = f.take_any({"m16n8k16", "m16n8k8", "m16n8k4"});
  if (shape < 0 || !f.take("row") || !f.take("col")) f.unknown("shape or layout");
  const Type d = f.take_type(), a = f.take_type(), b = f.take_type(), c = f.take_type();
  f.expect_count(4, 4);
  if (a != b || c != d) f.unknown("types");
  const bool half_sum = d == Type::kF16;
  if (d != Type::kF32 && !half_sum) f.unknown("type of D");
  const int k = 16 >> shape;
  Handler handler = nullptr;
  if (a == Type::kBF16 && !half_sum && k >= 8)
    handler = k == 16 ? &mma<16, Element::kBrain, false> : &mma<8, Element::kBrain, false>;
  if (a == Type::kF16 && k >= 8) {
    handler = half_sum ? (k == 16 ? &mma<16, Element::kHalf, true> : &mma<8, Element::kHalf, true>)
                       : (k == 16 ? &mma<16, Element::kHalf, false> : &mma<8, Element::kHalf, false>);
  }
  if (a == Type::kTF32 && !half_sum && k <= 8)
    handler = k == 8 ? &mma<8, Element::kTf32, false> : &mma<4, Element::kTf32, false>;
  if (handler == nullptr) f.unknown("types and shape");
  const size_t columns = a == Type::kTF32 ? 4 : 8, blocks = static_cast<size_t>(k) / columns, sums = half_sum ? 2 : 4;
  fragment(f, 0, sums, true);
  fragment(f, 1, 2 * blocks, false);
  fragment(f, 2, blocks, false);
  fragment(f, 3, sums, false);
  f.out.control = Control::kCollective;
  f.out.op[3] = f.constant(kFull);
  f.out.run = handler;
}

/// more: the registers, one for each 8 x 8 matrix; lanes 8 i to 8 i + 7 give the addresses of the rows of matrix i.
template <bool Store>
void matrices(Warp& w, const Instr& in, uint32_t mask) {
  if (mask != kFull) raise(w, in, -1, 719, "ldmatrix and stmatrix need all 32 lanes of a warp");
  const uint32_t count = in.more_count;
  const uint32_t* slots = w.cta->run->kernel->slots.data() + in.more;
  const uint32_t rows = count == 4 ? kFull : (1u << (8 * count)) - 1;
  const bool transposed = in.size != 0;
  alignas(64) uint64_t addresses[kLanes];
  addresses_of(w, in, rows, addresses);
  Access access;
  resolve(w, in, rows, addresses, 16, Store ? Use::kWrite : Use::kRead, access);
  if (access.mask != rows) raise(w, in, -1, 717, "rows in different state spaces");
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t* words = w.word(slots[i]);
    if (!transposed) {
      for (uint32_t row = 0; row < 8; ++row) {
        std::byte* at = access.data + access.offset[8 * i + row];
        if (Store) {
          std::memcpy(at, words + 4 * row, 16);
        } else {
          std::memcpy(words + 4 * row, at, 16);
        }
      }
      continue;
    }
    uint16_t matrix[8][8];
    if (Store) {
      for (int l = 0; l < kLanes; ++l) {
        matrix[2 * (l % 4)][l / 4] = static_cast<uint16_t>(words[l]);
        matrix[2 * (l % 4) + 1][l / 4] = static_cast<uint16_t>(words[l] >> 16);
      }
      for (uint32_t row = 0; row < 8; ++row) std::memcpy(access.data + access.offset[8 * i + row], matrix[row], 16);
    } else {
      for (uint32_t row = 0; row < 8; ++row) std::memcpy(matrix[row], access.data + access.offset[8 * i + row], 16);
      for (int l = 0; l < kLanes; ++l) {
        words[l] = matrix[2 * (l % 4)][l / 4] | static_cast<uint32_t>(matrix[2 * (l % 4) + 1][l / 4]) << 16;
      }
    }
  }
  if (Store) mark_written(w, in, access, 16);
}

template <bool Store>
void matrices_form(Form& f) {
  if (!f.take("sync") || !f.take("aligned") || !f.take("m8n8")) f.unknown("form");
  const int number = f.take_any({"x1", "x2", "x4"});
  f.out.size = f.take("trans") ? 1 : 0;
  take_space(f, false);
  if ((f.out.flags & 7) != 2 && (f.out.flags & 7) != 4) f.unknown("state space");
  if (f.take_type() != Type::kB16 || number < 0) f.unknown("form");
  f.expect_count(2, 2);
  fragment(f, Store ? 1 : 0, size_t{1} << number, !Store);
  set_address(f, f.operand(Store ? 0 : 1));
  f.out.control = Control::kCollective;
  f.out.op[3] = f.constant(kFull);
  f.out.run = &matrices<Store>;
}

}  // namespace

void add_matrix(Decoders& decoders) {
  decoders["mma"] = mma_form;
  decoders["ldmatrix"] = matrices_form<false>;
  decoders["stmatrix"] = matrices_form<true>;
}

}  // namespace sim
