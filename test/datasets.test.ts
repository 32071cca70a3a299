/**
 * Questions and traces from files, cold-start traces from tasks, and rewards.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { demoTaskNames, demoTasks } from '../lib/tasks/demo.ts';
import { DataError, type JsonlOptions, loadJsonlTask } from '../lib/tasks/jsonl.ts';
import { createRandom } from '../lib/tasks/random.ts';
import { anchorReward, rewards, type ScoredInput, scoreTrajectory } from '../lib/tasks/reward.ts';
import { type Question, questions } from '../lib/tasks/task.ts';
import { loadTraces, makeTraces, traceFormats } from '../lib/train/traces.ts';
import { runPython } from './support/python.ts';
import { sharedPath } from './support/shared.ts';

async function withFile(content: string | Uint8Array, use: (path: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'toolgrad-tasks-'));
  try {
    const path = join(folder, 'data.jsonl');
    await writeFile(path, content);
    await use(path);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

test('rewards follow their sources', (t) => {
  const base: ScoredInput = {
    question: { id: 'q', task: 'gcd', prompt: '', answer: '6' },
    answer: '6',
    correct: true,
    text: '',
    turns: 2,
    calls: [],
    truncated: false,
    tokens: 10,
  };
  const call = { status: 'ok', seconds: 0.1, code: 'print(6)', output: '6\n' };
  const wrong = { ...base, answer: '5', correct: false };
  const silent = { ...base, answer: null, correct: false };
  const calls = (n: number) => Array.from({ length: n }, () => call);
  const table: [keyof typeof rewards, ScoredInput, number][] = [
    ['correct', base, 1],
    ['correct', wrong, 0],
    ['r1ci', base, 1.1],
    ['r1ci', wrong, 0.1],
    ['r1ci', silent, -0.1],
    ['r1ci', { ...base, turns: 6 }, 1.1],
    ['r1ci', { ...base, turns: 7 }, 1],
    ['r1ci', { ...silent, turns: 7 }, -0.2],
    ['retool', base, 1],
    ['retool', wrong, -1],
    ['retool', silent, -1],
    ['hermes', { ...base, calls: calls(8) }, 1],
    ['hermes', wrong, -1],
    ['hermes', { ...wrong, calls: calls(1) }, -0.9],
    ['hermes', { ...wrong, calls: calls(3) }, -0.7],
    ['hermes', { ...wrong, calls: calls(4) }, -0.6],
    ['hermes', { ...wrong, calls: calls(9) }, -0.6],
    ['anchor', base, 1.1],
    ['anchor', wrong, 0.1],
    ['anchor', silent, -0.1],
  ];
  for (const [name, input, total] of table) {
    const scored = scoreTrajectory(rewards[name], input, 'prompt 3 sample 1');
    t.is(scored.total, total, `${name} of ${JSON.stringify(input)}`);
    const sum = Object.values(scored.parts).reduce((a, b) => a + b, 0);
    t.true(Math.abs(sum - total) < 1e-12, `${name}: the parts add up`);
  }
  t.is(anchorReward(base).parts.format, 0.1);
  t.throws(() => scoreTrajectory(() => ({ total: Number.NaN, parts: {} }), base, 'prompt 3 sample 1'), {
    instanceOf: RangeError,
    message: /prompt 3 sample 1 .*finite number for total, found NaN/,
  });
  t.throws(() => scoreTrajectory((() => 1) as never, base, 'prompt 3 sample 1'), { instanceOf: TypeError });
});

test('JSONL files become tasks: plain, GSM8K, AIME and rows with code', async (t) => {
  const lines = [
    { question: 'What is 6 * 7?', answer: '42', code: 'print(6*7)', task: 'arithmetic' },
    {
      prompt: 'How much in all?',
      answer: 'He pays 3*$4=$<<3*4=12>>12.\nThen more.\n#### 1,012',
      code: 'print(1012)',
    },
    { input: 'Find $x$.', output: '033', code: 'print(33)' },
    { problem: 'Capital of France?', target: 'Paris', code: 'print("Paris")' },
    { question: 'Number?', answer: 7, code: 'print(7)' },
  ];
  await withFile(`\ufeff${lines.map((line) => JSON.stringify(line)).join('\r\n')}\n\n`, async (path) => {
    const task = await loadJsonlTask(path, { name: 'mixed', split: 'train' });
    const items = task.items('train');
    t.deepEqual(
      items.map((item) => item.answer),
      ['42', '1,012', '033', 'Paris', '7'],
    );
    t.true(task.verify(items[1]!, '$1012').correct);
    t.false(task.verify(items[1]!, '12').correct);
    t.true(task.verify(items[2]!, '33').correct);
    t.true(task.verify(items[3]!, ' Paris').correct);
    t.false(task.verify(items[3]!, 'paris').correct);
    t.false(task.verify(items[3]!, 'Paris or Rome').correct);
    t.false(task.verify(items[3]!, 'Paris'.repeat(1e5)).correct);
    t.false(task.verify(items[3]!, null).correct);
    t.is(task.solution?.(items[0]!), 'print(6*7)');
    t.is(items[0]!.meta?.task, 'arithmetic');
    t.deepEqual(questions(task, 'train', 5, 1, { order: 'file' }), [...items]);
    const ids = (list: readonly Question[]) => list.map((item) => item.id).sort();
    t.deepEqual(ids(questions(task, 'train', 5, 1)), ids(items));
    t.throws(() => questions(task, 'train', 6, 1), {
      instanceOf: RangeError,
      message: /has 5 train questions, 6/,
    });
    t.throws(() => task.question(createRandom(1), 'heldout'), {
      instanceOf: RangeError,
      message: /heldout split is empty/,
    });
    t.is((await loadJsonlTask(path, { split: 'heldout', limit: 2 })).items('heldout').length, 2);
    await t.throwsAsync(loadJsonlTask(path, { heldoutPath: path }), {
      instanceOf: DataError,
      message: /same as that of/,
    });
  });
});

test('defects of JSONL files are reported with file, line and what was expected', async (t) => {
  const good = '{"question": "1?", "answer": "1"}';
  const defects: [string | Uint8Array, RegExp, JsonlOptions?][] = [
    ['', /data\.jsonl: has no lines/],
    ['\n\n', /data\.jsonl: has no lines/],
    [`${good}\n{"question": "2?", "answer": `, /data\.jsonl:2: expected one JSON object per line/],
    [`${good}\n[1]`, /:2: expected a JSON object, found \[1\]/],
    [`${good}\n"text"`, /:2: expected a JSON object/],
    [`${good}\nnull`, /:2: expected a JSON object, found null/],
    ['{"answer": "1"}', /:1: expected exactly one of the fields question, prompt.*found answer/],
    ['{"question": "1?"}', /:1: expected exactly one of the fields answer/],
    ['{"question": "1?", "prompt": "1?", "answer": "1"}', /found question and prompt/],
    ['{"question": "", "answer": "1"}', /expected question to be a non-empty text/],
    ['{"question": 5, "answer": "1"}', /expected question to be a non-empty text, found 5/],
    ['{"question": "1?", "answer": ""}', /expected answer to hold an answer/],
    ['{"question": "1?", "answer": "work\\n#### "}', /expected answer to hold an answer/],
    ['{"question": "1?", "answer": ["1"]}', /expected answer to be a text or a number/],
    ['{"question": "1?", "answer": null}', /expected answer to be a text or a number, found null/],
    ['{"question": "1?", "answer": 12345678901234567890}', /beyond 2\^53.*write it as a string/],
    [`${good}\n\n{"question": " 1? ", "answer": "2"}`, /:3: the question is the same as that of .*:1/],
    [
      '{"id": 1, "question": "1?", "answer": "1"}\n{"id": 1, "question": "2?", "answer": "2"}',
      /:2: duplicate id 1/,
    ],
    ['{"id": {}, "question": "1?", "answer": "1"}', /expected id to be a text or a number/],
    [
      '{"question": "1?", "answer": "one"}',
      /expected a number as the answer, found "one"/,
      { answers: 'number' },
    ],
    [new Uint8Array([0x7b, 0xff, 0xfe, 0x7d]), /is not UTF-8/],
  ];
  for (const [content, message, options] of defects) {
    await withFile(content, async (path) => {
      await t.throwsAsync(loadJsonlTask(path, options), { instanceOf: DataError, message }, String(content));
    });
  }
  await t.throwsAsync(loadJsonlTask('/nonexistent/data.jsonl'), {
    instanceOf: DataError,
    message: /cannot be read/,
  });
  await withFile(good, async (path) => {
    await t.throwsAsync(loadJsonlTask(path, { splt: 'hash' } as JsonlOptions), {
      instanceOf: TypeError,
      message: /unknown option "splt"/,
    });
    await t.throwsAsync(loadJsonlTask(path, { limit: 0 }), { instanceOf: RangeError });
    await t.throwsAsync(loadJsonlTask(path, { split: 'test' as never }), { instanceOf: TypeError });
  });
});

test('traces are made in the shares asked for, without the excluded questions, the same for a seed', (t) => {
  const set = Object.values(demoTasks);
  const options = { count: 100, seed: 4, codeShare: 0.55 };
  const traces = makeTraces(set, options);
  t.deepEqual(makeTraces(set, options), traces);
  t.is(traces.length, 100);
  t.is(traces.filter((trace) => trace.style === 'code').length, 55);
  for (const name of demoTaskNames) {
    t.true(traces.filter((trace) => trace.question.task === name).length >= 16, name);
  }
  for (const { question, turns, style } of traces) {
    t.true(turns.at(-1)!.text.endsWith(`<<<${question.answer}>>>`));
    if (style === 'bare') t.is(turns.length, 1);
    else {
      t.is(turns[0]!.toolOutput, `${question.answer}\n`);
      t.is(turns[0]!.text, `\`\`\`python\n${demoTasks[question.task as 'gcd'].solution(question)}\n\`\`\``);
    }
  }
  const exclude = new Set(traces.map((trace) => trace.question.id));
  t.is(exclude.size, 100);
  t.true(makeTraces(set, { ...options, exclude }).every((trace) => !exclude.has(trace.question.id)));
  t.throws(() => makeTraces(set, { ...options, codeShare: 2 }), { instanceOf: RangeError });
  const code = 'print("a\\n")';
  t.deepEqual(JSON.parse(traceFormats.hermes.call(code).split('\n')[1]!), {
    name: 'code_interpreter',
    arguments: { code },
  });
});

test('trace files with turns written out are read, and their defects named', async (t) => {
  const turns = [{ text: 'first', toolOutput: 'out\n' }, { text: 'second' }];
  await withFile(
    `${JSON.stringify({ question: 'q', answer: 'a', turns })}\n{"question": "p", "answer": "b"}`,
    async (path) => {
      const [multi, bare] = await loadTraces(path);
      t.deepEqual([multi!.turns, multi!.style], [turns, 'code']);
      t.deepEqual([bare!.turns, bare!.style], [[{ text: 'The answer is b.\n<<<b>>>' }], 'bare']);
    },
  );
  const defects: [object, RegExp][] = [
    [{ turns: [] }, /:1: expected turns to be a non-empty list/],
    [{ turns: [{ text: 1 }] }, /:1: expected turn 1 to be/],
    [{ style: 'verse' }, /:1: expected style to be code, bare or text, found "verse"/],
    [{ style: 'code' }, /:1: expected code to be a non-empty text/],
    [{ code: 5 }, /:1: expected code to be a non-empty text/],
    [{ task: 5 }, /:1: expected task to be a text/],
  ];
  for (const [fields, message] of defects) {
    await withFile(JSON.stringify({ question: 'q', answer: 'a', ...fields }), async (path) => {
      await t.throwsAsync(loadTraces(path), { instanceOf: DataError, message });
    });
  }
});

test('GSM8K, AIME and the learning-anchor files load, verify themselves and agree with Python', async (t) => {
  const gsm8k = sharedPath(t, 'data/gsm8k/train.jsonl');
  const gsm8kTest = sharedPath(t, 'data/gsm8k/test.jsonl');
  const aime = sharedPath(t, 'data/aime/aime24.jsonl');
  const anchor = sharedPath(t, 'data/learn-anchor/rl.jsonl');
  const evalPath = sharedPath(t, 'data/learn-anchor/eval.jsonl');
  const sftPath = sharedPath(t, 'data/learn-anchor/sft.jsonl');
  if (!gsm8k || !gsm8kTest || !aime || !anchor || !evalPath || !sftPath) return;

  const math = await loadJsonlTask(gsm8k, { name: 'gsm8k', heldoutPath: gsm8kTest, answers: 'number' });
  t.deepEqual([math.items('train').length, math.items('heldout').length], [7473, 1319]);
  for (const item of math.items('heldout')) {
    t.true(math.verify(item, item.answer.replaceAll(',', '')).correct, item.answer);
    t.false(math.verify(item, `${item.answer}1`).correct);
  }
  const contest = await loadJsonlTask(aime, { answers: 'number' });
  t.is(contest.items('train').length + contest.items('heldout').length, 30);
  const third = [...contest.items('train'), ...contest.items('heldout')].find(
    (item) => item.answer === '33',
  )!;
  t.true(contest.verify(third, '\\boxed{033}').correct);

  const order = await loadJsonlTask(anchor, { name: 'anchor', heldoutPath: evalPath, answers: 'number' });
  t.deepEqual([order.items('train').length, order.items('heldout').length], [1600, 100]);
  t.is(questions(order, 'train', 1, 1, { order: 'file' })[0]!.prompt, order.items('train')[0]!.prompt);

  const traces = await loadTraces(sftPath);
  t.is(traces.length, 200);
  t.is(traces.filter((trace) => trace.style === 'code').length, 109);
  const coded = traces.find((trace) => trace.style === 'code')!;
  t.is(coded.turns[0]!.text, `\`\`\`python\n${coded.question.meta?.code}\n\`\`\``);
  const bare = traces.find((trace) => trace.style === 'bare')!;
  t.is(bare.turns[0]!.text, `The answer is ${bare.question.answer}.\n<<<${bare.question.answer}>>>`);
  t.is((await loadTraces(anchor)).filter((trace) => trace.style === 'code').length, 1600);
  const programs = [...(await loadTraces(evalPath)), ...traces.filter((trace) => trace.style === 'code')];
  const outputs = await runPython(programs.map((trace) => String(trace.question.meta?.code)));
  t.deepEqual(
    outputs,
    programs.map((trace) => trace.turns[0]!.toolOutput),
  );
});
