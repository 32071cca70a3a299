// What the three simd_*_test.cc share: the checks of one build of Vec. Each file includes cpu/kernels/simd.h compiled for its
// instruction set, in its own namespace, and calls check_vec.
//
// Expected before inclusion: TOOLGRAD_ISA names the namespace, and the target pragma (if any) is active.
#pragma once

#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "check.h"
#include "cpu/cpu.h"
#include "engine/dtype.h"

#ifdef TOOLGRAD_TEST_TARGET
#pragma GCC push_options
_Pragma(TOOLGRAD_TEST_TARGET)
#endif

#include "cpu/kernels/simd.h"

    namespace toolgrad::TOOLGRAD_ISA {

  // FNV-1a over the bits of results: equal in every fused build.
  struct BitHash {
    uint64_t value = 14695981039346656037ull;
    void add(const float* results, int n) {
      for (int i = 0; i < n; ++i) value = (value ^ bits_of(results[i])) * 1099511628211ull;
    }
  };

  struct ExpScan {
    double worst_ulp = 0, worst_at = 0;
    uint64_t hash = 0;
  };

  // Every `step`-th float of [-90, 89.5] against expl.
  inline ExpScan scan_exp(uint32_t step) {
    ExpScan scan;
    BitHash hash;
    float x[kLanes], y[kLanes];
    int filled = 0;
    for (const float end : {-90.0f, 89.5f}) {
      const uint32_t sign = end < 0 ? 0x80000000u : 0u;
      for (uint32_t bits = 0; bits <= bits_of(end < 0 ? -end : end); bits += step) {
        x[filled++] = from_bits(bits | sign);
        if (filled < kLanes) continue;
        filled = 0;
        store(y, exp(load(x)));
        hash.add(y, kLanes);
        for (int i = 0; i < kLanes; ++i) {
          const double exact = std::exp(static_cast<double>(x[i]));
          if (exact >= 0x1p-125 && exact < 3.4028235e38) {
            const double ulp = std::ldexp(1.0, std::ilogb(exact) - 23);
            const double error = std::fabs(y[i] - exact) / ulp;
            if (!(error <= scan.worst_ulp)) scan.worst_ulp = error, scan.worst_at = x[i];
          } else if (exact < 0x1p-125 ? y[i] != 0.0f && std::fabs(exact / 0x1p-125 - 1) > 1e-5 : y[i] != HUGE_VALF) {
            scan.worst_ulp = HUGE_VAL, scan.worst_at = x[i];
          }
        }
      }
    }
    scan.hash = hash.value;
    return scan;
  }

  inline bool lanes_equal(Vec v, const float* expected) {
    float got[kLanes];
    store(got, v);
    return std::memcmp(got, expected, sizeof got) == 0;
  }

  inline void check_vec(const std::string& name, bool fused) {
    using namespace toolgrad::test;
    const ExpScan scan = scan_exp(101);
    check_below(scan.worst_ulp, fused ? 1.0 : 2.0,
                name + ": exp over [-90, 89.5], ulp (worst at " + std::to_string(scan.worst_at) + ")");
    if (fused) {
      char text[32];
      std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(scan.hash));
      check(scan.hash == 0xb8ab9cd6e0937bedull, name + ": exp has the bits every fused build has (" + text + ")");
    }
    const float infinity = HUGE_VALF, nan = std::nanf("");
    check(exp(0.0f) == 1.0f && exp(-0.0f) == 1.0f && exp(-infinity) == 0.0f && exp(infinity) == infinity &&
              exp(88.9f) == infinity && exp(-200.0f) == 0.0f && exp(1e30f) == infinity && exp(nan) != exp(nan),
          name + ": exp of 0, infinities, NaN and values out of range");

    double worst_log = 0;
    Random random(3);
    for (int i = 0; i < 100000; ++i) {
      const double x = std::ldexp(1.0 + random.uniform(), static_cast<int>(random.next() % 400) - 200);
      const double exact = std::log(x), ulp = std::ldexp(1.0, std::ilogb(exact == 0 ? 1 : exact) - 52);
      worst_log = std::fmax(worst_log, std::fabs(log(x) - exact) / ulp);
    }
    check_below(worst_log, 2.0, name + ": log over 2^-200..2^200, ulp");
    check(log(1.0) == 0.0 && log(0.0) == -infinity && log(static_cast<double>(infinity)) == infinity &&
              std::isnan(log(-1.0)) && std::isnan(log(std::nan(""))),
          name + ": log of 1, 0, infinity, negative numbers and NaN");

    // Every bf16 value widens exactly; rounding agrees with the scalar definition on edge patterns.
    bool widens = true, rounds = true, widened = true, flushes = true, partial = true, sums = true;
    for (uint32_t base = 0; base < 65536; base += kLanes) {
      uint16_t halves[kLanes], back[kLanes];
      float expected[kLanes];
      for (int i = 0; i < kLanes; ++i)
        halves[i] = static_cast<uint16_t>(base + static_cast<uint32_t>(i)), expected[i] = bf16_to_f32(halves[i]);
      widens = widens && lanes_equal(load_bf16(halves), expected);
      for (const uint32_t low : {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
        float values[kLanes];
        for (int i = 0; i < kLanes; ++i) values[i] = from_bits(static_cast<uint32_t>(halves[i]) << 16 | low);
        store_bf16(back, load(values));
        for (int i = 0; i < kLanes; ++i) {
          rounds = rounds && back[i] == f32_to_bf16(values[i]) && round_bf16(values[i]) == back[i];
        }
        float rounded[kLanes], flushed[kLanes];
        for (int i = 0; i < kLanes; ++i) {
          const uint32_t bits = bits_of(values[i]);
          rounded[i] = bf16_to_f32(back[i]);
          flushed[i] = (bits & 0x7f800000u) == 0 ? from_bits(bits & 0x80000000u) : values[i];
        }
        widened = widened && lanes_equal(round_to_bf16(load(values)), rounded);
        flushes = flushes && lanes_equal(zero_subnormals(load(values)), flushed);
      }
    }
    check(widens, name + ": every bf16 pattern widens to the same fp32 bits");
    check(widened, name + ": rounding to bf16 in place gives the same numbers");
    check(flushes, name + ": subnormal numbers become zero of their sign, others stay");
    check(rounds, name + ": fp32 rounds to bf16 as the scalar definition does, NaN and overflow included");

    for (int n = 0; n <= kLanes; ++n) {
      float source[kLanes + 1], expected[kLanes], target[kLanes + 1];
      uint16_t halves[kLanes + 1], half_target[kLanes + 1];
      for (int i = 0; i <= kLanes; ++i) source[i] = 1.0f + static_cast<float>(i), target[i] = -1.0f;
      for (int i = 0; i <= kLanes; ++i) halves[i] = f32_to_bf16(source[i]), half_target[i] = 7;
      for (int i = 0; i < kLanes; ++i) expected[i] = i < n ? source[i] : 0.0f;
      partial = partial && lanes_equal(load_partial(source, n), expected) &&
                lanes_equal(load_bf16_partial(halves, n), expected);
      partial = partial && lanes_equal(take_first(load(source), zero(), n), expected);
      store_partial(target, load(source), n);
      store_bf16_partial(half_target, load(source), n);
      for (int i = 0; i <= kLanes; ++i) {
        partial = partial && target[i] == (i < n ? source[i] : -1.0f);
        partial = partial && half_target[i] == (i < n ? halves[i] : 7);
      }
    }
    check(partial, name + ": partial loads fill with zero and partial stores leave the rest alone");

    for (int round = 0; round < 1000; ++round) {
      float lanes[kLanes], tree[kLanes], top = -infinity;
      for (float& lane : lanes) lane = random.normal(), top = lane > top ? lane : top;
      std::memcpy(tree, lanes, sizeof tree);
      for (int width = kLanes / 2; width > 0; width /= 2)
        for (int i = 0; i < width; ++i) tree[i] = tree[i] + tree[i + width];
      sums = sums && sum_lanes(load(lanes)) == tree[0] && max_lanes(load(lanes)) == top &&
             first_lane(load(lanes)) == lanes[0];
    }
    check(sums, name + ": lanes are summed in the fixed tree");
    float two[kLanes], expected_max[kLanes], expected_min[kLanes];
    for (int i = 0; i < kLanes; ++i) two[i] = i % 3 == 0 ? nan : static_cast<float>(i) - 8.0f;
    for (int i = 0; i < kLanes; ++i)
      expected_max[i] = 1.0f > two[i] ? 1.0f : two[i], expected_min[i] = two[i] < 1.0f ? two[i] : 1.0f;
    check(lanes_equal(max(broadcast(1.0f), load(two)), expected_max) &&
              lanes_equal(min(load(two), broadcast(1.0f)), expected_min),
          name + ": max and min give the second argument when either is NaN");
  }

}  // namespace toolgrad::TOOLGRAD_ISA

#ifdef TOOLGRAD_TEST_TARGET
#pragma GCC pop_options
#endif
