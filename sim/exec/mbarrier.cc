// mbarrier: barriers that are objects in shared memory, and cp.async copies that arrive at them. Counts of bytes
// (expect_tx, complete_tx) belong to the bulk copies of sm_90 and are not there.
//
// The object is opaque to programs; here its 64 bits are the pending arrivals (20), the expected ones (20), the number of
// the phase (23) and a mark. Copies land as late as is legal: when somebody asks for the phase that waits for them.
#include "exec/access.h"
#include "exec/block_order.h"
#include "exec/form.h"
#include "exec/lanes.h"
#include "exec/place.h"
#include "memory/bits.h"

namespace sim {
namespace {

using ptx::Type;

constexpr uint64_t kMark = uint64_t{1} << 63;
constexpr uint32_t kMost = (1u << 20) - 1;
constexpr uint64_t kPhases = (uint64_t{1} << 23) - 1;

struct Object {
  uint32_t pending, expected;
  uint64_t phase;
};
Object unpacked(uint64_t word) {
  return {static_cast<uint32_t>(word & kMost), static_cast<uint32_t>((word >> 20) & kMost), (word >> 40) & kPhases};
}
uint64_t packed(const Object& o) {
  return kMark | o.phase << 40 | uint64_t{o.expected} << 20 | o.pending;
}

/// The shared addresses of the objects of all lanes; raises what is no shared memory.
Access objects(Warp& w, const Instr& in, uint32_t mask, Use use) {
  alignas(64) uint64_t addresses[kLanes];
  addresses_of(w, in, mask, addresses);
  Access access;
  resolve(w, in, mask, addresses, 8, use, access);
  if (!access.shared || access.mask != mask) {
    raise(w, in, std::countr_zero(mask), 717, "an mbarrier object has to lie in shared memory");
  }
  return access;
}

uint64_t read_object(Warp& w, const Instr& in, int lane, const std::byte* at) {
  uint64_t word;
  std::memcpy(&word, at, 8);
  if ((word & kMark) == 0) raise(w, in, lane, 719, "this is no mbarrier object: mbarrier.init did not write it last");
  return word;
}

/// `count` arrivals of one lane. What its warp did so far is known to all who see the phase complete.
void arrive_at(Warp& w, const Instr& in, int lane, uint32_t at, uint32_t count, bool drop, bool completes) {
  Cta& cta = *w.cta;
  std::byte* place = cta.shared.data() + at;
  Object o = unpacked(read_object(w, in, lane, place));
  if (count == 0 || count > o.pending) {
    raise(w, in, lane, 719,
          std::to_string(count) + " arrivals at an mbarrier whose phase waits for " + std::to_string(o.pending));
  }
  if (!completes && count == o.pending) raise(w, in, lane, 719, ".noComplete arrival completes the phase");
  o.pending -= count;
  if (drop) o.expected -= count;
  if (cta.run->options.checks) {
    MbarrierClocks& clocks = cta.mbarriers[at];
    cta.shadow.publish(w.index, cta.shadow.arrive(false), clocks.now);
    if (o.pending == 0) clocks.before = std::move(clocks.now), clocks.now.clear();
  }
  if (o.pending == 0) {
    o.phase = (o.phase + 1) & kPhases;
    o.pending = o.expected;
  }
  const uint64_t word = packed(o);
  std::memcpy(place, &word, 8);
}

/// Copies that were waiting to arrive at this object: they land and arrive now.
void settle(Cta& cta, uint32_t at) {
  for (Warp& w : cta.warps) {
    for (size_t i = 0; i < w.deferred.size();) {
      const DeferredArrival arrival = w.deferred[i];
      if (arrival.at != at) {
        ++i;
        continue;
      }
      w.deferred.erase(w.deferred.begin() + static_cast<std::ptrdiff_t>(i));
      land_before(w, arrival.lane, arrival.copies);
      arrive_at(w, *arrival.instr, arrival.lane, at, 1, false, true);
    }
  }
}

void init(Warp& w, const Instr& in, uint32_t mask) {
  const Access access = objects(w, in, mask, Use::kWrite);
  const std::byte* counts = w.arena + in.op[2];
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const int l = std::countr_zero(rest);
    const uint32_t count = lane_of<uint32_t>(counts, l);
    if (count == 0 || count > kMost) raise(w, in, l, 719, "an mbarrier for " + std::to_string(count) + " arrivals");
    const uint64_t word = packed({count, count, 0});
    std::memcpy(access.data + access.offset[l], &word, 8);
    w.cta->mbarriers.erase(static_cast<uint32_t>(access.offset[l]));
  }
  mark_written(w, in, access, 8);
}

void invalidate(Warp& w, const Instr& in, uint32_t mask) {
  const Access access = objects(w, in, mask, Use::kAtomic);
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const int l = std::countr_zero(rest);
    std::byte* at = access.data + access.offset[l];
    read_object(w, in, l, at);
    std::memset(at, 0x7f, 8);
    if (w.cta->run->options.checks) bits::clear(access.initialised, access.offset[l], 8);
  }
}

constexpr uint32_t kDrop = 1 << 16, kNoComplete = 1 << 17, kParity = 1 << 18, kNoIncrement = 1 << 19;

/// op: state, address, count.
void arrive_all(Warp& w, const Instr& in, uint32_t mask) {
  const Access access = objects(w, in, mask, Use::kAtomic);
  const std::byte* counts = w.arena + in.op[2];
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const int l = std::countr_zero(rest);
    const uint64_t before = read_object(w, in, l, access.data + access.offset[l]);
    arrive_at(w, in, l, static_cast<uint32_t>(access.offset[l]), lane_of<uint32_t>(counts, l), (in.flags & kDrop) != 0,
              (in.flags & kNoComplete) == 0);
    reinterpret_cast<uint64_t*>(w.arena + in.op[0])[l] = before & ~kMark;
  }
  mark_written(w, in, access, 8);
}

/// op: predicate, address, state or parity.
void test_wait(Warp& w, const Instr& in, uint32_t mask) {
  const Access access = objects(w, in, mask, Use::kAtomic);
  const std::byte* given = w.arena + in.op[2];
  Cta& cta = *w.cta;
  uint32_t done = 0;
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const int l = std::countr_zero(rest);
    const uint32_t at = static_cast<uint32_t>(access.offset[l]);
    settle(cta, at);
    const Object o = unpacked(read_object(w, in, l, access.data + at));
    bool complete;
    if ((in.flags & kParity) != 0) {
      complete = (o.phase & 1) != (lane_of<uint32_t>(given, l) & 1);
    } else {
      const uint64_t asked = unpacked(lane_of<uint64_t>(given, l)).phase;
      complete = o.phase != asked;
      if (complete && ((asked + 1) & kPhases) != o.phase) {
        raise(w, in, l, 719, "a wait for a phase of an mbarrier that is neither the current nor the one before");
      }
    }
    if (!complete) continue;
    done |= 1u << l;
    if (cta.run->options.checks) cta.shadow.learn(w.index, cta.mbarriers[at].before);
  }
  if (done != 0) ++w.sync;
  if (done != mask) w.yields = true;
  write_predicate(w, in.op[0], mask, done);
}

/// cp.async.mbarrier.arrive: the lane's copies so far will arrive once they have landed.
void arrive_later(Warp& w, const Instr& in, uint32_t mask) {
  const Access access = objects(w, in, mask, Use::kAtomic);
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const int l = std::countr_zero(rest);
    std::byte* at = access.data + access.offset[l];
    Object o = unpacked(read_object(w, in, l, at));
    if ((in.flags & kNoIncrement) == 0) {
      if (o.pending == kMost) raise(w, in, l, 719, "too many pending arrivals at an mbarrier");
      ++o.pending;
      const uint64_t word = packed(o);
      std::memcpy(at, &word, 8);
    }
    w.deferred.push_back({static_cast<uint32_t>(access.offset[l]), l, w.copies_started, &in});
  }
  mark_written(w, in, access, 8);
}

/// .shared or generic; .release, .acquire and .relaxed with a scope: the order within a block is kept here anyway.
void take_place(Form& f) {
  f.take_any({"release", "acquire", "relaxed"});
  if (f.take("cluster")) f.unknown("clusters are not there");
  f.take("cta");
  if (f.take("shared::cluster")) f.unknown("clusters are not there");
  take_space(f, false);
  const uint32_t space = f.out.flags & kSpaceMask;
  if (space != kSharedSpace && space != kGenericSpace) f.unknown("state space");
  if (f.take_type() != Type::kB64) f.unknown("type");
  f.out.flags |= kStrong;
}

void mbarrier(Form& f) {
  for (const char* bytes : {"expect_tx", "complete_tx"}) {
    if (f.take(bytes)) f.unknown("counts of bytes (transactions) are not there");
  }
  const int what = f.take_any({"init", "inval", "arrive", "arrive_drop", "test_wait", "try_wait", "pending_count"});
  if (what < 0) f.unknown("form");
  if (what == 6) {
    if (f.take_type() != Type::kB64) f.unknown("type");
    f.expect_count(2, 2);
    f.out.op[0] = f.to(0, Type::kU32), f.out.op[1] = f.in(1, Type::kB64);
    f.out.run = [](Warp& w, const Instr& in, uint32_t mask) {
      const std::byte* state = w.arena + in.op[1];
      write_lanes<uint32_t>(w.arena + in.op[0], mask,
                            [state](int l) { return static_cast<uint32_t>(lane_of<uint64_t>(state, l) & kMost); });
    };
    return;
  }
  const bool no_complete = f.take("noComplete"), parity = f.take("parity");
  take_place(f);
  if (no_complete && what != 2 && what != 3) f.unknown(".noComplete");
  if (parity && what < 4) f.unknown(".parity");
  if (what <= 1) {
    f.expect_count(what == 0 ? 2 : 1, what == 0 ? 2 : 1);
    set_address(f, f.operand(0));
    if (what == 0) f.out.op[2] = f.in(1, Type::kU32);
    f.out.run = what == 0 ? init : invalidate;
  } else if (what <= 3) {
    f.expect_count(no_complete ? 3 : 2, 3);
    f.out.op[0] = f.to(0, Type::kB64);
    set_address(f, f.operand(1));
    f.out.op[2] = f.count() == 3 ? f.in(2, Type::kU32) : f.constant(1);
    f.out.flags |= (what == 3 ? kDrop : 0) | (no_complete ? kNoComplete : 0);
    f.out.run = arrive_all;
  } else {
    f.expect_count(3, what == 5 ? 4 : 3);  // a time to wait at most may follow
    f.out.op[0] = f.to(0, Type::kPred);
    set_address(f, f.operand(1));
    f.out.op[2] = f.in(2, parity ? Type::kU32 : Type::kB64);
    if (f.count() == 4) f.in(3, Type::kU32);
    if (parity) f.out.flags |= kParity;
    f.out.control = Control::kYield;
    f.out.run = test_wait;
  }
}

}  // namespace

void copy_arrival(Form& f) {
  if (!f.take("arrive")) f.unknown("form");
  const bool no_increment = f.take("noinc");
  take_place(f);
  f.expect_count(1, 1);
  set_address(f, f.operand(0));
  if (no_increment) f.out.flags |= kNoIncrement;
  f.out.run = arrive_later;
}

void add_mbarrier(Decoders& decoders) {
  decoders["mbarrier"] = mbarrier;
}

}  // namespace sim
