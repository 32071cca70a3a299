/** Cold-start synthesis with real Python: teachers of all three kinds, every reason for a drop, and a run that is killed. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { z } from 'zod';
import { packageRoot } from '../lib/package.ts';
import { readLines } from '../lib/run/directory.ts';
import { parseConfig } from '../lib/run/yaml.ts';
import type { Attempt } from '../lib/synthesize/attempt.ts';
import { parseSynthesis, synthesisSchema } from '../lib/synthesize/config.ts';
import { checkDisjoint } from '../lib/synthesize/results.ts';
import { selectTraces } from '../lib/synthesize/select.ts';
import { synthesize } from '../lib/synthesize/synthesize.ts';
import { loadTaskFile } from '../lib/tasks/files.ts';
import { loadTraces } from '../lib/train/traces.ts';
import { temporaryFolder } from './support/runs.ts';
import { type ScriptedReply, type ScriptedRequest, scriptedEndpoint } from './support/scripted-endpoint.ts';
import { product, serveModel, writeCaller } from './support/serving.ts';

const temporary = temporaryFolder();
test.after.always(() => temporary.remove());
const at = (name: string) => join(temporary.path, name);
const settingsOf = (...overrides: string[]) => parseSynthesis('', 'test', overrides);
const endpointTeacher = (url: string) => [
  'teacher.kind=endpoint',
  `teacher.url=${url}`,
  'teacher.model=m',
  'teacher.pause_ms=1',
];
const fence = (code: string) => `\`\`\`python\n${code}\n\`\`\``;

/** The question in a request: what stands behind the instruction. */
const asked = ({ messages }: ScriptedRequest) => /Question: (.*)$/s.exec(messages[0]!.content)?.[1] ?? '';

test("the tasks' own solutions become traces with real outputs, apart from the questions for RL", async (t) => {
  const out = at('procedural');
  const report = await synthesize(
    settingsOf(
      `out=${out}`,
      'teacher.kind=procedural',
      'tasks.names=[demo/sum, gcd, power]',
      'questions.ask=4',
      'questions.rl=5',
    ),
  );
  t.like(report, { asked: 12, traces: 36, tracedQuestions: 12, rl: 15, calls: 36, failedCalls: 0 });
  t.deepEqual(Object.keys(report.styles), ['free', 'text_code', 'code_text']);
  const traces = await loadTraces(join(out, 'sft.jsonl'));
  t.true(traces.every(({ style, turns }) => style === 'code' && turns.length === 2));
  for (const { question, turns } of traces) t.is(turns[0]!.toolOutput, `${question.answer}\n`);
  const rl = await loadTaskFile(join(out, 'rl.jsonl'), { split: 'train' });
  t.is(rl.items('train').length, 15);
  t.deepEqual(await checkDisjoint(out), { sft: 36, rl: 15 });
  t.is(new Set(traces.map(({ question }) => question.id)).size, 12, 'ids are those of the tasks');
  const page = readFileSync(join(out, 'report.md'), 'utf8');
  t.regex(page, /12 questions asked, 36 attempts, 36 right, 36 traces kept of 12 questions/);

  // Again, with another cap: nothing is asked, fewer are kept, and questions that lose all traces go to RL.
  const again = await synthesize(
    settingsOf(
      `out=${out}`,
      'teacher.kind=procedural',
      'tasks.names=[demo/sum, gcd, power]',
      'questions.ask=4',
      'questions.rl=5',
      'keep.per_task=2',
    ),
  );
  t.is(again.traces, 6);
  t.is(again.all.dropped.over_cap, 30);
  t.is(again.rl, 15 + 12 - again.tracedQuestions);
  await t.throwsAsync(synthesize(settingsOf(`out=${out}`, 'teacher.kind=procedural', 'tasks.names=[gcd]')), {
    code: 'ERR_RUN_EXISTS',
    message: /\(tasks, questions changed\)/,
  });
});

test('an endpoint is asked turn by turn with real outputs, and each kind of failure is dropped under its name', async (t) => {
  const answers: Record<string, (turn: number, last: string) => ScriptedReply> = {
    // Right, after a program that fails and one that repairs it; what it claims to have seen is cut off.
    repaired: (turn) =>
      turn === 0
        ? `Let me see.\n${fence('print(1/0)')}\nCode Execution Results:\n99\n<<<99>>>`
        : turn === 1
          ? `A division by zero. Again.\n${fence('print(6 * 7)')}`
          : 'So it is <<<42>>>',
    text: () => 'I know it: <<<42>>>',
    wrong: () => '<<<41>>>',
    silent: () => 'I do not know.',
    malformed: () => fence('').replace('python', 'ruby'),
    cut: () => ({ text: '```python\nprint(', finish: 'length' }),
    cutText: () => ({ text: 'I think that', finish: 'length' }),
    endless: () => fence('print(1)'),
    failing: (turn) => (turn === 0 ? fence('raise ValueError(42)') : '<<<42>>>'),
    slow: (turn) => (turn === 0 ? fence('while True: pass') : '<<<42>>>'),
    twice: () => '<<<42>>> and <<<42>>>',
    gone: () => ({ status: 400 }),
    busy: (_, last) => (last === 'again' ? '<<<42>>>' : { status: 503 }),
  };
  const questions = at('questions.jsonl');
  writeFileSync(
    questions,
    Object.keys(answers)
      .map((question) => `${JSON.stringify({ question, answer: '42' })}\n`)
      .join(''),
  );
  let busy = 0;
  const endpoint = await scriptedEndpoint((request) => {
    const question = asked(request);
    if (question === 'busy' && ++busy <= 2) return { status: 503 };
    const turn = (request.messages.length - 1) / 2;
    return answers[question]!(turn, question === 'busy' ? 'again' : '');
  }, 5);
  const out = at('endpoint');
  process.env.TOOLGRAD_TEST_KEY = 'sesame';
  const settings = settingsOf(
    `out=${out}`,
    ...endpointTeacher(endpoint.url),
    'teacher.api_key_env=TOOLGRAD_TEST_KEY',
    'teacher.concurrency=4',
    `tasks.files=[${questions}]`,
    'questions.rl=0',
    'styles={free: 2, text_code: 0, code_text: 1}',
    'max_calls=3',
    'tool.seconds=1',
  );
  const report = await synthesize(settings);
  const done = endpoint.requests.length;
  t.log(`${done} requests, at most ${endpoint.peak} at once; ${JSON.stringify(report.all.dropped)}`);
  t.deepEqual(report.all.dropped, {
    wrong_answer: 3,
    no_answer: 3,
    malformed: 6, // the fence, and the answer given twice
    truncated: 6,
    too_many_calls: 3,
    execution_failed: 6,
    infrastructure: 3,
    judged_invalid: 0,
    no_code: 0,
    duplicate: 6,
    over_cap: 0,
  });
  t.like(report, { asked: 13, traces: 3, tracedQuestions: 3, rl: 10, calls: 2, failedCalls: 1 });
  t.true(endpoint.peak > 1 && endpoint.peak <= 4);
  t.true(endpoint.requests.every(({ authorization }) => authorization === 'Bearer sesame'));
  t.true(endpoint.requests.every(({ stop }) => stop?.[0] === 'Code Execution Results:'));
  t.true(new Set(endpoint.requests.map(({ seed }) => seed)).size > 20, 'attempts differ in their seeds');
  const styled = endpoint.requests.filter(({ messages }) =>
    /begin with a program/.test(messages[0]!.content),
  );
  t.true(styled.length > 10, 'the style is asked for');

  const [repaired] = readLines(join(out, 'sft.jsonl')).filter(({ question }) => question === 'repaired');
  const turns = repaired!.turns as { text: string; toolOutput?: string }[];
  t.is(turns[0]!.text, `Let me see.\n${fence('print(1/0)')}`);
  t.regex(turns[0]!.toolOutput!, /ZeroDivisionError: division by zero/);
  t.is(turns[1]!.toolOutput, '42\n');
  t.is(turns.length, 3);
  const second = endpoint.requests.find(
    ({ messages }) => messages.length === 3 && /Let me see/.test(messages[1]!.content),
  )!;
  t.regex(second.messages[2]!.content, /^Code Execution Results:\n[\s\S]*ZeroDivisionError/);
  const dropped = readLines(join(out, 'dropped.jsonl'));
  t.true(
    dropped.some(({ reason, detail }) => reason === 'execution_failed' && /timeout/.test(String(detail))),
  );
  t.false(readFileSync(join(out, 'progress.jsonl'), 'utf8').includes('sesame'), 'the key is written nowhere');

  // What was lost to the endpoint is asked again, nothing else is.
  await synthesize(settings);
  t.is(endpoint.requests.length - done, 3);
  await endpoint.close();
});

test('a run that is killed goes on without asking again, to the same result', async (t) => {
  const script = ({ messages }: ScriptedRequest) => {
    const [a, b] = [...messages[0]!.content.matchAll(/\d+/g)].map(Number).slice(-2);
    return messages.length === 1
      ? fence(`print(${a} * ${b})`)
      : `<<<${/\d+/.exec(messages[2]!.content)![0]}>>>`;
  };
  const questions = at('products.jsonl');
  writeFileSync(
    questions,
    Array.from(
      { length: 12 },
      (_, i) => `${JSON.stringify({ question: `${i + 3} times ${i + 11}`, answer: (i + 3) * (i + 11) })}\n`,
    ).join(''),
  );
  const overrides = (url: string, out: string) => [
    `out=${out}`,
    ...endpointTeacher(url),
    'teacher.concurrency=2',
    `tasks.files=[${questions}]`,
    'questions.rl=0',
    'styles={free: 1, text_code: 1, code_text: 0}',
  ];
  const whole = await scriptedEndpoint(script);
  await synthesize(settingsOf(...overrides(whole.url, at('unbroken'))));
  t.is(whole.requests.length, 48);

  const slow = await scriptedEndpoint(script, 40);
  const out = at('killed');
  const child = spawn(
    process.execPath,
    ['--import=tsx', join('lib', 'cli', 'main.ts'), 'synthesize', ...overrides(slow.url, out)],
    { cwd: packageRoot, stdio: 'ignore', detached: true },
  );
  const ended = new Promise((resolve) => child.on('close', resolve));
  const progress = join(out, 'progress.jsonl');
  const replies = () =>
    existsSync(progress) ? readLines(progress).filter(({ kind }) => kind === 'reply').length : 0;
  while (replies() < 11 && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 5));
  process.kill(-child.pid!, 'SIGKILL');
  await ended;
  const there = replies();
  t.true(there >= 11 && there < 48, `${there} replies when it was killed`);
  t.false(existsSync(join(out, 'sft.jsonl')));
  writeFileSync(progress, `${readFileSync(progress, 'utf8')}{"kind":"reply","attem`); // a write that was cut off

  const before = slow.requests.length;
  let remembered = 0;
  const report = await synthesize(settingsOf(...overrides(slow.url, out)), {
    onProgress: (told) => {
      remembered = told.remembered;
    },
  });
  t.is(remembered, there);
  t.is(slow.requests.length - before, 48 - there, 'only what was not answered is asked');
  t.like(report, { traces: 12, rl: 0 });
  t.is(report.all.dropped.duplicate, 12, 'both styles got the same answer');
  for (const file of ['sft.jsonl', 'rl.jsonl', 'dropped.jsonl']) {
    t.is(readFileSync(join(out, file), 'utf8'), readFileSync(join(at('unbroken'), file), 'utf8'), file);
  }
  await Promise.all([whole.close(), slow.close()]);
});

test('an endpoint that refuses everything or is gone ends the run with what it said', async (t) => {
  const questions = at('many.jsonl');
  writeFileSync(
    questions,
    Array.from({ length: 40 }, (_, i) => `{"question":"q${i}","answer":"1"}\n`).join(''),
  );
  const run = (url: string, out: string, ...more: string[]) =>
    synthesize(
      settingsOf(
        `out=${at(out)}`,
        ...endpointTeacher(url),
        'teacher.retries=1',
        `tasks.files=[${questions}]`,
        ...more,
      ),
    );
  const locked = await scriptedEndpoint(() => ({ status: 401 }));
  await t.throwsAsync(run(locked.url, 'locked'), { code: 'ERR_ENDPOINT', message: /refused .* status 401/ });
  t.true(locked.requests.length <= 8, 'and does not go on');
  await locked.close();
  await t.throwsAsync(run(locked.url, 'gone'), { code: 'ERR_ENDPOINT', message: /16 attempts in a row/ });
  const silent = await scriptedEndpoint(() => 'hang');
  await t.throwsAsync(run(silent.url, 'silent', 'teacher.seconds=0.05', 'teacher.concurrency=30'), {
    message: /no answer within 0.05 s/,
  });
  const abort = new AbortController();
  const aborted = synthesize(
    settingsOf(`out=${at('aborted')}`, ...endpointTeacher(silent.url), `tasks.files=[${questions}]`),
    { signal: abort.signal },
  );
  setTimeout(() => abort.abort(new Error('enough')), 300);
  await t.throwsAsync(aborted, { message: 'enough' });
  await silent.close();
});

test('our own server and a local model teach, too', async (t) => {
  const folder = at('caller');
  await writeCaller(folder);
  const questions = at('product.jsonl');
  writeFileSync(questions, `${JSON.stringify({ question: product.question, answer: product.answer })}\n`);
  const common = [
    `tasks.files=[${questions}]`,
    'instruction=""',
    'questions.rl=0',
    'styles={free: 1, text_code: 0, code_text: 0}',
    'teacher.temperature=0',
    'teacher.max_tokens=100',
  ];
  const expected = [
    { text: fence(product.code), toolOutput: product.output },
    { text: `<<<${product.answer}>>>` },
  ];
  const turns = (out: string) => readLines(join(out, 'sft.jsonl')).map((row) => row.turns);

  const serving = await serveModel(folder);
  await synthesize(
    settingsOf(...common, `out=${at('served')}`, ...endpointTeacher(serving.url), 'teacher.model=tiny'),
  );
  await serving.stop();
  t.deepEqual(turns(at('served')), [expected]);

  const local = [
    'teacher.kind=local',
    `teacher.path=${folder}`,
    'teacher.kv_memory_mb=4',
    'teacher.threads=2',
  ];
  const report = await synthesize(settingsOf(...common, `out=${at('local')}`, ...local));
  t.deepEqual(turns(at('local')), [expected]);
  t.regex(report.teacher, /^local model /);
});

test('text solutions are rewritten into code with real outputs, verified, or dropped with a reason', async (t) => {
  const good = {
    r1ci: `First the square.\n${fence('print(12 ** 2)')}\nCode Execution Results:\n<output>\n140\n</output>\nThen six more.\n${fence('print(144 + 6)')}\nCode Execution Results:\n<output>\n150\n</output>\nThe answer:\n<<<150>>>`,
    retool: `First.\n<code>\n${fence('print(12 ** 2)')}\n</code>\n<interpreter>\n144\n</interpreter>\nThen.\n<code>\n${fence('print(144 + 6)')}\n</code>\n<interpreter>\nabout 150\n</interpreter>\n<answer>\n\\boxed{150}\n</answer>`,
    hermes: `First.\n<tool_call>\n{"name": "code_interpreter", "arguments": {"code": "print(12 ** 2)"}}\n</tool_call>\n<tool_response>\n144\n</tool_response>\nThen.\n<tool_call>\n{"name": "code_interpreter", "arguments": {"code": "print(144 + 6)"}}\n</tool_call>\n<tool_response>\n</tool_response>\nSo \\boxed{150}.`,
  };
  const output = (text: string) => `Code Execution Results:\n<output>\n${text}\n</output>`;
  const bad: Record<string, ScriptedReply> = {
    wrong: `${fence('print(1)')}\n${output('1')}\n<<<151>>>`,
    none: 'It is <<<150>>>',
    silent: `${fence('print(1)')}\n${output('1')}\nDone.`,
    unclosed: `${fence('print(1)')}\nCode Execution Results:\n<output>\n1\n<<<150>>>`,
    stray: `${fence('print(1)')}\n${output('1')}\n</output>\n<<<150>>>`,
    early: `<<<150>>>\n${fence('print(1)')}\n${output('1')}\n<<<150>>>`,
    twice: `${fence('print(1)')}\n${output('1')}\n<<<150>>> or <<<150>>>`,
    failing: `${fence('print(x)')}\n${output('1')}\n<<<150>>>`,
    long: { text: fence('print('), finish: 'length' },
    invalid: 'never asked for',
  };
  const problemOf = ({ messages }: ScriptedRequest) => /Problem:\n(.*)\n/.exec(messages[0]!.content)![1]!;
  for (const format of ['r1ci', 'retool', 'hermes'] as const) {
    const others = format === 'r1ci' ? Object.keys(bad) : [];
    const file = at(`solutions-${format}.jsonl`);
    writeFileSync(
      file,
      ['good', ...others]
        .map(
          (question) =>
            `${JSON.stringify({ question, answer: '150', solution: `${question}: 12*12=144, +6=150.` })}\n`,
        )
        .join(''),
    );
    const endpoint = await scriptedEndpoint((request) => {
      const problem = problemOf(request);
      if (/VALID or INVALID/.test(request.messages[0]!.content)) {
        return problem === 'invalid' ? 'The sum is off.\nINVALID' : 'Fine.\n**VALID**';
      }
      return problem === 'good' ? good[format] : bad[problem]!;
    });
    const out = at(`rewritten-${format}`);
    const report = await synthesize(
      settingsOf(
        `out=${out}`,
        'mode=rewrite',
        `format=${format}`,
        ...endpointTeacher(endpoint.url),
        'judge.kind=endpoint',
        `judge.url=${endpoint.url}`,
        'judge.model=j',
        `rewrite.solutions=${file}`,
        'rewrite.answers=math',
        'rewrite.attempts=2',
      ),
    );
    const [row] = readLines(join(out, 'sft.jsonl'));
    const outputs = (row!.turns as { toolOutput?: string }[]).map(({ toolOutput }) => toolOutput);
    t.deepEqual(outputs, ['144\n', '150\n', undefined], `${format}: the real outputs`);
    t.is(row!.replaced_outputs, 1);
    const traces = await loadTraces(join(out, 'sft.jsonl'));
    t.is(traces[0]!.turns.length, 3);
    t.like(report, { traces: 1, replacedOutputs: 1 });
    t.is(report.all.dropped.duplicate, 1);
    t.is(
      endpoint.requests.filter(({ model }) => model === 'j').length,
      1 + others.length,
      'judged once each',
    );
    if (format === 'r1ci') {
      t.like(report.all.dropped, {
        wrong_answer: 2,
        no_code: 2,
        no_answer: 2,
        malformed: 8,
        execution_failed: 2,
        truncated: 2,
        judged_invalid: 2,
      });
      t.is(report.rl, others.length, 'what could not be rewritten is left for RL');
      t.log(readFileSync(join(out, 'report.md'), 'utf8'));
    }
    await endpoint.close();
  }
});

test('of too many traces those of several turns are kept as much more often as their weight says', (t) => {
  const question = { id: 'q', task: 'many', prompt: 'q', answer: '1' };
  const attempts = Array.from({ length: 2000 }, (_, i): Attempt => {
    const several = i % 2 === 0;
    return {
      plan: { id: `q${i}/free/0`, question: { ...question, id: `q${i}` }, style: 'free' },
      turns: several ? [{ text: 'a', toolOutput: '1\n' }, { text: 'b' }] : [{ text: 'b' }],
      statuses: [],
      dropped: i < 10 ? 'wrong_answer' : null,
      detail: null,
      replaced: 0,
    };
  });
  const kept = (weight: number, seed = 1) => {
    const judged = selectTraces(attempts, { perTask: 70, multiTurnWeight: weight, seed });
    return judged.filter(({ dropped }) => dropped === null);
  };
  const share = (weight: number) => {
    const all = Array.from({ length: 30 }, (_, seed) => kept(weight, seed)).flat();
    return all.filter(({ turns }) => turns.length > 1).length / all.length;
  };
  t.is(kept(3).length, 70);
  t.deepEqual(kept(3), kept(3));
  t.true(
    kept(3).every(({ plan }) => Number(/\d+/.exec(plan.id)![0]) >= 10),
    'wrong ones stay out',
  );
  for (const weight of [1, 3, 9]) {
    const found = share(weight);
    // Drawing 70 of 2,000 uses up little of either kind, so the odds are close to the weight.
    t.log(`weight ${weight}: ${(100 * found).toFixed(1)}% of several turns`);
    t.true(Math.abs(found - weight / (1 + weight)) < 0.04);
  }
});

test('files that share a question fail the check, by id or by text', async (t) => {
  const folder = at('overlap');
  await synthesize(
    settingsOf(
      `out=${folder}`,
      'teacher.kind=procedural',
      'tasks.names=[gcd]',
      'questions.ask=3',
      'questions.rl=3',
    ),
  );
  const rl = join(folder, 'rl.jsonl');
  const kept = readFileSync(rl, 'utf8');
  const [trace] = readLines(join(folder, 'sft.jsonl'));
  const row = { question: `  ${String(trace!.question).replace(' ', '\n ')}`, answer: '1' };
  writeFileSync(rl, `${kept}${JSON.stringify(row)}\n`);
  await t.throwsAsync(checkDisjoint(folder), {
    code: 'ERR_OVERLAP',
    message: /rl\.jsonl:4 is the question of .*sft\.jsonl:/,
  });
  writeFileSync(rl, `${kept}${JSON.stringify({ id: trace!.id, question: 'Put otherwise', answer: '1' })}\n`);
  await t.throwsAsync(checkDisjoint(folder), { code: 'ERR_OVERLAP' });
  writeFileSync(rl, kept);
  t.deepEqual(await checkDisjoint(folder), { sft: 9, rl: 3 });
});

test('settings that cannot work are refused with their key', (t) => {
  const refused = (message: RegExp, ...overrides: string[]) =>
    t.throws(() => settingsOf('out=x', ...overrides), { code: 'ERR_CONFIG', message });
  refused(/teacher: required/);
  refused(
    /teacher\.url: required with kind endpoint[\s\S]*teacher\.model/,
    'teacher.kind=endpoint',
    'tasks.names=[gcd]',
  );
  refused(
    /teacher\.url: expected an http/,
    'teacher={kind: endpoint, url: here, model: m}',
    'tasks.names=[gcd]',
  );
  refused(/teacher\.path: required with kind local/, 'teacher.kind=local', 'tasks.names=[gcd]');
  refused(/tasks: expected names or files/, 'teacher.kind=procedural');
  refused(/rewrite\.solutions: required/, 'teacher={kind: local, path: m}', 'mode=rewrite');
  refused(
    /teacher\.kind: solutions cannot rewrite/,
    'teacher.kind=procedural',
    'mode=rewrite',
    'rewrite.solutions=x',
  );
  refused(
    /judge: is asked in mode rewrite only/,
    'teacher.kind=procedural',
    'tasks.names=[gcd]',
    'judge={kind: local, path: m}',
  );
  refused(
    /keep\.pertask: unknown key; did you mean keep\.per_task/,
    'keep.pertask=1',
    'teacher.kind=procedural',
  );
});

test('the example of a teacher is sound, and makes what the example of its cold start reads', (t) => {
  const read = (file: string) => readFileSync(join(packageRoot, 'examples', file), 'utf8');
  const { out, tasks } = parseSynthesis(read('smollm2-teacher.yaml'), 'smollm2-teacher.yaml');
  const file = join(packageRoot, 'examples', 'smollm2-synthesized.yaml');
  const config = parseConfig(read('smollm2-synthesized.yaml'), file);
  t.is(config.tasks.traces, `${out}/sft.jsonl`);
  t.true(tasks.names.every((name) => config.tasks.names.includes(name)));
});

test('docs/synthesize.md lists every key with its default, and no other', (t) => {
  const keys: [string, unknown][] = [];
  const walk = (schema: z.ZodObject, prefix: string): void => {
    for (const [key, value] of Object.entries(schema.shape)) {
      let inner = value as z.ZodType;
      let preset: unknown;
      while (
        inner instanceof z.ZodDefault ||
        inner instanceof z.ZodPrefault ||
        inner instanceof z.ZodNullable
      ) {
        if (inner instanceof z.ZodDefault) preset = inner.def.defaultValue;
        inner = inner.unwrap() as z.ZodType;
      }
      if (inner instanceof z.ZodObject && key !== 'judge') walk(inner, `${prefix}${key}.`);
      else keys.push([`${prefix}${key}`, preset]);
    }
  };
  walk(synthesisSchema, '');
  const page = readFileSync(join(packageRoot, 'docs', 'synthesize.md'), 'utf8');
  const table = page.slice(page.indexOf('## Keys'));
  const listed = [...table.matchAll(/^\| `([\w.]+)` \| (?:`(.*?)`|required) \|/gm)].map(
    ([, name, preset]) => [name!, preset === undefined ? undefined : JSON.parse(preset)] as [string, unknown],
  );
  t.deepEqual(listed, keys);
});
