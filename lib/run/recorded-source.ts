/**
 * A run's rollouts as a source of batches: every recorded trajectory is sampled again, its calls answered from the record, and
 * compared token by token. What the clock decided follows the record: where a trajectory was parked (the versions of its tokens),
 * where its time was up, which calls failed.
 *
 * A log-prob that differs is reported, and the replay goes on with its own. From a token that differs on, a trajectory is taken
 * from the record (the gap check of the update still recomputes its log-probs).
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ToolgradError } from '../errors.ts';
import { callId } from '../rollout/call-names.ts';
import { type Course, createCourse } from '../rollout/course.ts';
import { drive } from '../rollout/drive.ts';
import type { Ledger } from '../rollout/ledger.ts';
import { promptOf } from '../rollout/parked.ts';
import { kCallAttempts } from '../rollout/partial.ts';
import type { Trajectory } from '../rollout/trajectory.ts';
import type { RecordedTool } from '../tools/recorded.ts';
import { type RolloutParts, type RolloutSource, trainingSampling } from '../train/rollout-source.ts';
import { scoreRollouts } from '../train/score.ts';
import type { Setup } from '../train/setup.ts';
import { checkpointName } from './checkpoint.ts';
import { readLines } from './directory.ts';
import {
  compareJson,
  compareLogprobs,
  compareTokens,
  type Difference,
  type Recorded,
  readRecorded,
} from './recorded.ts';

/** A recorded trajectory while it is replayed. */
interface Run {
  readonly recorded: Recorded;
  readonly course: Course;
  /** Tokens that were compared. */
  checked: number;
  /** It left the record, which is followed from there. */
  off: boolean;
  logprobsDiffer: boolean;
}

export interface RecordedSource extends RolloutSource {
  /** Records of the batch of a step of all phases, in order. */
  records(step: number): readonly Recorded[];
  /** Trajectories replayed to their ends, and policy tokens that were sampled again. */
  readonly counts: { readonly trajectories: number; readonly tokens: number };
}

/** The rollouts of the run in `path`; `metrics` are its recorded steps, `report` takes differences as they are found. */
export function recordedSource(
  path: string,
  setup: Setup,
  parts: RolloutParts,
  tool: RecordedTool,
  metrics: ReadonlyMap<number, Readonly<Record<string, unknown>>>,
  report: (difference: Difference) => void,
): RecordedSource {
  const { config, plan, model, tokenizer } = setup;
  const partial = config.rollout.step_tokens > 0;
  const files = new Map<number, Recorded[]>();
  const runs = new Map<string, Run>();
  const ofCourse = new Map<Course, Run>();
  const counts = { trajectories: 0, tokens: 0 };
  const { cache, signal, onProgress: _, concurrency: __, ...rest } = parts;
  const options = {
    ...rest,
    // What the model was shown was cut already, and no clock runs.
    limits: { ...rest.limits, seconds: 0 },
    toolLimits: { ...rest.toolLimits, outputCharacters: Number.MAX_SAFE_INTEGER, outputTokens: 0 },
    sampling: trainingSampling(setup),
    callAttempts: partial ? kCallAttempts : 1,
    timeIsUp: (seed: { step: number; prompt: number; sample: number }, length: number) => {
      const of = runs.get(keyOf(seed.step, seed.prompt, seed.sample))?.recorded.trajectory;
      return of?.end === 'time_limit' && length >= of.ledger.length;
    },
  };

  const differ = (recorded: Recorded, found: Omit<Difference, 'step' | 'trajectory'>) => {
    const { question, prompt, sample } = recorded.trajectory;
    report({ step: recorded.step, trajectory: { question: question.id, prompt, sample }, ...found });
  };

  const read = (step: number): readonly Recorded[] => {
    const known = files.get(step);
    if (known !== undefined) return known;
    const file = join(path, 'rollouts', `${checkpointName(step)}.jsonl`);
    if (!existsSync(file)) {
      throw new ToolgradError(
        'ERR_RUN_FILE',
        `${file}: expected the rollouts of step ${step}, found no such file`,
      );
    }
    const list = readLines(file).map((json, i) => readRecorded(json, step, `${file}:${i + 1}`, tokenizer));
    files.set(step, list);
    return list;
  };

  const start = (recorded: Recorded): void => {
    const { trajectory } = recorded;
    const { question, prompt, sample, started, ledger, calls, end } = trajectory;
    const key = keyOf(started, prompt, sample);
    if (runs.has(key)) return;
    const ids = promptOf(ledger);
    const asked = setup.prompt(question, prompt, config.rl.group);
    const seed = { runSeed: options.runSeed, step: started, prompt, sample };
    calls.forEach((call, i) => {
      const cut = end === 'time_limit' && call.status === 'timeout' && call.output === null;
      const tooLong = end === 'overflow' && call.output === null;
      tool.add(callId(question.id, seed, i), { ...call, cut, tooLong });
    });
    const course = createCourse({ ...options, step: started }, { ...asked, ids }, sample, -1);
    const run: Run = { recorded, course, checked: ids.length, off: false, logprobsDiffer: false };
    runs.set(key, run);
    ofCourse.set(course, run);
    for (let t = 0; t < Math.max(ids.length, asked.ids.length); t++) {
      if (ids[t] === asked.ids[t]) continue;
      differ(recorded, {
        token: t,
        what: 'id of the prompt',
        recorded: String(ids[t] ?? 'no token'),
        replayed: String(asked.ids[t] ?? 'no token'),
      });
      break;
    }
  };

  /** Compares what is new of a course. */
  const check = (run: Run): void => {
    const { recorded, course } = run;
    const before = recorded.trajectory.ledger;
    const from = run.checked;
    const to = course.ledger.length;
    if (run.off || from === to) return;
    const token = compareTokens(before, course.ledger, from, to, tokenizer);
    const same = token?.token ?? to;
    const logprob = run.logprobsDiffer ? null : compareLogprobs(before, course.ledger, from, same);
    if (logprob !== null) {
      run.logprobsDiffer = true;
      differ(recorded, logprob);
    }
    if (token !== null) {
      run.off = true;
      const call = before.calls[token.token ?? 0] ?? -1;
      const where =
        call < 0 ? token.what : `${token.what} (from the output of call ${call} as it is recorded)`;
      differ(recorded, { ...token, what: where });
    }
    run.checked = to;
  };

  /** Whether the next token that the policy wrote was written by the weights of now. */
  const may = (course: Course): boolean => {
    const run = ofCourse.get(course)!;
    check(run);
    if (run.off || course.ended) return false;
    const { ledger } = run.recorded.trajectory;
    const next = nextVersion(ledger, course.ledger.length);
    return next === model.version || (next === null && course.pending === null);
  };

  /** The trajectory to train on, after what is left was compared. */
  const finish = (recorded: Recorded): Trajectory => {
    const { trajectory } = recorded;
    const run = runs.get(keyOf(trajectory.started, trajectory.prompt, trajectory.sample))!;
    const { course } = run;
    runs.delete(keyOf(trajectory.started, trajectory.prompt, trajectory.sample));
    ofCourse.delete(course);
    counts.trajectories += 1;
    counts.tokens += course.sampled;
    check(run);
    if (run.off) return trajectory;
    if (!course.ended || course.ledger.length < trajectory.ledger.length) {
      differ(recorded, {
        token: course.ledger.length,
        what: 'length',
        recorded: `${trajectory.ledger.length} tokens, then ${trajectory.end}`,
        replayed: course.ended ? `${course.finish().end} after ${course.ledger.length}` : 'goes on',
      });
      return trajectory;
    }
    const replayed = course.finish();
    // What a clock measured is the record's, so that a reward that looks at it is the same.
    const calls = replayed.calls.map((call, i) => ({
      ...call,
      seconds: trajectory.calls[i]?.seconds ?? call.seconds,
    }));
    return { ...replayed, calls, seconds: trajectory.seconds };
  };

  return {
    parked: [],
    counts,
    records: read,
    async next(rlStep, asked) {
      const began = performance.now();
      const step = config.sft.steps + rlStep + 1;
      if (partial && files.size === 0) {
        // A trajectory is in the file of the step that finished it; its first tokens belong to steps before.
        for (const name of readdirSync(join(path, 'rollouts')).sort()) {
          const later = Number.parseInt(name, 10);
          if (metrics.has(later)) for (const recorded of read(later)) start(recorded);
        }
      }
      const batch = read(step);
      for (const recorded of batch) {
        start(recorded);
        // With partial rollouts the number of a prompt is its place, not its turn.
        const { question, prompt } = recorded.trajectory;
        const planned = partial ? question : plan.training(asked + prompt, 1, rlStep)[0]!;
        const other = compareJson(question, JSON.parse(JSON.stringify(planned)), () => false, 'question');
        if (other !== null) differ(recorded, { token: null, ...other });
      }
      const courses = [...runs.values()].map(({ course }) => course).filter(may);
      const driven = await drive(courses, {
        cache,
        pageTokens: model.memory.kvPageTokens,
        ...(signal ? { signal } : {}),
        may,
        idle: () => false,
      });
      const trajectories = batch.map(finish);
      const calls = trajectories.flatMap((trajectory) => trajectory.calls);
      files.delete(step - 1);
      const line = metrics.get(step) ?? {};
      const number = (name: string) => Number(line[name] ?? 0);
      return {
        scored: scoreRollouts(trajectories, plan.tasks, setup.reward, setup.overlong),
        stats: {
          sampled: courses.reduce((sum, { sampled }) => sum + sampled, 0),
          computed: driven.computed,
          decodeSteps: driven.decodeSteps,
          calls: calls.length,
          toolErrors: calls.filter(({ status }) => status !== 'ok').length,
          engineSeconds: driven.engineSeconds,
          toolWaitSeconds: driven.toolWaitSeconds,
          toolSeconds: 0,
        },
        batch: {
          rounds: number('generation_rounds'),
          questions: number('questions'),
          dropped: number('groups_dropped'),
          surplus: number('groups_surplus'),
        },
        partial: {
          parked: number('parked'),
          groupsWaiting: number('groups_waiting'),
          refilled: driven.refilled,
          dropped: number('stale_dropped'),
        },
        seconds: (performance.now() - began) / 1000,
      };
    },
  };
}

function keyOf(step: number, prompt: number, sample: number): string {
  return `${step}/${prompt}/${sample}`;
}

/** Version of the first token from `from` on that the policy wrote; null when there is none. */
function nextVersion({ versions, length }: Ledger, from: number): number | null {
  for (let t = from; t < length; t++) if (versions[t]! >= 0) return versions[t]!;
  return null;
}
