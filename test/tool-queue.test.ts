/** The queue of the tools: whose turn it is, what becomes of those who give up or wait too long, and what it costs. */
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { FairQueue, type Waiting } from '../lib/tools/queue.ts';

test('keys take turns, and within a key the order is that of arrival', (t) => {
  const queue = new FairQueue<string>();
  t.is(queue.take(), undefined);
  for (const item of ['a1', 'a2', 'a3', 'a4', 'b1', 'c1', 'c2']) queue.push(item[0]!, item);
  t.is(queue.size, 7);
  t.is(queue.keys, 3);
  t.deepEqual(queue.drain(), ['a1', 'b1', 'c1', 'a2', 'c2', 'a3', 'a4']);
  t.is(queue.size, 0);
  t.is(queue.keys, 0);
  t.is(queue.take(), undefined);
});

test('a key that comes late, or again, waits for one turn of each of the others', (t) => {
  const queue = new FairQueue<string>();
  for (let i = 0; i < 100; i++) queue.push('greedy', `g${i}`);
  queue.push('b', 'b0');
  t.is(queue.take(), 'g0');
  queue.push('late', 'l0');
  queue.push('late', 'l1');
  t.deepEqual(
    Array.from({ length: 6 }, () => queue.take()),
    ['b0', 'g1', 'l0', 'g2', 'l1', 'g3'],
  );
  queue.push('b', 'b1');
  queue.push('late', 'l2');
  t.deepEqual(
    Array.from({ length: 4 }, () => queue.take()),
    ['g4', 'b1', 'l2', 'g5'],
  );
});

test('an entry is removed wherever it stands, once', (t) => {
  const left = {
    a0: ['a1', 'b0', 'c0', 'a2', 'c1'],
    a1: ['a0', 'b0', 'c0', 'a2', 'c1'],
    a2: ['a0', 'b0', 'c0', 'a1', 'c1'],
    b0: ['a0', 'c0', 'a1', 'c1', 'a2'],
    c0: ['a0', 'b0', 'c1', 'a1', 'a2'],
    c1: ['a0', 'b0', 'c0', 'a1', 'a2'],
  };
  for (const [gone, expected] of Object.entries(left)) {
    const queue = new FairQueue<string>();
    const entries = new Map(Object.keys(left).map((item) => [item, queue.push(item[0]!, item)]));
    t.true(queue.remove(entries.get(gone)!));
    t.false(queue.remove(entries.get(gone)!), 'a second time');
    t.is(queue.size, 5);
    t.deepEqual(queue.drain(), expected, `without ${gone}`);
  }
  const queue = new FairQueue<string>();
  const first = queue.push('a', 'first');
  t.is(queue.take(), 'first');
  t.false(queue.remove(first), 'it was taken');
  t.is(queue.size, 0);
  const again = queue.push('a', 'again');
  t.false(queue.remove(first), 'and its key has a new line');
  t.true(queue.remove(again));
});

test('it agrees with a slow queue of lists over 20,000 random operations', (t) => {
  let state = 12345;
  const random = (below: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
  const queue = new FairQueue<number>();
  let lanes: { key: string; items: number[] }[] = [];
  const entries: (readonly [number, Waiting<number>])[] = [];
  let taken = 0;
  for (let i = 0; i < 20_000; i++) {
    const what = random(8);
    if (what < 4) {
      const key = `k${random(6)}`;
      entries.push([i, queue.push(key, i)]);
      const lane = lanes.find((candidate) => candidate.key === key);
      if (lane === undefined) lanes.push({ key, items: [i] });
      else lane.items.push(i);
    } else if (what < 7) {
      const lane = lanes.shift();
      const expected = lane?.items.shift();
      if (lane !== undefined && lane.items.length > 0) lanes.push(lane);
      const item = queue.take();
      if (item !== undefined) taken += 1;
      if (item !== expected) return t.fail(`operation ${i}: expected ${expected}, found ${item}`);
    } else if (entries.length > 0) {
      const [item, entry] = entries[random(entries.length)]!;
      const waits = lanes.some(({ items }) => items.includes(item));
      if (queue.remove(entry) !== waits) return t.fail(`operation ${i}: remove(${item}), waiting ${waits}`);
      lanes = lanes
        .map(({ key, items }) => ({ key, items: items.filter((other) => other !== item) }))
        .filter(({ items }) => items.length > 0);
    }
    const waiting = lanes.reduce((sum, { items }) => sum + items.length, 0);
    if (queue.size !== waiting || queue.keys !== lanes.length)
      return t.fail(`operation ${i}: size ${queue.size}`);
  }
  t.log(`${taken} taken, ${queue.size} left`);
  t.true(taken > 5000);
});

test('a deadline counts from the push, and is off once the wait has ended', async (t) => {
  const queue = new FairQueue<string>();
  const expired: string[] = [];
  const within = (seconds: number) => ({ seconds, expired: (item: string) => expired.push(item) });
  const late = queue.push('a', 'late', within(0.03));
  queue.push('a', 'patient', within(60));
  queue.push('b', 'taken', within(0.03));
  const removed = queue.push('c', 'removed', within(0.03));
  queue.push('d', 'for ever');
  t.true(queue.remove(removed));
  queue.push('b', 'drained', within(0.03));
  t.is(queue.take(), 'late');
  t.is(queue.take(), 'taken');
  queue.push('a', 'too late', within(0.03));
  await sleep(5);
  t.deepEqual(expired, []);
  t.false(queue.remove(late));
  const fresh = new FairQueue<string>();
  fresh.push('x', 'drained with its queue', within(0.03));
  t.deepEqual(fresh.drain(), ['drained with its queue']);
  await sleep(120);
  t.deepEqual(expired.sort(), ['drained', 'too late']);
  t.is(queue.size, 2);
  t.deepEqual(queue.drain(), ['for ever', 'patient']);
  for (const seconds of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 3e6]) {
    t.throws(() => queue.push('a', 'x', within(seconds)), { instanceOf: RangeError, message: /deadline/ });
  }
  t.is(queue.size, 0, 'a refused push leaves nothing');
});

test('taking and removing cost the same with 100,000 waiting as with 1,000', (t) => {
  const cost = (waiting: number): number => {
    const queue = new FairQueue<number>();
    const entries = Array.from({ length: waiting }, (_, i) => queue.push(`k${i % (waiting / 10)}`, i));
    const start = performance.now();
    for (let i = 0; i < waiting; i += 2) queue.remove(entries[waiting - 1 - i]!);
    while (queue.take() !== undefined);
    return ((performance.now() - start) * 1e3) / waiting;
  };
  cost(1000);
  const [small, large] = [cost(1000), cost(100_000)];
  t.log(`${small.toFixed(3)} µs with 1,000, ${large.toFixed(3)} µs with 100,000`);
  t.true(large < 20 * small + 5);
});
