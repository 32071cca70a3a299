// The list of all cases; see cases.h.
#include "cases.h"

namespace toolgrad::bench {

Cases all_cases(const Model& model, bool tiny) {
  const Phases phases = tiny ? Phases{{2, 150, 150}, {1, 1, 600}, {3, 1, 100}, {2, 96, 96}}
                             : Phases{{4, 512, 512}, {1, 1, 1024}, {32, 1, 1024}, {8, 512, 512}};
  Cases cases;
  add_linear_cases(cases, model, phases);
  if (tiny) add_wide_cases(cases);
  add_attention_cases(cases, model, phases);
  add_row_cases(cases, model, phases);
  add_loss_cases(cases, phases);
  return cases;
}

}  // namespace toolgrad::bench
