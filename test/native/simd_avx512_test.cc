// Vec as the avx512 build compiles it: exp, log, bf16 conversion, partial access and the lane trees.
#define TOOLGRAD_ISA vec_avx512
#define TOOLGRAD_TEST_TARGET "GCC target(\"avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,bmi2\")"
#include "simd_check.h"

int main() {
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
  if (toolgrad::best_isa() < toolgrad::Isa::kAvx512) {
    std::printf("skipped: this processor has no avx512\n");
    return toolgrad::test::kSkipped;
  }
  toolgrad::vec_avx512::check_vec("avx512", true);
#else
  std::printf("skipped: needs GCC on x86-64 to compile one file for avx512\n");
  return toolgrad::test::kSkipped;
#endif
  return toolgrad::test::finish();
}
