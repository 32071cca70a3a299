import test from 'ava';
import { createCourse } from '../lib/rollout/course.ts';
import { Ledger, type LedgerJson, Origin } from '../lib/rollout/ledger.ts';
import type { RolloutOptions } from '../lib/rollout/options.ts';
import { formats } from '../lib/text/formats/index.ts';
import type { Tokenizer } from '../lib/text/tokenizer.ts';
import { byteTokenizer } from './support/byte-tokenizer.ts';

/** A prompt, a turn with a call, its result, glue, and an answer. */
function example(): Ledger {
  const ledger = new Ledger();
  ledger.appendPrompt([1, 2, 3]);
  ledger.appendPolicy(7, -0.25, 0, 4);
  ledger.appendPolicy(8, -1.5, 0, 4);
  ledger.appendTool(Int32Array.of(20, 21), 0, 0);
  ledger.appendTemplate([30], 0);
  ledger.appendPolicy(9, 0, 1, 5);
  return ledger;
}

/** Reproducible random 32-bit words. */
function words(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state;
  };
}

test('a ledger has one entry per token in every column', (t) => {
  const ledger = example();
  t.is(ledger.length, 9);
  t.deepEqual([...ledger.ids], [1, 2, 3, 7, 8, 20, 21, 30, 9]);
  t.deepEqual([...ledger.origins], [0, 0, 0, 1, 1, 2, 2, 3, 1]);
  t.deepEqual([...ledger.turns], [-1, -1, -1, 0, 0, 0, 0, 0, 1]);
  t.deepEqual([...ledger.calls], [-1, -1, -1, -1, -1, 0, 0, -1, -1]);
  t.deepEqual([...ledger.logprobs], [0, 0, 0, -0.25, -1.5, 0, 0, 0, 0]);
  t.deepEqual([...ledger.versions], [-1, -1, -1, 4, 4, -1, -1, -1, 5]);
  t.deepEqual([...ledger.mask], [0, 0, 0, 1, 1, 0, 0, 0, 1]);
  ledger.excludeFromLoss(4);
  t.deepEqual([...ledger.mask], [0, 0, 0, 1, 0, 0, 0, 0, 0]);
});

test('a ledger grows without losing anything', (t) => {
  const ledger = new Ledger();
  const random = words(1);
  const sampled: [number, number][] = [];
  for (let i = 0; i < 3000; i++) {
    const entry: [number, number] = [random() % 50_000, Math.fround(-random() / 2 ** 32)];
    sampled.push(entry);
    ledger.appendPolicy(entry[0], entry[1], i, 0);
  }
  ledger.appendTool(new Int32Array(5000).fill(3), 2999, 0);
  t.is(ledger.length, 8000);
  t.deepEqual(
    sampled.map((_, i) => [ledger.ids[i]!, ledger.logprobs[i]!]),
    sampled,
  );
  t.true(ledger.ids.subarray(3000).every((id) => id === 3));
});

test('what breaks an invariant is refused and leaves the ledger as it was', (t) => {
  const ledger = example();
  const before = JSON.stringify(ledger);
  for (const logprob of [0.001, Number.NaN, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]) {
    t.throws(() => ledger.appendPolicy(1, logprob, 1, 0), { instanceOf: RangeError, message: /at most 0/ });
  }
  for (const id of [-1, 1.5, Number.NaN, 2 ** 31]) {
    t.throws(() => ledger.appendPolicy(id, -1, 1, 0), { instanceOf: RangeError });
    t.throws(() => ledger.appendTool([1, id], 1, 0), { instanceOf: RangeError });
    t.throws(() => ledger.appendTemplate([id], 1), { instanceOf: RangeError });
  }
  t.throws(() => ledger.appendPolicy(1, -1, -1, 0), { message: /turn/ });
  t.throws(() => ledger.appendPolicy(1, -1, 0, -1), { message: /version/ });
  t.throws(() => ledger.appendTool([1], 0, -1), { message: /call/ });
  t.throws(() => ledger.appendPrompt([1]), { instanceOf: TypeError, message: /must come first/ });
  t.throws(() => ledger.excludeFromLoss(3, 2), { instanceOf: RangeError });
  t.throws(() => ledger.excludeFromLoss(0, 10), { instanceOf: RangeError });
  t.is(JSON.stringify(ledger), before);
});

test('a ledger survives JSON exactly, every log-prob to the bit', (t) => {
  const random = words(3);
  const bits = new Uint32Array(1);
  const asFloat = new Float32Array(bits.buffer);
  let kept = 0;
  for (let round = 0; round < 40; round++) {
    const ledger = new Ledger();
    ledger.appendPrompt(Array.from({ length: random() % 5 }, () => random() % 1000));
    for (let turn = 0; turn < 1 + (round % 4); turn++) {
      for (let i = 0; i < 100; i++) {
        bits[0] = 0x8000_0000 | random(); // any negative float32, subnormals and -0 included
        if (!Number.isFinite(asFloat[0])) continue;
        ledger.appendPolicy(random() % 150_000, asFloat[0]!, turn, round);
        kept++;
      }
      ledger.appendTool([random() % 9], turn, turn);
      ledger.appendTemplate([5], turn);
    }
    ledger.excludeFromLoss(ledger.length >> 1, (ledger.length >> 1) + 7);
    const read = Ledger.fromJSON(JSON.parse(JSON.stringify(ledger)));
    for (const name of ['ids', 'origins', 'turns', 'calls', 'versions', 'mask'] as const) {
      t.deepEqual(read[name], ledger[name], name);
    }
    t.deepEqual(
      new Uint32Array(read.logprobs.slice().buffer),
      new Uint32Array(ledger.logprobs.slice().buffer),
    );
  }
  t.log(`${kept} log-probs`);
  const bytesPerToken = JSON.stringify(example()).length / example().length;
  t.true(bytesPerToken < 30, `${bytesPerToken} characters a token`);
  t.is(Ledger.fromJSON(new Ledger().toJSON()).length, 0);
});

test('a damaged ledger is refused, naming the field', (t) => {
  const good = example().toJSON();
  const damaged: readonly [Partial<Record<keyof LedgerJson, unknown>> | null | number, RegExp][] = [
    [null, /Expected a ledger/],
    [5, /Expected a ledger/],
    [{ ids: 'abc' }, /ids: expected a list/],
    [{ ids: [1, 2] }, /origin: .* does not fit 2 tokens/],
    [{ ids: [1, 2, 3, 7, 8, 20, 21, 30, -9] }, /token id/],
    [{ origin: [0, 3] }, /origin: expected runs for 9 tokens but found them for 3/],
    [{ origin: [0, 3, 1, 2, 2, 2, 3, 1, 9, 1] }, /origin: expected 0, 1, 2 or 3 but found 9/],
    [{ origin: [0, 0, 0, 9] }, /run 0/],
    [{ logprob: [-0.25, -1.5] }, /logprob: expected one per policy token/],
    [{ logprob: [-0.25, -1.5, 0, 0] }, /logprob: expected 3/],
    [{ logprob: [-0.25, 1.5, 0] }, /at most 0/],
    [{ mask: [1, 9] }, /token 0 \(origin 0\) cannot have mask 1/],
    [{ mask: [0, 3, 2, 6] }, /cannot have mask 2/],
    [{ version: [4, 9] }, /cannot have .*version 4/],
    [{ call: [0, 9] }, /cannot have .*call 0/],
  ];
  for (const [change, message] of damaged) {
    const json = typeof change === 'object' && change !== null ? { ...good, ...change } : change;
    t.throws(() => Ledger.fromJSON(json), { message }, JSON.stringify(change));
  }
  t.notThrows(() => Ledger.fromJSON(good));
});

test("the policy's text is decoded turn by turn, without the tool's", (t) => {
  const tokenizer = byteTokenizer();
  const ledger = new Ledger();
  const [first, second] = tokenizer.encode('é');
  ledger.appendPrompt(tokenizer.encode('question <<<1>>>'));
  ledger.appendPolicy(first!, -1, 0, 0);
  ledger.appendTool(tokenizer.encode('<<<42>>>'), 0, 0);
  ledger.appendPolicy(second!, -1, 1, 0);
  for (const id of tokenizer.encode(' <<<7>>>')) ledger.appendPolicy(id, -1, 1, 0);
  t.deepEqual(ledger.policyTurns(tokenizer), ['\ufffd', '\ufffd <<<7>>>']);
  t.is(formats.r1ci.answer(ledger.policyText(tokenizer)), '7');
});

test('nothing is re-tokenised: a trajectory keeps the sampled ids, and only tool output is encoded', async (t) => {
  const plain = byteTokenizer();
  const encoded: string[] = [];
  const watch = <T>(name: string, result: T, ...texts: string[]): T => {
    encoded.push(...texts.map((text) => `${name}: ${text}`));
    return result;
  };
  const tokenizer: Tokenizer = {
    ...plain,
    encode: (text) => watch('encode', plain.encode(text), text),
    encodeTemplate: (text) => watch('encodeTemplate', plain.encodeTemplate(text), text),
    encodeModelText: (text) => watch('encodeModelText', plain.encodeModelText(text), text),
    encodeParts: (parts) => watch('encodeParts', plain.encodeParts(parts), ...parts.map((part) => part.text)),
  };
  // Byte by byte (id = byte in this tokenizer): ids that no encoder would choose, so any decode-encode round changes them.
  const spelled = (text: string) => [...Buffer.from(text)];
  const call = spelled('hello aaaa\n\n```python\nprint("hello")\n```');
  const answer = [...spelled('é <<<hello>>>'), plain.eosIds[0]!];
  t.notDeepEqual(
    [...plain.encode(plain.decode(call))],
    call,
    'these ids would not survive decode and encode',
  );

  const output = 'hello <|im_end|> ```python\nprint(1)\n``` <<<99>>>\n';
  const options: Omit<RolloutOptions, 'model' | 'cache'> & { model: { version: number } } = {
    model: { version: 3 },
    tokenizer,
    format: formats.r1ci,
    tool: {
      run: ({ callId }: { callId: string }) =>
        Promise.resolve({
          callId,
          status: 'ok',
          stdout: output,
          stderr: '',
          output,
          exitCode: 0,
          signal: null,
          seconds: 0,
          cpuSeconds: 0,
          truncatedBytes: 0,
        }),
      close: () => Promise.resolve(),
    } as unknown as NonNullable<RolloutOptions['tool']>,
    limits: { maxCalls: 2, maxTurns: 3, turnTokens: [100, 100], totalTokens: 1000, seconds: 0 },
    toolLimits: { seconds: 1, memoryBytes: 1e8, outputBytes: 1e4, fileBytes: 1e4, outputCharacters: 1000 },
    sampling: { temperature: 1, topK: 0, topP: 1, minP: 0 } as unknown as RolloutOptions['sampling'],
    runSeed: 1n,
    step: 0,
  };
  const prompt = plain.encodeTemplate('<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n');
  const course = createCourse(
    options as unknown as RolloutOptions,
    {
      question: { id: 'q', task: 't', prompt: 'hello', answer: 'hello' },
      ids: prompt,
      prompt: 0,
      samples: 1,
    },
    0,
    0,
  );
  call.forEach((id, i) => {
    course.accept(id, -i / 100);
  });
  t.is(course.pending, null, 'the tool runs');
  await course.toolDone;
  const appended = course.pending!;
  for (const id of answer) course.accept(id, -0.5);
  t.true(course.ended);
  const { ledger, answer: given, end } = course.finish();
  t.is(end, 'answer');
  t.is(given, 'hello');

  const toolText = `\nCode Execution Results:\n${output}`;
  const toolIds = [...plain.encode(toolText)];
  t.deepEqual([...ledger.ids], [...prompt, ...call, ...toolIds, ...answer]);
  t.deepEqual(
    [...appended],
    [call.at(-1)!, ...toolIds],
    'only the last token and the tool text go to the model',
  );
  t.deepEqual(encoded, [`encode: ${toolText}`]);
  t.is(
    ledger.ids.filter((id) => id === plain.eosIds[0]).length,
    2,
    "the prompt's and the model's own, none from the tool",
  );
  t.deepEqual(
    [...ledger.logprobs.subarray(prompt.length, prompt.length + call.length)],
    call.map((_, i) => Math.fround(i === 0 ? 0 : -i / 100)),
  );
  const policy = [...ledger.ids].filter((_, i) => ledger.origins[i] === Origin.policy);
  t.deepEqual(policy, [...call, ...answer]);
});
