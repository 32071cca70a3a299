/**
 * Members of groups that wait for their last member, between two steps and in a checkpoint's parked.jsonl: a parked course, or a
 * trajectory that has ended. A record holds all that either is rebuilt from: the ledger to the bit, and the calls. A batch that was
 * sampled ahead is kept in the same records, in ahead.jsonl.
 */
import { ToolgradError } from '../errors.ts';
import type { Question } from '../tasks/task.ts';
import { type Course, type CourseOptions, createCourse } from './course.ts';
import { Ledger, type LedgerJson, Origin } from './ledger.ts';
import type { RolloutPrompt } from './options.ts';
import type { CallRecord, Trajectory } from './trajectory.ts';

/** A member of an open group: it runs, or waits for the others. */
export type Member =
  | { readonly course: Course; readonly trajectory: null }
  | { readonly course: null; readonly trajectory: Trajectory };

/** One line of parked.jsonl. */
export interface ParkedRecord {
  readonly question: Question;
  /** Place of the group in the batch, and of the trajectory in its group. */
  readonly prompt: number;
  readonly sample: number;
  /** RL step (from 0) in which it was started: keys its random numbers with prompt and sample. */
  readonly started: number;
  /** Wall clock it has used. */
  readonly seconds: number;
  /** Attempts at the call that is due which the tool itself failed. */
  readonly failures: number;
  readonly calls: readonly CallRecord[];
  readonly ledger: LedgerJson;
  /** How it ended; null: it goes on in the next step. */
  readonly ended: Pick<Trajectory, 'end' | 'reason' | 'answer' | 'text' | 'turns'> | null;
}

/** A snapshot: what runs later leaves it as it is. */
export function parkedRecord({ course, trajectory }: Member): ParkedRecord {
  if (course !== null) {
    const { ledger, calls, seconds, failures } = course.state();
    const { step: started, prompt, sample } = course.seed;
    return {
      question: course.prompt.question,
      prompt,
      sample,
      started,
      seconds,
      failures,
      calls: [...calls],
      ledger: ledger.toJSON(),
      ended: null,
    };
  }
  const { question, prompt, sample, started, seconds, calls, ledger, ...how } = trajectory;
  return {
    question,
    prompt,
    sample,
    started,
    seconds,
    failures: 0,
    calls,
    ledger: ledger.toJSON(),
    ended: how,
  };
}

/** The member that `parkedRecord` made the record of; `options` are those of the run, but for its step. ERR_CHECKPOINT. */
export function rebuildMember(
  record: ParkedRecord,
  samples: number,
  options: Omit<CourseOptions, 'step'>,
): Member {
  const { question, prompt, sample, started, seconds, failures, calls, ended } = record;
  if (ended !== null) return { course: null, trajectory: trajectoryOf(record, 'parked.jsonl') };
  return reading('parked.jsonl', record, 'a parked trajectory', () => {
    const ledger = Ledger.fromJSON(record.ledger);
    const asked: RolloutPrompt = { question, ids: promptOf(ledger), prompt, samples };
    const from = { ledger, calls, seconds, failures };
    return {
      course: createCourse({ ...options, step: started }, asked, sample, -1, from),
      trajectory: null,
    };
  });
}

/** The trajectory of a record that has ended, found in `file`. ERR_CHECKPOINT when it has not, or is none. */
export function trajectoryOf(record: ParkedRecord, file: string): Trajectory {
  const { question, prompt, sample, started, seconds, calls, ended } = record;
  return reading(file, record, 'a trajectory', () => {
    if (ended === null) throw new Error('it has not ended');
    const ledger = Ledger.fromJSON(record.ledger);
    return { question, started, prompt, sample, ledger, calls, seconds, ...ended };
  });
}

/** Names the record in whatever `read` throws. */
function reading<T>(file: string, { prompt, sample }: ParkedRecord, what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new ToolgradError(
      'ERR_CHECKPOINT',
      `${file}: prompt ${prompt}, sample ${sample}: expected ${what}: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
}

/** The ids of the prompt that a ledger begins with. */
export function promptOf(ledger: Ledger): Int32Array {
  let length = 0;
  while (length < ledger.length && ledger.origins[length] === Origin.prompt) length += 1;
  return ledger.ids.slice(0, length);
}

/** Ledger of a member so far. */
export function ledgerOf({ course, trajectory }: Member): Ledger {
  return (course ?? trajectory).ledger;
}

/** Version of the oldest token that the policy wrote; null before the first. */
export function oldestVersion({ versions, origins, length }: Ledger): number | null {
  let oldest: number | null = null;
  for (let t = 0; t < length; t++) {
    if (origins[t] === Origin.policy && (oldest === null || versions[t]! < oldest)) oldest = versions[t]!;
  }
  return oldest;
}
