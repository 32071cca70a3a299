/**
 * Causal grouped-query attention. Dimensions: T tokens, H query heads, G key/value heads (H a multiple of G), D head size,
 * S sequences, P pages. Tile-wise with an online softmax (Dao et al. 2022): the T × T matrix does not exist.
 */
import { Tensor } from '../tensor.ts';
import { call, type Floats, type Ints, output, shapeOf, type Weight } from './call.ts';

/** Tokens of one page of `kvWrite` and `pagedAttention`. */
export const KV_PAGE_TOKENS = 32;

/** What `attention` and `attentionBackward` share. */
export interface AttentionInputs {
  /** [T, H, D], after RoPE. */
  readonly q: Floats;
  /** [T, G, D], after RoPE. */
  readonly k: Floats;
  /** [T, G, D] */
  readonly v: Floats;
  /** [S + 1] from 0 to T, ascending: sequence s is rows seqStarts[s] to seqStarts[s + 1]. Default: one sequence. */
  readonly seqStarts?: Ints;
  /** Factor of the scores. Default 1 / sqrt(D). */
  readonly scale?: number;
  /** Data type in which keys and values are held; bfloat16 rounds them as a bfloat16 KV cache does. Default float32. */
  readonly kvDtype?: 'float32' | 'bfloat16';
}

/** Operands of `attention`. */
export interface AttentionOperands extends AttentionInputs {
  /** [T, H, D]; made when absent. */
  readonly out?: Floats;
  /** [T, H] log of the sum of exponentials of the scores, which the backward pass needs. Made when absent. */
  readonly lse?: Floats;
}

/**
 * Each token attends to itself and the tokens before it in its sequence. Sequences do not see each other, and a sequence's
 * bits do not depend on what it is packed with.
 *
 * @example const { out, lse } = await kernels.attention({ q, k, v, seqStarts });
 */
export function attention(operands: AttentionOperands): Promise<{ out: Floats; lse: Floats }> {
  const { q, k, v } = operands;
  const out = output(operands.out, shapeOf(q));
  const lse = output(operands.lse, shapeOf(q).slice(0, 2));
  const tensors = { q, k, v, seqStarts: sequences(operands), out, lse };
  return call('attention', tensors, choices(operands), () => ({ out, lse }));
}

/** Operands of `attentionBackward`. */
export interface AttentionBackwardOperands extends AttentionInputs {
  /** [T, H, D] */
  readonly dout: Floats;
  /** [T, H, D] of the forward pass. */
  readonly out: Floats;
  /** [T, H] of the forward pass. */
  readonly lse: Floats;
  /** [T, H, D]; overwritten. Made when absent, as the two below. */
  readonly dq?: Floats;
  /** [T, G, D]; overwritten. */
  readonly dk?: Floats;
  /** [T, G, D]; overwritten. */
  readonly dv?: Floats;
}

/**
 * Gradients of `attention`; probabilities are recomputed from `lse`. With bfloat16 keys and values the gradient passes
 * straight through their rounding.
 *
 * @example const { dq, dk, dv } = await kernels.attentionBackward({ dout, q, k, v, out, lse, seqStarts });
 */
export function attentionBackward(
  operands: AttentionBackwardOperands,
): Promise<{ dq: Floats; dk: Floats; dv: Floats }> {
  const { dout, q, k, v, out, lse } = operands;
  const dq = output(operands.dq, shapeOf(q));
  const dk = output(operands.dk, shapeOf(k));
  const dv = output(operands.dv, shapeOf(v));
  const tensors = { dout, q, k, v, out, lse, seqStarts: sequences(operands), dq, dk, dv };
  return call('attentionBackward', tensors, choices(operands), () => ({ dq, dk, dv }));
}

function sequences(operands: AttentionInputs): Ints {
  return operands.seqStarts ?? Tensor.from(Int32Array.of(0, shapeOf(operands.q)[0] ?? 0));
}

function choices(operands: AttentionInputs): object {
  const headSize = shapeOf(operands.q)[2] ?? 1;
  return { scale: operands.scale ?? 1 / Math.sqrt(headSize), kvDtype: operands.kvDtype ?? 'float32' };
}

/**
 * Paged keys and values of one layer. A page holds 32 tokens of one sequence; token i of sequence s is in page
 * `pageTable[pageStarts[s] + floor(i / 32)]`. Keys are transposed. Slots that were never written must be zero.
 */
export interface KvPages {
  /** [P, G, D, 32], float32 or bfloat16. */
  readonly keys: Weight;
  /** [P, G, 32, D], of the same data type. */
  readonly values: Weight;
  /** [S + 1] rows of q (or k and v) of each sequence: its LAST tokens. */
  readonly queryStarts: Ints;
  /** [S] tokens of each sequence, those rows included. */
  readonly kvLengths: Ints;
  /** [S] where each sequence's pages begin in `pageTable`. */
  readonly pageStarts: Ints;
  /** Pages, from 0 to P - 1. A page that is written belongs to one sequence. */
  readonly pageTable: Ints;
}

/**
 * Writes k and v [T, G, D] of each sequence's last tokens into its pages (bfloat16 pages: rounded to nearest even). Resolves
 * to nothing. A page number or length that does not fit rejects with ERR_OUT_OF_RANGE before anything is written.
 *
 * @example await kernels.kvWrite({ k, v, ...pages });
 */
export function kvWrite(operands: KvPages & { readonly k: Floats; readonly v: Floats }): Promise<void> {
  const { k, v, keys, values, queryStarts, kvLengths, pageStarts, pageTable } = operands;
  const tensors = { k, v, keys, values, queryStarts, kvLengths, pageStarts, pageTable };
  return call('kvWrite', tensors, {}, () => undefined);
}

/**
 * Attention of each sequence's last tokens to all of its tokens in the pages: prefill and decode. The same bits as
 * `attention` over the whole sequence.
 *
 * @example const { out } = await kernels.pagedAttention({ q, ...pages });
 */
export function pagedAttention(
  operands: KvPages & {
    readonly q: Floats;
    readonly scale?: number;
    readonly out?: Floats;
    readonly lse?: Floats;
  },
): Promise<{ out: Floats; lse: Floats }> {
  const { q, keys, values, queryStarts, kvLengths, pageStarts, pageTable } = operands;
  const out = output(operands.out, shapeOf(q));
  const lse = output(operands.lse, shapeOf(q).slice(0, 2));
  const scale = operands.scale ?? 1 / Math.sqrt(shapeOf(q)[2] ?? 1);
  const tensors = { q, keys, values, queryStarts, kvLengths, pageStarts, pageTable, out, lse };
  return call('pagedAttention', tensors, { scale }, () => ({ out, lse }));
}
