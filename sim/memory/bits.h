// One bit per byte, 64 to a word: set and test of ranges. Used for initialisation.
//
// With several host threads, those of other blocks may set bits of a word (atomically, exec/access.cc) while it is read here.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sim::bits {

inline constexpr size_t words(size_t bytes) {
  return (bytes + 63) / 64;
}
/// The mask of `count` bits from bit `shift` of one word; shift + count is at most 64.
inline constexpr uint64_t run(size_t shift, size_t count) {
  return (count >= 64 ? ~uint64_t{0} : ((uint64_t{1} << count) - 1)) << shift;
}
inline void set(uint64_t* bits, size_t at, size_t count) {
  while (count > 0) {
    const size_t shift = at & 63, here = count < 64 - shift ? count : 64 - shift;
    bits[at >> 6] |= run(shift, here);
    at += here, count -= here;
  }
}
inline void clear(uint64_t* bits, size_t at, size_t count) {
  while (count > 0) {
    const size_t shift = at & 63, here = count < 64 - shift ? count : 64 - shift;
    bits[at >> 6] &= ~run(shift, here);
    at += here, count -= here;
  }
}
/// A word that another thread may be setting bits of.
inline uint64_t load(const uint64_t* bits, size_t word) {
  return __atomic_load_n(bits + word, __ATOMIC_RELAXED);
}
/// Whether all of them are set.
inline bool all(const uint64_t* bits, size_t at, size_t count) {
  while (count > 0) {
    const size_t shift = at & 63, here = count < 64 - shift ? count : 64 - shift;
    const uint64_t want = run(shift, here);
    if ((load(bits, at >> 6) & want) != want) return false;
    at += here, count -= here;
  }
  return true;
}
inline bool test(const uint64_t* bits, size_t at) {
  return (load(bits, at >> 6) >> (at & 63)) & 1;
}
/// Up to 64 bits from bit `at`.
inline uint64_t get(const uint64_t* bits, size_t at, size_t count) {
  const size_t shift = at & 63;
  uint64_t value = bits[at >> 6] >> shift;
  if (shift + count > 64) value |= bits[(at >> 6) + 1] << (64 - shift);
  return value & run(0, count);
}
/// Ranges that do not overlap.
inline void copy(uint64_t* to, size_t into, const uint64_t* from, size_t at, size_t count) {
  while (count > 0) {
    const size_t shift = into & 63, here = count < 64 - shift ? count : 64 - shift;
    const uint64_t value = get(from, at, here) << shift;
    to[into >> 6] = (to[into >> 6] & ~run(shift, here)) | value;
    at += here, into += here, count -= here;
  }
}

}  // namespace sim::bits
