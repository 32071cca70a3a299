#include "exec/form.h"

#include <cstring>

#include "exec/lowering.h"
#include "ptx/lexer.h"

namespace sim {
namespace {

Lowering::Width width_of(ptx::Type type) {
  const int bits = ptx::bits_of(type);
  return bits == 1 ? Lowering::Width::kPredicate : bits == 64 ? Lowering::Width::kDouble : Lowering::Width::kWord;
}

std::string whole(const ptx::Instruction& source) {
  std::string text = source.opcode;
  for (const std::string& modifier : source.modifiers) text += "." + modifier;
  return text;
}

}  // namespace

Form::Form(Lowering& lowering, const ptx::Instruction& instruction)
    : source(instruction), lowering_(lowering), rest_(instruction.modifiers) {
  out.line = instruction.line;
  if (instruction.guard >= 0) {
    if (lowering.function().registers[static_cast<size_t>(instruction.guard)] != ptx::Type::kPred) {
      unknown("the guard is no predicate");
    }
    out.guarded = true;
    out.guard_negated = instruction.guard_negated;
    out.guard = lowering.register_slot(instruction.guard);
    lowering.slot_read(out.guard);
  }
}

void Form::unknown(const std::string& why) const {
  ptx::reject(source.line, "unknown form " + whole(source) + ": " + why);
}

bool Form::take(const char* modifier) {
  for (size_t i = 0; i < rest_.size(); ++i) {
    if (rest_[i] != modifier) continue;
    rest_.erase(rest_.begin() + static_cast<std::ptrdiff_t>(i));
    return true;
  }
  return false;
}

int Form::take_any(std::initializer_list<const char*> modifiers) {
  int index = 0;
  for (const char* modifier : modifiers) {
    if (take(modifier)) return index;
    ++index;
  }
  return -1;
}

ptx::Type Form::take_type() {
  for (size_t i = 0; i < rest_.size(); ++i) {
    const ptx::Type type = ptx::type_named(rest_[i]);
    if (type == ptx::Type::kNone) continue;
    rest_.erase(rest_.begin() + static_cast<std::ptrdiff_t>(i));
    return type;
  }
  return ptx::Type::kNone;
}

const ptx::Operand& Form::operand(size_t index) const {
  if (index >= source.operands.size()) unknown("operand " + std::to_string(index + 1) + " is missing");
  return source.operands[index];
}

void Form::expect_count(size_t least, size_t most) const {
  if (count() < least || count() > most) unknown(std::to_string(count()) + " operands");
}

ptx::Type Form::register_type(const ptx::Operand& operand) const {
  if (operand.kind != ptx::Operand::kRegister) return ptx::Type::kNone;
  return lowering_.function().registers[static_cast<size_t>(operand.index)];
}

uint32_t Form::in(size_t index, ptx::Type type, bool wider) {
  return in(operand(index), type, wider);
}

uint32_t Form::in(const ptx::Operand& from, ptx::Type type, bool wider) {
  const int bits = ptx::bits_of(type);
  switch (from.kind) {
    case ptx::Operand::kRegister: {
      if (!from.selector.empty()) unknown("a part of a register, ." + from.selector);
      const int have = ptx::bits_of(register_type(from));
      if (have != bits && !(wider && have > bits && bits > 1)) {
        unknown("register " + from.text + " has " + std::to_string(have) + " bits, not " + std::to_string(bits));
      }
      const uint32_t slot = lowering_.register_slot(from.index);
      lowering_.slot_read(slot);
      return slot;
    }
    case ptx::Operand::kInteger:
      if (ptx::is_float(type) && bits >= 32 && type != ptx::Type::kF16x2 && type != ptx::Type::kBF16x2 &&
          type != ptx::Type::kTF32) {
        unknown("an integer where a floating-point number is wanted");
      }
      return constant(bits >= 64 ? from.bits : from.bits & ((uint64_t{1} << bits) - 1), bits == 64);
    case ptx::Operand::kFloat32:
      if (bits == 32) return constant(from.bits);
      if (type == ptx::Type::kF64) {
        const uint32_t word = static_cast<uint32_t>(from.bits);
        float narrow;
        std::memcpy(&narrow, &word, 4);
        const double value = narrow;
        uint64_t bits64;
        std::memcpy(&bits64, &value, 8);
        return constant(bits64, true);
      }
      break;
    case ptx::Operand::kFloat64:
      if (bits == 64) return constant(from.bits, true);
      if (type == ptx::Type::kF32) {
        double value;
        std::memcpy(&value, &from.bits, 8);
        const float narrow = static_cast<float>(value);
        uint32_t word;
        std::memcpy(&word, &narrow, 4);
        return constant(word);
      }
      break;
    case ptx::Operand::kSpecial:
      if (bits < 32) break;
      return lowering_.special_slot(*this, from.text, bits == 64);
    case ptx::Operand::kVariable: {
      if (bits < 32) break;
      if (lowering_.relative() &&
          (from.variable->space == ptx::Space::kLocal || from.variable->space == ptx::Space::kParam) &&
          !lowering_.is_kernel_parameter(*from.variable)) {
        unknown("the address of a variable of a recursive function, outside of a mov");
      }
      const uint64_t address = lowering_.address_of(*from.variable, source.line) + static_cast<uint64_t>(from.offset);
      return constant(bits == 64 ? address : address & 0xffffffffu, bits == 64);
    }
    case ptx::Operand::kName:
      if (bits == 64 && function_address(lowering_.file(), from.text) != 0) {
        return constant(function_address(lowering_.file(), from.text), true);
      }
      unknown("nothing is declared as '" + from.text + "'");
    default:
      break;
  }
  unknown("an operand that does not fit");
}

uint32_t Form::to(size_t index, ptx::Type type, bool wider) {
  return to(operand(index), type, wider);
}

uint32_t Form::to(const ptx::Operand& target, ptx::Type type, bool wider) {
  if (target.kind == ptx::Operand::kSink) return lowering_.sink_slot(width_of(type));
  if (target.kind != ptx::Operand::kRegister || !target.selector.empty()) unknown("the result is no register");
  const int bits = ptx::bits_of(type), have = ptx::bits_of(register_type(target));
  if (have != bits && !(wider && have > bits && bits > 1)) {
    unknown("register " + target.text + " has " + std::to_string(have) + " bits, not " + std::to_string(bits));
  }
  const uint32_t slot = lowering_.register_slot(target.index);
  lowering_.slot_written(slot);
  return slot;
}

uint32_t Form::constant(uint64_t bits, bool wide) {
  return lowering_.constant_slot(bits, wide);
}

uint32_t Form::carry() {
  const uint32_t slot = lowering_.carry_slot();
  lowering_.slot_written(slot);
  return slot;
}

void Form::read_too(uint32_t slot) {
  lowering_.slot_read(slot);
}

void Form::more(uint32_t slot) {
  lowering_.more().push_back(slot);
}

uint32_t Form::cache() {
  return lowering_.new_cache();
}

}  // namespace sim
