#include <algorithm>
#include <utility>

#include "bench.h"

namespace foreign {

void calls() {
  Bench m;
  Random random(6);

  std::vector<unsigned> depths;
  for (unsigned t = 0; t < 64; ++t) {
    unsigned a = 0, b = 1;
    for (unsigned i = 0; i < t % 12; ++i) b = std::exchange(a, b) + b;
    depths.push_back(a);
  }
  for (unsigned t = 0; t < 64; ++t) depths.push_back(t % 2 == 0 ? 1 : 0);
  const auto depths_out = m.room(512);
  m.run("recursion", {1, 64}, depths_out);
  same("recursion", m.get<unsigned>(depths_out, 128), depths);

  std::vector<int> rows(16 * 32), sorted;
  for (int& x : rows) x = static_cast<int>(random.next() % 50);
  sorted = rows;
  for (long t = 0; t < 32; ++t) std::sort(sorted.begin() + 16 * t, sorted.begin() + 16 * t + 16 - t % 3);
  const auto rows_out = m.room(4 * rows.size());
  m.run("sort_each", {1, 32}, m.put(rows), rows_out);
  same("recursive sort with arrays on the stack", m.get<int>(rows_out, rows.size()), sorted);

  std::vector<float> x(128), results(256);
  std::vector<int> which(128);
  for (size_t t = 0; t < 128; ++t) {
    x[t] = static_cast<float>(static_cast<int>(random.next() % 100));
    which[t] = static_cast<int>(random.next() % 6);
    const float k = static_cast<float>(t) - 20;
    results[t] = which[t] % 3 == 0 ? x[t] * k : which[t] % 3 == 1 ? x[t] + k : k > 0 ? 2 * x[t] + k : x[t];
    results[128 + t] = (which[t] & 1) != 0 ? x[t] * x[t] : 3 * x[t];
  }
  const auto results_out = m.room(4 * 256);
  m.run("pointers", {1, 128}, m.put(x), m.put(which), results_out);
  same("pointers to functions, virtual functions", m.get<float>(results_out, 256), results);

  std::vector<int> in(64), out;
  for (int t = 0; t < 64; ++t) {
    const int start = in[static_cast<size_t>(t)] = static_cast<int>(random.next() % 1000);
    int values[9];
    for (int i = 0; i < 9; ++i) values[i] = t % 2 == 0 ? -(start + i) - t : start + i + t;
    int sum = 0;
    for (int i = 0; i < 9; ++i) sum = 3 * sum + values[(i + t) % 9];
    const int cases[] = {sum + 11,    sum ^ 0x55, -sum,        sum * 7,  sum >> 2,
                         sum | 0x100, sum & ~0xf, sum - start, start % 9};
    if ((start & 15) < 9) sum = cases[start & 15];
    out.push_back(sum + static_cast<int>(0.5 * t * t) + 'a' + t % 20 + 1);
  }
  const auto in_room = m.put(in), out_room = m.room(4 * 64);
  m.run("structures", {1, 64}, in_room, out_room);
  same("structures by value, jump tables", m.get<int>(out_room, 64), out);

  std::vector<unsigned char> letters(3000);
  std::vector<unsigned> counts(256, 0);
  for (unsigned char& c : letters) ++counts[c = static_cast<unsigned char>(random.next() % 256)];
  const auto counts_out = m.room(1024, 0);
  m.run("dynamic_histogram", {3, 96, 1024}, m.put(letters), counts_out, 3000);
  same("dynamic shared memory with atomics", m.get<unsigned>(counts_out, 256), counts);

  std::vector<int> more(64), fours(256), sums;
  for (int& v : more) v = static_cast<int>(random.next() % 1000);
  for (int& v : fours) v = static_cast<int>(random.next() % 1000);
  std::vector<int> kept = fours;
  for (size_t t = 0; t < 64; ++t) {
    kept[4 * t] ^= 2 * more[t];
    sums.push_back(9 * more[t]);
  }
  const auto kept_out = m.room(4 * 256), sums_out = m.room(4 * 64);
  m.run("hints", {1, 64}, m.put(fours), kept_out, m.put(more), sums_out);
  same("hints for caches, vectors", m.get<int>(kept_out, 256), kept);
  same("hints for caches, policies", m.get<int>(sums_out, 64), sums);

  m.run("messages", {1, 64}, in_room);  // prints two lines, which ctest looks for
  in[40] = -1;
  const auto bad = m.put(in);
  sim::test::expect(m.attempt("messages", {1, 64}, bad), 710, "a failed assertion");
  m.abandon();
}

}  // namespace foreign
