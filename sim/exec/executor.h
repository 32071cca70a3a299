// Running PTX: a parsed module, and one launch of one of its kernels over the simulated memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "exec/tensor_sums.h"
#include "memory/memory.h"

namespace sim {

struct Kernel;  // a parsed entry function; exec/ knows its inside

struct KernelFacts {
  std::string name;
  size_t parameter_bytes = 0;  // of all parameters with their alignment, as cuLaunchKernel's arrays
  std::vector<std::pair<size_t, size_t>> parameters;  // offset, bytes of each
  size_t static_shared_bytes = 0, local_bytes = 0, const_bytes = 0;
  int max_threads = 1024;  // .maxntid
  int registers = 0;       // virtual 32-bit registers live at once (an estimate), for cuFuncGetAttribute
};

/// A loaded module. Its .global and .const variables live in device memory for as long as it does.
class Module {
 public:
  /// Throws Fault (CUDA_ERROR_INVALID_PTX) with line and reason; an opcode form that the simulator does not know is an
  /// error here, never ignored. `log` gets the same text.
  static std::unique_ptr<Module> load(const std::string& ptx, DeviceMemory& memory, std::string* log);
  ~Module();
  const Kernel* find(const std::string& name) const;  // null when there is none
  std::vector<std::string> kernel_names() const;

 private:
  Module();
  struct State;
  std::unique_ptr<State> state_;
};
const KernelFacts& facts(const Kernel&);

struct Launch {
  const Kernel* kernel = nullptr;
  uint32_t grid[3] = {1, 1, 1}, block[3] = {1, 1, 1};
  uint32_t dynamic_shared_bytes = 0;
  std::vector<std::byte> parameters;  // laid out as KernelFacts says
};

/// What is simulated beyond the instructions.
struct Options {
  uint64_t seed = 0;      // 0: blocks and warps in order; else a seeded adversarial order
  bool checks = true;     // initialisation, races, bank conflicts…; bounds and alignment are always checked
  bool coverage = false;  // which PTX lines ran
  int threads = 1;        // host threads over blocks
  TensorSums tensor;      // how mma adds
  uint64_t hang = uint64_t{1} << 29;  // warp instructions of one block after which it is said to hang
};

/// Per kernel, summed over launches.
struct Counters {
  uint64_t launches = 0, blocks = 0, warp_instructions = 0, thread_instructions = 0;
  uint64_t mma = 0, special_functions = 0;                             // ex2, lg2, rcp, sqrt, sin, cos
  uint64_t global_requests = 0, global_sectors = 0, global_bytes = 0;  // per warp access; sectors of 32 bytes
  // Wavefronts that the accesses to shared memory would take without bank conflicts (a warp's ldmatrix.x4 takes four), and
  // those they take (with checks only): the ratio is the bank-conflict factor.
  uint64_t shared_requests = 0, shared_wavefronts = 0;
  uint64_t divergent_branches = 0, branches = 0, barriers = 0;
  void add(const Counters& other);
};

/// Runs it to the end. Throws Fault: 700 out of bounds or freed memory, 716 misaligned, 719 races, uninitialised reads,
/// barrier divergence, hangs and other defects; the message names kernel, PTX line (and source line when there is .loc),
/// block, thread and address. Device memory is then as far as the launch came.
void execute(const Launch& launch, DeviceMemory& memory, const Options& options, Counters* counters);

/// Kernel name -> executed and all executable PTX lines (a guarded instruction counts when a lane ran it, a branch always), gathered since the start with Options::coverage.
struct Coverage {
  std::map<int, uint64_t> executed;  // line -> times a warp executed it
  std::vector<int> lines;            // every line that holds an instruction
};
std::map<std::string, Coverage> coverage();

}  // namespace sim
