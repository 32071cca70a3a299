// ld, st, prefetch, cvta, isspacep, fences: moving bytes between slots and memory.
#include "exec/access.h"
#include "exec/block_order.h"
#include "exec/form.h"
#include "exec/lanes.h"
#include "exec/lowering.h"
#include "exec/place.h"

namespace sim {
namespace {

using ptx::Type;

/// E is what lies in memory, R the register: conversion from E to R extends as PTX wants.
template <class E, class R>
void load(Warp& w, const Instr& in, uint32_t mask) {
  const uint32_t count = in.more_count;
  const uint32_t bytes = static_cast<uint32_t>(sizeof(E)) * count;
  const uint32_t* slots = w.cta->run->kernel->slots.data() + in.more;
  alignas(64) uint64_t addresses[kLanes];
  addresses_of(w, in, mask, addresses);
  while (mask != 0) {
    Access access;
    resolve(w, in, mask, addresses, bytes, Use::kRead, access);
    if (access.contiguous && count == 1 && sizeof(E) == sizeof(R) && sizeof(E) >= 4) {
      std::memcpy(w.arena + slots[0], access.data + access.offset[0], kLanes * sizeof(E));
      return;
    }
    for (uint32_t i = 0; i < count; ++i) {
      const std::byte* from = access.data + i * sizeof(E);
      const uint64_t* offset = access.offset;
      write_lanes<R>(w.arena + slots[i], access.mask, [from, offset](int l) {
        E value;
        std::memcpy(&value, from + offset[l], sizeof(E));
        return static_cast<R>(value);
      });
    }
    mask &= ~access.mask;
    if (mask == 0) return;
    addresses_of(w, in, mask, addresses);
  }
}

template <class E, class R>
void store(Warp& w, const Instr& in, uint32_t mask) {
  const uint32_t count = in.more_count;
  const uint32_t bytes = static_cast<uint32_t>(sizeof(E)) * count;
  const uint32_t* slots = w.cta->run->kernel->slots.data() + in.more;
  if ((in.flags & kReleaseBlock) != 0) fence(w, (in.flags & kRelease) != 0);
  alignas(64) uint64_t addresses[kLanes];
  addresses_of(w, in, mask, addresses);
  while (mask != 0) {
    Access access;
    resolve(w, in, mask, addresses, bytes, Use::kWrite, access);
    if (access.contiguous && count == 1 && sizeof(E) == sizeof(R) && sizeof(E) >= 4) {
      std::memcpy(access.data + access.offset[0], w.arena + slots[0], kLanes * sizeof(E));
    } else {
      for (uint32_t i = 0; i < count; ++i) {
        const std::byte* slot = w.arena + slots[i];
        std::byte* to = access.data + i * sizeof(E);
        for (uint32_t rest = access.mask; rest != 0; rest &= rest - 1) {
          const int l = std::countr_zero(rest);
          const E value = static_cast<E>(lane_of<R>(slot, l));
          std::memcpy(to + access.offset[l], &value, sizeof(E));
        }
      }
    }
    mark_written(w, in, access, bytes);
    mask &= ~access.mask;
    if (mask == 0) return;
    addresses_of(w, in, mask, addresses);
  }
}

/// ld.param of a kernel parameter at a fixed place: the same for all lanes.
template <class E, class R>
void load_parameter(Warp& w, const Instr& in, uint32_t mask) {
  const uint32_t* slots = w.cta->run->kernel->slots.data() + in.more;
  const std::byte* from = w.cta->run->launch->parameters.data() + in.immediate;
  for (uint32_t i = 0; i < in.more_count; ++i) {
    E value;
    std::memcpy(&value, from + i * sizeof(E), sizeof(E));
    const R extended = static_cast<R>(value);
    write_lanes<R>(w.arena + slots[i], mask, [extended](int) { return extended; });
  }
}

template <class E>
Handler pick(int which, int register_bits) {
  constexpr Handler kAll[3][3] = {
      {&load<E, uint16_t>, &load<E, uint32_t>, &load<E, uint64_t>},
      {&store<E, uint16_t>, &store<E, uint32_t>, &store<E, uint64_t>},
      {&load_parameter<E, uint16_t>, &load_parameter<E, uint32_t>, &load_parameter<E, uint64_t>},
  };
  return kAll[which][register_bits == 16 ? 0 : register_bits == 32 ? 1 : 2];
}

Handler handler(int which, Type type, int register_bits) {
  const bool sign = ptx::is_signed(type);
  switch (ptx::bits_of(type)) {
    case 8:
      return sign ? pick<int8_t>(which, register_bits) : pick<uint8_t>(which, register_bits);
    case 16:
      return sign ? pick<int16_t>(which, register_bits) : pick<uint16_t>(which, register_bits);
    case 32:
      return sign ? pick<int32_t>(which, register_bits) : pick<uint32_t>(which, register_bits);
    default:
      return pick<uint64_t>(which, register_bits);
  }
}

void take_order(Form& f) {
  const bool volatile_access = f.take("volatile");
  const int order = f.take_any({"weak", "relaxed", "acquire", "release", "mmio"});
  const int scope = f.take_any({"cta", "cluster", "gpu", "sys"});
  if (order >= 1 && scope < 0) f.unknown("an order without a scope");
  if (volatile_access || order >= 1) f.out.flags |= kStrong;
  if (volatile_access) f.out.flags |= kVolatile;
  if (order == 3) f.out.flags |= scope > 0 ? kRelease | kReleaseBlock : kReleaseBlock;
}

void ld_st(Form& f, bool is_load) {
  take_order(f);
  const bool noncoherent = f.take("nc");
  take_space(f, false);
  take_cache_hints(f);
  const int vector = f.take_any({"v2", "v4", "v8"});
  const Type type = f.take_type();
  if (type == Type::kNone || type == Type::kPred || type == Type::kB128) f.unknown("type");
  if (noncoherent) {
    if (!is_load || (f.out.flags & kSpaceMask) != kGlobalSpace) f.unknown(".nc is for ld.global");
    f.out.flags |= kNoncoherent;
    f.lowering().kernel().reads_noncoherent = true;
  }
  f.expect_count(2, 3);  // a cache policy may follow
  const ptx::Operand& value = f.operand(is_load ? 0 : 1);
  const ptx::Operand& address = f.operand(is_load ? 1 : 0);
  const size_t count = vector < 0 ? 1 : size_t{2} << vector;
  std::vector<ptx::Operand> parts;
  if (vector < 0) {
    parts.push_back(value);
  } else {
    if (value.kind != ptx::Operand::kVector || value.parts.size() != count) f.unknown("vector operand");
    parts = value.parts;
  }
  const int bits = ptx::bits_of(type);
  if (bits / 8 * static_cast<int>(count) > 32) f.unknown("a vector of more than 32 bytes");
  int register_bits = bits <= 16 ? 16 : bits;
  for (const ptx::Operand& part : parts) {
    const int have = ptx::bits_of(f.register_type(part));
    if (have > 1) register_bits = std::max(register_bits, have);
  }
  const Type as = register_bits == 16 ? Type::kB16 : register_bits == 32 ? Type::kB32 : Type::kB64;
  for (const ptx::Operand& part : parts) {
    if (is_load) {
      f.more(f.to(part, as));
    } else {
      // An immediate of a floating-point type keeps its own type.
      f.more(part.kind == ptx::Operand::kRegister ? f.in(part, as) : f.in(part, bits < 16 ? Type::kB16 : type));
    }
  }
  f.out.size = static_cast<uint8_t>(bits / 8);
  const bool fixed = set_address(f, address);
  const bool fixed_parameter = fixed && (f.out.flags & kSpaceMask) == kParameterSpace;
  if (fixed_parameter) {
    const size_t end = static_cast<size_t>(f.out.immediate) + static_cast<size_t>(bits) / 8 * count;
    if (!is_load || f.out.immediate < 0 || end > f.lowering().kernel().facts.parameter_bytes) {
      f.unknown("outside of the kernel's parameters");
    }
  }
  f.out.run = handler(fixed_parameter ? 2 : is_load ? 0 : 1, type, register_bits);
}

void prefetch(Form& f) {
  f.take_any({"global", "local"});
  if (f.take_any({"L1", "L2", "L2::evict_last", "L2::evict_normal"}) < 0) f.unknown("level");
  f.out.run = [](Warp&, const Instr&, uint32_t) {};  // a hint: it reads nothing
}

/// A policy for the L2 cache: some number, since hints change nothing here.
void policy(Form& f) {
  const int kind = f.take_any({"fractional", "range", "cvt"});
  f.take("global"), f.take("L2");
  f.take_any({"L2::evict_last", "L2::evict_normal", "L2::evict_first", "L2::evict_unchanged"});
  f.take_any({"L2::evict_first", "L2::evict_unchanged"});
  if (kind < 0 || f.take_type() != Type::kB64) f.unknown("form");
  f.expect_count(1, 4);
  f.out.op[0] = f.to(0, Type::kB64);
  f.out.run = [](Warp& w, const Instr& in, uint32_t mask) {
    write_lanes<uint64_t>(w.arena + in.op[0], mask, [](int) { return uint64_t{1}; });
  };
}

template <bool Wide>
void add_base(Warp& w, const Instr& in, uint32_t mask) {
  using T = std::conditional_t<Wide, uint64_t, uint32_t>;
  const std::byte* a = w.arena + in.op[1];
  const uint64_t base = static_cast<uint64_t>(in.immediate);
  write_lanes<T>(w.arena + in.op[0], mask, [a, base](int l) { return static_cast<T>(lane_of<T>(a, l) + base); });
}

void cvta(Form& f) {
  const bool to = f.take("to");
  const int space = f.take_any({"global", "const", "shared", "local", "param", "shared::cta"});
  const Type type = f.take_type();
  if (space < 0 || type != Type::kU64) f.unknown("space or type");
  f.out.op[0] = f.to(0, type);
  f.out.op[1] = f.in(1, type);
  const uint64_t base = space == 2 || space == 5 ? kSharedWindow
                        : space == 3             ? kLocalWindow
                        : space == 4             ? kParamWindow
                                                 : 0;
  f.out.immediate = static_cast<int64_t>(to ? ~base + 1 : base);
  f.out.run = &add_base<true>;
}

void fence_form(Form& f) {
  const bool block = f.take("cta");
  const int scope = f.take_any({"gl", "gpu", "sys", "cluster"});
  const int order = f.take_any({"sc", "acq_rel", "release", "acquire"});
  if (!block && scope < 0) f.unknown("scope");
  if (order == 3) {
    f.out.run = [](Warp&, const Instr&, uint32_t) {};  // releases nothing
    return;
  }
  f.out.run = block ? [](Warp& w, const Instr&, uint32_t) { fence(w, false); }
                    : [](Warp& w, const Instr&, uint32_t) { fence(w, true); };
}

}  // namespace

void take_space(Form& f, bool needed) {
  const int space =
      f.take_any({"global", "const", "shared", "shared::cta", "local", "param", "param::entry", "param::func"});
  constexpr uint32_t kSpaces[] = {kGlobalSpace, kConstSpace,     kSharedSpace,    kSharedSpace,
                                  kLocalSpace,  kParameterSpace, kParameterSpace, kParameterSpace};
  if (space < 0 && needed) f.unknown("no state space");
  f.out.flags |= space < 0 ? kGenericSpace : kSpaces[space];
}

void take_cache_hints(Form& f) {
  f.take_any({"ca", "cg", "cs", "lu", "cv", "wb", "wt"});
  f.take_any({"L1::evict_normal", "L1::evict_unchanged", "L1::evict_first", "L1::evict_last", "L1::no_allocate"});
  f.take_any({"L2::evict_normal", "L2::evict_first", "L2::evict_last"});
  f.take("L2::cache_hint");
  f.take_any({"L2::64B", "L2::128B", "L2::256B"});
}

bool set_address(Form& f, const ptx::Operand& address) {
  if (address.kind != ptx::Operand::kAddress) f.unknown("an address in [ ] is wanted");
  const ptx::Operand& base = address.parts[0];
  f.out.immediate = address.offset;
  uint32_t space = f.out.flags & kSpaceMask;
  if (space == kGlobalSpace || space == kConstSpace || space == kGenericSpace) f.out.cache = f.cache();
  if (base.kind == ptx::Operand::kRegister) {
    const int bits = ptx::bits_of(f.register_type(base));
    if (bits != 32 && bits != 64) f.unknown("address register " + base.text);
    if (bits == 32) f.out.flags |= kNarrowAddress;
    f.out.op[1] = f.in(base, bits == 32 ? Type::kB32 : Type::kB64);
    return false;
  }
  uint64_t at = base.kind == ptx::Operand::kInteger ? base.bits : 0;
  if (base.kind == ptx::Operand::kVariable) {
    const ptx::Variable& variable = *base.variable;
    at = f.lowering().address_of(variable, f.source.line);
    if (variable.space == ptx::Space::kParam && !f.lowering().is_kernel_parameter(variable)) {
      // A parameter of a called function lies in the thread's frame.
      if (space != kParameterSpace) f.unknown("a function's parameter outside of .param");
      at &= ~kFrameParameters;
      f.out.flags = (f.out.flags & ~kSpaceMask) | kLocalSpace;
      space = kLocalSpace;
    }
    const bool fits = space == kGenericSpace || (variable.space == ptx::Space::kGlobal && space == kGlobalSpace) ||
                      (variable.space == ptx::Space::kConst && space == kConstSpace) ||
                      (variable.space == ptx::Space::kShared && space == kSharedSpace) ||
                      (variable.space == ptx::Space::kLocal && space == kLocalSpace) ||
                      variable.space == ptx::Space::kParam;
    if (!fits) f.unknown("variable " + variable.name + " lies in another state space");
    if (space == kGenericSpace && variable.space == ptx::Space::kShared) at += kSharedWindow;
    if (space == kGenericSpace && variable.space == ptx::Space::kLocal) at += kLocalWindow;
  }
  f.out.immediate += static_cast<int64_t>(at);
  const bool in_frame = base.kind == ptx::Operand::kVariable && f.lowering().relative() &&
                        (base.variable->space == ptx::Space::kLocal || base.variable->space == ptx::Space::kParam) &&
                        !f.lowering().is_kernel_parameter(*base.variable);
  f.out.op[1] = in_frame ? f.lowering().frame_slot() : f.constant(0, true);
  return true;
}

void add_memory(Decoders& decoders) {
  decoders["ld"] = [](Form& f) { ld_st(f, true); };
  decoders["ldu"] = [](Form& f) { ld_st(f, true); };
  decoders["st"] = [](Form& f) { ld_st(f, false); };
  decoders["prefetch"] = prefetch;
  decoders["prefetchu"] = prefetch;
  decoders["createpolicy"] = policy;
  decoders["cvta"] = cvta;
  decoders["membar"] = fence_form;
  decoders["fence"] = fence_form;
}

}  // namespace sim
