#include "exec/allocation.h"

#include <algorithm>
#include <bit>

namespace sim {
namespace {

struct BasicBlock {
  int begin, end;  // instructions
  std::vector<int> next;
};

using Bits = std::vector<uint64_t>;

void set(Bits& bits, uint32_t at) {
  bits[at >> 6] |= uint64_t{1} << (at & 63);
}
bool test(const Bits& bits, uint32_t at) {
  return (bits[at >> 6] >> (at & 63)) & 1;
}
template <class Visit>
void each(const Bits& bits, Visit visit) {
  for (size_t i = 0; i < bits.size(); ++i) {
    for (uint64_t rest = bits[i]; rest != 0; rest &= rest - 1) {
      visit(static_cast<uint32_t>(64 * i + static_cast<size_t>(std::countr_zero(rest))));
    }
  }
}

std::vector<BasicBlock> flow_graph(const Kernel& kernel) {
  const int count = static_cast<int>(kernel.code.size());
  std::vector<char> leader(static_cast<size_t>(count) + 1, 0);
  leader[0] = 1;
  const auto ends = [](const Instr& in) {
    return in.control == Control::kBranch || in.control == Control::kBranchTable || in.control == Control::kExit;
  };
  for (int i = 0; i < count; ++i) {
    const Instr& in = kernel.code[static_cast<size_t>(i)];
    if (!ends(in)) continue;
    leader[static_cast<size_t>(i) + 1] = 1;
    if (in.control == Control::kBranch) leader[static_cast<size_t>(in.target)] = 1;
    if (in.control == Control::kBranchTable) {
      for (int target : kernel.tables[static_cast<size_t>(in.target)]) leader[static_cast<size_t>(target)] = 1;
    }
  }
  std::vector<BasicBlock> blocks;
  std::vector<int> block_at(static_cast<size_t>(count) + 1, -1);
  for (int i = 0; i < count; ++i) {
    if (leader[static_cast<size_t>(i)]) {
      block_at[static_cast<size_t>(i)] = static_cast<int>(blocks.size());
      blocks.push_back({i, i, {}});
    }
    blocks.back().end = i + 1;
  }
  for (BasicBlock& block : blocks) {
    const Instr& last = kernel.code[static_cast<size_t>(block.end) - 1];
    const auto go = [&](int target) {
      if (target < count) block.next.push_back(block_at[static_cast<size_t>(target)]);
    };
    if (last.control == Control::kBranch) go(last.target);
    if (last.control == Control::kBranchTable) {
      for (int target : kernel.tables[static_cast<size_t>(last.target)]) go(target);
    }
    if (!ends(last) || last.guarded) go(block.end);
  }
  return blocks;
}

struct Interval {
  int begin = -1, end = -1;
  void cover(int at) {
    if (begin < 0 || at < begin) begin = at;
    if (at > end) end = at;
  }
};

}  // namespace

Allocation allocate(const Kernel& kernel, const std::vector<SlotUses>& uses, const std::vector<uint8_t>& class_of) {
  const std::vector<BasicBlock> blocks = flow_graph(kernel);
  const size_t slots = class_of.size(), words = (slots + 63) / 64;
  const auto placed = [&](uint32_t slot) { return class_of[slot] != 255; };

  // What a block reads before it writes, and what it surely writes: a guarded write leaves other lanes as they were.
  std::vector<Bits> reads(blocks.size(), Bits(words)), kills(blocks.size(), Bits(words)),
      live(blocks.size(), Bits(words));
  for (size_t b = 0; b < blocks.size(); ++b) {
    for (int i = blocks[b].begin; i < blocks[b].end; ++i) {
      const SlotUses& use = uses[static_cast<size_t>(i)];
      for (uint32_t slot : use.reads) {
        if (placed(slot) && !test(kills[b], slot)) set(reads[b], slot);
      }
      for (uint32_t slot : use.writes) {
        if (!placed(slot)) continue;
        if (!kernel.code[static_cast<size_t>(i)].guarded) {
          set(kills[b], slot);
        } else if (!test(kills[b], slot)) {
          set(reads[b], slot);
        }
      }
    }
    live[b] = reads[b];
  }
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t b = blocks.size(); b-- > 0;) {
      for (int next : blocks[b].next) {
        const Bits& after = live[static_cast<size_t>(next)];
        for (size_t i = 0; i < words; ++i) {
          const uint64_t add = after[i] & ~kills[b][i] & ~live[b][i];
          if (add == 0) continue;
          live[b][i] |= add;
          changed = true;
        }
      }
    }
  }

  std::vector<Interval> intervals(slots);
  for (size_t b = 0; b < blocks.size(); ++b) {
    each(live[b], [&](uint32_t slot) { intervals[slot].cover(blocks[b].begin); });
    for (int next : blocks[b].next) {
      each(live[static_cast<size_t>(next)], [&](uint32_t slot) { intervals[slot].cover(blocks[b].end - 1); });
    }
    for (int i = blocks[b].begin; i < blocks[b].end; ++i) {
      const SlotUses& use = uses[static_cast<size_t>(i)];
      for (const auto* list : {&use.reads, &use.writes}) {
        for (uint32_t slot : *list) {
          if (placed(slot)) intervals[slot].cover(i);
        }
      }
    }
  }

  Allocation result;
  result.color.assign(slots, 0);
  if (!blocks.empty()) {
    each(live[0], [&](uint32_t slot) { result.at_entry.push_back(slot); });
  }
  std::vector<uint32_t> order;
  for (uint32_t slot = 0; slot < slots; ++slot) {
    if (placed(slot) && intervals[slot].begin >= 0) order.push_back(slot);
  }
  std::sort(order.begin(), order.end(),
            [&](uint32_t a, uint32_t b) { return intervals[a].begin < intervals[b].begin; });
  std::vector<uint32_t> free[3];
  std::vector<std::pair<int, uint32_t>> active;  // end, slot: a heap, the earliest end first
  const auto later = [](const auto& a, const auto& b) { return a > b; };
  int now = 0;
  for (uint32_t slot : order) {
    while (!active.empty() && active.front().first < intervals[slot].begin) {
      const uint32_t over = active.front().second;
      free[class_of[over]].push_back(result.color[over]);
      now -= class_of[over];
      std::pop_heap(active.begin(), active.end(), later);
      active.pop_back();
    }
    const uint8_t kind = class_of[slot];
    if (free[kind].empty()) {
      result.color[slot] = result.colors[kind]++;
    } else {
      result.color[slot] = free[kind].back();
      free[kind].pop_back();
    }
    active.emplace_back(intervals[slot].end, slot);
    std::push_heap(active.begin(), active.end(), later);
    now += kind;  // a predicate counts nothing, a double twice
    result.live_words = std::max(result.live_words, now);
  }
  return result;
}

}  // namespace sim
