/** Which sentences of the op tests speak of a kernel's error against float64, or say that its results are exact. */

export interface Said {
  readonly what: string;
  readonly worst: number | null;
}

interface Claim {
  readonly kernels: RegExp;
  /** Their largest number is the kernel's worst error. */
  readonly sentences: readonly RegExp[];
  /** What the number is, or what the sentences say where they have none. */
  readonly as: string;
}

const products = [/^y, dx, dW and db against fp64/];
const claims: readonly Claim[] = [
  {
    kernels: /^adamw_weight/,
    sentences: [/^adamw: masters and moments have the CPU's bits/],
    as: "CPU's bits",
  },
  {
    kernels: /^adamw_stoch/,
    sentences: [/^adamw without master: every weight is one of/],
    as: 'a bf16 neighbour',
  },
  {
    kernels: /^token_adv/,
    sentences: [/^whitened returns and advantages/],
    as: 'of the largest, against the CPU',
  },
  {
    kernels: /^group_adv/,
    sentences: [/^group_advantages with the batch's scale/],
    as: 'of the largest, against the CPU',
  },
  {
    kernels: /^attention_backward/,
    sentences: [/^d[qkv]$/, /^head sizes .* backward against float64/],
    as: 'of the largest',
  },
  {
    kernels: /^attention_(prefill|decode|merge)/,
    sentences: [/^attention output against float64/, /^output over several chunks/, /^head sizes .* forward/],
    as: 'of the largest',
  },
  { kernels: /^embedding_rows/, sentences: [/^embedding rows come out of the packed table/], as: 'exact' },
  {
    kernels: /^embedding_grad/,
    sentences: [/^embedding gradients are added in token order/],
    as: "CPU's bits",
  },
  { kernels: /^head_gradient/, sentences: [/^gradient of (the hidden states|the head)/], as: 'in norm' },
  { kernels: /^head_/, sentences: [/^(log-prob|entropy|log-sum-exp) against fp64/], as: 'nats' },
  { kernels: /^kv_(copy|clear)/, sentences: [/^kv_prepare: cleared and copied pages/], as: 'exact' },
  { kernels: /^kv_write/, sentences: [/^kv_write: the CPU's bits/], as: "CPU's bits" },
  {
    kernels: /^linear_gated/,
    sentences: [/^gate, up and act have the bits of two linear layers and SwiGLU/],
    as: "linear's and SwiGLU's bits",
  },
  {
    kernels: /^swiglu_act_rounded/,
    sentences: [/^swiglu: rounded rows are the rows, rounded/],
    as: "SwiGLU's, rounded",
  },
  { kernels: /^linear_f32/, sentences: [/^fp32 y, dx, dW and db against fp64/], as: 'u' },
  { kernels: /^(linear_|bias_gradient|cast_)/, sentences: products, as: 'u' },
  {
    kernels: /^(add_|scatter_|gather_)/,
    sentences: [/^gather_rows, scatter_rows .* the CPU's bits/],
    as: "CPU's bits",
  },
  { kernels: /^pack_/, sentences: [/^pack makes the CPU's panels/], as: "CPU's bits" },
  { kernels: /^unpack_/, sentences: [/^unpack gives the rows back/], as: 'exact' },
  {
    kernels: /^policy_loss/,
    sentences: [/^policy_loss: (gradients|ten sums)/],
    as: 'of the largest, against the CPU',
  },
  { kernels: /^find_not/, sentences: [/^all_finite finds one NaN/], as: 'exact' },
  { kernels: /^sum_squares/, sentences: [/^sum_of_squares, relative/], as: 'relative' },
  { kernels: /^rms_norm_rows/, sentences: [/^rms_norm forward against float64/], as: 'of the largest' },
  { kernels: /^rms_norm_input/, sentences: [/^rms_norm dx, relative/], as: 'of the largest term' },
  { kernels: /^rms_norm_weight/, sentences: [/^rms_norm dw/], as: 'of the largest' },
  { kernels: /^rope/, sentences: [/^rope has the CPU's bits/], as: "CPU's bits" },
  { kernels: /^sample/, sentences: [/^cuda: their log-probs against fp64/], as: 'nats' },
  { kernels: /^swiglu_act/, sentences: [/^swiglu forward against float64/], as: 'relative' },
  { kernels: /^swiglu_grad/, sentences: [/^swiglu d(gate|up):?$/, /^swiglu d(gate|up)/], as: 'relative' },
];

/** "1.6e-3 of the largest", or "CPU's bits"; null where no test speaks of the kernel. */
export function errorOf(entry: string, said: readonly Said[]): string | null {
  const claim = claims.find(({ kernels }) => kernels.test(entry));
  if (claim === undefined) return null;
  const found = said.filter(({ what }) => claim.sentences.some((sentence) => sentence.test(what)));
  if (found.length === 0) return null;
  const numbers = found.flatMap(({ worst }) => (worst === null ? [] : [worst]));
  if (numbers.length === 0) return claim.as;
  const worst = Math.max(...numbers);
  return `${worst === 0 ? '0' : worst.toPrecision(2)} ${claim.as}`;
}
