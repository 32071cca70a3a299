// The kernel table of one ISA build.
#include "cpu/kernels/kernels.h"

namespace toolgrad::TOOLGRAD_ISA {

const KernelTable& kernel_table() {
  static constexpr KernelTable kTable{
      .pack = pack,
      .unpack = unpack,
      .linear_forward = linear_forward,
      .gated_forward = gated_forward,
      .linear_backward_input = linear_backward_input,
      .linear_backward_weight = linear_backward_weight,
      .low_rank_forward = low_rank_forward,
      .low_rank_backward = low_rank_backward,
      .rms_norm_forward = rms_norm_forward,
      .rms_norm_backward = rms_norm_backward,
      .rope = rope,
      .kv_write = kv_write,
      .attention_forward = attention_forward,
      .attention_backward = attention_backward,
      .swiglu_forward = swiglu_forward,
      .swiglu_backward = swiglu_backward,
      .embedding_forward = embedding_forward,
      .embedding_backward = embedding_backward,
      .head_forward = head_forward,
      .head_backward = head_backward,
      .sample = sample,
      .adamw = adamw,
      .sum_of_squares = sum_of_squares,
      .all_finite = all_finite,
  };
  return kTable;
}

}  // namespace toolgrad::TOOLGRAD_ISA
