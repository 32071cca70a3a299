// Which instruction set builds this processor can run: the cpuid bits of every extension the build's -m flags name, and
// the register state the operating system saves (XCR0), without which the bits mean nothing.
#include <cstdlib>

#include "cpu/cpu.h"
#include "engine/error.h"

#if defined(TOOLGRAD_X86)
#include <cpuid.h>
#endif

namespace toolgrad {
namespace {

#if defined(TOOLGRAD_X86)
uint64_t saved_state() {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

Isa detect() {
  uint32_t eax, ebx, ecx, edx;
  if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx)) return Isa::kPortable;
  const uint32_t leaf1 = bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C;
  if ((ecx & leaf1) != leaf1) return Isa::kPortable;
  const uint64_t state = saved_state();
  if ((state & 0x6) != 0x6) return Isa::kPortable;  // xmm and ymm
  if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return Isa::kPortable;
  const uint32_t avx2 = bit_AVX2 | bit_BMI2;
  if ((ebx & avx2) != avx2) return Isa::kPortable;
  const uint32_t avx512 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
  if ((ebx & avx512) != avx512 || (state & 0xe0) != 0xe0) return Isa::kAvx2;  // opmask and zmm
  constexpr uint32_t kBf16 = 1u << 5;                                         // of eax in subleaf 1
  if (!__get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) || (eax & kBf16) == 0) return Isa::kAvx512;
  return Isa::kAvx512Bf16;
}
#else
Isa detect() {
  return Isa::kPortable;
}
#endif

}  // namespace

Isa best_isa() {
  static const Isa best = detect();
  return best;
}

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::kPortable:
      return "portable";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAvx512Bf16:
      return "avx512bf16";
  }
  return "unknown";
}

Isa isa_from_name(const std::string& name) {
  for (Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16})
    if (name == isa_name(isa)) return isa;
  throw Error("ERR_ISA", "instruction set: expected portable, avx2, avx512 or avx512bf16, found \"" + name + "\"");
}

Isa isa_from_environment() {
  const char* value = std::getenv("TOOLGRAD_ISA");
  if (value == nullptr || *value == '\0') return best_isa();
  const Isa isa = isa_from_name(value);
  if (isa > best_isa())
    throw Error("ERR_ISA", "TOOLGRAD_ISA=" + std::string(value) + ": this processor supports " + isa_name(best_isa()) +
                               " at most; unset TOOLGRAD_ISA or lower it");
  return isa;
}

}  // namespace toolgrad
