// What a launch gives besides its results: counters, coverage, facts of a kernel; and that neither the seeded order nor
// host threads change the results of a kernel that is right, while they do change those of one that is not.
#include <algorithm>
#include <cstring>
#include <set>

#include "check.h"
#include "exec/executor.h"

using namespace sim;
using sim::test::check;

namespace {

const char* const kPtx = R"(.version 7.4
.target sm_80
.address_size 64
.global .align 4 .u32 arrived;
.visible .entry stride(.param .u64 a, .param .u64 b, .param .u32 step)
.maxntid 64, 1, 1
{
.reg .b32 %r<8>;
.reg .b64 %d<8>;
.shared .align 16 .b8 s[8192];
ld.param.u64 %d1, [a];
ld.param.u64 %d2, [b];
ld.param.u32 %r1, [step];
mov.u32 %r2, %tid.x;
mul.lo.u32 %r3, %r2, %r1;
mul.wide.u32 %d3, %r3, 4;
add.u64 %d1, %d1, %d3;
ld.global.u32 %r4, [%d1];
mov.u32 %r5, s;
shl.b32 %r6, %r3, 2;
add.u32 %r5, %r5, %r6;
st.shared.u32 [%r5], %r4;
ld.shared.u32 %r7, [%r5];
mul.wide.u32 %d4, %r2, 4;
add.u64 %d2, %d2, %d4;
st.global.u32 [%d2], %r7;
ret;
}
.visible .entry branches(.param .u64 a)
{
.reg .pred %p<3>;
.reg .b32 %r<4>;
mov.u32 %r1, %tid.x;
setp.lt.u32 %p1, %r1, 10;
@%p1 bra SMALL;
setp.gt.u32 %p2, %r1, 1000;
@%p2 bra NEVER;
bra END;
SMALL:
add.u32 %r1, %r1, 1;
bra END;
NEVER:
add.u32 %r1, %r1, 2;
END:
ret;
}
// Sums n numbers: each block its share, the last one to arrive the shares, in order.
.visible .entry total(.param .u64 x, .param .u64 parts, .param .u64 out, .param .u32 blocks)
{
.reg .pred %p<4>;
.reg .b32 %r<12>;
.reg .f32 %f<8>;
.reg .b64 %d<12>;
ld.param.u64 %d1, [x];
ld.param.u64 %d2, [parts];
ld.param.u64 %d3, [out];
ld.param.u32 %r1, [blocks];
mov.u32 %r2, %ctaid.x;
mov.u32 %r3, %laneid;
mad.lo.u32 %r4, %r2, 32, %r3;
mul.wide.u32 %d4, %r4, 4;
add.u64 %d4, %d1, %d4;
ld.global.f32 %f1, [%d4];
mov.u32 %r5, 16;
FOLD:
mov.b32 %r6, %f1;
shfl.sync.bfly.b32 %r7, %r6, %r5, 31, -1;
mov.b32 %f2, %r7;
add.rn.f32 %f1, %f1, %f2;
shr.u32 %r5, %r5, 1;
setp.ne.u32 %p1, %r5, 0;
@%p1 bra FOLD;
setp.ne.u32 %p2, %r3, 0;
@%p2 ret;
mul.wide.u32 %d5, %r2, 4;
add.u64 %d5, %d2, %d5;
st.global.f32 [%d5], %f1;
membar.gl;
atom.global.add.u32 %r8, [arrived], 1;
sub.u32 %r9, %r1, 1;
setp.ne.u32 %p3, %r8, %r9;
@%p3 ret;
membar.gl;
mov.f32 %f3, 0f00000000;
mov.u32 %r10, 0;
ADD:
mul.wide.u32 %d6, %r10, 4;
add.u64 %d6, %d2, %d6;
ld.global.f32 %f4, [%d6];
add.rn.f32 %f3, %f3, %f4;
add.u32 %r10, %r10, 1;
setp.lt.u32 %p1, %r10, %r1;
@%p1 bra ADD;
st.global.f32 [%d3], %f3;
ret;
}
// The same with float atomics: its bits depend on the order.
.visible .entry loose(.param .u64 x, .param .u64 out)
{
.reg .b32 %r<4>;
.reg .f32 %f<3>;
.reg .b64 %d<6>;
ld.param.u64 %d1, [x];
ld.param.u64 %d2, [out];
mov.u32 %r1, %ctaid.x;
mov.u32 %r2, %laneid;
mad.lo.u32 %r3, %r1, 32, %r2;
mul.wide.u32 %d3, %r3, 4;
add.u64 %d3, %d1, %d3;
ld.global.f32 %f1, [%d3];
red.global.add.f32 [%d2], %f1;
ret;
}
)";

struct Bytes {
  std::vector<std::byte> bytes;
  template <class T>
  Bytes& operator()(T value) {
    const size_t at = (bytes.size() + sizeof(T) - 1) / sizeof(T) * sizeof(T);
    bytes.resize(at + sizeof(T));
    std::memcpy(bytes.data() + at, &value, sizeof(T));
    return *this;
  }
};

Counters launch(const Module& module, DeviceMemory& memory, const char* name, uint32_t blocks, uint32_t threads,
                const Bytes& parameters, const Options& options) {
  Launch launch;
  launch.kernel = module.find(name);
  launch.grid[0] = blocks, launch.block[0] = threads;
  launch.parameters = parameters.bytes;
  Counters counters;
  execute(launch, memory, options, &counters);
  return counters;
}

void counters(const Module& module, DeviceMemory& memory) {
  const uint64_t a = memory.allocate(64 * 32 * 4, "a"), b = memory.allocate(256, "b");
  const uint32_t zero = 0;
  memory.fill(a, &zero, 4, 64 * 32);
  for (uint32_t step : {1u, 2u, 8u, 32u}) {
    const Counters c = launch(module, memory, "stride", 1, 64, Bytes()(a)(b)(step), Options{});
    const std::string what = "stride " + std::to_string(step) + ": ";
    const uint64_t sectors = 2 * (std::min(step, 8u) * 4) + 8;  // two warps read, and write densely
    check(c.global_requests == 4 && c.global_sectors == sectors, what + "sectors " + std::to_string(c.global_sectors));
    check(c.global_bytes == 512, what + "bytes");
    check(c.shared_requests == 4 && c.shared_wavefronts == 4 * step,
          what + "wavefronts " + std::to_string(c.shared_wavefronts));
    check(c.blocks == 1 && c.launches == 1 && c.warp_instructions == 34 && c.thread_instructions == 34 * 32,
          what + "instructions " + std::to_string(c.warp_instructions));
  }
  const Counters c = launch(module, memory, "branches", 1, 32, Bytes()(a), Options{});
  check(c.divergent_branches == 1 && c.branches == 4,
        "branches " + std::to_string(c.branches) + ", divergent " + std::to_string(c.divergent_branches));
  const KernelFacts& known = facts(*module.find("stride"));
  check(known.parameter_bytes == 20 && known.parameters.size() == 3 && known.parameters[2].first == 16,
        "parameters of stride");
  check(known.static_shared_bytes == 8192 && known.max_threads == 64 && known.local_bytes == 0, "facts of stride");
  test::faults(1, "more than its .maxntid", "a block that is too large",
               [&] { launch(module, memory, "stride", 1, 96, Bytes()(a)(b)(1u), Options{}); });
  test::faults(1, "bytes of parameters", "too few parameters",
               [&] { launch(module, memory, "stride", 1, 32, Bytes()(a), Options{}); });
}

void covered(const Module& module, DeviceMemory& memory) {
  const uint64_t a = memory.allocate(4, "a");
  Options options;
  options.coverage = true;
  launch(module, memory, "branches", 2, 64, Bytes()(a), options);
  const Coverage all = coverage()["branches"];
  check(all.lines.size() == 10, "lines that hold an instruction: " + std::to_string(all.lines.size()));
  std::vector<int> missed;
  for (int line : all.lines) {
    if (all.executed.count(line) == 0) missed.push_back(line);
  }
  check(missed.size() == 1 && all.executed.at(all.lines[0]) == 4, "one line is never reached, others four times");
}

void orders(const Module& module, DeviceMemory& memory) {
  constexpr uint32_t kBlocks = 40;
  std::vector<float> x(kBlocks * 32);
  for (size_t i = 0; i < x.size(); ++i) x[i] = 1.0f / static_cast<float>(i + 1);
  const uint64_t values = memory.allocate(x.size() * 4, "x"), parts = memory.allocate(kBlocks * 4, "parts"),
                 out = memory.allocate(4, "out");
  memory.write(values, x.data(), x.size() * 4);
  std::set<uint32_t> exact, loose;
  for (int threads : {1, 3}) {
    for (uint64_t seed : {0, 1, 2, 3, 4, 5}) {
      Options options;
      options.seed = seed, options.threads = threads;
      uint32_t bits = 0;
      // The counter is the module's: a fresh module for a fresh zero.
      std::string log;
      const auto fresh = Module::load(kPtx, memory, &log);
      launch(*fresh, memory, "total", kBlocks, 32, Bytes()(values)(parts)(out)(kBlocks), options);
      memory.read(&bits, out, 4);
      exact.insert(bits);
      if (threads != 1) continue;
      const float zero = 0;
      memory.write(out, &zero, 4);
      launch(module, memory, "loose", kBlocks, 32, Bytes()(values)(out), options);
      memory.read(&bits, out, 4);
      loose.insert(bits);
    }
  }
  check(exact.size() == 1, "an ordered sum has the same bits under every schedule and number of threads");
  check(loose.size() > 1,
        "a sum of float atomics has not: " + std::to_string(loose.size()) + " results of 6 schedules");
}

}  // namespace

int main() {
  try {
    DeviceMemory memory(1 << 24);
    std::string log;
    const auto module = Module::load(kPtx, memory, &log);
    check(module->kernel_names().size() == 4 && module->find("nothing") == nullptr, "kernels are found by name");
    counters(*module, memory);
    covered(*module, memory);
    orders(*module, memory);
  } catch (const Fault& fault) {
    check(false, "no fault: " + fault.message);
  }
  return test::finish("execution");
}
