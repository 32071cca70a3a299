// Decoding: how an instruction of the PTX text becomes an Instr. Each family of opcodes has a file that enters its
// decoders into the table; a decoder takes the modifiers it knows from the Form, and whatever is left over makes the
// instruction an unknown form, which is an error at load.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "exec/machine.h"

namespace sim {

class Lowering;

class Form {
 public:
  Form(Lowering& lowering, const ptx::Instruction& source);

  const ptx::Instruction& source;
  Instr out;

  /// Takes the modifier away when it is there.
  bool take(const char* modifier);
  /// Index of the first of these that is there, taken; -1 for none.
  int take_any(std::initializer_list<const char*> modifiers);
  /// Takes the first type modifier that is left; kNone for none.
  ptx::Type take_type();
  /// The modifiers that are left.
  const std::vector<std::string>& rest() const { return rest_; }

  size_t count() const { return source.operands.size(); }
  const ptx::Operand& operand(size_t index) const;
  void expect_count(size_t least, size_t most) const;

  /// A slot to read: register, immediate or special register, as the type says. `wider` allows larger registers.
  uint32_t in(size_t operand, ptx::Type type, bool wider = false);
  uint32_t in(const ptx::Operand& operand, ptx::Type type, bool wider = false);
  /// A slot to write; `_` gives a slot that nobody reads.
  uint32_t to(size_t operand, ptx::Type type, bool wider = false);
  uint32_t to(const ptx::Operand& operand, ptx::Type type, bool wider = false);
  /// The type of an operand's register; kNone when it is none.
  ptx::Type register_type(const ptx::Operand& operand) const;
  uint32_t constant(uint64_t bits, bool wide = false);
  uint32_t carry();              // the slot of the condition code
  void read_too(uint32_t slot);  // a slot that is read besides (carry)
  /// Slots beyond the four of an Instr, in order.
  void more(uint32_t slot);
  uint32_t cache();
  Lowering& lowering() { return lowering_; }

  [[noreturn]] void unknown(const std::string& why) const;

 private:
  Lowering& lowering_;
  std::vector<std::string> rest_;
};

using Decoder = void (*)(Form& form);
using Decoders = std::unordered_map<std::string, Decoder>;

/// cp.async.mbarrier.arrive.
void copy_arrival(Form& form);
/// mma.sync of integers and doubles; false for other types.
bool mma_of_other_types(Form& form);

void add_integer(Decoders& decoders);
void add_logic(Decoders& decoders);
void add_float(Decoders& decoders);
void add_approximations(Decoders& decoders);
void add_conversions(Decoders& decoders);
void add_comparisons(Decoders& decoders);
void add_moves(Decoders& decoders);
void add_memory(Decoders& decoders);
void add_atomics(Decoders& decoders);
void add_collectives(Decoders& decoders);
void add_matrix(Decoders& decoders);
void add_copies(Decoders& decoders);
void add_wmma(Decoders& decoders);
void add_mbarrier(Decoders& decoders);
void add_video(Decoders& decoders);
void add_control(Decoders& decoders);
void add_printing(Decoders& decoders);  // functions that the PTX only declares, under their names

}  // namespace sim
