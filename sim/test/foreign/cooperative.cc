#include <algorithm>

#include "bench.h"

namespace foreign {

void cooperative() {
  constexpr int kThreads = 128;
  Bench m;
  Random random(3);
  std::vector<int> in(kThreads);
  for (int& x : in) x = static_cast<int>(random.next() % 301) - 150;
  const auto from = m.put(in), out = m.room(4 * 8 * kThreads);
  m.run("groups", {1, kThreads}, from, out);
  std::vector<int> wanted;
  const auto at = [&](int t) { return in[static_cast<size_t>(t)]; };
  for (int t = 0; t < kThreads; ++t) {
    const int eight = t / 8 * 8, warp = t / 32 * 32;
    int sum = 0, most = at(warp), inclusive = 0, exclusive = 0, match = 0, ballot = 0, any = 0, odd = 0, rank = 0,
        bits = 0, size = 0;
    for (int i = eight; i < eight + 8; ++i) sum += at(i), exclusive += i < t ? at(i) : 0;
    for (int i = warp; i < warp + 32; ++i) {
      most = std::max(most, at(i));
      inclusive += i <= t ? at(i) : 0;
      const bool same_label = (at(i) & 3) == (at(t) & 3);
      match |= same_label ? static_cast<int>(1u << (i - warp)) : 0;
      ballot |= at(i) > 0 ? static_cast<int>(1u << (i - warp)) : 0;
      any |= at(i) > 100 ? 1 : 0;
      if ((at(i) & 1) != 0) odd += at(i), rank += i < t ? 1 : 0;
      if (same_label) bits ^= at(i), ++size;
    }
    const int down = t % 8 == 7 ? t : t + 1;
    wanted.insert(wanted.end(), {sum, most, inclusive, exclusive, at(eight + ((t - eight) ^ 3)) + at(down) + t / 8,
                                 match ^ ballot ^ any, (at(t) & 1) != 0 ? odd + rank : 0, bits + size});
  }
  same("cooperative groups", m.get<int>(out, wanted.size()), wanted);

  std::vector<unsigned> words(1000), reversed;
  std::vector<double> numbers(32), sum(1, 0.0);
  for (unsigned& x : words) x = static_cast<unsigned>(random.next());
  for (double& x : numbers) sum[0] += x = random.between(-1, 1);
  reversed.assign(words.rbegin(), words.rend());
  const auto words_out = m.room(4000), sum_out = m.room(8);
  m.run("copy_by_group", {1, kThreads}, m.put(words), words_out, m.put(numbers), sum_out);
  same("memcpy_async by a group", m.get<unsigned>(words_out, 1000), reversed);
  close("reduce of doubles, invoke_one", m.get<double>(sum_out, 1), sum, 1e-14, 1.0);

  std::vector<int> tiles;
  for (int t = 0; t < kThreads; ++t) {
    int total = 0;
    for (int i = t / 64 * 64; i < t / 64 * 64 + 64; ++i) total += at(i);
    tiles.push_back(total);
  }
  for (int t = 0; t < kThreads; ++t) tiles.push_back(t % 4);
  const auto tiles_out = m.room(4 * 2 * kThreads);
  m.run("wide_tiles", {1, kThreads}, from, tiles_out);
  same("tiles of several warps", m.get<int>(tiles_out, tiles.size()), tiles);
}

}  // namespace foreign
