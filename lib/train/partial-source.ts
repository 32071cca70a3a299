/**
 * Partial rollouts as a source of batches: rl.prompts places, each with one open group. A step fills free places with new
 * questions, lets every unfinished trajectory go on until rollout.step_tokens are sampled, and gives the groups that are
 * finished, in order of their places. At least one is: until then the budget is given again.
 *
 * A group waits for its last member. At the beginning of a step a member whose oldest token more than rollout.max_staleness
 * updates ago was written is dropped and started anew. Random numbers are keyed by (seed, step of the start, place, sample,
 * position): a place holds one group at a time, so no two trajectories share them, and with a budget that is never
 * spent the run is the same as without one.
 */
import { ToolgradError } from '../errors.ts';
import { type CourseOptions, createCourse } from '../rollout/course.ts';
import type { RolloutPrompt } from '../rollout/options.ts';
import {
  ledgerOf,
  type Member,
  oldestVersion,
  type ParkedRecord,
  parkedRecord,
  promptOf,
  rebuildMember,
} from '../rollout/parked.ts';
import { kCallAttempts, runPartially } from '../rollout/partial.ts';
import type { Trajectory } from '../rollout/trajectory.ts';
import { type RolloutParts, type RolloutSource, trainingSampling } from './rollout-source.ts';
import { scoreRollouts } from './score.ts';
import type { Setup } from './setup.ts';

/** An open group: its members by sample. */
interface Group {
  readonly prompt: RolloutPrompt;
  readonly members: Member[];
}

/** The source of a run with rollout.step_tokens; `parked` is what its checkpoint holds. ERR_CHECKPOINT when it does not fit. */
export function partialSource(
  setup: Setup,
  parts: RolloutParts,
  parked: readonly ParkedRecord[],
): RolloutSource {
  const { config, plan } = setup;
  const { rl, rollout } = config;
  const { cache, signal, onProgress, onToolWait, concurrency, ...rest } = parts;
  const { model } = parts;
  const options: Omit<CourseOptions, 'step'> = {
    ...rest,
    sampling: trainingSampling(setup),
    callAttempts: kCallAttempts,
  };
  const places = rebuildGroups(parked, rl.prompts, rl.group, options);
  let snapshot = parked;
  const start = (prompt: RolloutPrompt, step: number, sample: number): Member => ({
    course: createCourse({ ...options, step }, prompt, sample, -1),
    trajectory: null,
  });

  /** Members that are too old begin again, under the weights of now. Returns how many. */
  const renew = (step: number): number => {
    if (rollout.max_staleness === 0) return 0;
    let dropped = 0;
    for (const group of places) {
      group?.members.forEach((member, sample) => {
        const oldest = oldestVersion(ledgerOf(member));
        if (oldest === null || model.version - oldest <= rollout.max_staleness) return;
        group.members[sample] = start(group.prompt, step, sample);
        dropped += 1;
      });
    }
    return dropped;
  };

  /** New questions in the free places. Returns how many. */
  const fill = (step: number, asked: number): number => {
    const free = places.flatMap((group, place) => (group === null ? [place] : []));
    for (const [i, question] of plan.training(asked, free.length, step).entries()) {
      const prompt = setup.prompt(question, free[i]!, rl.group);
      const members = Array.from({ length: rl.group }, (_, sample) => start(prompt, step, sample));
      places[free[i]!] = { prompt, members };
    }
    return free.length;
  };

  return {
    get parked() {
      return snapshot;
    },
    async next(step, asked) {
      const began = performance.now();
      const dropped = renew(step);
      const questions = fill(step, asked);
      const groups = () => places.flatMap((group) => (group === null ? [] : [group]));
      const courses = groups().flatMap(({ members }) => members.flatMap((m) => m.course ?? []));
      const { stats, rounds, refilled } = await runPartially(courses, {
        model,
        cache,
        stepTokens: rollout.step_tokens,
        enough: () => groups().some(isFinished),
        ...(concurrency === undefined ? {} : { concurrency }),
        ...(signal ? { signal } : {}),
        ...(onProgress ? { onProgress } : {}),
        ...(onToolWait ? { onToolWait } : {}),
      });
      const finished: Trajectory[] = [];
      for (const [place, group] of places.entries()) {
        if (group === null) continue;
        group.members.forEach(({ course }, sample) => {
          if (course?.ended) group.members[sample] = { course: null, trajectory: course.finish() };
        });
        if (!isFinished(group)) continue;
        finished.push(...group.members.flatMap(({ trajectory }) => trajectory ?? []));
        places[place] = null;
      }
      const seconds = (performance.now() - began) / 1000;
      const scored = scoreRollouts(finished, plan.tasks, setup.reward, setup.overlong);
      snapshot = groups().flatMap(({ members }) => members.map(parkedRecord));
      return {
        scored,
        stats,
        batch: { rounds, questions, dropped: 0, surplus: 0 },
        partial: {
          parked: snapshot.filter(({ ended }) => ended === null).length,
          groupsWaiting: groups().length,
          refilled,
          dropped,
        },
        seconds,
      };
    },
  };
}

function isFinished({ members }: Group): boolean {
  return members.every(({ course }) => course === null || course.ended);
}

function rebuildGroups(
  parked: readonly ParkedRecord[],
  prompts: number,
  samples: number,
  options: Omit<CourseOptions, 'step'>,
): (Group | null)[] {
  return Array.from({ length: prompts }, (_, place) => {
    const own = parked.filter(({ prompt }) => prompt === place);
    if (own.length === 0) return null;
    if (own.length !== samples || own.some(({ sample }, i) => sample !== i)) {
      throw new ToolgradError(
        'ERR_CHECKPOINT',
        `parked.jsonl: expected samples 0 to ${samples - 1} of prompt ${place}, found ${own.map(({ sample }) => sample).join(', ')}`,
      );
    }
    const members = own.map((record) => rebuildMember(record, samples, options));
    const prompt = {
      question: own[0]!.question,
      ids: promptOf(ledgerOf(members[0]!)),
      prompt: place,
      samples,
    };
    return { prompt, members };
  });
}
