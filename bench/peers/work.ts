/**
 * Models end to end beside other engines: which work, on which shapes, and who does it. Every engine is a fresh process for
 * each piece of work, so that its peak memory is that of this work.
 */
import type { ModelConfig } from '../../lib/model/config.ts';
import type { WeightDtype } from '../../lib/model/engine.ts';
import { sizes } from '../case.ts';
import { Absent, type Program, Subject } from './conversation.ts';
import { type Contender, type Timed, takeTurns } from './interleave.ts';

/** One piece of work, as engines are asked for it. */
export type Work =
  | { readonly kind: 'train'; readonly sequences: number; readonly length: number }
  | { readonly kind: 'prefill'; readonly length: number }
  | { readonly kind: 'decode'; readonly batch: number; readonly prompt: number; readonly steps: number }
  | {
      readonly kind: 'grpo';
      readonly prompts: number;
      /** Rollouts of a prompt. */
      readonly group: number;
      /** Tokens of a prompt, and new tokens of a rollout. */
      readonly prompt: number;
      readonly tokens: number;
    };

export interface ComparedWork {
  readonly name: string;
  /** Tokens of what is timed: of one step or pass. */
  readonly tokens: number;
  readonly timed: readonly Timed[];
}

/** The shapes of the comparison: SmolLM2-135M, Qwen2.5-0.5B, and a model 256 wide of 4 layers. */
export const modelShapes: Readonly<Record<string, ModelConfig>> = {
  small: { ...sizes.demo!, intermediateSize: 1024 },
  smollm2: sizes.smollm2!,
  'qwen2.5': {
    ...{ ...sizes.smollm2!, arch: 'qwen2', vocabSize: 151936, hiddenSize: 896, layers: 24, heads: 14 },
    ...{ kvHeads: 2, intermediateSize: 4864, rmsNormEps: 1e-6, ropeTheta: 1e6, qkvBias: true },
  },
};

export function request(work: Work): string {
  switch (work.kind) {
    case 'train':
      return `prepare train ${work.sequences} ${work.length}`;
    case 'prefill':
      return `prepare prefill ${work.length}`;
    case 'decode':
      return `prepare decode ${work.batch} ${work.prompt} ${work.steps}`;
    case 'grpo':
      return `prepare grpo ${work.prompts} ${work.group} ${work.prompt} ${work.tokens}`;
  }
}

/** As the table names it, and the tokens that one timed step or pass is about. */
export function describe(size: string, work: Work): { name: string; tokens: number } {
  switch (work.kind) {
    case 'train':
      return {
        name: `training step, ${size}, ${work.sequences} × ${work.length}`,
        tokens: work.sequences * work.length,
      };
    case 'prefill':
      return { name: `prefill, ${size}, ${work.length} tokens`, tokens: work.length };
    case 'decode':
      return {
        name: `decode, ${size}, batch ${work.batch}, ${work.prompt} + ${work.steps} tokens`,
        tokens: work.batch,
      };
    case 'grpo': {
      const { prompts, group, prompt, tokens } = work;
      const name = `GRPO step, ${size}, ${prompts} prompts of ${prompt} × ${group} rollouts of ${tokens}`;
      return { name, tokens: prompts * group * tokens };
    }
  }
}

export const shortName = (dtype: WeightDtype) => (dtype === 'float32' ? 'fp32' : 'bf16');

/** Who takes part, and how its process is started. */
export interface Runner {
  /** Of a peer: its type; who it is, its process says. */
  readonly label: string;
  readonly ours: boolean;
  readonly program: Program;
}

/** Times the work with every runner; those that are absent are named in `skipped`, as is work that cannot run. */
export async function compareWork(
  size: string,
  work: Work,
  runners: readonly Runner[],
  rounds: number,
): Promise<{ compared: ComparedWork; details: string[]; skipped: string[] }> {
  const subjects: Subject[] = [];
  const contenders: Contender[] = [];
  const details: string[] = [];
  const skipped: string[] = [];
  try {
    for (const { label, ours, program } of runners) {
      try {
        const subject = await Subject.start(program);
        subjects.push(subject);
        if (!ours) details.push(`${subject.name}: ${subject.detail}`);
        const name = ours ? label : `${subject.name} ${label}`;
        contenders.push({ subject, label: name, ours, prepare: request(work), run: 'run' });
      } catch (error) {
        if (!(error instanceof Absent)) throw error;
        skipped.push(error.message);
      }
    }
    const timed = await takeTurns(contenders, rounds);
    return { compared: { ...describe(size, work), timed }, details, skipped };
  } finally {
    await Promise.all(subjects.map((subject) => subject.close()));
  }
}
