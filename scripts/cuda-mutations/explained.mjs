// Faults of cuda-mutations.mjs that no test can catch, with the reason: most change nothing that a kernel promises. They are
// counted apart from those that a test should have caught. `text` is the whole line before the change, so that an entry ends with
// the code it speaks of; an entry without `was` is for every change of the operator to such a line.
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
    operator: 'off-by-one',
    file: 'cuda/kernels/gemm_shape.h',
    text: 'const int rows = tiles_m - band * kBand < kBand ? tiles_m - band * kBand : kBand;',
    why: 'where the two sides are equal, either is the result',
  },
];

/** Why nothing catches it, or undefined. */
export function whyNotCaught(site, line) {
  return explained.find(
    ({ operator, file, was, text }) =>
      operator === site.operator &&
      file === site.file &&
      (was === undefined || was === site.was.trim()) &&
      text === line.trim(),
  )?.why;
}
