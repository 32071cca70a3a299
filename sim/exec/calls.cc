// Calls through a stack, lane by lane: recursive functions and those that are called by address. All other calls are put in
// line by the lowering.
//
// Every callable has one set of registers; a call keeps what they hold for the lane and the return puts it back. Variables
// lie in a frame of the lane's local memory, behind the kernel's own; a slot holds where the frame of the current call
// begins. Return addresses and kept registers are out of the program's reach.
#include <algorithm>

#include "exec/form.h"
#include "exec/lanes.h"
#include "exec/lowering.h"
#include "ptx/lexer.h"

namespace sim {
namespace {

constexpr int kHardwareStackError = 714;

uint64_t read_slot(Warp& w, const Callable::Saved& saved, int lane) {
  std::byte* slot = w.arena + saved.slot;
  switch (static_cast<Lowering::Width>(saved.width)) {
    case Lowering::Width::kPredicate:
      return (*w.word(saved.slot) >> lane) & 1;
    case Lowering::Width::kWord:
      return lane_of<uint32_t>(slot, lane);
    default:
      return lane_of<uint64_t>(slot, lane);
  }
}
void write_slot(Warp& w, const Callable::Saved& saved, int lane, uint64_t value) {
  std::byte* slot = w.arena + saved.slot;
  switch (static_cast<Lowering::Width>(saved.width)) {
    case Lowering::Width::kPredicate:
      return write_predicate(w, saved.slot, 1u << lane, value != 0 ? ~0u : 0u);
    case Lowering::Width::kWord:
      reinterpret_cast<uint32_t*>(slot)[lane] = static_cast<uint32_t>(value);
      return;
    default:
      reinterpret_cast<uint64_t*>(slot)[lane] = value;
  }
}

uint32_t callee_of(Warp& w, const Instr& in, const CallSite& site, int lane) {
  if (site.callable >= 0) return static_cast<uint32_t>(site.callable);
  const Kernel& kernel = *w.cta->run->kernel;
  const uint64_t address = lane_of<uint64_t>(w.arena + in.op[2], lane);
  const auto found = std::find_if(kernel.callables.begin(), kernel.callables.end(),
                                  [address](const Callable& callable) { return callable.address == address; });
  if (found == kernel.callables.end()) raise(w, in, lane, 700, "a call of " + hex(address) + ", which is no function");
  const auto same = [](const std::vector<Callable::Place>& a, const std::vector<Callable::Place>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](const auto& x, const auto& y) { return x.bytes == y.bytes; });
  };
  if (!same(found->parameters, site.arguments) || !same(found->returns, site.results)) {
    raise(w, in, lane, 719, "a call of " + found->name + " with parameters of other sizes");
  }
  return static_cast<uint32_t>(found - kernel.callables.begin());
}

void copy_places(std::byte* to, const std::vector<Callable::Place>& into, const std::byte* from,
                 const std::vector<Callable::Place>& places) {
  for (size_t i = 0; i < places.size(); ++i) {
    std::memcpy(to + into[i].offset, from + places[i].offset, std::min(into[i].bytes, places[i].bytes));
  }
}

/// op: the frame slot, the frame slot again (to be read), the address when it is no direct call; target: the call site.
void call_lanes(Warp& w, const Instr& in, uint32_t mask) {
  const Kernel& kernel = *w.cta->run->kernel;
  const CallSite& site = kernel.call_sites[static_cast<size_t>(in.target)];
  const uint32_t back = static_cast<uint32_t>(&in - kernel.code.data()) + 1;
  uint64_t* frames = reinterpret_cast<uint64_t*>(w.arena + in.op[0]);
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const int l = std::countr_zero(rest);
    const uint32_t index = callee_of(w, in, site, l);
    const Callable& callee = kernel.callables[index];
    std::vector<LaneCall>& calls = w.calls[static_cast<size_t>(l)];
    const uint64_t base = site.relative ? frames[l] : 0;
    const uint64_t frame =
        calls.empty() ? kernel.stack_begin : calls.back().frame + kernel.callables[calls.back().callable].frame_bytes;
    if (frame + callee.frame_bytes > kernel.frame_bytes || calls.size() > 10000) {
      raise(w, in, l, kHardwareStackError,
            "the call stack of a thread is exhausted: " + std::to_string(calls.size()) + " calls deep");
    }
    std::byte* local = w.local + static_cast<size_t>(l) * kernel.frame_bytes;
    std::memset(local + frame, 0xff, callee.frame_bytes);
    copy_places(local + frame, callee.parameters, local + base, site.arguments);
    LaneCall call{index, static_cast<uint32_t>(in.target), back, frame, frames[l], {}};
    call.saved.reserve(callee.saved.size());
    for (const Callable::Saved& saved : callee.saved) call.saved.push_back(read_slot(w, saved, l));
    calls.push_back(std::move(call));
    frames[l] = frame;
    w.next[l] = callee.start;
  }
}

void return_lanes(Warp& w, const Instr& in, uint32_t mask) {
  const Kernel& kernel = *w.cta->run->kernel;
  uint64_t* frames = reinterpret_cast<uint64_t*>(w.arena + in.op[0]);
  for (uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const int l = std::countr_zero(rest);
    std::vector<LaneCall>& calls = w.calls[static_cast<size_t>(l)];
    if (calls.empty()) raise(w, in, l, kHardwareStackError, "a return without a call");
    const LaneCall& call = calls.back();
    const Callable& callee = kernel.callables[call.callable];
    const CallSite& site = kernel.call_sites[call.site];
    std::byte* local = w.local + static_cast<size_t>(l) * kernel.frame_bytes;
    copy_places(local + (site.relative ? call.caller_frame : 0), site.results, local + call.frame, callee.returns);
    for (size_t i = 0; i < callee.saved.size(); ++i) write_slot(w, callee.saved[i], l, call.saved[i]);
    frames[l] = call.caller_frame;
    w.next[l] = call.back;
    calls.pop_back();
  }
}

bool calls_itself(const ptx::File& file, const ptx::Function& from, const ptx::Function& wanted,
                  std::vector<const ptx::Function*>& seen) {
  for (const ptx::Instruction& instruction : from.code) {
    if (instruction.opcode != "call" || instruction.operands[0].kind != ptx::Operand::kName) continue;
    const ptx::Function* callee = file.find(instruction.operands[0].text);
    if (callee == nullptr) continue;
    if (callee == &wanted) return true;
    if (std::find(seen.begin(), seen.end(), callee) != seen.end()) continue;
    seen.push_back(callee);
    if (calls_itself(file, *callee, wanted, seen)) return true;
  }
  return false;
}

void add_named(const ptx::File& file, const std::string& name, std::vector<const ptx::Function*>& found) {
  const ptx::Function* function = file.find(name);
  if (function == nullptr || function->entry || function->declared_only) return;
  if (std::find(found.begin(), found.end(), function) == found.end()) found.push_back(function);
}

}  // namespace

std::vector<const ptx::Function*> functions_with_address(const ptx::File& file) {
  std::vector<const ptx::Function*> found;
  for (const auto& function : file.functions) {
    for (const ptx::Instruction& instruction : function->code) {
      if (instruction.opcode != "mov") continue;
      for (const ptx::Operand& operand : instruction.operands) {
        if (operand.kind == ptx::Operand::kName) add_named(file, operand.text, found);
      }
    }
    for (const auto& variable : function->variables) {
      for (const ptx::Relocation& relocation : variable->relocations) add_named(file, relocation.symbol, found);
    }
  }
  for (const auto& variable : file.variables) {
    for (const ptx::Relocation& relocation : variable->relocations) add_named(file, relocation.symbol, found);
  }
  return found;
}

uint64_t function_address(const ptx::File& file, const std::string& name) {
  for (size_t i = 0; i < file.functions.size(); ++i) {
    if (file.functions[i]->name == name) return kCodeWindow + 256 * (i + 1);
  }
  return 0;
}

void Lowering::choose_callables(const std::vector<const ptx::Function*>& functions, bool by_address) {
  const std::vector<const ptx::Function*> addressed = functions_with_address(file_);
  for (const ptx::Function* function : functions) {
    if (function == &entry_ || function->declared_only) continue;
    std::vector<const ptx::Function*> seen;
    const bool named = by_address && std::find(addressed.begin(), addressed.end(), function) != addressed.end();
    if (!named && !calls_itself(file_, *function, *function, seen)) continue;
    Callable callable;
    callable.name = function->name;
    callable.address = function_address(file_, function->name);
    kernel_->callables.push_back(callable);
    callables_.push_back(function);
  }
  if (!callables_.empty()) frame_slot_ = add_slot(Width::kDouble, true);
}

int Lowering::callable_index(const ptx::Function* function) const {
  const auto found = std::find(callables_.begin(), callables_.end(), function);
  return found == callables_.end() ? -1 : static_cast<int>(found - callables_.begin());
}

void Lowering::emit_call(const ptx::Instruction& call, int callable) {
  ptx::Instruction plain = call;
  plain.guard = -1;
  Form form(*this, plain);
  CallSite site;
  site.callable = callable;
  site.relative = relative_;
  const auto place = [&](const ptx::Operand& actual) -> Callable::Place {
    if (actual.kind != ptx::Operand::kVariable || actual.variable->space != ptx::Space::kParam) {
      ptx::reject(call.line, "call: only .param variables can be passed");
    }
    return {static_cast<size_t>(address_of(*actual.variable, call.line) & ~kFrameParameters), actual.variable->bytes};
  };
  for (size_t i = 1; i < call.operands.size(); ++i) site.arguments.push_back(place(call.operands[i]));
  for (const ptx::Operand& result : call.results) site.results.push_back(place(result));
  form.out.op[0] = form.out.op[1] = frame_slot_;
  if (callable < 0) form.out.op[2] = form.in(0, ptx::Type::kB64);
  form.out.control = Control::kCall;
  form.out.target = static_cast<int32_t>(kernel_->call_sites.size());
  form.out.run = call_lanes;
  kernel_->call_sites.push_back(std::move(site));
  emit(form);
}

void Lowering::lower_callables() {
  for (size_t i = 0; i < callables_.size(); ++i) {
    const ptx::Function& function = *callables_[i];
    relative_ = true;
    frame_.clear();
    size_t bytes = 0;
    frame_size_ = &bytes;
    const size_t first = slots_.size();
    kernel_->callables[i].start = static_cast<uint32_t>(kernel_->code.size());
    lower(function, 1);
    ptx::Instruction end;
    end.opcode = "ret";
    end.line = function.code.empty() ? function.line : function.code.back().line;
    function_ = &function;
    Form form(*this, end);
    form.out.control = Control::kCall;
    form.out.op[0] = frame_slot_;
    form.out.run = return_lanes;
    emit(form);
    Callable& callable = kernel_->callables[i];
    const auto places = [&](const std::vector<const ptx::Variable*>& formals, std::vector<Callable::Place>& to) {
      for (const ptx::Variable* formal : formals) {
        to.push_back({static_cast<size_t>(address_of(*formal, function.line) & ~kFrameParameters), formal->bytes});
      }
    };
    places(function.parameters, callable.parameters);
    places(function.returns, callable.returns);
    callable.frame_bytes = (bytes + 15) / 16 * 16;
    // Its registers share their places with nobody; those that this call needs are kept.
    for (size_t slot = first; slot < slots_.size(); ++slot) {
      if (slots_[slot].fixed) continue;
      slots_[slot].fixed = true;
      callable.saved.push_back({static_cast<uint32_t>(slot), static_cast<uint8_t>(slots_[slot].width)});
    }
  }
  relative_ = false;
  frame_size_ = &kernel_->frame_bytes;
}

}  // namespace sim
