/**
 * Plain float64 definitions of the ops, for tests: written for reading, with no thought of speed, and sharing nothing with
 * the engine. Matrices are row-major.
 */

/** Numbers from a normal distribution, the same in every run (mulberry32 and Box-Muller). */
export function normal(count: number, seed: number, std = 1): Float32Array {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
  };
  return Float32Array.from(
    { length: count },
    () => std * Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}

export type Numbers = ArrayLike<number>;

/** Norm of the difference over norm of what is expected; 0 when both are zero. */
export function relativeError(found: Numbers, expected: Numbers): number {
  if (found.length !== expected.length) return Number.POSITIVE_INFINITY;
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < expected.length; i++) {
    difference += (found[i]! - expected[i]!) ** 2;
    norm += expected[i]! ** 2;
  }
  return difference === 0 ? 0 : Math.sqrt(difference / norm);
}

/** d f / d x by central differences; `f` must not keep `x`. */
export function numericGradient(f: (x: Float64Array) => number, at: Numbers, h = 1e-5): Float64Array {
  const x = Float64Array.from(at);
  return Float64Array.from(x, (value, i) => {
    x[i] = value + h;
    const above = f(x);
    x[i] = value - h;
    const below = f(x);
    x[i] = value;
    return (above - below) / (2 * h);
  });
}

/** Sum of a_i b_i: the loss whose gradient by a is b. */
export function inner(a: Numbers, b: Numbers): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** y [T, N] = x [T, K] Wᵀ + bias. */
export function linear(x: Numbers, w: Numbers, K: number, bias?: Numbers): Float64Array {
  const T = x.length / K;
  const N = w.length / K;
  const y = new Float64Array(T * N);
  for (let t = 0; t < T; t++) {
    for (let n = 0; n < N; n++) {
      let sum = bias?.[n] ?? 0;
      for (let k = 0; k < K; k++) sum += x[t * K + k]! * w[n * K + k]!;
      y[t * N + n] = sum;
    }
  }
  return y;
}

export function rmsNorm(x: Numbers, w: Numbers, eps: number): Float64Array {
  const C = w.length;
  return Float64Array.from({ length: x.length }, (_, i) => {
    const row = i - (i % C);
    let squares = 0;
    for (let c = 0; c < C; c++) squares += x[row + c]! ** 2;
    return (x[i]! / Math.sqrt(squares / C + eps)) * w[i % C]!;
  });
}

export function swiglu(gate: Numbers, up: Numbers): Float64Array {
  return Float64Array.from(
    { length: gate.length },
    (_, i) => (gate[i]! / (1 + Math.exp(-gate[i]!))) * up[i]!,
  );
}

/** x [T, heads, D] rotated in pairs (d, d + D/2). */
export function rope(x: Numbers, positions: Numbers, heads: number, D: number, theta: number): Float64Array {
  const y = Float64Array.from(x);
  for (let t = 0; t < positions.length; t++) {
    for (let h = 0; h < heads; h++) {
      for (let d = 0; d < D / 2; d++) {
        const angle = positions[t]! * theta ** ((-2 * d) / D);
        const a = (t * heads + h) * D + d;
        const b = a + D / 2;
        y[a] = x[a]! * Math.cos(angle) - x[b]! * Math.sin(angle);
        y[b] = x[b]! * Math.cos(angle) + x[a]! * Math.sin(angle);
      }
    }
  }
  return y;
}

/** Causal attention of packed sequences; q [T, H, D], k and v [T, G, D]. */
export function attention(
  q: Numbers,
  k: Numbers,
  v: Numbers,
  { starts, H, G, D }: { starts: Numbers; H: number; G: number; D: number },
): Float64Array {
  const out = new Float64Array(q.length);
  for (let s = 0; s + 1 < starts.length; s++) {
    for (let t = starts[s]!; t < starts[s + 1]!; t++) {
      for (let h = 0; h < H; h++) {
        const g = Math.floor(h / (H / G));
        const scores: number[] = [];
        for (let u = starts[s]!; u <= t; u++) {
          let score = 0;
          for (let d = 0; d < D; d++) score += q[(t * H + h) * D + d]! * k[(u * G + g) * D + d]!;
          scores.push(score / Math.sqrt(D));
        }
        const largest = Math.max(...scores);
        const weights = scores.map((score) => Math.exp(score - largest));
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        for (const [i, weight] of weights.entries()) {
          const row = ((starts[s]! + i) * G + g) * D;
          for (let d = 0; d < D; d++) out[(t * H + h) * D + d]! += (weight / total) * v[row + d]!;
        }
      }
    }
  }
  return out;
}

/** Log-prob of each label and entropy of each row; logits [R, V] over the temperature. */
export function distribution(
  logits: Numbers,
  labels: Numbers,
  temperature: number,
): { logprobs: number[]; entropies: number[] } {
  const R = labels.length;
  const V = logits.length / R;
  const logprobs: number[] = [];
  const entropies: number[] = [];
  for (let r = 0; r < R; r++) {
    const z = Array.from({ length: V }, (_, i) => logits[r * V + i]! / temperature);
    const largest = Math.max(...z);
    const total = Math.log(z.reduce((sum, value) => sum + Math.exp(value - largest), 0)) + largest;
    logprobs.push(z[labels[r]!]! - total);
    entropies.push(-z.reduce((sum, value) => sum + Math.exp(value - total) * (value - total), 0));
  }
  return { logprobs, entropies };
}

/** The value that bfloat16 keeps of a number (round to nearest even). */
export function toBfloat16(value: number): number {
  return widenBfloat16(bfloat16Bits(value));
}

/** The bits of a number in bfloat16. */
export function bfloat16Bits(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer)[0]!;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

export function widenBfloat16(bits: number): number {
  return new Float32Array(Uint32Array.of(bits << 16).buffer)[0]!;
}
