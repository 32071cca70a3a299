#include <algorithm>
#include <map>
#include <numeric>

#include "bench.h"

namespace foreign {

void blocks() {
  constexpr size_t kThreads = 128, kTile = 512;
  Bench m;
  Random random(1);

  std::vector<float> keys(2 * kTile);
  std::vector<unsigned> values(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    keys[i] = static_cast<float>(static_cast<int>(random.next() % 200)) - 100;  // many are equal: the sort is stable
    values[i] = static_cast<unsigned>(i);
  }
  auto keys_out = m.room(keys.size() * 4), values_out = m.room(keys.size() * 4);
  m.run("sort_pairs", {2, kThreads}, m.put(keys), m.put(values), keys_out, values_out);
  std::vector<unsigned> order = values;
  for (size_t tile = 0; tile < 2; ++tile) {
    std::stable_sort(order.begin() + static_cast<long>(tile * kTile),
                     order.begin() + static_cast<long>((tile + 1) * kTile),
                     [&](unsigned a, unsigned b) { return keys[a] < keys[b]; });
  }
  std::vector<float> sorted;
  for (unsigned i : order) sorted.push_back(keys[i]);
  same("BlockRadixSort, keys", m.get<float>(keys_out, keys.size()), sorted);
  same("BlockRadixSort, values", m.get<unsigned>(values_out, keys.size()), order);

  std::vector<long long> wide(kTile), falling;
  for (long long& x : wide) x = static_cast<long long>(random.next());
  falling = wide;
  std::sort(falling.begin(), falling.end(), std::greater<>());
  const auto wide_out = m.room(8 * (kTile + 2 * kThreads));
  // CUB's merge reads one key behind the last one and does not use it: unwritten shared memory, which the checks would report.
  set("checks", "0");
  m.run("merge_sort", {1, kThreads}, m.put(wide), wide_out);
  set("checks", "1");
  for (size_t i = 0; i < 2 * kThreads; i += 32) {
    std::vector<long long> part(wide.begin() + static_cast<long>(i), wide.begin() + static_cast<long>(i) + 32);
    std::sort(part.begin(), part.end(), std::greater<>());
    falling.insert(falling.end(), part.begin(), part.end());
  }
  same("BlockMergeSort and WarpMergeSort", m.get<long long>(wide_out, falling.size()), falling);

  std::vector<int> in(kThreads), out(6 * kThreads, 0x7fffffff);
  for (int& x : in) x = static_cast<int>(random.next() % 2001) - 1000;
  const auto scans = m.put(out);
  m.run("scans", {1, kThreads}, m.put(in), scans);
  int sum = 0, most = -1000000;
  for (size_t t = 0; t < kThreads; ++t) {
    out[kThreads + t] = most;
    most = std::max(most, in[t]);
    out[t] = sum += in[t];
    const size_t warp = t / 32 * 32;
    out[3 * kThreads + t] = std::accumulate(in.begin() + static_cast<long>(warp), in.begin() + static_cast<long>(t), 0);
    out[4 * kThreads + t] =
        std::accumulate(in.begin() + static_cast<long>(warp), in.begin() + static_cast<long>(warp) + 32, 0);
    if (t % 8 == 0)
      out[5 * kThreads + t / 8] =
          std::accumulate(in.begin() + static_cast<long>(t), in.begin() + static_cast<long>(t) + 8, 0);
  }
  out[2 * kThreads] = sum, out[2 * kThreads + 1] = *std::min_element(in.begin(), in.end());
  same("BlockScan, BlockReduce, WarpScan, WarpReduce", m.get<int>(scans, out.size()), out);

  std::vector<double> numbers(kThreads), sums(9, 0.0);
  for (size_t t = 0; t < kThreads; ++t) {
    numbers[t] = random.between(-1, 1);
    sums[0] += numbers[t];
    sums[1 + t / 32 * 2 + (t % 32 >= 11 ? 1 : 0)] += numbers[t];
  }
  const auto sums_out = m.room(72);
  m.run("sums_double", {1, kThreads}, m.put(numbers), sums_out);
  close("sums of doubles", m.get<double>(sums_out, 9), sums, 1e-13, 1.0);

  std::vector<unsigned char> letters(kTile);
  std::vector<unsigned> counts(512, 0);
  std::vector<int> striped(kTile);
  for (size_t i = 0; i < kTile; ++i) {
    letters[i] = static_cast<unsigned char>(random.next() % 40 * 5);
    ++counts[letters[i]], ++counts[256 + letters[i]];
    striped[i] = static_cast<int>(i / 4 + i % 4 * kThreads);
  }
  const auto counts_out = m.room(4 * 512), striped_out = m.room(4 * kTile);
  m.run("histogram", {1, kThreads}, m.put(letters), counts_out, striped_out);
  same("BlockHistogram", m.get<unsigned>(counts_out, 512), counts);
  same("BlockExchange", m.get<int>(striped_out, kTile), striped);
}

void device_wide() {
  Bench m;
  Random random(2);
  // A block that waits for an earlier one: the simulator runs one after the other, so only in order.
  set("seed", "0");
  constexpr int kItems = 5000, kTile = 512, kTiles = (kItems + kTile - 1) / kTile;
  std::vector<int> in(kItems), scanned(kItems);
  int sum = 100;
  for (size_t i = 0; i < kItems; ++i) {
    in[i] = static_cast<int>(random.next() % 1000) - 500;
    scanned[i] = sum;
    sum += in[i];
  }
  const auto status = m.room(8 * (kTiles + 64)), scan_out = m.room(4 * kItems);
  m.run("scan_begin", {1, 128}, status, kTiles);
  m.run("scan_tiles", {kTiles, 128}, m.put(in), scan_out, status, kItems, kTiles);
  same("device-wide scan", m.get<int>(scan_out, kItems), scanned);

  struct Wide {
    long long low, high;
  };
  constexpr int kWideItems = 1500;
  std::vector<Wide> wide(kWideItems), wide_scanned(kWideItems);
  Wide total{0, 0};
  for (size_t i = 0; i < kWideItems; ++i) {
    wide[i] = {static_cast<long long>(random.next() >> 20), static_cast<long long>(random.next())};
    wide_scanned[i] = total;
    total = {total.low + wide[i].low, total.high ^ wide[i].high};
  }
  constexpr int kMostTiles = 12;  // of at least 128 items
  const auto wide_status = m.room(1 << 14), wide_out = m.room(sizeof(Wide) * kWideItems);
  m.run("scan_wide_begin", {1, 128}, wide_status, kMostTiles);
  m.run("scan_wide_tiles", {kMostTiles, 128}, m.put(wide), wide_out, wide_status, kWideItems, kMostTiles);
  same("device-wide scan of pairs", m.get<Wide>(wide_out, kWideItems), wide_scanned);

  // The sort's blocks number themselves as they start, so any order will do.
  set("seed", "3");
  constexpr unsigned kKeys = 3000;
  constexpr int kSortTiles = (kKeys + 1023) / 1024;
  std::vector<unsigned> keys(kKeys), values(kKeys);
  for (size_t i = 0; i < kKeys; ++i)
    keys[i] = static_cast<unsigned>(random.next() >> (i % 3 * 8)), values[i] = static_cast<unsigned>(i);
  const auto bins = m.room(4 * 4 * 256, 0);
  auto from = m.put(keys), to = m.room(4 * kKeys), from_values = m.put(values), to_values = m.room(4 * kKeys);
  m.run("sort_count", {2, 128}, from, bins, kKeys);
  m.run("sort_offsets", {4, 256}, bins);
  for (int pass = 0; pass < 4; ++pass) {
    const auto lookback = m.room(4 * 256 * kSortTiles, 0), counter = m.room(4, 0);
    m.run("sort_sweep", {kSortTiles, 128}, lookback, counter, bins + static_cast<unsigned>(pass) * 1024, from, to,
          from_values, to_values, static_cast<int>(kKeys), 8 * pass);
    std::swap(from, to), std::swap(from_values, to_values);
  }
  std::vector<unsigned> order = values, sorted;
  std::stable_sort(order.begin(), order.end(), [&](unsigned a, unsigned b) { return keys[a] < keys[b]; });
  for (unsigned i : order) sorted.push_back(keys[i]);
  same("device-wide radix sort, keys", m.get<unsigned>(from, kKeys), sorted);
  same("device-wide radix sort, values", m.get<unsigned>(from_values, kKeys), order);
}

}  // namespace foreign
