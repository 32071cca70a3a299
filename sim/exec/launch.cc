// execute(): blocks over host threads, registers and special registers of a block, counters, coverage, fault messages.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <thread>

#include "exec/block_order.h"
#include "exec/lanes.h"
#include "exec/machine.h"
#include "memory/bits.h"

namespace sim {
namespace {

std::atomic<uint32_t> serials_used{1};  // 0: never written

std::mutex coverage_mutex;
std::map<std::string, Coverage>& coverage_map() {
  static std::map<std::string, Coverage> map;
  return map;
}

uint64_t mix(uint64_t x) {  // splitmix64
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

template <class T>
void fill(std::byte* slot, T value) {
  T* lanes = reinterpret_cast<T*>(slot);
  for (int l = 0; l < kLanes; ++l) lanes[l] = value;
}

uint32_t special_value(const Run& run, const Cta& cta, const Warp& warp, const SpecialSlot& special, uint32_t lane) {
  const Launch& launch = *run.launch;
  const uint32_t thread = warp.index * kLanes + lane;
  switch (special.what) {
    case Special::kTid:
      return special.axis == 0   ? thread % launch.block[0]
             : special.axis == 1 ? thread / launch.block[0] % launch.block[1]
                                 : thread / launch.block[0] / launch.block[1];
    case Special::kNtid:
      return launch.block[special.axis];
    case Special::kCtaid:
      return cta.id[special.axis];
    case Special::kNctaid:
      return launch.grid[special.axis];
    case Special::kLane:
      return lane;
    case Special::kWarp:
      return warp.index;
    case Special::kWarps:
      return run.warps;
    case Special::kMaskEq:
      return 1u << lane;
    case Special::kMaskLt:
      return (1u << lane) - 1;
    case Special::kMaskLe:
      return (2u << lane) - 1;
    case Special::kMaskGt:
      return ~((2u << lane) - 1);
    case Special::kMaskGe:
      return ~((1u << lane) - 1);
    case Special::kDynamicShared:
      return launch.dynamic_shared_bytes;
    case Special::kTotalShared:
      return cta.shared_bytes;
    case Special::kReserved0:
      return cta.reserved;
    case Special::kReserved1:
      return cta.reserved + 512;
    case Special::kZero:
      return 0;
  }
  return 0;
}

void set_specials(const Run& run, const Cta& cta, Warp& warp, bool first) {
  for (const SpecialSlot& special : run.kernel->specials) {
    if (!first && special.what != Special::kCtaid) continue;
    std::byte* slot = warp.arena + special.slot;
    for (uint32_t l = 0; l < kLanes; ++l) {
      const uint32_t value = special_value(run, cta, warp, special, l);
      if (special.wide) {
        reinterpret_cast<uint64_t*>(slot)[l] = value;
      } else {
        reinterpret_cast<uint32_t*>(slot)[l] = value;
      }
    }
  }
}

/// Warps, registers and constants, once for all blocks that a host thread runs.
void prepare(Worker& worker, Cta& cta) {
  Run& run = *worker.run;
  const Kernel& kernel = *run.kernel;
  worker.arena_stride = (kernel.arena_bytes + 127) / 64 * 64;
  worker.arena_bytes.assign(worker.arena_stride * run.warps + 64, std::byte{0xff});
  worker.arenas = worker.arena_bytes.data();
  while (reinterpret_cast<uintptr_t>(worker.arenas) % 64 != 0) ++worker.arenas;
  worker.local_bytes.assign(kernel.frame_bytes * kLanes * run.warps, std::byte{0xff});
  worker.caches.assign(kernel.caches, CachedBlock{});
  if (run.options.coverage) worker.executed.assign(kernel.code.size(), 0);
  cta.run = &run;
  cta.worker = &worker;
  cta.shared_bytes = static_cast<uint32_t>(kernel.dynamic_shared) + run.launch->dynamic_shared_bytes;
  if (run.launch->dynamic_shared_bytes == 0) cta.shared_bytes = static_cast<uint32_t>(kernel.facts.static_shared_bytes);
  if (kernel.reserves_shared) {
    cta.reserved = (cta.shared_bytes + 127) / 128 * 128;
    cta.shared_bytes = cta.reserved + 1024;
  }
  cta.shared.assign((cta.shared_bytes + 63) / 64 * 64 + 64, std::byte{0xff});
  cta.shared_initialised.assign(bits::words(cta.shared_bytes) + 1, 0);
  cta.warps.resize(run.warps);
  for (uint32_t i = 0; i < run.warps; ++i) {
    Warp& warp = cta.warps[i];
    warp.cta = &cta;
    warp.index = i;
    warp.calls.resize(kernel.callables.empty() ? 0 : kLanes);
    warp.arena = worker.arenas + i * worker.arena_stride;
    warp.local = worker.local_bytes.data() + size_t{i} * kLanes * kernel.frame_bytes;
    const uint32_t threads = std::min<uint32_t>(kLanes, run.threads - i * kLanes);
    warp.exists = threads == kLanes ? kFull : (1u << threads) - 1;
    for (const Constant& constant : kernel.constants) {
      if (constant.wide) {
        fill<uint64_t>(warp.arena + constant.slot, constant.bits);
      } else {
        fill<uint32_t>(warp.arena + constant.slot, static_cast<uint32_t>(constant.bits));
      }
    }
    set_specials(run, cta, warp, true);
  }
}

void start_block(Cta& cta, uint64_t linear) {
  Run& run = *cta.run;
  const Launch& launch = *run.launch;
  cta.linear = linear;
  cta.id[0] = static_cast<uint32_t>(linear % launch.grid[0]);
  cta.id[1] = static_cast<uint32_t>(linear / launch.grid[0] % launch.grid[1]);
  cta.id[2] = static_cast<uint32_t>(linear / launch.grid[0] / launch.grid[1]);
  if (run.ordered) cta.serial = take_serial(run, linear, false);
  cta.wrote = false;
  std::fill(cta.shared.begin(), cta.shared.end(), std::byte{0xff});
  if (run.options.checks) {
    std::fill(cta.shared_initialised.begin(), cta.shared_initialised.end(), 0);
    cta.shadow.reset(cta.shared_bytes, run.warps);
  }
  if (run.kernel->reserves_shared) {  // the system's own: holds something
    std::fill(cta.shared.begin() + cta.reserved, cta.shared.begin() + cta.reserved + 1024, std::byte{0});
    bits::set(cta.shared_initialised.data(), cta.reserved, 1024);
  }
  for (Barrier& barrier : cta.barriers) barrier = Barrier{};
  cta.mbarriers.clear();
  cta.strong_writes.clear();
  for (Warp& warp : cta.warps) {
    for (const auto& [slot, bytes] : run.kernel->cleared) std::memset(warp.arena + slot, 0xff, bytes);
    set_specials(run, cta, warp, false);
    warp.alive = warp.exists;
    warp.groups.assign(1, Group{warp.exists, 0, false, -1});
    warp.current = 0;
    warp.rotated = false;
    warp.copies.clear();
    warp.deferred.clear();
    for (auto& calls : warp.calls) calls.clear();
    warp.fenced.clear();
    warp.copies_started = 0;
    warp.yields = false;
    warp.sync = 0;
    std::fill(std::begin(warp.commits), std::end(warp.commits), 0u);
  }
}

/// The place of the n-th block in the seeded order: a bijection of [0, count).
uint64_t shuffled(uint64_t n, uint64_t count, uint64_t seed) {
  int width = 1;
  while ((uint64_t{1} << width) < count) ++width;
  const int half = (width + 1) / 2;
  const uint64_t low_mask = (uint64_t{1} << half) - 1;
  do {  // a small Feistel network over 2 * half bits, walked until it lands inside
    for (uint64_t round = 0; round < 4; ++round) {
      const uint64_t low = n & low_mask, high = (n >> half) & low_mask;
      n = low << half | ((high ^ mix(low + (round << 32) + seed)) & low_mask);
    }
  } while (n >= count);
  return n;
}

void work(Run& run, Counters& total, std::exception_ptr& fault) {
  Worker worker;
  worker.run = &run;
  Cta cta;
  try {
    prepare(worker, cta);
    for (;;) {
      const uint64_t n = run.next.fetch_add(1);
      if (n >= run.blocks || run.failed.load(std::memory_order_relaxed)) break;
      const uint64_t linear = run.options.seed == 0 ? n : shuffled(n, run.blocks, run.options.seed);
      worker.random = mix(run.options.seed * 0x10001 + linear) | 1;
      start_block(cta, linear);
      run_block(cta);
      ++worker.counters.blocks;
    }
  } catch (...) {
    const std::lock_guard lock(run.mutex);
    if (!run.failed.exchange(true)) fault = std::current_exception();
  }
  const std::lock_guard lock(run.mutex);
  total.add(worker.counters);
  if (run.options.coverage) {
    const std::lock_guard also(coverage_mutex);
    Coverage& covered = coverage_map()[run.kernel->facts.name];
    for (size_t i = 0; i < worker.executed.size(); ++i) {
      if (worker.executed[i] != 0) covered.executed[run.kernel->code[i].line] += worker.executed[i];
    }
  }
}

void list_lines(const Kernel& kernel) {
  const std::lock_guard lock(coverage_mutex);
  Coverage& covered = coverage_map()[kernel.facts.name];
  if (!covered.lines.empty()) return;
  for (const Instr& instr : kernel.code) covered.lines.push_back(instr.line);
  std::sort(covered.lines.begin(), covered.lines.end());
  covered.lines.erase(std::unique(covered.lines.begin(), covered.lines.end()), covered.lines.end());
}

std::string place_text(const Kernel& kernel, size_t pc) {
  const SourceText& at = kernel.places[pc];
  const auto name = [&](const ptx::SourcePlace& place) {
    const auto file = kernel.files.find(place.file);
    if (file == kernel.files.end() || place.line == 0) return std::string();
    const size_t slash = file->second.rfind('/');
    return file->second.substr(slash == std::string::npos ? 0 : slash + 1) + ":" + std::to_string(place.line);
  };
  std::string text = name(at.place);
  const std::string outer = name(at.outer);
  if (!text.empty() && !outer.empty()) text += ", inlined at " + outer;
  return text;
}

}  // namespace

std::string hex(uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

void raise(const Warp& w, const Instr& in, int lane, int code, const std::string& what) {
  const Run& run = *w.cta->run;
  const Kernel& kernel = *run.kernel;
  // Of the instruction itself where it is one of the kernel's: a copy may land while another one runs.
  const bool own = &in >= kernel.code.data() && &in < kernel.code.data() + kernel.code.size();
  const size_t pc = own ? static_cast<size_t>(&in - kernel.code.data()) : static_cast<size_t>(w.pc);
  const std::string place = place_text(kernel, pc);
  std::string text = "kernel " + kernel.facts.name + ", PTX line " + std::to_string(in.line);
  if (!place.empty()) text += " (" + place + ")";
  text += ", " + kernel.opcodes[pc] + ", block (" + std::to_string(w.cta->id[0]) + "," + std::to_string(w.cta->id[1]) +
          "," + std::to_string(w.cta->id[2]) + ")";
  if (lane >= 0) {
    const uint32_t* block = run.launch->block;
    const uint32_t thread = w.index * kLanes + static_cast<uint32_t>(lane);
    text += " thread (" + std::to_string(thread % block[0]) + "," + std::to_string(thread / block[0] % block[1]) + "," +
            std::to_string(thread / block[0] / block[1]) + "), warp " + std::to_string(w.index) + " lane " +
            std::to_string(lane);
  } else {
    text += " warp " + std::to_string(w.index);
  }
  throw Fault{code, text + ": " + what};
}

void Counters::add(const Counters& other) {
  launches += other.launches, blocks += other.blocks, warp_instructions += other.warp_instructions;
  thread_instructions += other.thread_instructions, mma += other.mma, special_functions += other.special_functions;
  global_requests += other.global_requests, global_sectors += other.global_sectors, global_bytes += other.global_bytes;
  shared_requests += other.shared_requests, shared_wavefronts += other.shared_wavefronts;
  divergent_branches += other.divergent_branches, branches += other.branches, barriers += other.barriers;
}

void execute(const Launch& launch, DeviceMemory& memory, const Options& options, Counters* counters) {
  const Kernel& kernel = *launch.kernel;
  const std::string name = "launch of " + kernel.facts.name + ": ";
  if (launch.parameters.size() != kernel.facts.parameter_bytes) {
    throw Fault{1, name + std::to_string(launch.parameters.size()) + " bytes of parameters, not " +
                       std::to_string(kernel.facts.parameter_bytes)};
  }
  Run run;
  run.launch = &launch;
  run.kernel = &kernel;
  run.memory = &memory;
  run.options = options;
  run.blocks = uint64_t{launch.grid[0]} * launch.grid[1] * launch.grid[2];
  const uint64_t threads = uint64_t{launch.block[0]} * launch.block[1] * launch.block[2];
  if (run.blocks == 0 || threads == 0 || threads > 1024)
    throw Fault{1, name + "empty grid or block, or more than 1024 threads"};
  if (kernel.facts.max_threads < static_cast<int>(threads)) {
    throw Fault{1, name + std::to_string(threads) + " threads in a block, more than its .maxntid " +
                       std::to_string(kernel.facts.max_threads)};
  }
  for (int axis = 0; axis < 3 && kernel.required[0] != 0; ++axis) {
    if (launch.block[axis] != static_cast<uint32_t>(kernel.required[axis]))
      throw Fault{1, name + "not its .reqntid block size"};
  }
  run.threads = static_cast<uint32_t>(threads);
  run.warps = (run.threads + kLanes - 1) / kLanes;
  run.ordered = options.checks && (run.blocks > 1 || kernel.reads_noncoherent);
  if (run.ordered) {
    run.serials = std::make_unique<std::unique_ptr<std::atomic<uint64_t>[]>[]>(Run::kChunks);
    run.first_serial = serials_used.load();
    run.strong_serial = take_serial(run, 0, true);
  }
  Counters total;
  total.launches = 1;
  std::exception_ptr fault;
  const uint64_t host_threads = std::min<uint64_t>(static_cast<uint64_t>(std::max(1, options.threads)), run.blocks);
  if (options.coverage) list_lines(kernel);
  if (host_threads == 1) {
    run.options.threads = 1;
    work(run, total, fault);
  } else {
    std::vector<std::thread> pool;
    for (uint64_t i = 0; i < host_threads; ++i) pool.emplace_back([&] { work(run, total, fault); });
    for (std::thread& thread : pool) thread.join();
  }
  if (run.ordered) serials_used.fetch_add(run.next_serial.load());
  if (counters != nullptr) counters->add(total);
  if (fault) std::rethrow_exception(fault);
}

std::map<std::string, Coverage> coverage() {
  const std::lock_guard lock(coverage_mutex);
  return coverage_map();
}

}  // namespace sim
