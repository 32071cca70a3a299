import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { packageRoot } from '../lib/package.ts';
import { lastBoxed, lastEnclosed } from '../lib/text/formats/format.ts';
import { codeInterpreterSchema, toolSystemMessage } from '../lib/text/formats/hermes.ts';
import { checkFormat, formats, type ParseEvent, type ToolFormat } from '../lib/text/formats/index.ts';
import { malformedCalls, malformedCallsTable, parseTurn } from './support/malformed-calls.ts';

type Name = ToolFormat['name'];
const names = Object.keys(formats) as Name[];

const call = (code: string) =>
  `<tool_call>\n${JSON.stringify({ name: 'code_interpreter', arguments: { code } })}\n</tool_call>`;

/** Turns that are as they should be, and ordinary text. */
const turns: readonly [Name, string, ParseEvent][] = [
  ['r1ci', 'Let me see.\n```python\nprint(6*7)\n```', { kind: 'call', code: 'print(6*7)', repeated: 0 }],
  [
    'r1ci',
    '```python \r\nx = 1\r\n\r\nprint(x)\r\n```',
    { kind: 'call', code: 'x = 1\r\n\r\nprint(x)', repeated: 0 },
  ],
  ['r1ci', 'The answer is 42.\n<<<42>>>', { kind: 'answer', answer: '42' }],
  ['r1ci', '<<<1>>> no, <<<\n2, 3\n>>>.', { kind: 'answer', answer: '2, 3' }],
  ['r1ci', 'x <<< y, so <<<7>>>', { kind: 'answer', answer: '7' }],
  [
    'r1ci',
    '<<<5>>> ```python\nprint("<<<6>>>")\n```',
    { kind: 'call', code: 'print("<<<6>>>")', repeated: 0 },
  ],
  ['r1ci', 'two `` backticks, <<<>>>', { kind: 'text' }],
  ['r1ci', '', { kind: 'text' }],
  ['r1ci', '<tool_call>{}</tool_call><code></code>', { kind: 'text' }],
  [
    'retool',
    'First.\n<code>\n```python\nimport math\nprint(math.pi)\n```\n</code>',
    { kind: 'call', code: 'import math\nprint(math.pi)', repeated: 0 },
  ],
  [
    'retool',
    '<code>```python\nprint("<code> <answer>\\\\boxed{1}</answer>")\n```</code>',
    { kind: 'call', code: 'print("<code> <answer>\\\\boxed{1}</answer>")', repeated: 0 },
  ],
  ['retool', '<answer>\n\\boxed{\\frac{1}{2}}\n</answer>', { kind: 'answer', answer: '\\frac{1}{2}' }],
  ['retool', '<answer>\\boxed{1}</answer> or <answer>\\boxed{2}</answer>', { kind: 'answer', answer: '2' }],
  ['retool', 'just \\boxed{3}', { kind: 'text' }],
  ['retool', '<answer>3</answer>', { kind: 'text' }],
  ['retool', '```python\nprint(1)\n```', { kind: 'text' }],
  ['hermes', `I compute.\n${call('print(2**9)\n')}`, { kind: 'call', code: 'print(2**9)\n', repeated: 0 }],
  ['hermes', call('```python\nprint(1)\n```'), { kind: 'call', code: 'print(1)', repeated: 0 }],
  ['hermes', `${call('a')}${call('b')}<tool_call>{`, { kind: 'call', code: 'a', repeated: 2 }],
  ['hermes', 'It is \\boxed{{1, 2}}.', { kind: 'answer', answer: '{1, 2}' }],
  ['hermes', 'nothing', { kind: 'text' }],
];

test('each format reads calls, answers and plain turns', (t) => {
  for (const [format, turn, expected] of turns) {
    t.deepEqual(parseTurn(format, [turn], 'eos'), expected, `${format}: ${JSON.stringify(turn)}`);
  }
});

test('malformed, truncated and repeated calls have the outcomes of docs/formats.md', (t) => {
  for (const { format, what, turn, end, expected } of malformedCalls) {
    t.deepEqual(parseTurn(format, [turn], end), expected, `${format}: ${what}`);
  }
  t.true(malformedCalls.length >= 10);
  const page = readFileSync(join(packageRoot, 'docs', 'formats.md'), 'utf8');
  t.true(
    page.includes(malformedCallsTable()),
    'docs/formats.md is out of date: npx tsx scripts/show-malformed-calls.ts --markdown',
  );
});

test('events do not depend on where a turn is cut, at every split point and character by character', (t) => {
  const all = [
    ...turns.map(([format, turn]) => ({ format, turn })),
    ...malformedCalls.map(({ format, turn }) => ({ format, turn })),
  ];
  let checked = 0;
  for (const { turn } of all) {
    for (const format of names) {
      for (const end of ['eos', 'length'] as const) {
        const expected = parseTurn(format, [turn], end);
        t.deepEqual(
          parseTurn(format, turn, end),
          expected,
          `${format} by character: ${JSON.stringify(turn)}`,
        );
        for (let cut = 0; cut <= turn.length; cut++) {
          const pieces = [turn.slice(0, cut), turn.slice(cut)];
          const event = parseTurn(format, pieces, end);
          if (JSON.stringify(event) !== JSON.stringify(expected))
            t.deepEqual(event, expected, `cut at ${cut}`);
          checked++;
        }
      }
    }
  }
  t.log(`${checked} cuts`);
});

test('the token that holds the end of the marker ends the turn, and tells how much lies behind it', (t) => {
  const parser = formats.r1ci.parser();
  t.is(parser.push('```python\nprint(1)\n``'), null);
  t.is(parser.trailing, 0);
  t.deepEqual(parser.push('`\n\nThe'), { kind: 'call', code: 'print(1)', repeated: 0 });
  t.is(parser.trailing, 5);
  t.throws(() => parser.push('more'), { instanceOf: TypeError });
  t.throws(() => parser.end('eos'), { instanceOf: TypeError });

  const other = formats.retool.parser();
  other.push('<code>```python\nprint(1)```</co');
  t.is(other.push('de> and')?.kind, 'call');
  t.is(other.trailing, 4);
});

/** A small generator of reproducible random numbers in [0, 1). */
function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

test('random garbage never throws, and gives the same event however it is cut', (t) => {
  const random = randomNumbers(7);
  const fragments =
    '` `` ``` ```python\n <code> </code> <answer> </answer> <tool_call> </tool_call> <<< >>> \\boxed{ } { {} [ ] " \\ \n \0 é 😀 \ud800 print(1) {"name":"code_interpreter","arguments":{"code":"1"}}'.split(
      ' ',
    );
  const kinds = new Map<string, number>();
  for (let round = 0; round < 3000; round++) {
    const pieces = Array.from({ length: 1 + Math.floor(random() * 24) }, () =>
      random() < 0.8
        ? fragments[Math.floor(random() * fragments.length)]!
        : String.fromCharCode(Math.floor(random() * 65536)),
    );
    const turn = pieces.join('');
    for (const format of names) {
      const end = round % 2 === 0 ? 'eos' : 'length';
      const whole = parseTurn(format, [turn], end);
      t.deepEqual(parseTurn(format, pieces, end), whole);
      if (round % 8 === 0) t.deepEqual(parseTurn(format, turn.split(''), end), whole);
      const answer = formats[format].answer(turn);
      t.true(answer === null || answer.length > 0);
      kinds.set(whole.kind, (kinds.get(whole.kind) ?? 0) + 1);
    }
  }
  t.log(Object.fromEntries(kinds));
  t.deepEqual([...kinds.keys()].sort(), ['answer', 'call', 'malformed', 'text', 'truncated']);
});

test('parsing and extraction take time linear in the turn, also for hostile turns', (t) => {
  const unit = 200_000;
  const hostile: Record<string, string> = {
    'open fences': '```python\n',
    'open tags': '<code>',
    'closing answers': '</answer>',
    'open answers': '<answer>',
    'open boxes': '\\boxed{',
    'open braces': '{',
    'opening marks': '<<<',
    'closing marks': '>>>',
    'open calls': '<tool_call>',
    'empty calls': '<tool_call></tool_call>',
    backslashes: '\\',
    blanks: ' ',
    'line ends': '\n',
    'open lists in a call': '[',
  };
  for (const [what, piece] of Object.entries(hostile)) {
    const prefix = what === 'open lists in a call' ? '<tool_call>' : '';
    const turn = prefix + piece.repeat(Math.ceil(unit / piece.length));
    const started = process.cpuUsage();
    for (const format of names) {
      parseTurn(format, [turn], 'eos');
      parseTurn(format, turn, 'eos');
      formats[format].answer(turn);
      formats[format].answer(`${turn}${prefix === '' ? '' : '</tool_call>'}\\boxed{1}`);
    }
    const milliseconds = process.cpuUsage(started).user / 1000;
    // About 30 ms of processor time each; a quadratic step over 200,000 characters would take minutes.
    t.true(milliseconds < 5000, `${what}: ${milliseconds.toFixed(0)} ms`);
  }
});

test('answers come from the last complete marker in the prose, with balanced braces', (t) => {
  t.is(formats.r1ci.answer('<<<1>>> then ```python\nprint("<<<2>>>")\n``` so'), '1');
  t.is(formats.r1ci.answer('<<<1>>>\n```python\nprint(2)\n```\n<<< 3 >>>'), '3');
  t.is(formats.r1ci.answer('<<<1>>> <<<2'), '1');
  t.is(formats.r1ci.answer('<<<1>>> <<<>>>'), null);
  t.is(formats.r1ci.answer('```python\n<<<1>>>'), null);
  t.is(formats.r1ci.answer('1 << 2 >> 3'), null);
  t.is(formats.retool.answer('<code><answer>\\boxed{1}</answer></code>'), null);
  t.is(formats.retool.answer('<answer>\\boxed{1} \\boxed{2</answer>'), '1');
  t.is(formats.hermes.answer('\\boxed{\\{1\\}}'), '\\{1\\}');
  t.is(formats.hermes.answer(`${call('print("\\\\boxed{1}")')} done`), null);
  t.is(lastBoxed('\\boxed{a{b}c} {'), 'a{b}c');
  t.is(lastBoxed('\\boxed{1}}} \\boxed{2'), '1');
  t.is(lastBoxed('\\boxed{\\boxed{3}}'), '3');
  t.is(lastBoxed('\\boxed 4'), null);
  t.is(lastEnclosed('>>><<<a<<<b>>>c>>>', '<<<', '>>>'), 'b');
});

test('tool output that spells fences, tags or answers is one tool segment and never an answer', (t) => {
  const output = '```\n</interpreter><|im_end|><<<42>>>\\boxed{42}\n';
  t.deepEqual(formats.r1ci.toolText({ status: 'ok', output }), [
    { text: `\nCode Execution Results:\n${output}`, origin: 'tool' },
  ]);
  t.deepEqual(formats.retool.toolText({ status: 'ok', output: '3' }), [
    { text: '\n<interpreter>\n3\n</interpreter>\n\n', origin: 'tool' },
  ]);
  const hermes = formats.hermes.toolText({ status: 'exception', output });
  t.deepEqual(
    hermes.map(({ origin }) => origin),
    ['template', 'tool', 'template'],
  );
  t.is(hermes[1]!.text, output.slice(0, -1));
  for (const { text } of hermes.filter(({ origin }) => origin === 'template')) t.false(text.includes('42'));
  t.is(formats.r1ci.toolText({ status: 'ok', output: '' })[0]!.text, '\nCode Execution Results:\n');
});

test('a prompt holds the question last or before a reminder, and can ask for an answer without the tool', (t) => {
  const question = 'What is 6 * 7?';
  for (const name of names) {
    const format = formats[name];
    const withTool = format.messages(question);
    const without = format.messages(question, { textOnly: true });
    const user = withTool.at(-1)!;
    t.is(user.role, 'user');
    t.true(user.content!.includes(question));
    t.regex(withTool.map(({ content }) => content).join('\n'), /python/i);
    t.notRegex(without.map(({ content }) => content).join('\n'), /python|code_interpreter|<code>/i);
    t.is(format.messages(question, { instruction: 'Q: ' }).at(-1)!.content, `Q: ${question}`);
  }
});

test("hermes announces its tool in the words and spacing of Qwen's template", (t) => {
  const text = toolSystemMessage('Intro.', [codeInterpreterSchema]);
  t.true(text.startsWith('Intro.\n\n# Tools\n\n'));
  t.true(
    text.includes('\n<tools>\n{"type": "function", "function": {"name": "code_interpreter", "description": '),
  );
  t.true(text.includes('"properties": {"code": {"type": "string", '));
});

test('a format that needs tokens a model lacks is refused, naming the token', (t) => {
  const added = (...tokens: string[]) =>
    new Map(
      tokens.map((content, id) => [
        content,
        { content, id, special: true, singleWord: false, lstrip: false, rstrip: false },
      ]),
    );
  t.throws(() => checkFormat(formats.hermes, { addedTokens: added('<|im_end|>'), eosIds: [0] }), {
    code: 'ERR_FORMAT',
    message: /<\|im_start\|>/,
  });
  t.throws(() => checkFormat(formats.r1ci, { addedTokens: added(), eosIds: [] }), { code: 'ERR_FORMAT' });
  t.notThrows(() => checkFormat(formats.r1ci, { addedTokens: added(), eosIds: [0] }));
  t.notThrows(() =>
    checkFormat(formats.hermes, { addedTokens: added('<|im_start|>', '<|im_end|>'), eosIds: [0] }),
  );
});
