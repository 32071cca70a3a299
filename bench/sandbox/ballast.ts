/** Memory that makes this process as large as a trainer: starting a process by fork copies the tables of its pages. */
import { readFileSync } from 'node:fs';

const MIB = 2 ** 20;
const PART = 64;

/** Grows only: JavaScript gives memory back when it likes, so that sizes are measured in rising order. */
export class Ballast {
  readonly #parts: Buffer[] = [];

  /** Makes it `mib` MiB (in steps of 64), every page of it written. */
  grow(mib: number): void {
    while (this.#parts.length * PART < mib) this.#parts.push(Buffer.alloc(PART * MIB, 1));
  }
}

/** One line of /proc/PID/smaps_rollup, in bytes. */
export function rollup(pid: number | 'self', field: string): number {
  const found = new RegExp(`^${field}: +(\\d+) kB$`, 'm').exec(
    readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'),
  );
  if (found === null) throw new Error(`/proc/${pid}/smaps_rollup: expected a line of ${field}, found none`);
  return 1024 * Number(found[1]);
}

/** How large this process is, in words. */
export function residentLine(): string {
  const mib = (field: string) => Math.round(rollup('self', field) / MIB);
  return `${mib('Rss')} MiB resident, ${mib('AnonHugePages')} MiB of it in huge pages`;
}
