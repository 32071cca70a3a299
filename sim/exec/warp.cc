// The warp loop: runs the group of lanes with the lowest pc until it meets another group, blocks or ends.
#include <bit>
#include <climits>

#include "exec/lanes.h"
#include "exec/machine.h"

namespace sim {
namespace {

/// Merges groups at the same pc and picks the one to run; false when none can.
bool regroup(Warp& w, bool rotate) {
  std::vector<Group>& groups = w.groups;
  for (size_t i = 0; i < groups.size(); ++i) {
    for (size_t k = groups.size() - 1; k > i; --k) {
      if (groups[k].pc != groups[i].pc || groups[k].barrier >= 0 || groups[i].barrier >= 0) continue;
      groups[i].mask |= groups[k].mask;
      groups[i].waiting = groups[i].waiting && groups[k].waiting;
      groups.erase(groups.begin() + static_cast<std::ptrdiff_t>(k));
    }
  }
  const bool known = w.current >= 0 && w.current < static_cast<int>(groups.size());
  const int before = known ? groups[static_cast<size_t>(w.current)].pc : -1;
  int best = -1, after = -1;
  for (size_t i = 0; i < groups.size(); ++i) {
    if (groups[i].waiting || groups[i].barrier >= 0) continue;
    const int pc = groups[i].pc;
    if (best < 0 || pc < groups[static_cast<size_t>(best)].pc) best = static_cast<int>(i);
    if (rotate && pc > before && (after < 0 || pc < groups[static_cast<size_t>(after)].pc)) after = static_cast<int>(i);
  }
  w.current = after >= 0 ? after : best;
  return best >= 0;
}

/// The next pc at which another group stands, above this one.
int next_meeting(const Warp& w, int pc) {
  int limit = INT_MAX;
  for (size_t i = 0; i < w.groups.size(); ++i) {
    if (static_cast<int>(i) != w.current && w.groups[i].pc > pc && w.groups[i].barrier < 0) {
      limit = std::min(limit, w.groups[i].pc);
    }
  }
  return limit;
}

void wake(Warp& w) {
  for (Group& group : w.groups) group.waiting = false;
}

/// Whether all lanes that the members' masks name are here. Faults for what can never be.
bool complete(Warp& w, const Instr& in, uint32_t mask) {
  const std::byte* slot = w.arena + in.op[3];
  uint32_t named = 0;
  if (mask == kFull) {
    for (int l = 0; l < kLanes; ++l) named |= lane_of<uint32_t>(slot, l);
    for (int l = 0; l < kLanes; ++l) {
      if (!((lane_of<uint32_t>(slot, l) >> l) & 1)) raise(w, in, l, 719, "a lane outside of its own member mask");
    }
    return true;
  }
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const int l = std::countr_zero(rest);
    const uint32_t members = lane_of<uint32_t>(slot, l);
    if (!((members >> l) & 1)) raise(w, in, l, 719, "a lane outside of its own member mask " + hex(members));
    named |= members;
  }
  const uint32_t missing = named & w.exists & ~mask;
  if (missing == 0) return true;
  if (w.cta->run->options.checks && (missing & ~w.alive) != 0) {
    raise(w, in, std::countr_zero(mask), 719,
          "member mask " + hex(named) + " names lane " + std::to_string(std::countr_zero(missing & ~w.alive)) +
              ", which has exited");
  }
  return (missing & w.alive) == 0;
}

}  // namespace

Pause run_warp(Warp& w, uint64_t quantum) {
  const Kernel& kernel = *w.cta->run->kernel;
  const Instr* code = kernel.code.data();
  Counters& counters = w.cta->worker->counters;
  uint64_t* executed = w.cta->worker->executed.empty() ? nullptr : w.cta->worker->executed.data();
  uint64_t warp_count = 0, thread_count = 0;
  struct Flush {
    Counters& counters;
    uint64_t &warps, &threads;
    ~Flush() { counters.warp_instructions += warps, counters.thread_instructions += threads; }
  } flush{counters, warp_count, thread_count};

  const bool keep = w.rotated && !w.groups[static_cast<size_t>(w.current)].waiting;
  w.rotated = false;
  if (!keep && !regroup(w, false)) return w.groups.empty() ? Pause::kExited : Pause::kBlocked;
  uint64_t left = quantum;
  for (;;) {
    Group* group = &w.groups[static_cast<size_t>(w.current)];
    int pc = group->pc;
    uint32_t active = group->mask;
    const bool alone = w.groups.size() == 1;
    int limit = alone ? INT_MAX : next_meeting(w, pc);
    bool again = false;  // look at the groups
    bool gone = false;   // the group is no more
    do {
      if (left-- == 0) {
        group->pc = pc;
        group->mask = active;
        w.rotated = regroup(w, true);
        return Pause::kQuantum;
      }
      const Instr& in = code[pc];
      w.pc = pc;
      uint32_t mask = active;
      if (in.guarded) mask &= in.guard_negated ? ~*w.word(in.guard) : *w.word(in.guard);
      ++warp_count;
      thread_count += static_cast<uint64_t>(std::popcount(mask));
      if (executed != nullptr && (mask != 0 || in.control == Control::kBranch)) ++executed[pc];
      switch (in.control) {
        case Control::kNone:
          if (mask != 0) in.run(w, in, mask);
          ++pc;
          break;
        case Control::kYield:
          if (mask != 0) in.run(w, in, mask);
          ++pc;
          if (w.yields) left = 0, w.yields = false;
          break;
        case Control::kCall: {
          if (mask == 0) {
            ++pc;
            break;
          }
          in.run(w, in, mask);
          uint32_t rest = mask;
          const uint32_t stay = active & ~mask;
          while (rest != 0) {
            const uint32_t target = w.next[std::countr_zero(rest)];
            const uint32_t same = lanes_where([&](int k) { return w.next[k] == target; }) & rest;
            rest &= ~same;
            if (rest == 0 && stay == 0) {
              active = same;
              pc = static_cast<int>(target) - 1;
            } else {
              w.groups.push_back({same, static_cast<int>(target), false, -1});
            }
          }
          if (stay != 0) active = stay;
          group = &w.groups[static_cast<size_t>(w.current)];
          group->mask = active;
          ++pc;
          again = true;
          break;
        }
        case Control::kCollective:
          if (mask != 0) {
            if (!complete(w, in, mask)) {
              if (active != mask) w.groups.push_back({active & ~mask, pc + 1, false, -1});
              group = &w.groups[static_cast<size_t>(w.current)];
              group->mask = mask;
              active = mask;
              group->waiting = true;
              again = true;
              break;
            }
            in.run(w, in, mask);
          }
          ++pc;
          break;
        case Control::kBranch:
          ++counters.branches;
          if (mask == active) {
            pc = in.target;
            if (!alone) again = true;
          } else if (mask == 0) {
            ++pc;
          } else {
            ++counters.divergent_branches;
            w.groups.push_back({mask, in.target, false, -1});
            group = &w.groups[static_cast<size_t>(w.current)];
            active &= ~mask;
            group->mask = active;
            ++pc;
            again = true;
          }
          break;
        case Control::kBranchTable: {
          ++counters.branches;
          const std::vector<int>& table = kernel.tables[static_cast<size_t>(in.target)];
          const std::byte* index = w.arena + in.op[1];
          uint32_t rest = mask;
          while (rest != 0) {
            const int l = std::countr_zero(rest);
            const uint32_t entry = lane_of<uint32_t>(index, l);
            if (entry >= table.size()) raise(w, in, l, 719, "branch index " + std::to_string(entry) + " out of range");
            const uint32_t same = lanes_where([=](int k) { return lane_of<uint32_t>(index, k) == entry; }) & rest;
            rest &= ~same;
            if (same == active) {
              pc = table[entry] - 1;
            } else {
              w.groups.push_back({same, table[entry], false, -1});
              active &= ~same;
            }
          }
          group = &w.groups[static_cast<size_t>(w.current)];
          group->mask = active;
          ++pc;
          gone = active == 0;
          again = true;
          break;
        }
        case Control::kExit:
          w.alive &= ~mask;
          active &= ~mask;
          group->mask = active;
          ++pc;
          if (mask != 0) wake(w);
          gone = active == 0;
          again = gone || !alone;
          break;
        case Control::kBarrier:
          if (mask == 0) {
            ++pc;
            break;
          }
          if (mask != active) {
            w.groups.push_back({active & ~mask, pc + 1, false, -1});
            group = &w.groups[static_cast<size_t>(w.current)];
            active = mask;
            group->mask = mask;
          }
          again = true;
          if ((in.flags & 1) != 0 && mask != w.alive) {  // all lanes of the warp have to be here
            group->waiting = true;
            break;
          }
          ++pc;
          group->pc = pc;
          arrive(w, in, *group);
          break;
      }
    } while (!again && pc < limit);
    group = &w.groups[static_cast<size_t>(w.current)];
    group->pc = pc;
    if (gone) w.groups.erase(w.groups.begin() + w.current);
    if (w.groups.empty()) return Pause::kExited;
    if (!regroup(w, false)) return Pause::kBlocked;
  }
}

}  // namespace sim
