/** KvCache (engine.ts) over the native addon; made by Model.openKvCache. */
import { native } from '../native.ts';
import type { KvCache, StepResult, StepRow } from './engine.ts';
import { job, runs } from './native-call.ts';
import type { KvHandle } from './native-model.ts';

export class NativeKvCache implements KvCache {
  readonly #handle: KvHandle;
  readonly #closed: (cache: NativeKvCache) => void;

  constructor(handle: KvHandle, closed: (cache: NativeKvCache) => void) {
    this.#handle = handle;
    this.#closed = closed;
  }

  get pagesFree(): number {
    return runs('pagesFree', () => native().kvPagesFree(this.#handle));
  }
  get pagesTotal(): number {
    return runs('pagesTotal', () => native().kvPagesTotal(this.#handle));
  }
  get tokensComputed(): number {
    return runs('tokensComputed', () => native().kvTokensComputed(this.#handle));
  }
  add(): number {
    return runs('add', () => native().kvAdd(this.#handle));
  }
  fork(seq: number): number {
    return runs('fork', () => native().kvFork(this.#handle, seq));
  }
  length(seq: number): number {
    return runs('length', () => native().kvLength(this.#handle, seq));
  }
  free(seq: number): void {
    runs('free', () => native().kvFree(this.#handle, seq));
  }
  pagesFor(seq: number, tokens: number): number {
    return runs('pagesFor', () => native().kvPagesFor(this.#handle, seq, tokens));
  }
  clear(): void {
    runs('clear', () => native().kvClear(this.#handle));
  }
  step(rows: readonly StepRow[]): Promise<StepResult> {
    return job('step', () => native().kvStep(this.#handle, rows));
  }
  dispose(): void {
    this.#closed(this);
    native().kvDispose(this.#handle);
  }
  [Symbol.dispose](): void {
    this.dispose();
  }
}
