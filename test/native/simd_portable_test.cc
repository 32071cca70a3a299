// Vec as the portable build compiles it: exp, log, bf16 conversion, partial access and the lane trees.
#define TOOLGRAD_ISA vec_portable
#include "simd_check.h"

int main() {
  toolgrad::vec_portable::check_vec("portable", false);
  return toolgrad::test::finish();
}
