#include "exec/lowering.h"

#include <algorithm>

#include "ptx/lexer.h"

namespace sim {
namespace {

size_t round_up(size_t n, size_t to) {
  return (n + to - 1) / to * to;
}

const Decoders& decoders() {
  static const Decoders all = [] {
    Decoders table;
    add_integer(table);
    add_logic(table);
    add_float(table);
    add_approximations(table);
    add_conversions(table);
    add_comparisons(table);
    add_moves(table);
    add_memory(table);
    add_atomics(table);
    add_collectives(table);
    add_matrix(table);
    add_copies(table);
    add_mbarrier(table);
    add_wmma(table);
    add_video(table);
    add_control(table);
    add_printing(table);
    return table;
  }();
  return all;
}

}  // namespace

Lowering::Lowering(const ptx::File& file, const Addresses& addresses, const ptx::Function& entry)
    : file_(file), addresses_(addresses), entry_(entry), kernel_(std::make_unique<Kernel>()) {
  frame_size_ = &kernel_->frame_bytes;
  add_slot(Width::kPredicate, true);  // slot 0: the unused operands of every instruction
  for (Width width : {Width::kPredicate, Width::kWord, Width::kDouble}) {
    sinks_[static_cast<int>(width)] = add_slot(width, true);
  }
}

uint32_t Lowering::add_slot(Width width, bool fixed) {
  slots_.push_back({width, 0, fixed});
  return static_cast<uint32_t>(slots_.size() - 1);
}

uint32_t Lowering::sink_slot(Width width) {
  return sinks_[static_cast<int>(width)];
}

uint32_t Lowering::carry_slot() {
  if (carry_ == 0) carry_ = add_slot(Width::kPredicate, true);
  return carry_;
}

uint32_t Lowering::constant_slot(uint64_t bits, bool wide) {
  const auto [at, added] = constants_.try_emplace({bits, wide}, 0);
  if (added) {
    at->second = add_slot(wide ? Width::kDouble : Width::kWord, true);
    kernel_->constants.push_back({at->second, bits, wide});
  }
  return at->second;
}

uint32_t Lowering::special_slot(const Form& form, const std::string& text, bool wide) {
  static const std::map<std::string, Special> kNames = {
      {"%tid", Special::kTid},
      {"%ntid", Special::kNtid},
      {"%ctaid", Special::kCtaid},
      {"%nctaid", Special::kNctaid},
      {"%laneid", Special::kLane},
      {"%warpid", Special::kWarp},
      {"%nwarpid", Special::kWarps},
      {"%lanemask_eq", Special::kMaskEq},
      {"%lanemask_lt", Special::kMaskLt},
      {"%lanemask_le", Special::kMaskLe},
      {"%lanemask_gt", Special::kMaskGt},
      {"%lanemask_ge", Special::kMaskGe},
      {"%smid", Special::kZero},
      {"%gridid", Special::kZero},
      {"%reserved_smem_offset_begin", Special::kReserved0},
      {"%reserved_smem_offset_0", Special::kReserved0},
      {"%reserved_smem_offset_1", Special::kReserved1},
      {"%dynamic_smem_size", Special::kDynamicShared},
      {"%total_smem_size", Special::kTotalShared},
  };
  const size_t dot = text.find('.');
  const auto known = kNames.find(text.substr(0, dot));
  const int axis = dot == std::string::npos ? 0 : text.size() == dot + 2 ? text[dot + 1] - 'x' : -1;
  const bool vector = known != kNames.end() && known->second <= Special::kNctaid;
  if (known == kNames.end() || axis < 0 || axis > 2 || vector != (dot != std::string::npos)) {
    form.unknown("unknown register " + text);
  }
  const auto [at, added] = specials_.try_emplace(text + (wide ? "/64" : ""), 0);
  if (added) {
    kernel_->reserves_shared |= known->second == Special::kReserved0 || known->second == Special::kReserved1;
    at->second = add_slot(wide ? Width::kDouble : Width::kWord, true);
    kernel_->specials.push_back({at->second, known->second, axis, wide});
  }
  return at->second;
}

bool Lowering::is_kernel_parameter(const ptx::Variable& variable) const {
  return kernel_parameters_.count(&variable) != 0;
}

uint64_t Lowering::address_of(const ptx::Variable& variable, int line) {
  switch (variable.space) {
    case ptx::Space::kGlobal:
    case ptx::Space::kConst: {
      const auto found = addresses_.find(&variable);
      if (found == addresses_.end()) ptx::reject(line, "variable " + variable.name + " has no address");
      return found->second;
    }
    case ptx::Space::kParam: {
      const auto parameter = kernel_parameters_.find(&variable);
      if (parameter != kernel_parameters_.end()) return parameter->second;
      [[fallthrough]];
    }
    case ptx::Space::kLocal: {
      auto at = frame_.find(&variable);
      if (at == frame_.end()) {
        const size_t offset = round_up(*frame_size_, variable.alignment);
        *frame_size_ = offset + variable.bytes;
        at = frame_.emplace(&variable, offset).first;
      }
      return at->second + (variable.space == ptx::Space::kParam ? kFrameParameters : 0);
    }
    case ptx::Space::kShared: {
      if (variable.bytes == 0) {  // dynamic shared memory begins behind all static variables
        return kernel_->dynamic_shared;
      }
      const auto found = shared_.find(&variable);
      if (found == shared_.end()) ptx::reject(line, "shared variable " + variable.name + " has no place");
      return found->second;
    }
  }
  return 0;
}

void Lowering::lay_out_parameters() {
  size_t bytes = 0;
  for (const ptx::Variable* parameter : entry_.parameters) {
    const size_t at = round_up(bytes, parameter->alignment);
    kernel_parameters_[parameter] = at;
    kernel_->facts.parameters.emplace_back(at, parameter->bytes);
    bytes = at + parameter->bytes;
  }
  kernel_->facts.parameter_bytes = bytes;
}

namespace {

/// Every function that can be reached from this one; by address, any whose address is taken.
void reachable(const ptx::File& file, const ptx::Function& from, std::vector<const ptx::Function*>& found,
               bool& by_address) {
  if (std::find(found.begin(), found.end(), &from) != found.end()) return;
  found.push_back(&from);
  for (const ptx::Instruction& instruction : from.code) {
    if (instruction.opcode != "call") continue;
    if (instruction.operands[0].kind == ptx::Operand::kName) {
      const ptx::Function* callee = file.find(instruction.operands[0].text);
      if (callee != nullptr) reachable(file, *callee, found, by_address);
    } else if (!by_address) {
      by_address = true;
      for (const ptx::Function* callee : functions_with_address(file)) reachable(file, *callee, found, by_address);
    }
  }
}

void shared_variables(const ptx::Operand& operand, std::vector<const ptx::Variable*>& found) {
  if (operand.variable != nullptr && operand.variable->space == ptx::Space::kShared &&
      std::find(found.begin(), found.end(), operand.variable) == found.end()) {
    found.push_back(operand.variable);
  }
  for (const ptx::Operand& part : operand.parts) shared_variables(part, found);
}

}  // namespace

std::unique_ptr<Kernel> Lowering::run() {
  Kernel& kernel = *kernel_;
  kernel.facts.name = entry_.name;
  if (entry_.max_threads > 0) kernel.facts.max_threads = std::min(entry_.max_threads, 1024);
  std::copy(entry_.required, entry_.required + 3, kernel.required);
  kernel.files = file_.files;
  lay_out_parameters();
  // Static shared variables first, so that the start of dynamic shared memory is known to every instruction.
  std::vector<const ptx::Function*> functions;
  bool by_address = false;
  reachable(file_, entry_, functions, by_address);
  choose_callables(functions, by_address);
  std::vector<const ptx::Variable*> shared;
  for (const ptx::Function* function : functions) {
    for (const ptx::Instruction& instruction : function->code) {
      for (const ptx::Operand& operand : instruction.operands) shared_variables(operand, shared);
    }
  }
  size_t dynamic_alignment = 16;
  for (const ptx::Variable* variable : shared) {
    if (variable->bytes == 0) {
      dynamic_alignment = std::max(dynamic_alignment, variable->alignment);
      continue;
    }
    const size_t at = round_up(shared_bytes_, variable->alignment);
    shared_[variable] = at;
    shared_bytes_ = at + variable->bytes;
  }
  kernel.facts.static_shared_bytes = shared_bytes_;
  kernel.dynamic_shared = round_up(shared_bytes_, dynamic_alignment);
  lower(entry_, 0);
  if (kernel.code.empty() || kernel.code.back().control != Control::kExit || kernel.code.back().guarded) {
    ptx::Instruction end;
    end.opcode = "exit";
    end.line = kernel.code.empty() ? entry_.line : kernel.code.back().line;
    Form form(*this, end);
    form.out.control = Control::kExit;
    emit(form);
  }
  kernel.frame_bytes = round_up(kernel.frame_bytes, 16);
  kernel.facts.local_bytes = kernel.stack_begin = kernel.frame_bytes;
  if (!callables_.empty()) {
    lower_callables();
    kernel.frame_bytes += kStackBytes;
  }
  place_slots();
  return std::move(kernel_);
}

void Lowering::lower(const ptx::Function& function, int depth) {
  if (std::find(stack_.begin(), stack_.end(), &function) != stack_.end()) {
    ptx::reject(function.line, "recursive function " + function.name + " is not supported");
  }
  stack_.push_back(&function);
  function_ = &function;
  first_register_ = static_cast<uint32_t>(slots_.size());
  for (ptx::Type type : function.registers) {
    const int bits = ptx::bits_of(type);
    add_slot(bits == 1 ? Width::kPredicate : bits == 64 ? Width::kDouble : Width::kWord);
  }
  const uint32_t registers = first_register_;
  std::vector<int> starts, patches, returns;
  const size_t first_table = kernel_->tables.size();
  kernel_->tables.insert(kernel_->tables.end(), function.tables.begin(), function.tables.end());
  for (const ptx::Instruction& source : function.code) {
    starts.push_back(static_cast<int>(kernel_->code.size()));
    if (source.opcode == "call") {
      lower_call(source, depth);
      function_ = &function;
      first_register_ = registers;
      continue;
    }
    const auto decoder = decoders().find(source.opcode);
    Form form(*this, source);
    if (decoder == decoders().end()) form.unknown("no such opcode is known");
    decoder->second(form);
    if (!form.rest().empty()) form.unknown("." + form.rest().front() + " is not known here");
    if (form.out.control == Control::kExit && source.opcode == "ret" && depth > 0) {
      form.out.control = Control::kBranch;
      returns.push_back(static_cast<int>(kernel_->code.size()));
    } else if (form.out.control == Control::kBranch) {
      patches.push_back(static_cast<int>(kernel_->code.size()));
    } else if (form.out.control == Control::kBranchTable) {
      form.out.target += static_cast<int>(first_table);
    }
    emit(form);
  }
  const int end = static_cast<int>(kernel_->code.size());
  starts.push_back(end);
  for (int at : patches) {
    int32_t& target = kernel_->code[static_cast<size_t>(at)].target;
    target = starts[static_cast<size_t>(target)];
  }
  for (size_t table = first_table; table < first_table + function.tables.size(); ++table) {
    for (int& target : kernel_->tables[table]) target = starts[static_cast<size_t>(target)];
  }
  for (int at : returns) kernel_->code[static_cast<size_t>(at)].target = end;
  stack_.pop_back();
}

void Lowering::lower_call(const ptx::Instruction& call, int depth) {
  const ptx::Operand& name = call.operands[0];
  for (const std::string& modifier : call.modifiers) {
    if (modifier != "uni") ptx::reject(call.line, "unknown form call." + modifier);
  }
  const bool direct = name.kind == ptx::Operand::kName;
  const ptx::Function* callee = direct ? file_.find(name.text) : nullptr;
  if (direct && callee == nullptr) ptx::reject(call.line, "call of unknown function " + name.text);
  int skip = -1;
  if (call.guard >= 0) {  // lanes whose guard is false go round the call
    ptx::Instruction around;
    around.opcode = "bra";
    around.line = call.line;
    around.guard = call.guard;
    around.guard_negated = !call.guard_negated;
    Form form(*this, around);
    form.out.control = Control::kBranch;
    skip = static_cast<int>(kernel_->code.size());
    emit(form);
  }
  const size_t arguments = call.operands.size() - 1;
  if (direct && (arguments != callee->parameters.size() || call.results.size() != callee->returns.size())) {
    ptx::reject(call.line, "call of " + name.text + " with another number of parameters");
  }
  if (!direct || callable_index(callee) >= 0) {
    if (!direct && callables_.empty()) ptx::reject(call.line, "an indirect call, but no function's address is taken");
    emit_call(call, direct ? callable_index(callee) : -1);
  } else if (callee->declared_only) {
    if (name.text != "__assertfail" && name.text != "vprintf") {
      ptx::reject(call.line, "call of " + name.text + ", which is not in this file");
    }
    ptx::Instruction outside = call;
    outside.opcode = name.text;
    outside.modifiers.clear();
    outside.guard = -1;
    outside.operands.erase(outside.operands.begin());
    Form form(*this, outside);
    decoders().at(outside.opcode)(form);
    emit(form);
  } else {
    // The callee's parameters are the caller's .param variables themselves.
    const auto bind = [&](const ptx::Variable* formal, const ptx::Operand& actual) {
      if (actual.kind != ptx::Operand::kVariable || actual.variable->space != ptx::Space::kParam ||
          actual.variable->bytes < formal->bytes) {
        ptx::reject(call.line, "call of " + name.text + ": only .param variables of matching size can be passed");
      }
      frame_[formal] = address_of(*actual.variable, call.line) & ~kFrameParameters;
    };
    for (size_t i = 0; i < arguments; ++i) bind(callee->parameters[i], call.operands[i + 1]);
    for (size_t i = 0; i < call.results.size(); ++i) bind(callee->returns[i], call.results[i]);
    for (const auto& variable : callee->variables) {
      const ptx::Variable* own = variable.get();
      const auto same = [own](const ptx::Variable* formal) { return formal == own; };
      if (std::none_of(callee->parameters.begin(), callee->parameters.end(), same) &&
          std::none_of(callee->returns.begin(), callee->returns.end(), same)) {
        frame_.erase(own);
      }
    }
    lower(*callee, depth + 1);
  }
  if (skip >= 0) kernel_->code[static_cast<size_t>(skip)].target = static_cast<int>(kernel_->code.size());
}

void Lowering::emit(Form& form) {
  Instr& out = form.out;
  out.more = static_cast<uint32_t>(kernel_->slots.size());
  out.more_count = static_cast<uint32_t>(more_.size());
  kernel_->slots.insert(kernel_->slots.end(), more_.begin(), more_.end());
  kernel_->code.push_back(out);
  kernel_->places.push_back({form.source.place, form.source.outer});
  std::string text = form.source.opcode;
  for (const std::string& modifier : form.source.modifiers) text += "." + modifier;
  kernel_->opcodes.push_back(std::move(text));
  uses_.push_back({std::move(reads_), std::move(writes_)});
  reads_.clear(), writes_.clear(), more_.clear();
}

void Lowering::place_slots() {
  // Registers share places; constants, special registers, the carry and the sinks have their own.
  std::vector<uint8_t> class_of;
  for (const Slot& slot : slots_) class_of.push_back(slot.fixed ? 255 : static_cast<uint8_t>(slot.width));
  const Allocation shared = allocate(*kernel_, uses_, class_of);
  constexpr uint32_t kBytes[] = {4, 128, 256};
  size_t bytes = 0;
  for (Width width : {Width::kPredicate, Width::kWord, Width::kDouble}) {
    const uint32_t size = kBytes[static_cast<int>(width)];
    const size_t first = bytes;
    bytes += size_t{shared.colors[static_cast<int>(width)]} * size;
    for (uint32_t i = 0; i < slots_.size(); ++i) {
      Slot& slot = slots_[i];
      if (slot.width != width) continue;
      if (slot.fixed) {
        slot.offset = static_cast<uint32_t>(bytes);
        bytes += size;
      } else {
        slot.offset = static_cast<uint32_t>(first) + shared.color[i] * size;
      }
    }
    bytes = round_up(bytes, 64);
  }
  kernel_->arena_bytes = bytes;
  // What the assembler would add for addresses and its own temporaries is not known.
  kernel_->facts.registers = std::clamp(shared.live_words, 16, 255);
  for (uint32_t slot : shared.at_entry) {
    kernel_->cleared.emplace_back(slots_[slot].offset, kBytes[static_cast<int>(slots_[slot].width)]);
  }
  const auto place = [this](uint32_t& slot) { slot = slots_[slot].offset; };
  for (Instr& instr : kernel_->code) {
    for (uint32_t& slot : instr.op) place(slot);
    if (instr.guarded) place(instr.guard);
  }
  for (uint32_t& slot : kernel_->slots) place(slot);
  for (Callable& callable : kernel_->callables) {
    for (Callable::Saved& saved : callable.saved) place(saved.slot);
  }
  for (Constant& constant : kernel_->constants) place(constant.slot);
  for (SpecialSlot& special : kernel_->specials) place(special.slot);
}

}  // namespace sim
