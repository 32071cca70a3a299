// From a parsed entry function to a Kernel: decodes every instruction, puts called device functions in line (each call
// gets registers and a frame of its own, so recursion is refused), and gives every slot its place in the arena.
// While it works, the slots of instructions are numbers; place_slots() turns them into offsets.
#pragma once

#include <map>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "exec/allocation.h"
#include "exec/form.h"
#include "exec/machine.h"

namespace sim {

/// Where the variables of the module lie in device memory.
using Addresses = std::unordered_map<const ptx::Variable*, uint64_t>;

// Addresses that a kernel can form for what is not global memory.
inline constexpr uint64_t kSharedWindow = uint64_t{1} << 60;  // generic addresses of shared memory
inline constexpr uint64_t kLocalWindow = uint64_t{1} << 61;   // and of local memory
inline constexpr uint64_t kParamWindow = uint64_t{1} << 59;   // and of kernel parameters
inline constexpr uint64_t kCodeWindow = uint64_t{1} << 57;    // and of functions
inline constexpr size_t kStackBytes = 16384;                  // of a thread, where functions are called through a stack
inline constexpr uint64_t kFrameParameters = uint64_t{1}
                                             << 40;  // .param addresses of called functions lie in the frame

/// The functions of the file whose address is taken, and that address; 0 for a name that is no function.
std::vector<const ptx::Function*> functions_with_address(const ptx::File& file);
uint64_t function_address(const ptx::File& file, const std::string& name);

class Lowering {
 public:
  Lowering(const ptx::File& file, const Addresses& addresses, const ptx::Function& entry);
  std::unique_ptr<Kernel> run();

  // For Form.
  enum class Width : uint8_t { kPredicate, kWord, kDouble };
  struct Slot {
    Width width;
    uint32_t offset = 0;
    bool fixed = false;  // holds the same value throughout: a constant or a special register
  };
  uint32_t register_slot(int index) const { return first_register_ + static_cast<uint32_t>(index); }
  uint32_t add_slot(Width width, bool fixed = false);
  uint32_t constant_slot(uint64_t bits, bool wide);
  uint32_t special_slot(const Form& form, const std::string& text, bool wide);
  uint32_t carry_slot();
  uint32_t sink_slot(Width width);
  uint32_t new_cache() { return kernel_->caches++; }
  void slot_read(uint32_t slot) { reads_.push_back(slot); }
  void slot_written(uint32_t slot) { writes_.push_back(slot); }
  std::vector<uint32_t>& more() { return more_; }
  const ptx::Function& function() const { return *function_; }
  /// The address of a variable in its own space.
  uint64_t address_of(const ptx::Variable& variable, int line);
  bool is_kernel_parameter(const ptx::Variable& variable) const;
  Kernel& kernel() { return *kernel_; }
  const ptx::File& file() const { return file_; }
  /// Whether variables lie relative to the frame of a call, and the slot that says where that begins.
  bool relative() const { return relative_; }
  uint32_t frame_slot() const { return frame_slot_; }

 private:
  void lay_out_parameters();
  void lower(const ptx::Function& function, int depth);
  void emit(Form& form);
  void lower_call(const ptx::Instruction& call, int depth);
  void place_slots();
  // calls.cc
  void choose_callables(const std::vector<const ptx::Function*>& functions, bool by_address);
  int callable_index(const ptx::Function* function) const;
  void emit_call(const ptx::Instruction& call, int callable);
  void lower_callables();

  const ptx::File& file_;
  const Addresses& addresses_;
  const ptx::Function& entry_;
  std::unique_ptr<Kernel> kernel_;
  std::vector<Slot> slots_;
  std::vector<SlotUses> uses_;  // per instruction
  std::vector<uint32_t> reads_, writes_, more_;
  std::map<std::pair<uint64_t, bool>, uint32_t> constants_;
  std::map<std::string, uint32_t> specials_;
  uint32_t carry_ = 0, sinks_[3] = {0, 0, 0};
  std::map<const ptx::Variable*, size_t> kernel_parameters_, shared_, frame_;
  size_t shared_bytes_ = 0;
  std::vector<const ptx::Function*> callables_;
  uint32_t frame_slot_ = 0;
  bool relative_ = false;
  size_t* frame_size_ = nullptr;  // of what is being lowered

  // Of the function that is being lowered.
  const ptx::Function* function_ = nullptr;
  uint32_t first_register_ = 0;
  std::vector<const ptx::Function*> stack_;
};

}  // namespace sim
