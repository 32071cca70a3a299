/**
 * A bounded number of places for work, given to those who wait in turns that are fair over keys. A wait ends with a place, at its
 * deadline, or when its signal aborts.
 */
import { FairQueue, type Waiting } from '../tools/queue.ts';

export interface Places {
  readonly taken: number;
  readonly waiting: number;
  /**
   * Does `work` as soon as there is a place. Rejects with `late()` if that takes more than `seconds`, with the signal's reason if it
   * aborts before, else settles as `work` does.
   */
  use<T>(ask: PlaceAsk, work: () => Promise<T>): Promise<T>;
}

export interface PlaceAsk {
  readonly key: string;
  readonly seconds: number;
  readonly signal: AbortSignal;
  late(): Error;
}

export function createPlaces(count: number): Places {
  const queue = new FairQueue<() => void>();
  let taken = 0;

  const turn = ({ key, seconds, signal, late }: PlaceAsk): Promise<void> => {
    if (taken < count) {
      taken += 1;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      let place: Waiting<() => void> | null = null;
      const leave = (): void => {
        if (place !== null && queue.remove(place)) reject(signal.reason);
      };
      const settled = (): void => signal.removeEventListener('abort', leave);
      const begin = (): void => {
        settled();
        resolve();
      };
      const expired = (): void => {
        settled();
        reject(late());
      };
      place = queue.push(key, begin, { seconds, expired });
      signal.addEventListener('abort', leave, { once: true });
    });
  };

  return {
    get taken() {
      return taken;
    },
    get waiting() {
      return queue.size;
    },
    async use(ask, work) {
      ask.signal.throwIfAborted();
      await turn(ask);
      try {
        return await work();
      } finally {
        const next = queue.take();
        if (next === undefined) taken -= 1;
        else next(); // the place goes from hand to hand
      }
    },
  };
}
