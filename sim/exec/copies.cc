// cp.async: copies from global to shared memory that land as late as is legal. At the instruction the source is checked
// and the destination becomes uninitialised NaN; the bytes are moved by the wait that covers the copy.
#include "exec/access.h"
#include "exec/block_order.h"
#include "exec/form.h"
#include "exec/lanes.h"
#include "exec/place.h"
#include "memory/bits.h"

namespace sim {
namespace {

using ptx::Type;

/// op[1]: shared address, immediate; more: global address, and the source size when it is given; size: bytes of a copy;
/// target: offset of the global address; flags: those of the destination, and of the source shifted by 8.
void start(Warp& w, const Instr& in, uint32_t mask) {
  Cta& cta = *w.cta;
  const uint32_t* slots = cta.run->kernel->slots.data() + in.more;
  const uint32_t size = in.size;
  alignas(64) uint64_t addresses[kLanes];
  addresses_of(w, in, mask, addresses);
  Access to;
  resolve(w, in, mask, addresses, size, Use::kWrite, to);
  if (!to.shared || to.mask != mask)
    raise(w, in, std::countr_zero(mask), 717, "cp.async to something that is not shared memory");
  PendingCopy copy;
  copy.mask = mask;
  copy.size = in.size;
  copy.instr = &in;
  uint32_t whole = 0;
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const int l = std::countr_zero(rest);
    copy.group[l] = w.commits[l];
    copy.to[l] = static_cast<uint32_t>(to.offset[l]);
    copy.from[l] = nullptr;
    const uint32_t bytes = in.more_count > 1 ? lane_of<uint32_t>(w.arena + slots[1], l) : size;
    if (bytes > size)
      raise(w, in, l, 719, "cp.async of " + std::to_string(bytes) + " source bytes to " + std::to_string(size));
    copy.bytes[l] = static_cast<uint8_t>(bytes);
    if (bytes == size) whole |= 1u << l;
    std::memset(to.data + to.offset[l], 0xff, size);
    if (cta.run->options.checks) bits::clear(to.initialised, to.offset[l], size);
  }
  Instr source = in;
  source.op[1] = slots[0];
  source.flags = in.flags >> 8;
  source.immediate = in.target;
  const auto read = [&](uint32_t lanes, uint32_t bytes, uint64_t skip) {
    while (lanes != 0) {
      Access from;
      addresses_of(w, source, lanes, addresses);
      for (uint64_t& address : addresses) address += skip;
      resolve(w, source, lanes, addresses, bytes, Use::kRead, from);
      for (uint32_t rest = from.mask; skip == 0 && rest != 0; rest &= rest - 1) {
        const int l = std::countr_zero(rest);
        copy.from[l] = from.data + from.offset[l];
      }
      lanes &= ~from.mask;
    }
  };
  read(whole, size, 0);
  // A shortened source: its first and last byte have to be there; the rest lies between.
  for (uint32_t rest = mask & ~whole; rest != 0; rest &= rest - 1) {
    const int l = std::countr_zero(rest);
    addresses_of(w, source, 1u << l, addresses);
    if ((addresses[l] & (size - 1)) != 0) raise(w, in, l, 716, "cp.async from " + hex(addresses[l]) + " is misaligned");
    if (copy.bytes[l] == 0) continue;
    read(1u << l, 1, copy.bytes[l] - 1u);
    read(1u << l, 1, 0);
  }
  copy.number = w.copies_started++;
  w.copies.push_back(copy);
}

void land(Warp& w, PendingCopy& copy, uint32_t lanes) {
  Cta& cta = *w.cta;
  for (uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const int l = std::countr_zero(rest);
    std::byte* to = cta.shared.data() + copy.to[l];
    if (copy.bytes[l] > 0) std::memcpy(to, copy.from[l], copy.bytes[l]);
    if (copy.bytes[l] < copy.size) std::memset(to + copy.bytes[l], 0, size_t{copy.size} - copy.bytes[l]);
    if (cta.run->options.checks) {
      bits::set(cta.shared_initialised.data(), copy.to[l], copy.size);
      check_shared(w, *copy.instr, l, copy.to[l], copy.size, Use::kWrite);
    }
  }
  copy.mask &= ~lanes;
}

}  // namespace

void land_before(Warp& w, int lane, uint64_t number) {
  for (PendingCopy& copy : w.copies) {
    if (copy.number < number && ((copy.mask >> lane) & 1) != 0) land(w, copy, 1u << lane);
  }
  std::erase_if(w.copies, [](const PendingCopy& copy) { return copy.mask == 0; });
}

namespace {

/// immediate: how many of the latest groups may stay in flight; -1: wait for all copies, committed or not.
void wait(Warp& w, const Instr& in, uint32_t mask) {
  for (PendingCopy& copy : w.copies) {
    uint32_t ready = copy.mask & mask;
    if (in.immediate >= 0) {
      uint32_t done = 0;
      for (uint32_t rest = ready; rest != 0; rest &= rest - 1) {
        const int l = std::countr_zero(rest);
        if (uint64_t{copy.group[l]} + static_cast<uint64_t>(in.immediate) < w.commits[l]) done |= 1u << l;
      }
      ready = done;
    }
    if (ready != 0) land(w, copy, ready);
  }
  std::erase_if(w.copies, [](const PendingCopy& copy) { return copy.mask == 0; });
}

void commit(Warp& w, const Instr&, uint32_t mask) {
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) ++w.commits[std::countr_zero(rest)];
}

void cp(Form& f) {
  if (!f.take("async")) f.unknown("only cp.async");
  if (f.take("mbarrier")) return copy_arrival(f);
  if (f.take("bulk")) f.unknown("bulk and tensor copies (TMA) are not there");
  if (f.take("commit_group")) {
    f.expect_count(0, 0);
    f.out.run = commit;
    return;
  }
  if (f.take("wait_all")) {
    f.expect_count(0, 0);
    f.out.immediate = -1;
    f.out.run = wait;
    return;
  }
  if (f.take("wait_group")) {
    f.expect_count(1, 1);
    if (f.operand(0).kind != ptx::Operand::kInteger) f.unknown("the number of groups");
    f.out.immediate = static_cast<int64_t>(f.operand(0).bits);
    f.out.run = wait;
    return;
  }
  const int level = f.take_any({"ca", "cg"});
  if (level < 0 || !(f.take("shared") || f.take("shared::cta")) || !f.take("global")) f.unknown("form");
  const bool policy = f.take("L2::cache_hint");
  f.take_any({"L2::64B", "L2::128B", "L2::256B"});
  f.expect_count(3, 5);
  const ptx::Operand& size = f.operand(2);
  if (size.kind != ptx::Operand::kInteger || (size.bits != 4 && size.bits != 8 && size.bits != 16)) f.unknown("size");
  if (level == 1 && size.bits != 16) f.unknown(".cg copies 16 bytes");
  f.out.size = static_cast<uint8_t>(size.bits);
  // The source is set up first and moved aside.
  f.out.flags = kGlobalSpace;
  set_address(f, f.operand(1));
  const uint32_t source_flags = f.out.flags;
  if (f.out.immediate < INT32_MIN || f.out.immediate > INT32_MAX) f.unknown("source offset");
  f.out.target = static_cast<int32_t>(f.out.immediate);
  f.more(f.out.op[1]);
  const size_t given = f.count() - (policy ? 1 : 0);
  if (given > 4) f.unknown("operands");
  if (given == 4) {
    if (f.register_type(f.operand(3)) == Type::kPred) f.unknown("ignore-src");
    f.more(f.in(3, Type::kU32));
  }
  f.out.flags = kSharedSpace;
  set_address(f, f.operand(0));
  f.out.flags |= source_flags << 8;
  f.out.run = start;
}

}  // namespace

void add_copies(Decoders& decoders) {
  decoders["cp"] = cp;
}

}  // namespace sim
