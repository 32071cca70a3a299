// Exchanges between the lanes of a warp: shfl, vote, match, redux, activemask, elect, bar.warp.sync. The warp loop has
// already made sure that every lane that a member mask names is here.
#include "exec/form.h"
#include "exec/lanes.h"
#include "exec/types.h"

namespace sim {
namespace {

using ptx::Type;

enum Shuffle : int64_t { kUp, kDown, kButterfly, kIndex };

/// op: result, value, lane or distance, member mask; more: clamp, predicate (when there is one).
void shuffle(Warp& w, const Instr& in, uint32_t mask) {
  const uint32_t* slots = w.cta->run->kernel->slots.data() + in.more;
  alignas(64) uint32_t value[kLanes];
  std::memcpy(value, w.arena + in.op[1], sizeof value);
  const std::byte *b = w.arena + in.op[2], *c = w.arena + slots[0];
  alignas(64) uint32_t result[kLanes];
  uint32_t inside = 0;
  for (int l = 0; l < kLanes; ++l) {
    const int distance = static_cast<int>(lane_of<uint32_t>(b, l) & 31);
    const uint32_t control = lane_of<uint32_t>(c, l);
    const int clamp = static_cast<int>(control & 31), segment = static_cast<int>((control >> 8) & 31);
    const int last = (l & segment) | (clamp & ~segment), first = l & segment;
    int from = l;
    bool ok = true;
    switch (in.immediate) {
      case kUp:
        from = l - distance, ok = from >= last;
        break;
      case kDown:
        from = l + distance, ok = from <= last;
        break;
      case kButterfly:
        from = l ^ distance, ok = from <= last;
        break;
      default:
        from = first | (distance & ~segment), ok = from <= last;
        break;
    }
    if (!ok) from = l;
    inside |= static_cast<uint32_t>(ok) << l;
    result[l] = value[from & 31];
    if (((mask >> l) & 1) != 0 && ((mask >> (from & 31)) & 1) == 0) {
      raise(w, in, l, 719, "shfl reads lane " + std::to_string(from) + ", which does not take part");
    }
  }
  blend(reinterpret_cast<uint32_t*>(w.arena + in.op[0]), result, mask);
  if (in.more_count > 1) write_predicate(w, slots[1], mask, inside);
}

void shfl(Form& f) {
  if (!f.take("sync")) f.unknown("only shfl.sync");
  const int mode = f.take_any({"up", "down", "bfly", "idx"});
  const Type type = f.take_type();
  if (mode < 0 || type != Type::kB32) f.unknown("form");
  f.expect_count(5, 5);
  f.out.control = Control::kCollective;
  f.out.immediate = mode;
  f.out.op[0] = f.to(0, type), f.out.op[1] = f.in(1, type), f.out.op[2] = f.in(2, Type::kU32);
  f.out.op[3] = f.in(4, Type::kU32);
  f.more(f.in(3, Type::kU32));
  if (f.operand(0).paired) f.more(f.to(f.operand(0).parts[0], Type::kPred));
  f.out.run = shuffle;
}

/// For each lane the votes of the lanes that its own member mask names.
void vote_all(Warp& w, const Instr& in, uint32_t mask) {
  const uint32_t votes = in.flags != 0 ? ~*w.word(in.op[1]) : *w.word(in.op[1]);
  const std::byte* members = w.arena + in.op[3];
  if (in.immediate == 3) {
    write_lanes<uint32_t>(w.arena + in.op[0], mask,
                          [=](int l) { return votes & mask & lane_of<uint32_t>(members, l); });
    return;
  }
  const int64_t how = in.immediate;
  write_predicate(w, in.op[0], mask, lanes_where([=](int l) {
                    const uint32_t named = lane_of<uint32_t>(members, l) & mask, yes = votes & named;
                    return how == 0 ? yes == named : how == 1 ? yes != 0 : yes == 0 || yes == named;
                  }));
}

void vote(Form& f) {
  if (!f.take("sync")) f.unknown("only vote.sync");
  const int how = f.take_any({"all", "any", "uni", "ballot"});
  const Type type = f.take_type();
  if (how < 0 || type != (how == 3 ? Type::kB32 : Type::kPred)) f.unknown("form");
  f.expect_count(3, 3);
  f.out.control = Control::kCollective;
  f.out.immediate = how;
  f.out.flags = f.operand(1).negated ? 1 : 0;
  f.out.op[0] = f.to(0, type), f.out.op[3] = f.in(2, Type::kU32);
  f.out.op[1] = f.in(1, Type::kPred);
  f.out.run = vote_all;
}

template <class T>
void match_all(Warp& w, const Instr& in, uint32_t mask) {
  const std::byte *a = w.arena + in.op[1], *members = w.arena + in.op[3];
  alignas(64) uint32_t result[kLanes];
  uint32_t same_for_all = 0;
  for (int l = 0; l < kLanes; ++l) {
    const uint32_t named = lane_of<uint32_t>(members, l) & mask;
    const T mine = lane_of<T>(a, l);
    const uint32_t equal = lanes_where([=](int k) { return lane_of<T>(a, k) == mine; }) & named;
    result[l] = in.immediate == 0 ? equal : equal == named ? named : 0;
    if (equal == named) same_for_all |= 1u << l;
  }
  blend(reinterpret_cast<uint32_t*>(w.arena + in.op[0]), result, mask);
  if (in.more_count > 0) write_predicate(w, w.cta->run->kernel->slots[in.more], mask, same_for_all);
}

void match(Form& f) {
  const int how = f.take_any({"any", "all"});
  if (!f.take("sync") || how < 0) f.unknown("form");
  const Type type = f.take_type();
  if (type != Type::kB32 && type != Type::kB64) f.unknown("type");
  f.expect_count(3, 3);
  f.out.control = Control::kCollective;
  f.out.immediate = how;
  f.out.op[0] = f.to(0, Type::kB32), f.out.op[1] = f.in(1, type), f.out.op[3] = f.in(2, Type::kU32);
  if (f.operand(0).paired) {
    if (how != 1) f.unknown("a predicate is for .all");
    f.more(f.to(f.operand(0).parts[0], Type::kPred));
  }
  f.out.run = type == Type::kB32 ? &match_all<uint32_t> : &match_all<uint64_t>;
}

template <class T, class F>
void reduce(Warp& w, const Instr& in, uint32_t mask, F f) {
  const std::byte *a = w.arena + in.op[1], *members = w.arena + in.op[3];
  alignas(64) uint32_t result[kLanes];
  for (int l = 0; l < kLanes; ++l) {
    uint32_t named = lane_of<uint32_t>(members, l) & mask;
    if (named == 0) named = 1u << l;
    T sum = lane_of<T>(a, std::countr_zero(named));
    for (uint32_t rest = named & (named - 1); rest != 0; rest &= rest - 1) {
      sum = f(sum, lane_of<T>(a, std::countr_zero(rest)));
    }
    result[l] = static_cast<uint32_t>(sum);
  }
  blend(reinterpret_cast<uint32_t*>(w.arena + in.op[0]), result, mask);
}
void redux_all(Warp& w, const Instr& in, uint32_t mask) {
  const bool sign = in.flags != 0;
  switch (in.immediate) {
    case 0:
      return reduce<uint32_t>(w, in, mask, [](uint32_t x, uint32_t y) { return x + y; });
    case 1:
      if (sign) return reduce<int32_t>(w, in, mask, [](int32_t x, int32_t y) { return x < y ? x : y; });
      return reduce<uint32_t>(w, in, mask, [](uint32_t x, uint32_t y) { return x < y ? x : y; });
    case 2:
      if (sign) return reduce<int32_t>(w, in, mask, [](int32_t x, int32_t y) { return x > y ? x : y; });
      return reduce<uint32_t>(w, in, mask, [](uint32_t x, uint32_t y) { return x > y ? x : y; });
    case 3:
      return reduce<uint32_t>(w, in, mask, [](uint32_t x, uint32_t y) { return x & y; });
    case 4:
      return reduce<uint32_t>(w, in, mask, [](uint32_t x, uint32_t y) { return x | y; });
    default:
      return reduce<uint32_t>(w, in, mask, [](uint32_t x, uint32_t y) { return x ^ y; });
  }
}

void redux(Form& f) {
  if (!f.take("sync")) f.unknown("form");
  const int how = f.take_any({"add", "min", "max", "and", "or", "xor"});
  const Type type = f.take_type();
  const bool bits = how >= 3;
  if (how < 0 || (bits ? type != Type::kB32 : type != Type::kU32 && type != Type::kS32)) f.unknown("form");
  f.expect_count(3, 3);
  f.out.control = Control::kCollective;
  f.out.immediate = how;
  f.out.flags = type == Type::kS32 ? 1 : 0;
  f.out.op[0] = f.to(0, type), f.out.op[1] = f.in(1, type), f.out.op[3] = f.in(2, Type::kU32);
  f.out.run = redux_all;
}

void elect(Form& f) {
  if (!f.take("sync")) f.unknown("form");
  f.expect_count(2, 2);
  const ptx::Operand& target = f.operand(0);
  if (!target.paired) f.unknown("result|predicate");
  f.out.control = Control::kCollective;
  f.out.op[0] = f.to(0, Type::kB32), f.out.op[3] = f.in(1, Type::kU32);
  f.more(f.to(target.parts[0], Type::kPred));
  f.out.run = [](Warp& w, const Instr& in, uint32_t mask) {
    const uint32_t leader = static_cast<uint32_t>(std::countr_zero(mask));
    write_lanes<uint32_t>(w.arena + in.op[0], mask, [leader](int) { return leader; });
    write_predicate(w, w.cta->run->kernel->slots[in.more], mask, 1u << leader);
  };
}

}  // namespace

void add_collectives(Decoders& decoders) {
  decoders["shfl"] = shfl;
  decoders["vote"] = vote;
  decoders["match"] = match;
  decoders["redux"] = redux;
  decoders["elect"] = elect;
  decoders["activemask"] = [](Form& f) {
    if (f.take_type() != Type::kB32) f.unknown("type");
    f.expect_count(1, 1);
    f.out.op[0] = f.to(0, Type::kB32);
    f.out.run = [](Warp& w, const Instr& in, uint32_t mask) {
      write_lanes<uint32_t>(w.arena + in.op[0], mask, [mask](int) { return mask; });
    };
  };
}

}  // namespace sim
