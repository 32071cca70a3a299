// A module: its variables in device memory, and its kernels.
#include <cstring>

#include "exec/lowering.h"
#include "exec/machine.h"
#include "ptx/lexer.h"

namespace sim {

struct Module::State {
  DeviceMemory* memory = nullptr;
  std::vector<uint64_t> blocks;
  std::map<std::string, std::unique_ptr<Kernel>> kernels;
};

Module::Module() : state_(std::make_unique<State>()) {}

Module::~Module() {
  for (uint64_t base : state_->blocks) {
    const Block* block = state_->memory->find(base);
    if (block != nullptr && block->live) state_->memory->release(base);
  }
}

namespace {

void place_variable(const ptx::Variable& variable, DeviceMemory& memory, Addresses& addresses,
                    std::vector<uint64_t>& blocks) {
  if (variable.space != ptx::Space::kGlobal && variable.space != ptx::Space::kConst) return;
  const uint64_t base = memory.allocate(variable.bytes, "module variable " + variable.name);
  if (base == 0) throw Fault{2, "no device memory for module variable " + variable.name};
  blocks.push_back(base);
  addresses[&variable] = base;
  std::vector<std::byte> bytes = variable.initial;
  bytes.resize(variable.bytes);
  memory.write(base, bytes.data(), bytes.size());
}

}  // namespace

std::unique_ptr<Module> Module::load(const std::string& text, DeviceMemory& memory, std::string* log) {
  try {
    std::unique_ptr<Module> module(new Module());
    module->state_->memory = &memory;
    const std::unique_ptr<ptx::File> file = ptx::parse(text);
    Addresses addresses;
    std::map<std::string, const ptx::Variable*> names;
    std::vector<const ptx::Variable*> all;
    for (const auto& variable : file->variables) all.push_back(variable.get());
    for (const auto& function : file->functions) {
      for (const auto& variable : function->variables) all.push_back(variable.get());
    }
    size_t constant_bytes = 0;
    for (const ptx::Variable* variable : all) {
      place_variable(*variable, memory, addresses, module->state_->blocks);
      names.emplace(variable->name, variable);
      if (variable->space == ptx::Space::kConst) constant_bytes += variable->bytes;
    }
    for (const ptx::Variable* variable : all) {
      for (const ptx::Relocation& relocation : variable->relocations) {
        const auto target = names.find(relocation.symbol);
        const uint64_t code = target == names.end() ? function_address(*file, relocation.symbol) : 0;
        if (code != 0 && relocation.bytes == 8) {
          memory.write(addresses[variable] + relocation.offset, &code, 8);
          continue;
        }
        if (target == names.end() || addresses.count(target->second) == 0 || relocation.bytes != 8) {
          ptx::reject(variable->line,
                      "initial value of " + variable->name + ": the address of " + relocation.symbol + " is not known");
        }
        const uint64_t value = addresses[target->second] + static_cast<uint64_t>(relocation.addend);
        memory.write(addresses[variable] + relocation.offset, &value, 8);
      }
    }
    for (const auto& function : file->functions) {
      if (!function->entry || function->declared_only) continue;
      auto kernel = Lowering(*file, addresses, *function).run();
      kernel->facts.const_bytes = constant_bytes;
      module->state_->kernels[function->name] = std::move(kernel);
    }
    return module;
  } catch (const Fault& fault) {
    if (log != nullptr) *log = fault.message;
    throw;
  }
}

const Kernel* Module::find(const std::string& name) const {
  const auto found = state_->kernels.find(name);
  return found == state_->kernels.end() ? nullptr : found->second.get();
}

std::vector<std::string> Module::kernel_names() const {
  std::vector<std::string> names;
  for (const auto& kernel : state_->kernels) names.push_back(kernel.first);
  return names;
}

const KernelFacts& facts(const Kernel& kernel) {
  return kernel.facts;
}

}  // namespace sim
