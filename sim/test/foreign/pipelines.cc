#include <complex>

#include "bench.h"

namespace foreign {
namespace {

struct Four {
  int x, y, z, w;
};

}  // namespace

void pipelines() {
  Bench m;
  Random random(5);
  constexpr int kSteps = 5, kMany = 128 * kSteps;

  std::vector<float> numbers(kMany), tripled;
  for (float& x : numbers) tripled.push_back(3 * (x = static_cast<float>(random.between(-1, 1))));
  const auto tripled_out = m.room(4 * kMany);
  m.run("thread_pipeline", {1, 128}, m.put(numbers), tripled_out, kMany);
  same("__pipeline_memcpy_async", m.get<float>(tripled_out, kMany), tripled);

  std::vector<Four> fours(kMany), mixed(kMany);
  for (Four& f : fours) {
    const auto word = [&] { return static_cast<int>(random.next() >> 34); };
    f = {word(), word(), word(), word()};
  }
  for (int step = 0; step < kSteps; ++step) {
    for (int t = 0; t < 128; ++t) {
      Four f = fours[static_cast<size_t>(128 * step + 127 - t)];
      f.x += f.y, f.z ^= f.w;
      mixed[static_cast<size_t>(128 * step + t)] = f;
    }
  }
  const auto mixed_out = m.room(16 * kMany);
  m.run("block_pipeline", {1, 128}, m.put(fours), mixed_out, kMany);
  same("cuda::pipeline of a block", m.get<Four>(mixed_out, kMany), mixed);

  std::vector<int> in(kMany), passed(kMany);
  for (int& x : in) x = static_cast<int>(random.next() >> 40);
  for (int step = 0; step < kMany / 64; ++step) {
    for (int t = 0; t < 64; ++t)
      passed[static_cast<size_t>(64 * step + t)] = in[static_cast<size_t>(64 * step + 63 - t)] + 1;
  }
  const auto from = m.put(in), passed_out = m.room(4 * kMany);
  m.run("producer_consumer", {1, 128}, from, passed_out, kMany);
  same("cuda::barrier between producers and consumers", m.get<int>(passed_out, kMany), passed);

  std::vector<int> copied(1536), source(1536);
  for (int& x : source) x = static_cast<int>(random.next() >> 40);
  for (size_t round = 0; round < 3; ++round) {
    for (size_t i = 0; i < 512; ++i) copied[512 * round + i] = source[512 * round + 511 - i];
  }
  const auto copied_out = m.room(4 * 1536);
  m.run("copy_to_barrier", {1, 128}, m.put(source), copied_out);
  same("memcpy_async that arrives at a barrier", m.get<int>(copied_out, 1536), copied);

  std::vector<long long> total(1, 0);
  for (int x : in) total[0] += x;
  const auto sum = m.room(8);
  m.run("last_block", {7, 32}, from, m.room(8 * 7), m.room(4, 0), sum, kMany);
  same("the last block's sum", m.get<long long>(sum, 1), total);

  const auto words = m.put(std::vector<unsigned long long>{1ull << 63, 0, 5, 0}), most = m.put(std::vector<float>{-1}),
             half = m.put(std::vector<double>{0.25}), pair = m.room(8, 0),
             small = m.room(4, 0);  // libcu++ changes the whole word
  m.run("atomics", {3, 64}, words, most, half, pair, small);
  same("atomics on words", m.get<unsigned long long>(words, 4),
       {~0ull, 192 % 7, static_cast<unsigned long long>(5 - 191), 77});
  same("atomic maximum of floats", m.get<float>(most, 1), {100});
  same("atomic sum of doubles", m.get<double>(half, 1), {96.25});
  same("compare-exchange of a pair", m.get<int>(pair, 2), {192, 191 * 192 / 2});
  same("atomics on 16 bits", m.get<short>(small, 1), {192});

  std::vector<std::complex<float>> z(64), complex_out;
  std::vector<double> wanted;
  for (auto& x : z) {
    x = {static_cast<float>(random.between(-3, 3)), static_cast<float>(random.between(-3, 3))};
    const std::complex<double> w = x, r = w * w / (w + std::complex<double>(1, 2));
    wanted.push_back(r.real()), wanted.push_back(r.imag());
  }
  const auto z_out = m.room(8 * 64);
  m.run("complex_numbers", {1, 64}, m.put(z), z_out);
  close("cuda::std::complex", m.get<float>(z_out, 128), wanted, 3e-6, 1.0);
}

}  // namespace foreign
