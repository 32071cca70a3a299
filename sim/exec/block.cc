// One block: barriers, the order of its warps, and what to say when nothing moves any more.
#include <algorithm>
#include <bit>

#include "exec/lanes.h"
#include "exec/machine.h"

namespace sim {
namespace {

constexpr uint64_t kSpin = 20000;  // instructions after which another group or warp gets its turn

uint32_t exited_threads(const Cta& cta) {
  uint32_t count = 0;
  for (const Warp& warp : cta.warps) count += static_cast<uint32_t>(std::popcount(warp.exists & ~warp.alive));
  return count;
}

void release(Cta& cta, int id) {
  Barrier& barrier = cta.barriers[id];
  ++cta.worker->counters.barriers;
  uint32_t released = 0;
  for (const auto& waiting : barrier.waiting) {
    Warp& warp = cta.warps[waiting.warp];
    released |= 1u << waiting.warp;
    const Instr& in = *waiting.instr;
    if (in.size == kReduceAnd || in.size == kReduceOr) {
      const bool value = in.size == kReduceAnd ? barrier.reduce_and : barrier.reduce_or;
      write_predicate(warp, in.op[0], waiting.lanes, value ? ~0u : 0u);
    } else if (in.size == kReducePopcount) {
      const uint32_t count = barrier.reduce_count;
      write_lanes<uint32_t>(warp.arena + in.op[0], waiting.lanes, [count](int) { return count; });
    }
    for (Group& group : warp.groups) {
      if (group.barrier == id && (group.mask & waiting.lanes) != 0) group.barrier = -1;
    }
    ++warp.sync;
  }
  if (cta.run->options.checks) cta.shadow.barrier(barrier.stamps, released);
  barrier = Barrier{};
}

std::string lanes_text(uint32_t mask) {
  std::string text;
  for (int l = 0; l < kLanes;) {
    if (!((mask >> l) & 1)) {
      ++l;
      continue;
    }
    int end = l;
    while (end + 1 < kLanes && ((mask >> (end + 1)) & 1)) ++end;
    text += (text.empty() ? "" : ",") + std::to_string(l) + (end > l ? "-" + std::to_string(end) : "");
    l = end + 1;
  }
  return text;
}

/// Nothing in the block can run: completes a barrier that only waits for exited threads, or faults.
void resolve_stuck(Cta& cta) {
  const Run& run = *cta.run;
  for (int id = 0; id < 16; ++id) {
    Barrier& barrier = cta.barriers[id];
    if (barrier.expected == 0) continue;
    const uint32_t exited = exited_threads(cta);
    if (barrier.counted || exited == 0 || barrier.arrived + exited < barrier.expected) continue;
    if (!run.options.checks) {
      release(cta, id);
      return;
    }
    const auto& first = barrier.waiting.front();
    Warp& warp = cta.warps[first.warp];
    warp.pc = static_cast<int>(first.instr - run.kernel->code.data());
    raise(
        warp, *first.instr, std::countr_zero(first.lanes), 719,
        "barrier divergence: " + std::to_string(exited) + " of the block's threads have exited and will never arrive");
  }
  // Say where everybody is.
  std::string text;
  const Warp* at = nullptr;
  uint32_t at_lanes = 0;
  int at_pc = 0, named = 0;
  bool collective = false;
  for (const Warp& warp : cta.warps) {
    for (const Group& group : warp.groups) {
      // Groups at a barrier stand behind its instruction.
      const int pc = group.barrier >= 0 ? group.pc - 1 : group.pc;
      if (at == nullptr || (group.waiting && !collective)) {
        at = &warp, at_lanes = group.mask, at_pc = pc;
        collective = group.waiting;
      }
      if (++named > 8) continue;
      text += "; warp " + std::to_string(warp.index) + " lanes " + lanes_text(group.mask) + " wait at PTX line " +
              std::to_string(run.kernel->code[static_cast<size_t>(pc)].line) + " (" +
              run.kernel->opcodes[static_cast<size_t>(pc)] + ")";
    }
  }
  if (named > 8) text += "; and " + std::to_string(named - 8) + " more groups";
  Warp& warp = const_cast<Warp&>(*at);
  warp.pc = at_pc;
  const Instr& in = run.kernel->code[static_cast<size_t>(at_pc)];
  const uint32_t missing = warp.alive & ~at_lanes;
  std::string what = in.control == Control::kBarrier ? "barrier divergence: the barrier cannot complete"
                                                     : "a lane that the member mask names never arrives";
  if (collective) what += ", lanes " + lanes_text(missing) + " of the warp are missing";
  raise(warp, in, std::countr_zero(at_lanes), 719, what + text);
}

}  // namespace

bool arrive(Warp& w, const Instr& in, Group& group) {
  Cta& cta = *w.cta;
  const int lane = std::countr_zero(group.mask);
  const uint32_t id = lane_of<uint32_t>(w.arena + in.op[1], lane);
  if (id > 15) raise(w, in, lane, 719, "barrier " + std::to_string(id) + " does not exist");
  Barrier& barrier = cta.barriers[id];
  const bool counted = (in.flags & 2) != 0;
  const uint32_t expected = counted ? lane_of<uint32_t>(w.arena + in.op[2], lane) : cta.run->threads;
  if (counted && (expected == 0 || expected % 32 != 0)) {
    raise(w, in, lane, 719, "barrier count " + std::to_string(expected) + " is no multiple of the warp size");
  }
  if (barrier.expected != 0 && barrier.expected != expected) {
    raise(w, in, lane, 719,
          "barrier " + std::to_string(id) + " for " + std::to_string(expected) + " threads, while others wait for " +
              std::to_string(barrier.expected));
  }
  if (barrier.expected == 0) {
    barrier.expected = expected;
    barrier.counted = counted;
  }
  if (counted && (in.flags & 1) != 0) {
    barrier.arrived += kLanes;
  } else {
    barrier.arrived += static_cast<uint32_t>(std::popcount(group.mask));
  }
  if (cta.run->options.checks) barrier.stamps[w.index] = cta.shadow.arrive(in.size != kArrive);
  if (in.size >= kReduceAnd) {
    const uint32_t word = *w.word(in.op[3]);
    const uint32_t yes = (in.immediate != 0 ? ~word : word) & group.mask;
    barrier.reduce_and &= yes == group.mask ? 1 : 0;
    barrier.reduce_or |= yes != 0 ? 1 : 0;
    barrier.reduce_count += static_cast<uint32_t>(std::popcount(yes));
  }
  if (in.size != kArrive) {
    barrier.waiting.push_back({w.index, group.mask, &in});
    group.barrier = static_cast<int>(id);
  }
  if (barrier.arrived > barrier.expected) {
    raise(w, in, lane, 719, "more threads arrive at barrier " + std::to_string(id) + " than its count says");
  }
  if (barrier.arrived < barrier.expected) return false;
  release(cta, static_cast<int>(id));
  return true;
}

void run_block(Cta& cta) {
  Run& run = *cta.run;
  Worker& worker = *cta.worker;
  const uint64_t start = worker.counters.warp_instructions;
  std::vector<uint32_t> running(cta.warps.size());
  for (uint32_t i = 0; i < running.size(); ++i) running[i] = i;
  const bool adversarial = run.options.seed != 0;
  while (!running.empty()) {
    bool moved = false;
    for (size_t turn = 0; turn < running.size();) {
      size_t pick = turn;
      uint64_t quantum = kSpin;
      if (adversarial) {
        pick = worker.draw() % running.size();
        quantum = uint64_t{1} << (worker.draw() % 12);
      }
      Warp& warp = cta.warps[running[pick]];
      const uint64_t before = worker.counters.warp_instructions;
      const Pause pause = run_warp(warp, quantum);
      moved |= worker.counters.warp_instructions != before;
      if (pause == Pause::kExited) {
        running.erase(running.begin() + static_cast<std::ptrdiff_t>(pick));
        if (!adversarial) continue;
      }
      ++turn;
    }
    if (worker.counters.warp_instructions - start > run.options.hang) {
      Warp& warp = cta.warps[running.empty() ? 0 : running.front()];
      raise(warp, run.kernel->code[static_cast<size_t>(warp.pc)], -1, 702,
            "the block ran " + std::to_string(run.options.hang) + " instructions without an end: a hang");
    }
    if (!running.empty() && !moved) {
      // With random picks a round may have passed over the one that can run.
      if (adversarial) {
        bool runnable = false;
        for (uint32_t index : running) {
          for (const Group& group : cta.warps[index].groups) runnable |= !group.waiting && group.barrier < 0;
        }
        if (runnable) continue;
      }
      resolve_stuck(cta);
    }
  }
}

}  // namespace sim
