// The GPU side of the op contract (engine/ops.h): one function an op, which queues the op's kernels.
//
// Pointers in the structs are device pointers, those of SequenceMap, ids, positions and labels included. Differences from
// the CPU backend, all within the bound of plain bf16: a linear layer rounds its activations to bf16 on the way into the
// tensor cores and accumulates in fp32 in the order of the tensor core's k steps, one order for every T; attention rounds
// q, k, v and p. Weights are bf16 panels, gradients fp32 panels, KV pages bf16.
#pragma once

#include "engine/ops.h"
#include "launcher.h"

namespace toolgrad::cuda {

/// Rows to bf16, padded to `stride` columns with zeros (cast.cu). `to` [rows, stride].
void cast_rows(Launcher& launcher, const float* from, uint16_t* to, int64_t rows, int64_t cols, int64_t stride);

/// pack.cu: row-major [rows, cols] to panels, and back.
void pack(Launcher& launcher, const float* src, PackedMatrix dst);
void unpack(Launcher& launcher, PackedMatrix src, float* dst);
/// bf16 panels to bf16 rows; an even number of columns.
void unpack_rounded(Launcher& launcher, PackedMatrix src, uint16_t* dst);
/// rms_norm.cu; dw in groups of 64 rows, so its bits depend on how tokens are cut into calls.
void rms_norm_forward(Launcher& launcher, const RmsNormForward& op);
void rms_norm_backward(Launcher& launcher, const RmsNormBackward& op);
/// rope.cu; the CPU's bits.
void rope(Launcher& launcher, const Rope& op);
/// kv_write.cu; pages are bf16.
void kv_write(Launcher& launcher, const KvWrite& op);
/// swiglu.cu
void swiglu_forward(Launcher& launcher, const SwigluForward& op);
void swiglu_backward(Launcher& launcher, const SwigluBackward& op);
/// embedding.cu; the gradient has the CPU's bits.
void embedding_forward(Launcher& launcher, const EmbeddingForward& op);
void embedding_backward(Launcher& launcher, const EmbeddingBackward& op);
/// move_rows.cu; add: to += x.
void gather_rows(Launcher& launcher, const GatherRows& op);
void scatter_rows(Launcher& launcher, const ScatterRows& op);
void add(Launcher& launcher, float* to, const float* x, int64_t n);
/// sample.cu; waits for the device, to say which row has no usable distribution.
void sample(Launcher& launcher, const Sample& op);
/// The same without waiting: such a row gets token -1 and log-prob NaN.
void sample_without_check(Launcher& launcher, const Sample& op);
/// adamw.cu; the CPU's bits.
void adamw(Launcher& launcher, const AdamW& op);
/// The same with bf16 weights as the only copy (op.weight; op.master is not read), rounded at random by seed and op.step.
void adamw_without_master(Launcher& launcher, const AdamW& op, uint64_t seed);
/// reduce.cu; both wait for the device.
double sum_of_squares(Launcher& launcher, const float* x, int64_t n);
bool all_finite(Launcher& launcher, const float* x, int64_t n);
/// The answer stays on the device.
void find_not_finite(Launcher& launcher, const float* x, int64_t n, int32_t* found);

/// linear_forward.cu; one order over k for every T.
void linear_forward(Launcher& launcher, const LinearForward& op);
/// linear_gated.cu; gate and up are left alone unless they are kept.
void gated_forward(Launcher& launcher, const GatedForward& op);
/// linear_backward_input.cu; `accumulate` adds the finished product to dx.
void linear_backward_input(Launcher& launcher, const LinearBackwardInput& op);
/// linear_backward_weight.cu; the bits depend on how tokens are cut into calls.
void linear_backward_weight(Launcher& launcher, const LinearBackwardWeight& op);
/// Both, with dy rounded once.
void linear_backward(Launcher& launcher, const LinearBackward& op);
/// linear_f32.cu: weights in fp32 panels; the CPU's bits.
void linear_f32_forward(Launcher& launcher, const LinearForward& op);
void linear_f32_backward_input(Launcher& launcher, const LinearBackwardInput& op);
void linear_f32_backward_weight(Launcher& launcher, const LinearBackwardWeight& op);
/// The same products through a narrow array; fp32.
void low_rank_forward(Launcher& launcher, const LowRankForward& op);
void low_rank_backward(Launcher& launcher, const LowRankBackward& op);

/// kv_pages.cu; bf16 pages.
void kv_prepare(Launcher& launcher, const KvPrepare& op);
/// attention_forward.cu; head sizes up to 128 that are multiples of 8. `map` holds device arrays and host numbers.
void attention_forward(Launcher& launcher, const AttentionForward& op);
/// attention_backward.cu; whole sequences.
void attention_backward(Launcher& launcher, const AttentionBackward& op);

/// head_forward.cu; logits are linear_forward's to the bit.
/// Both cut rows so that what they keep between kernels stays below scratch_bytes.
constexpr int64_t kHeadScratchBytes = int64_t{64} << 20;
void head_forward(Launcher& launcher, const HeadForward& op, int64_t scratch_bytes = kHeadScratchBytes);
/// head_backward.cu, then the products of linear layers; dz is rounded to bf16.
void head_backward(Launcher& launcher, const HeadBackward& op, int64_t scratch_bytes = kHeadScratchBytes);

}  // namespace toolgrad::cuda
