/** Metrics of tool use on records written by hand, so that every number can be counted. */
import test from 'ava';
import {
  type BehaviourRecord,
  codeLines,
  firstCallAt,
  measureBehaviour,
  selfCorrections,
} from '../lib/eval/behaviour.ts';
import { bareCode, checksEarlier, type Purpose, purposeOf } from '../lib/eval/purposes.ts';

const call = (code: string, status = 'ok', output = '', seconds = 0.5) => ({ code, status, output, seconds });

function record(changed: Partial<BehaviourRecord> & { text?: string; tool?: string }): BehaviourRecord {
  const { text = '', tool = '', ...fields } = changed;
  return {
    end: 'answer',
    correct: false,
    turns: 1,
    seconds: 2,
    segments: [
      { origin: 'prompt', text: 'a question' },
      { origin: 'policy', text },
      { origin: 'tool', text: tool },
    ],
    calls: [],
    ledger: { origin: [0, 7, 1, 10, 2, 4, 1, 6] },
    ...fields,
  };
}

test('every metric is what one counts by hand', (t) => {
  const records = [
    record({ correct: true, text: 'so <<<4>>>' }),
    record({
      correct: true,
      turns: 3,
      text: '1234567890import math\nprint(math.pi)!!!',
      tool: '345678',
      calls: [call('import math\nprint(math.pi)', 'exception'), call('x = 1\n\nprint(x + 1)', 'ok', '2')],
    }),
    record({
      turns: 2,
      seconds: 0.5,
      text: 'while True: pass',
      calls: [call('while True: pass', 'timeout', '', 3)],
    }),
    record({ correct: false, end: 'infrastructure', calls: [call('lost', 'infrastructure_error')] }),
  ];
  t.deepEqual(measureBehaviour(records), {
    attempts: 3,
    response_tokens: 16,
    response_tokens_with_tool: 20,
    code_ratio: 2 / 3,
    code_lines: 5 / 3,
    passing_programs: 1,
    last_pass_rate: { right: 1, wrong: 0 },
    first_call_at: (10 / 45 + 0) / 2,
    purposes: {
      verification: 0,
      symbolic: 0,
      simulation: 0,
      search: 0,
      'data handling': 0,
      calculation: 2,
      other: 1,
    },
    self_corrections: 1,
    self_correction_rate: 1 / 3,
    self_checks: 0,
    self_check_rate: 0,
    call_histogram: [1, 1, 1],
    turns: 2,
    error_rate: 2 / 3,
    timeout_rate: 1 / 3,
    tool_seconds: 4 / 3,
    generation_seconds: (2 + 1 + 0) / 3,
  });
  t.throws(() => measureBehaviour([record({ end: 'infrastructure' })]), { message: /found none/ });
  const none = measureBehaviour([record({})]);
  t.is(none.error_rate, null, 'a share of nothing is no number');
  t.is(none.first_call_at, null);
  t.deepEqual(none.last_pass_rate, { right: null, wrong: null });
});

test('the first program is found in fences and in the JSON of function calls', (t) => {
  const code = 'print("a")\nprint(2)';
  t.is(firstCallAt(record({ text: `0123456789${code}`, calls: [call(code)] })), 10 / 29);
  const json = JSON.stringify({ name: 'code_interpreter', arguments: { code } });
  const at = json.indexOf('print');
  t.is(firstCallAt(record({ text: json, calls: [call(code)] })), at / json.length);
  t.is(firstCallAt(record({ text: 'something else', calls: [call(code)] })), null);
  const steering = [{ tokens: 3, text: `ab${code}` }];
  t.is(firstCallAt(record({ steering, calls: [call(code)] })), 2 / 21);
  t.is(measureBehaviour([record({ steering })]).response_tokens, 3, 'all turns of a steered attempt');
  t.is(codeLines('a\n\n  \nb\n'), 2);
});

test('a correction is a failed program followed by a changed one that passes', (t) => {
  const of = (...calls: [string, string][]) =>
    selfCorrections(calls.map(([code, status]) => call(code, status)));
  t.is(of(['a', 'exception'], ['b', 'ok']), 1);
  t.is(of(['a', 'exception'], ['a', 'ok']), 0, 'the same program again is no correction');
  t.is(of(['a', 'exception'], ['b', 'exception'], ['c', 'ok']), 1);
  t.is(of(['a', 'timeout'], ['b', 'ok'], ['c', 'memory'], ['d', 'ok']), 2);
  t.is(of(['a', 'ok'], ['b', 'ok']), 0);
  t.is(of(['a', 'exception']), 0);
});

test('a check compares with an earlier result or verifies one', (t) => {
  const first = call('print(12 * 34)', 'ok', '408\n');
  const checks = (code: string, before = first) => checksEarlier([before, call(code)], 1);
  t.true(checks('assert 12 * 34 > 400'));
  t.true(checks('x = 12 * 34\nif x == 408:\n    print(1)'));
  t.false(checks('print(13 * 35)'));
  t.false(checks('x = 4081\nif x == 4082: pass'), 'part of a longer number');
  t.false(checks('print(12 * 34)'), 'the same program');
  t.false(checks('assert 12 * 34 > 400', call('print(', 'exception', 'SyntaxError')));
  t.false(checks('x = 7\nif x == 7: pass', call('print(7)', 'ok', '7')), 'one digit is everywhere');
  t.false(checksEarlier([call('assert True')], 0), 'there is nothing before the first');
});

const programs: readonly [Purpose, string][] = [
  ['verification', 'x = 5\nassert x * x == 25'],
  ['verification', 'def is_valid(board):\n    return True\nprint(is_valid([]))'],
  ['verification', 'print(3 ** 2 + 4 ** 2 == 5 ** 2)'],
  ['verification', 'ok = 1\nprint("Correct" if ok else "Incorrect")'],
  ['symbolic', 'from sympy import *\nx = symbols("x")\nprint(solve(x**2 - 2))'],
  ['simulation', 'import random\nprint(sum(random.random() < 0.5 for _ in range(1000)))'],
  ['search', 'from itertools import permutations\nfor p in permutations(range(4)):\n    print(p)'],
  ['search', 'for a in range(9):\n    for b in range(9):\n        if a * b == 42:\n            print(a, b)'],
  ['search', 'def dfs(node):\n    return node\nprint(dfs(1))'],
  ['search', 'n = 1\nwhile True:\n    if n % 7 == 3: break\n    n += 1\nprint(n)'],
  ['data handling', 'print(sorted("b a c".split()))'],
  ['data handling', 'from collections import Counter\nprint(Counter("abca"))'],
  ['calculation', 'print(12 * 34)'],
  ['calculation', 'import math\nprint(math.gcd(12, 18))'],
  ['calculation', 'total = 0\nfor i in range(10):\n    total += i\nprint(total)'],
  ['other', 'print("hello - world")'],
  ['other', '# 1 + 1\nprint(x)'],
];

test('programs are told apart by the documented rules', (t) => {
  for (const [purpose, code] of programs) t.is(purposeOf(code), purpose, code);
  t.is(bareCode("a = \"x # y\" # z\nb = '''1 +\n2'''"), "a = '' \nb = ''");
  const long = `${'for i in range(9):\n '.repeat(4000)}${'"'.repeat(9999)}`;
  const started = performance.now();
  purposeOf(long);
  const took = performance.now() - started;
  t.log(`${long.length} characters in ${took.toFixed(0)} ms`);
  t.true(took < 2000, 'no rule backtracks without end');
});
