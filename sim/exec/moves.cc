// mov: copies, packing and unpacking of vectors, and the registers that change while a kernel runs (clocks).
#include "exec/form.h"
#include "exec/lanes.h"
#include "exec/lowering.h"
#include "exec/types.h"

namespace sim {
namespace {

using ptx::Type;

template <class T>
void copy(Warp& w, const Instr& in, uint32_t mask) {
  if (mask == kFull) {
    std::memmove(w.arena + in.op[0], w.arena + in.op[1], kLanes * sizeof(T));
  } else {
    blend(reinterpret_cast<T*>(w.arena + in.op[0]), reinterpret_cast<const T*>(w.arena + in.op[1]), mask);
  }
}

/// more: the parts, lowest first; size: bits of a part.
template <class Whole, class Part>
void pack(Warp& w, const Instr& in, uint32_t mask) {
  const uint32_t* slots = w.cta->run->kernel->slots.data() + in.more;
  constexpr int kParts = sizeof(Whole) / sizeof(Part);
  const std::byte* part[kParts];
  for (int i = 0; i < kParts; ++i) part[i] = w.arena + slots[i];
  write_lanes<Whole>(w.arena + in.op[0], mask, [&part](int l) {
    Whole value = 0;
    for (int i = 0; i < kParts; ++i) value |= static_cast<Whole>(lane_of<Part>(part[i], l)) << (8 * sizeof(Part) * i);
    return value;
  });
}
template <class Whole, class Part>
void unpack(Warp& w, const Instr& in, uint32_t mask) {
  const uint32_t* slots = w.cta->run->kernel->slots.data() + in.more;
  alignas(64) Whole from[kLanes];  // a copy: a part may be the register itself
  std::memcpy(from, w.arena + in.op[1], sizeof from);
  for (uint32_t i = 0; i < in.more_count; ++i) {
    write_lanes<Part>(w.arena + slots[i], mask,
                      [&from, i](int l) { return static_cast<Part>(from[l] >> (8 * sizeof(Part) * i)); });
  }
}

/// The address of a variable in the frame of a call.
void add_frame(Warp& w, const Instr& in, uint32_t mask) {
  const std::byte* frame = w.arena + in.op[1];
  const uint64_t offset = static_cast<uint64_t>(in.immediate);
  write_lanes<uint64_t>(w.arena + in.op[0], mask,
                        [frame, offset](int l) { return lane_of<uint64_t>(frame, l) + offset; });
}

void clock(Warp& w, const Instr& in, uint32_t mask) {
  const uint64_t now = w.cta->worker->counters.warp_instructions;
  if (in.flags != 0) {
    write_lanes<uint64_t>(w.arena + in.op[0], mask, [now](int) { return now; });
  } else {
    write_lanes<uint32_t>(w.arena + in.op[0], mask, [now](int) { return static_cast<uint32_t>(now); });
  }
}

void vector_form(Form& f, Type type) {
  const bool packing = f.operand(1).kind == ptx::Operand::kVector;
  const ptx::Operand& vector = f.operand(packing ? 1 : 0);
  const int bits = ptx::bits_of(type), count = static_cast<int>(vector.parts.size());
  if (count != 2 && count != 4) f.unknown("vector");
  const int part_bits = bits / count;
  const Type part = part_bits == 16 ? Type::kB16 : part_bits == 32 ? Type::kB32 : Type::kNone;
  if (part == Type::kNone || bits > 64) f.unknown("vector");
  for (const ptx::Operand& one : vector.parts) f.more(packing ? f.in(one, part) : f.to(one, part));
  if (packing) {
    f.out.op[0] = f.to(0, type);
    f.out.run = bits == 32        ? &pack<uint32_t, uint16_t>
                : part_bits == 16 ? &pack<uint64_t, uint16_t>
                                  : &pack<uint64_t, uint32_t>;
  } else {
    f.out.op[1] = f.in(1, type);
    f.out.run = bits == 32        ? &unpack<uint32_t, uint16_t>
                : part_bits == 16 ? &unpack<uint64_t, uint16_t>
                                  : &unpack<uint64_t, uint32_t>;
  }
}

void mov(Form& f) {
  const Type type = f.take_type();
  f.expect_count(2, 2);
  if (f.operand(0).kind == ptx::Operand::kVector || f.operand(1).kind == ptx::Operand::kVector)
    return vector_form(f, type);
  if (type == Type::kPred) {
    f.out.op[0] = f.to(0, type);
    if (f.operand(1).kind == ptx::Operand::kInteger) {
      f.out.immediate = f.operand(1).bits != 0 ? 1 : 0;
      f.out.run = [](Warp& w, const Instr& in, uint32_t mask) {
        write_predicate(w, in.op[0], mask, in.immediate ? ~0u : 0u);
      };
    } else {
      f.out.op[1] = f.in(1, type);
      f.out.run = [](Warp& w, const Instr& in, uint32_t mask) {
        write_predicate(w, in.op[0], mask, *w.word(in.op[1]));
      };
    }
    return;
  }
  const int bits = ptx::bits_of(type);
  if (bits < 16 || bits > 64) f.unknown("type");
  f.out.op[0] = f.to(0, type);
  const ptx::Operand& from = f.operand(1);
  if (from.kind == ptx::Operand::kSpecial &&
      (from.text == "%clock" || from.text == "%clock64" || from.text == "%clock_hi" || from.text == "%globaltimer")) {
    if (from.text == "%clock_hi" || (from.text == "%clock") != (bits == 32)) f.unknown("clock of another size");
    f.out.flags = bits == 64 ? 1 : 0;
    f.out.run = clock;
    return;
  }
  if (bits == 64 && from.kind == ptx::Operand::kVariable && f.lowering().relative() &&
      (from.variable->space == ptx::Space::kLocal || from.variable->space == ptx::Space::kParam) &&
      !f.lowering().is_kernel_parameter(*from.variable)) {
    f.out.op[1] = f.lowering().frame_slot();
    f.out.immediate = static_cast<int64_t>(f.lowering().address_of(*from.variable, f.source.line)) + from.offset;
    f.out.run = add_frame;
    return;
  }
  f.out.op[1] = f.in(1, type);
  f.out.run = bits == 64 ? &copy<uint64_t> : &copy<uint32_t>;
}

}  // namespace

void add_moves(Decoders& decoders) {
  decoders["mov"] = mov;
}

}  // namespace sim
