// Flow and barriers: bra, brx.idx, ret, exit, bar, barrier, trap, nanosleep. What happens at them is in
// warp.cc and block.cc.
#include "exec/access.h"
#include "exec/form.h"
#include "exec/lanes.h"
#include "exec/lowering.h"
#include "exec/types.h"

namespace sim {
namespace {

using ptx::Type;

void bra(Form& f) {
  f.take("uni");
  f.expect_count(1, 1);
  if (f.operand(0).kind != ptx::Operand::kLabel) f.unknown("unknown label " + f.operand(0).text);
  f.out.control = Control::kBranch;
  f.out.target = f.operand(0).index;
}

void brx(Form& f) {
  if (!f.take("idx")) f.unknown("form");
  f.take("uni");
  f.expect_count(2, 2);
  if (f.operand(1).kind != ptx::Operand::kTable || f.operand(1).index < 0) f.unknown("branch table");
  f.out.control = Control::kBranchTable;
  f.out.op[1] = f.in(0, Type::kU32);
  f.out.target = f.operand(1).index;
}

void leave(Form& f) {
  f.take("uni");
  f.expect_count(0, 0);
  f.out.control = Control::kExit;
}

/// bar and barrier. flags: 1 aligned, 2 a count is given; size: BarrierKind; op: result, barrier, count, predicate.
void barrier(Form& f) {
  f.take("cta");
  const bool is_bar = f.source.opcode == "bar";
  const bool of_warp = f.take("warp");
  const int kind = f.take_any({"sync", "arrive", "red"});
  if (of_warp) {
    if (!is_bar || kind != 0) f.unknown("form");
    f.expect_count(1, 1);
    f.out.control = Control::kCollective;
    f.out.op[3] = f.in(0, Type::kU32);
    f.out.run = [](Warp& w, const Instr&, uint32_t) { ++w.sync; };
    return;
  }
  if (kind < 0) f.unknown("form");
  const bool aligned = f.take("aligned") || is_bar;
  f.out.control = Control::kBarrier;
  f.out.flags = aligned ? 1 : 0;
  f.out.size = kSync;
  size_t first = 0;
  if (kind == 1) f.out.size = kArrive;
  if (kind == 2) {
    const int how = f.take_any({"and", "or", "popc"});
    const Type type = f.take_type();
    if (how < 0 || type != (how == 2 ? Type::kU32 : Type::kPred)) f.unknown("form");
    f.out.size = how == 0 ? kReduceAnd : how == 1 ? kReduceOr : kReducePopcount;
    f.out.op[0] = f.to(0, type);
    f.out.op[3] = f.in(f.count() - 1, Type::kPred);
    f.out.immediate = f.operand(f.count() - 1).negated ? 1 : 0;
    first = 1;
  }
  const size_t given = f.count() - first - (kind == 2 ? 1 : 0);
  if (given < 1 || given > 2 || (kind == 1 && given != 2)) f.unknown("operands");
  f.out.op[1] = f.in(first, Type::kU32);
  if (given == 2) {
    f.out.flags |= 2;
    f.out.op[2] = f.in(first + 1, Type::kU32);
  }
}

}  // namespace

void add_control(Decoders& decoders) {
  decoders["bra"] = bra;
  decoders["brx"] = brx;
  decoders["ret"] = leave;
  decoders["exit"] = leave;
  decoders["bar"] = barrier;
  decoders["barrier"] = barrier;
  decoders["trap"] = [](Form& f) {
    f.out.run = [](Warp& w, const Instr& in, uint32_t mask) { raise(w, in, std::countr_zero(mask), 719, "trap"); };
  };
  decoders["brkpt"] = decoders["trap"];
  decoders["nanosleep"] = [](Form& f) {
    if (f.take_type() != Type::kU32) f.unknown("type");
    f.expect_count(1, 1);
    f.in(0, Type::kU32);
    f.out.control = Control::kYield;
    f.out.run = [](Warp& w, const Instr&, uint32_t) { w.yields = true; };
  };
}

}  // namespace sim
