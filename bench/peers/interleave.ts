/**
 * Turns: every round, each subject runs once, one after the other (A B C A B C …), so that what slows the machine for a while
 * slows all of them. A ratio is made within a round; what is reported are the median and the spread of the rounds' ratios.
 */
import { cpus } from 'node:os';
import { quantile, type Summary, summarise } from '../measure.ts';
import { numberIn } from './conversation.ts';

/** What a turn is asked of; a Subject, or something in its place. */
export interface Asked {
  readonly name: string;
  /** Seconds of processor time that its process has used; null where the system does not tell. */
  cpuSeconds(): number | null;
  ask(request: string): Promise<Readonly<Record<string, unknown>>>;
}

/** One row of a comparison: whose turn, by which requests. */
export interface Contender {
  readonly subject: Asked;
  /** As it is printed: the engine, and the type of its weights where that is not everyone's. */
  readonly label: string;
  readonly ours: boolean;
  readonly prepare: string;
  /** A short run is repeated within its turn, the first one not counted: the others' turns left it cold caches. */
  readonly run: string;
}

export interface Timed {
  readonly label: string;
  readonly ours: boolean;
  /** Seconds of each round. */
  readonly seconds: readonly number[];
  /** Most bytes that its process has had resident. */
  readonly peak: number;
  /** Processors that others kept busy during its turns, on average; null where the system does not tell. */
  readonly others: number | null;
}

// Threads that wait for more work spin for a while (OpenBLAS's 25 ms): nobody's turn begins before they sleep.
const PAUSE_MS = 40;
const pause = () => new Promise<void>((resolve) => setTimeout(resolve, PAUSE_MS));

const SHORT = 0.1;
const TURN = 0.3;

/** Seconds that the run takes, the median of its repetitions, and the peak it tells. */
async function turn(
  { subject, run }: Contender,
  now: () => number,
): Promise<{ seconds: number; peak: number }> {
  const start = now();
  const spent = () => (now() - start) / 1000;
  const once = async () => {
    const answer = await subject.ask(run);
    return { seconds: numberIn(answer, 'seconds'), peak: numberIn(answer, 'peak') };
  };
  const first = await once();
  if (spent() >= SHORT) return first;
  const all = [];
  while (all.length === 0 || spent() < TURN) all.push(await once());
  return {
    seconds: quantile(
      all.map(({ seconds }) => seconds),
      0.5,
    ),
    peak: Math.max(...all.map(({ peak }) => peak)),
  };
}

/** Seconds that all processors together have been busy. */
function busySeconds(): number {
  return cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0) / 1000;
}

/** What passed while something ran: seconds of wall clock, and of processor time that was not the subject's. */
interface Passed {
  wall: number;
  others: number | null;
}

/** The system counts processor time in hundredths of a second: only sums over turns mean something. */
async function timeOthers<T>(subject: Asked, passed: Passed, work: () => Promise<T>): Promise<T> {
  const [start, busy, own] = [performance.now(), busySeconds(), subject.cpuSeconds()];
  const result = await work();
  const used = subject.cpuSeconds();
  passed.wall += (performance.now() - start) / 1000;
  if (passed.others === null || own === null || used === null) passed.others = null;
  else passed.others += busySeconds() - busy - (used - own);
  return result;
}

/**
 * `rounds` rounds of all contenders, each prepared once. Every contender has a subject of its own. `now` is the clock, in
 * milliseconds, that decides which runs are short.
 */
export async function takeTurns(
  contenders: readonly Contender[],
  rounds: number,
  now = () => performance.now(),
): Promise<Timed[]> {
  const results = contenders.map(() => ({ seconds: [] as number[], peak: 0 }));
  const passed = contenders.map((): Passed => ({ wall: 0, others: 0 }));
  for (const { subject, prepare } of contenders) await subject.ask(prepare);
  for (let round = 0; round < rounds; round++) {
    for (const [i, one] of contenders.entries()) {
      await pause();
      const { seconds, peak } = await timeOthers(one.subject, passed[i]!, () => turn(one, now));
      results[i]!.seconds.push(seconds);
      results[i]!.peak = Math.max(results[i]!.peak, peak);
    }
  }
  for (const { subject } of contenders) await subject.ask('release');
  return contenders.map(({ label, ours }, i) => {
    const { wall, others } = passed[i]!;
    return { label, ours, ...results[i]!, others: others === null ? null : Math.max(0, others / wall) };
  });
}

/** How many times as fast as the peer we were, round by round. */
export function ratioOf(ours: Timed, peer: Timed): Summary {
  if (ours.seconds.length !== peer.seconds.length || ours.seconds.length === 0)
    throw new RangeError(
      `ratio: expected as many rounds of ${ours.label} as of ${peer.label} but found ${ours.seconds.length} and ${peer.seconds.length}`,
    );
  return summarise(ours.seconds.map((seconds, round) => peer.seconds[round]! / seconds));
}

/** The peer with the least median; null where there is none. */
export function bestPeer(all: readonly Timed[]): Timed | null {
  const median = (one: Timed) => summarise(one.seconds).median;
  return all
    .filter(({ ours }) => !ours)
    .reduce<Timed | null>((best, one) => (best === null || median(one) < median(best) ? one : best), null);
}

export function geometricMean(values: readonly number[]): number {
  if (values.length === 0 || values.some((value) => !(value > 0)))
    throw new RangeError(`geometric mean: expected positive numbers but received [${values.join(', ')}]`);
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}
