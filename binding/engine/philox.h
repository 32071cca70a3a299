// Philox4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
// A draw is a pure function of (key, counter), so results depend on no schedule. Host and device inline, plain C++17.
//
// SampleKey mapping: key = (seed low, seed high); counter = (position, sample, prompt, step). The four fields fill the
// counter exactly, so no two (seed, step, prompt, sample, position) share a draw.
#pragma once

#include <cstdint>

#include "engine/host_device.h"

namespace toolgrad {

/// Names one sampled token: the same key draws the same uniform on every backend, in every batch.
struct SampleKey {
  uint64_t seed;  // run seed
  uint32_t step, prompt, sample, position;
};

struct Philox4 {
  uint32_t v[4];
};

/// Ten rounds. Check: counter 0, key 0 gives 6627e8d5 e169c58d bc57ac4c 9b00dbd8.
TOOLGRAD_HOST_DEVICE Philox4 philox4x32(Philox4 counter, uint32_t key0, uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = static_cast<uint64_t>(0xD2511F53u) * counter.v[0];
    const uint64_t b = static_cast<uint64_t>(0xCD9E8D57u) * counter.v[2];
    counter = Philox4{{static_cast<uint32_t>(b >> 32) ^ counter.v[1] ^ key0, static_cast<uint32_t>(b),
                       static_cast<uint32_t>(a >> 32) ^ counter.v[3] ^ key1, static_cast<uint32_t>(a)}};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

/// A uniform double in [0, 1) with 53 random bits from the first two words of a draw.
TOOLGRAD_HOST_DEVICE double philox_uniform(Philox4 draw) {
  const uint64_t bits = (static_cast<uint64_t>(draw.v[0]) << 32 | draw.v[1]) >> 11;
  return static_cast<double>(bits) * (1.0 / 9007199254740992.0);
}

/// The uniform of one sampled token (SampleKey, field by field).
TOOLGRAD_HOST_DEVICE double sample_uniform(uint64_t seed, uint32_t step, uint32_t prompt, uint32_t sample,
                                           uint32_t position) {
  return philox_uniform(philox4x32(Philox4{{position, sample, prompt, step}}, static_cast<uint32_t>(seed),
                                   static_cast<uint32_t>(seed >> 32)));
}

}  // namespace toolgrad
