// Faults of cuda-mutations.mjs that no test can catch, with the reason: most change nothing that a kernel promises. They are
// counted apart from those that a test should have caught. `text` is the whole line before the change, so that an entry ends with
// the code it speaks of; `after` is the line before it, where `text` alone says too little.
const explained = [
  {
    operator: 'bound-dropped',
    file: 'cuda/kernels/sample.cu',
    text: 'if (temperature > 0.0f && ((top_k > 0 && top_k < p.V) || top_p < 1.0f || min_p > 0.0f)) {',
    why: 'a top-k that keeps everything then draws through the filters, which keep everything: slower, the same distribution',
  },
  {
    operator: 'wait-short',
    file: 'cuda/kernels/attention_backward.cu',
    text: 'wait_copies<0>();',
    why: 'the last group is always empty: the loop closes one for a step that does not exist',
  },
  {
    operator: 'fence-dropped',
    file: 'cuda/kernels/advantages.cu',
    text: '__threadfence();',
    why: "the reader's half of the handshake: needed by the memory model, but the simulator delays only writes, and what is read comes from L2 (__ldcg)",
  },
  {
    operator: 'fragment-halves',
    file: 'cuda/kernels/attention_forward.cu',
    text: 'const int query = query0 + warp * 16 + lane / 4 + r * 8;',
    why: 'which of the tile a row is may be chosen freely: load, mask and store take it from this one line',
  },
  {
    operator: 'sum-start',
    file: 'cuda/kernels/sample_filter.cuh',
    text: 'unsigned long long before = 0;',
    why: 'one unit of 2^-40 of the largest mass: a draw in 10^12 differs',
  },
  {
    operator: 'sum-start',
    file: 'cuda/kernels/sample_filter.cuh',
    text: 'unsigned long long above = 0;',
    why: 'one unit of 2^-40 of the largest mass: a draw in 10^12 differs',
  },
  {
    operator: 'bound-dropped',
    file: 'cuda/kernels/sample_filter.cuh',
    text: 'if (before < n && n <= before + mine) {',
    why: 'later warps then search too and find nothing: the element that makes the count n lies before theirs',
  },
  {
    operator: 'sum-start',
    file: 'cuda/kernels/advantages.cu',
    text: 'float mine = 0;',
    why: 'not a sum: the first value that the thread sees replaces it, and a thread that sees none does not look at it',
  },
  {
    operator: 'off-by-one',
    file: 'cuda/kernels/sample_filter.cuh',
    text: 'if (before <= target && target < before + shared.warp_sum[warp]) {',
    why: 'the two differ where the target, in units of 2^-40 of the largest mass, is exactly at the end of a run: a draw in 10^12',
  },
  {
    operator: 'wait-short',
    file: 'cuda/kernels/gemm_tile.cuh',
    text: 'wait_copies<0>();',
    why: 'the last round has waited for every group with copies in it: those after are empty',
  },
  {
    operator: 'off-by-one',
    file: 'cuda/kernels/attention_backward.cu',
    text: 'if (key0 >= tokens) return;',
    why: 'a block that begins exactly at the end copies and stores nothing',
  },
  {
    operator: 'sum-start',
    file: 'cuda/kernels/sample_filter.cuh',
    text: 'unsigned long long mine = 0;',
    why: 'a unit a thread of 2^-40 of the largest mass: a draw in 10^9 differs',
  },
  {
    operator: 'off-by-one',
    file: 'cuda/kernels/attention_forward.cu',
    text: 'if (queries <= kDecodeTokens || query0 >= queries) return;',
    why: 'at the limit both kernels compute the sequence, with the same bits, or a block without queries stores nothing',
  },
  {
    operator: 'off-by-one',
    file: 'cuda/kernels/attention_forward.cu',
    text: 'if (tile < end) {',
    why: 'one tile more is copied and not used: keys of the next chunk, or nothing past the sequence',
  },
  {
    operator: 'off-by-one',
    file: 'cuda/kernels/kv_tile.cuh',
    text: 'if (kPagesAtOnce > kPages && page >= kPages) continue;',
    why: 'with as many pages at once as there are, no thread has a page past the last',
  },
  {
    operator: 'barrier-dropped',
    file: 'cuda/kernels/sample_filter.cuh',
    after: 'mine = __shfl_sync(0xffffffffu, scan_lanes(mine), 31);',
    text: '__syncthreads();',
    why: 'what is written next (warp_count) is used once a row: nobody can still be reading it',
  },
  {
    operator: 'rounding',
    file: 'cuda/kernels/sample_filter.cuh',
    text: 'return __float2ull_rn(e * kMassUnit);',
    why: 'every pass takes masses from this one line, and a unit is 2^-40 of the largest: a draw in 10^12 differs',
  },
  {
    operator: 'exit-dropped',
    file: 'cuda/kernels/attention_forward.cu',
    text: 'if (tile0 > last_tile) return;',
    why: 'a block past the last chunk sees no key: it copies zeros and stores nothing',
  },
];

/** Why nothing catches it, or undefined. `fault.text` is its line, `previous` the line before it. */
export function whyNotCaught(fault) {
  return explained.find(
    ({ operator, file, was, after, text }) =>
      operator === fault.operator &&
      file === fault.file &&
      (was === undefined || was === fault.was.trim()) &&
      (after === undefined || after === fault.previous.trim()) &&
      text === fault.text.trim(),
  )?.why;
}
