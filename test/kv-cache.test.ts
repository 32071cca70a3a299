/** The paged KV cache: sharing, copying on write, steps that are refused, sequences that go while a step runs. */
import test from 'ava';
import type { StepRow } from '../lib/model/engine.ts';
import { availableMemory } from '../lib/model/memory.ts';
import { createModel } from '../lib/model/model.ts';
import { alone, sampling } from './support/batches.ts';
import { sequences, tinyConfigs, tinyModel } from './support/tiny-models.ts';

const row = (seq: number, tokens: readonly number[], sample: StepRow['sample'] = null): StepRow => ({
  seq,
  tokens: Int32Array.from(tokens),
  sample,
});

test('forks share pages until one of them writes into a shared page', async (t) => {
  using model = await tinyModel('llama');
  const cache = model.openKvCache(8);
  const [prompt] = sequences([40]);
  const parent = cache.add();
  t.is(cache.pagesFor(parent, 40), 2);
  await cache.step([row(parent, prompt!)]);
  t.is(cache.pagesFree, 6);
  const forks = [cache.fork(parent), cache.fork(parent)];
  t.is(cache.pagesFree, 6, 'a fork takes no page');
  t.is(cache.length(forks[0]!), 40);
  t.is(cache.pagesFor(parent, 0), 0);
  t.is(cache.pagesFor(parent, 1), 1, 'the shared second page must be copied');
  await cache.step([row(parent, [1]), row(forks[0]!, [2])]);
  t.is(cache.pagesFree, 4, 'two copies; the original is left to the third');
  t.is(cache.pagesFor(forks[1]!, 1), 0);
  await cache.step([row(forks[1]!, [3])]);
  t.is(cache.pagesFree, 4);
  cache.free(parent);
  t.is(cache.pagesFree, 5, 'the first page is still shared by the forks');
  cache.clear();
  t.is(cache.pagesFree, 8);
  t.is(cache.tokensComputed, 43);
  t.throws(() => cache.length(parent), { code: 'ERR_NO_SEQUENCE', message: /which was freed/ });
});

test('a step that lacks pages is refused and changes nothing', async (t) => {
  using model = await tinyModel('qwen2');
  const cache = model.openKvCache(3);
  const [a, b] = sequences([60, 50]);
  const first = cache.add();
  const second = cache.add();
  await cache.step([row(first, a!)]);
  const error = await t.throwsAsync(cache.step([row(first, [1]), row(second, b!)]), { code: 'ERR_KV_FULL' });
  t.is(
    error.message,
    'step: Expected 2 free pages in the KV cache but 1 of 3 are free; free sequences or open a larger cache',
  );
  t.is(cache.length(first), 60);
  t.is(cache.length(second), 0);
  t.is(cache.pagesFree, 1);
  t.is(cache.tokensComputed, 60);
  const result = await cache.step([row(first, [1], sampling()), row(second, b!.slice(0, 32))]);
  const scores = await model.score(alone([...a!, 1, result.tokens[0]!]), 1);
  t.is(scores.logprobs[61], result.logprobs[0]);
});

test('sequences may be freed and forked while a step runs', async (t) => {
  using model = await tinyModel('qwen3');
  const cache = model.openKvCache(24);
  const [a, b] = sequences([200, 70]);
  const first = cache.add();
  const second = cache.add();
  await cache.step([row(second, b!.slice(0, 69))]);
  const running = cache.step([row(first, a!, sampling(0)), row(second, b!.slice(69), sampling(1))]);
  cache.free(first);
  const early = cache.fork(second);
  t.is(cache.length(second), 69, 'a step shows when its promise settles');
  t.throws(() => cache.step([row(second, [1])]), { code: 'ERR_SEQUENCE_BUSY' });
  await running;
  t.is(cache.length(second), 70);
  t.throws(() => cache.length(first), { code: 'ERR_NO_SEQUENCE' });
  const rest = b!.slice(69);
  const fresh = cache.add();
  const expected = await cache.step([row(fresh, [...b!, 9], sampling(2))]);
  const forked = await cache.step([row(early, [...rest, 9], sampling(2))]);
  const original = await cache.step([row(second, [9], sampling(2))]);
  t.deepEqual(forked, expected);
  t.deepEqual(original, expected);
  cache.clear();
  t.is(cache.pagesFree, 24);
});

test('a sequence may not outgrow the positions of its model', async (t) => {
  using model = await createModel({ ...tinyConfigs.llama, maxPositionEmbeddings: 20 }, { threads: 1 });
  const cache = model.openKvCache(4);
  const seq = cache.add();
  await cache.step([row(seq, new Array(20).fill(1))]);
  const error = await t.throwsAsync(cache.step([row(seq, [1])]), { code: 'ERR_TOO_LONG' });
  t.regex(error.message, /at most 20 tokens \(the model's max_position_embeddings\) but found 21$/);
  t.is(cache.length(seq), 20);
  t.is(cache.pagesFree, 3);
});

test('memory that is not there is refused with the numbers and the model stays usable', async (t) => {
  using model = await tinyModel('qwen3');
  const plan = model.memory;
  const pages = Math.min(2 ** 24, Math.ceil((availableMemory() * 1.5) / plan.kvBytesPerPage));
  if (pages * plan.kvBytesPerPage <= availableMemory()) {
    t.log('skipped: this machine has memory for any cache of a tiny model');
    t.pass();
    return;
  }
  const error = t.throws(() => model.openKvCache(pages), { code: 'ERR_OUT_OF_MEMORY' });
  t.regex(error.message, /^openKvCache: Expected [\d.]+ MiB of memory for a KV cache of \d+ pages/);
  t.is((await model.score(alone([1, 2, 3]), 1)).logprobs.length, 3);
});
