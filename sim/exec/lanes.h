// Loops over the 32 lanes of a slot: typed reads, masked writes, comparison results to bit masks. Written so that the
// compiler turns them into vector code; the masked forms use AVX-512 where the build has it.
#pragma once

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include <bit>
#include <cstring>
#include <type_traits>

#include "exec/machine.h"

namespace sim {

/// 16-bit values live in 32-bit lanes, zero-extended.
template <class T>
using Stored = std::conditional_t<sizeof(T) == 8, T, std::conditional_t<sizeof(T) == 4, T, uint32_t>>;

template <class T>
inline T lane_of(const std::byte* slot, int lane) {
  return static_cast<T>(reinterpret_cast<const Stored<T>*>(slot)[lane]);
}
template <class T>
inline Stored<T> stored(T value) {
  if constexpr (sizeof(T) >= 4) {
    return value;
  } else {
    return static_cast<std::make_unsigned_t<T>>(value);
  }
}

/// to[l] = from[l] where the mask has a bit.
inline void blend(uint32_t* to, const uint32_t* from, uint32_t mask) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_epi32(to, static_cast<__mmask16>(mask), _mm512_loadu_si512(from));
  _mm512_mask_storeu_epi32(to + 16, static_cast<__mmask16>(mask >> 16), _mm512_loadu_si512(from + 16));
#else
  for (int l = 0; l < kLanes; ++l) to[l] = (mask >> l) & 1 ? from[l] : to[l];
#endif
}
inline void blend(uint64_t* to, const uint64_t* from, uint32_t mask) {
#if defined(__AVX512F__)
  for (int i = 0; i < 4; ++i) {
    _mm512_mask_storeu_epi64(to + 8 * i, static_cast<__mmask8>(mask >> (8 * i)), _mm512_loadu_si512(from + 8 * i));
  }
#else
  for (int l = 0; l < kLanes; ++l) to[l] = (mask >> l) & 1 ? from[l] : to[l];
#endif
}

/// Bit l is the lowest bit of flags[l], which is 0 or 1.
inline uint32_t pack_flags(const uint32_t* flags) {
#if defined(__AVX512F__)
  const uint32_t low = _mm512_test_epi32_mask(_mm512_loadu_si512(flags), _mm512_set1_epi32(1));
  const uint32_t high = _mm512_test_epi32_mask(_mm512_loadu_si512(flags + 16), _mm512_set1_epi32(1));
  return low | high << 16;
#else
  uint32_t mask = 0;
  for (int l = 0; l < kLanes; ++l) mask |= flags[l] << l;
  return mask;
#endif
}

/// Writes f(lane) to the lanes of the mask. f is evaluated for all lanes and may have no side effect.
template <class T, class F>
inline void write_lanes(std::byte* slot, uint32_t mask, F f) {
  using S = Stored<T>;
  if (mask == kFull) {
    S* to = reinterpret_cast<S*>(slot);
    // Slots are the same or do not overlap.
#pragma GCC ivdep
    for (int l = 0; l < kLanes; ++l) to[l] = stored<T>(f(l));
  } else {
    alignas(64) S lanes[kLanes];
    for (int l = 0; l < kLanes; ++l) lanes[l] = stored<T>(f(l));
    using U = std::conditional_t<sizeof(S) == 8, uint64_t, uint32_t>;
    blend(reinterpret_cast<U*>(slot), reinterpret_cast<const U*>(lanes), mask);
  }
}
/// The same for f that is not worth or not safe to evaluate for other lanes.
template <class T, class F>
inline void write_each(std::byte* slot, uint32_t mask, F f) {
  Stored<T>* to = reinterpret_cast<Stored<T>*>(slot);
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const int l = std::countr_zero(rest);
    to[l] = stored<T>(f(l));
  }
}
/// The lanes (of all 32) for which f is true.
template <class F>
inline uint32_t lanes_where(F f) {
  alignas(64) uint32_t flags[kLanes];
  for (int l = 0; l < kLanes; ++l) flags[l] = f(l) ? 1u : 0u;
  return pack_flags(flags);
}
inline void write_predicate(Warp& warp, uint32_t slot, uint32_t mask, uint32_t value) {
  uint32_t* word = warp.word(slot);
  *word = (*word & ~mask) | (value & mask);
}

template <class R, class T, R (*F)(T)>
void unary(Warp& w, const Instr& in, uint32_t mask) {
  const std::byte* a = w.arena + in.op[1];
  write_lanes<R>(w.arena + in.op[0], mask, [a](int l) { return F(lane_of<T>(a, l)); });
}
template <class R, class T, class U, R (*F)(T, U)>
void binary(Warp& w, const Instr& in, uint32_t mask) {
  const std::byte *a = w.arena + in.op[1], *b = w.arena + in.op[2];
  write_lanes<R>(w.arena + in.op[0], mask, [a, b](int l) { return F(lane_of<T>(a, l), lane_of<U>(b, l)); });
}
template <class R, class T, class U, class V, R (*F)(T, U, V)>
void ternary(Warp& w, const Instr& in, uint32_t mask) {
  const std::byte *a = w.arena + in.op[1], *b = w.arena + in.op[2], *c = w.arena + in.op[3];
  write_lanes<R>(w.arena + in.op[0], mask,
                 [a, b, c](int l) { return F(lane_of<T>(a, l), lane_of<U>(b, l), lane_of<V>(c, l)); });
}

}  // namespace sim
