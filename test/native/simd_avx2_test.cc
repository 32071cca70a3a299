// Vec as the avx2 build compiles it: exp, log, bf16 conversion, partial access and the lane trees.
#define TOOLGRAD_ISA vec_avx2
#define TOOLGRAD_TEST_TARGET "GCC target(\"avx2,fma,f16c,bmi2\")"
#include "simd_check.h"

int main() {
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
  if (toolgrad::best_isa() < toolgrad::Isa::kAvx2) {
    std::printf("skipped: this processor has no avx2\n");
    return toolgrad::test::kSkipped;
  }
  toolgrad::vec_avx2::check_vec("avx2", true);
#else
  std::printf("skipped: needs GCC on x86-64 to compile one file for avx2\n");
  return toolgrad::test::kSkipped;
#endif
  return toolgrad::test::finish();
}
