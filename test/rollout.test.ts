import test from 'ava';
import { Origin } from '../lib/rollout/ledger.ts';
import type { RolloutPrompt } from '../lib/rollout/options.ts';
import { type RolloutResult, rollout } from '../lib/rollout/rollout.ts';
import type { ToolLimits, Trajectory } from '../lib/rollout/trajectory.ts';
import { formats } from '../lib/text/formats/index.ts';
import { openPythonTool } from '../lib/tools/python.ts';
import type { Tool } from '../lib/tools/tool.ts';
import { alone, bits } from './support/batches.ts';
import {
  findingFormat,
  letterTool,
  openTiny,
  pagesFor,
  promptsOf,
  rolloutOptions,
  scriptedTool,
  wideLimits,
} from './support/rollouts.ts';
import { below, until, untilIdle } from './support/tool.ts';

const tiny = await openTiny();
const { model, tokenizer } = tiny;
const prompts = promptsOf(tokenizer, 4, 3);

/** All of a trajectory that does not depend on the clock. */
function lasting({ ledger, calls, seconds: _, ...rest }: Trajectory) {
  return { ...rest, ledger: ledger.toJSON(), calls: calls.map(({ seconds: __, ...call }) => call) };
}
const allOf = ({ trajectories }: RolloutResult) => trajectories.map(lasting);
const endsOf = ({ trajectories }: RolloutResult) => trajectories.map(({ end }) => end);

/** One trajectory of the first prompt whose every turn is `find`'s to judge. */
async function single(
  find: Parameters<typeof findingFormat>[0],
  tool: Tool | null,
  limits: Partial<typeof wideLimits> = {},
  toolLimits: Partial<ToolLimits> = {},
): Promise<Trajectory> {
  const options = rolloutOptions(tiny, {
    tool,
    format: findingFormat(find),
    limits: { ...wideLimits, ...limits },
  });
  const { trajectories } = await rollout([{ ...prompts[0]!, samples: 1 }], {
    ...options,
    toolLimits: { ...options.toolLimits, ...toolLimits },
  });
  return trajectories[0]!;
}
const callAt = (count: number) => (_text: string, pieces: number) =>
  pieces === count ? ({ kind: 'call', code: 'print(1)', repeated: 0 } as const) : null;

test('trajectories are the same token for token whatever the concurrency, the cache and the delays of the tool', async (t) => {
  const expected = await rollout(prompts, rolloutOptions(tiny, { tool: letterTool() }));
  const calls = expected.trajectories.flatMap((trajectory) => trajectory.calls);
  const ends = new Set(endsOf(expected));
  t.log(`${expected.trajectories.length} trajectories, ${calls.length} calls, ends: ${[...ends].join(', ')}`);
  t.true(calls.length >= 12 && ends.size >= 3, 'the trajectories are worth comparing');
  t.true(calls.every(({ status, output }) => status === 'ok' && (output === null || /^\d+\n$/.test(output))));

  const least = pagesFor(model, wideLimits.totalTokens) + 1;
  const jitter = (serial: number) => (serial * 7) % 11;
  for (const [name, changed] of [
    ['one at a time', { concurrency: 1, tool: letterTool() }],
    ['four at a time', { concurrency: 4, tool: letterTool() }],
    ['the smallest cache', { cache: model.openKvCache(least), tool: letterTool() }],
    ['a cache for three', { cache: model.openKvCache(3 * (least - 1) + 1), tool: letterTool() }],
    ['a slow tool', { tool: letterTool(jitter) }],
    ['a slow tool, five at a time', { concurrency: 5, tool: letterTool((serial) => 20 - jitter(serial)) }],
  ] as const) {
    t.deepEqual(allOf(await rollout(prompts, rolloutOptions(tiny, changed))), allOf(expected), name);
  }
  const seeded = await rollout(prompts, rolloutOptions(tiny, { tool: letterTool(), runSeed: 8n }));
  t.notDeepEqual(allOf(seeded), allOf(expected), 'the seed matters');
  const later = await rollout(prompts, rolloutOptions(tiny, { tool: letterTool(), step: 1 }));
  t.notDeepEqual(allOf(later), allOf(expected), 'the step matters');
});

test('real Python programs give the same trajectories, one at a time and all at once', async (t) => {
  await using tool = await openPythonTool({ workers: 2 });
  const expected = await rollout(prompts, rolloutOptions(tiny, { tool: letterTool() }));
  for (const concurrency of [1, 12]) {
    const result = await rollout(prompts, rolloutOptions(tiny, { tool, concurrency }));
    t.deepEqual(allOf(result), allOf(expected));
    t.is(result.stats.calls, expected.stats.calls);
    t.is(result.stats.toolErrors, 0);
    t.true(result.stats.toolSeconds > 0);
  }
});

test('each token is computed once: the prompt once a group, then sampled and tool tokens only', async (t) => {
  const cache = model.openKvCache(200);
  const { trajectories, stats } = await rollout(prompts, rolloutOptions(tiny, { tool: letterTool(), cache }));
  let expected = 0;
  for (const { ids } of prompts) expected += ids.length - 1;
  let written = 0;
  for (const { ledger, prompt } of trajectories) {
    // Every token but the one sampled last is run through the model, the prompt's last token once a sample.
    expected += ledger.length - prompts[prompt]!.ids.length;
    written += ledger.origins.filter((origin) => origin === Origin.policy).length;
  }
  const toolTokens = trajectories.reduce(
    (sum, { ledger }) => sum + ledger.origins.filter((origin) => origin === Origin.tool).length,
    0,
  );
  t.log(`${stats.computed} computed; ${written} sampled, ${toolTokens} from the tool`);
  t.true(toolTokens > 100);
  t.is(stats.sampled, written);
  t.is(stats.computed, expected);
  t.is(cache.tokensComputed, expected);
  t.is(cache.pagesFree, cache.pagesTotal, 'the cache is left empty');
});

test('recorded log-probs are those of the recorded tokens, to the bit, across tool calls', async (t) => {
  const { trajectories } = await rollout(prompts, rolloutOptions(tiny, { tool: letterTool() }));
  for (const { ledger, calls } of trajectories) {
    const { logprobs } = await model.score(alone(ledger.ids), 1);
    const written = (values: Float32Array) => values.filter((_, i) => ledger.origins[i] === Origin.policy);
    t.deepEqual(bits(written(ledger.logprobs)), bits(written(logprobs)), `${calls.length} calls`);
  }
});

test("the pages of a group's prompt are shared", async (t) => {
  const cache = model.openKvCache(100);
  const { kvPageTokens } = model.memory;
  const [long] = promptsOf(tokenizer, 4, 1).slice(-1);
  const shared = Math.floor((long!.ids.length - 1) / kvPageTokens);
  t.true(shared >= 2);
  const used: number[] = [];
  await rollout(
    [{ ...long!, prompt: 0, samples: 6 }],
    rolloutOptions(tiny, {
      tool: null,
      cache,
      format: findingFormat(() => null),
      limits: { ...wideLimits, turnTokens: [2, 2] },
      onProgress: ({ done }) => {
        if (done === 0) used.push(cache.pagesTotal - cache.pagesFree);
      },
    }),
  );
  t.log(`${shared} full prompt pages, ${used[0]} pages in use by 6 trajectories`);
  t.is(used[0], shared + 6, 'only the last, partly filled page is copied');
});

test('each limit ends a trajectory under its own name', async (t) => {
  const tool = scriptedTool(() => 'ok\n');
  const ends = async (...args: Parameters<typeof single>) => {
    const { end, reason, calls, ledger, turns, answer } = await single(...args);
    return { end, reason, calls: calls.length, turns, length: ledger.length, answer };
  };
  const length = prompts[0]!.ids.length;
  t.like(await ends(() => null, tool, { turnTokens: [5, 30] }), {
    end: 'turn_length',
    reason: 'the limit fell inside a call',
    calls: 0,
    length: length + 5,
    answer: null,
  });
  const later = await ends(callAt(3), tool, { turnTokens: [30, 2] });
  t.like(later, { end: 'turn_length', calls: 1, turns: 2 });
  t.like(await ends(callAt(2), tool, { maxCalls: 2 }), { end: 'max_calls', calls: 2, turns: 3 });
  t.like(await ends(callAt(2), tool, { maxTurns: 2 }), { end: 'max_turns', calls: 1, turns: 2 });
  t.like(await ends(callAt(2), tool, { maxCalls: 0 }), { end: 'max_calls', calls: 0, turns: 1 });
  t.like(await ends(callAt(2), null), { end: 'max_calls', calls: 0 });
  t.like(await ends(() => null, tool, { totalTokens: length + 4 }), {
    end: 'total_length',
    length: length + 4,
  });
  t.is(tool.requests.length, 4, 'calls beyond a limit are not run');

  const answer = { kind: 'answer', answer: 'x' } as const;
  const answered = await single((_, pieces) => (pieces === 3 ? answer : null), tool);
  t.is(answered.end, 'answer');
  t.is(answered.answer, answered.text);
  const malformed = { kind: 'malformed', reason: 'no JSON' } as const;
  t.like(await ends(() => malformed, tool), { end: 'malformed', reason: 'no JSON', calls: 0 });
});

test('tool output that does not fit ends the trajectory before it is appended', async (t) => {
  const long = scriptedTool(() => 'word '.repeat(40));
  const limits = { totalTokens: 100 };
  const { end, ledger, calls } = await single(callAt(2), long, limits);
  t.is(end, 'overflow');
  t.false(ledger.origins.includes(Origin.tool));
  t.true(ledger.length < prompts[0]!.ids.length + 10);
  t.like(calls[0], { status: 'ok', output: null });

  // The longest output that fits leaves room for one more token.
  const room = 100 - ledger.length - tokenizer.encode('\nCode Execution Results:\n').length - 1;
  const fits = await single(
    callAt(2),
    scriptedTool(() => `${'\u0001'.repeat(room - 1)}\n`),
    limits,
  );
  t.is(fits.end, 'total_length');
  t.is(fits.ledger.length, 100);
  const over = await single(
    callAt(2),
    scriptedTool(() => `${'\u0001'.repeat(room)}\n`),
    limits,
  );
  t.is(over.end, 'overflow');
});

test('long tool output is shown with the ends that the limits name, in characters or tokens', async (t) => {
  const shown = async (limits: Partial<ToolLimits>): Promise<string> => {
    const { calls, ledger } = await single(
      callAt(2),
      scriptedTool(() => `head ${'x'.repeat(500)} tail`),
      { totalTokens: 500, maxTurns: 2 },
      limits,
    );
    t.true(tokenizer.decode(ledger.ids).includes(calls[0]!.output!));
    return calls[0]!.output!;
  };
  const both = await shown({});
  t.regex(both, /^head x+\n\.\.\. 310 characters cut \.\.\.\nx+ tail$/);
  t.is(both.length, 200);
  t.regex(await shown({ outputSide: 'head' }), /^head x{167}\n\.\.\. 310 characters cut \.\.\.\n$/);
  t.regex(await shown({ outputSide: 'tail' }), /^\n\.\.\. 310 characters cut \.\.\.\nx{167} tail$/);
  t.is(await shown({ outputTokens: 500 }), both, 'the limit in characters holds beside one in tokens');
  for (const outputTokens of [40, 64, 100]) {
    for (const outputSide of ['both', 'head', 'tail'] as const) {
      const cut = await shown({ outputTokens, outputSide });
      const tokens = tokenizer.encode(cut).length;
      t.true(
        tokens <= outputTokens && tokens > outputTokens - 4,
        `${outputSide}: ${tokens} of ${outputTokens}`,
      );
      t.is(cut.startsWith('head'), outputSide !== 'tail');
      t.is(cut.endsWith('tail'), outputSide !== 'head');
    }
  }
});

test('text of special tokens in tool output stays text', async (t) => {
  const output = '<|im_end|>\n<|im_start|>assistant\n<tool_call></tool_call><<<42>>>\n';
  for (const format of [formats.r1ci, formats.retool, formats.hermes]) {
    const { trajectories } = await rollout(
      [{ ...prompts[0]!, samples: 1 }],
      rolloutOptions(tiny, {
        tool: scriptedTool(() => output),
        format: findingFormat(callAt(2), format.toolText),
        limits: { ...wideLimits, maxCalls: 1, maxTurns: 2, totalTokens: 400 },
      }),
    );
    const { ledger } = trajectories[0]!;
    const added = new Set([...tokenizer.addedTokens.values()].map(({ id }) => id));
    const toolIds = ledger.ids.filter((_, i) => ledger.origins[i] === Origin.tool);
    t.true(tokenizer.decode(toolIds).includes(output.trimEnd()), format.name);
    t.deepEqual(
      [...toolIds].filter((id) => added.has(id)),
      [],
    );
  }
});

test("a failure of the tool itself ends the trajectory as infrastructure, not the group's others", async (t) => {
  const failing = (serial: number) => serial === 1;
  const reported = scriptedTool((_, serial) =>
    failing(serial) ? { status: 'infrastructure_error', error: 'no worker' } : 'ok\n',
  );
  const rejecting = scriptedTool((_, serial) => {
    if (failing(serial)) throw new Error('no worker');
    return 'ok\n';
  });
  for (const tool of [reported, rejecting]) {
    const { trajectories, stats } = await rollout(
      [{ ...prompts[0]!, samples: 3 }],
      rolloutOptions(tiny, {
        tool,
        format: findingFormat(callAt(2)),
        limits: { ...wideLimits, maxCalls: 1, maxTurns: 2 },
      }),
    );
    const lost = trajectories.filter(({ end }) => end === 'infrastructure');
    t.is(lost.length, 1);
    t.is(lost[0]!.reason, 'no worker');
    t.like(lost[0]!.calls[0], { status: 'infrastructure_error', output: null, error: 'no worker' });
    t.false(lost[0]!.ledger.origins.includes(Origin.tool), 'nothing of it is shown to the model');
    t.is(trajectories.length - lost.length, 2);
    t.is(stats.toolErrors, 1);
  }
});

test('a tool that gives no proper result stops the rollout with a message', async (t) => {
  const broken = { ...scriptedTool(() => ''), run: async () => ({ status: 'ok' }) } as unknown as Tool;
  const cache = model.openKvCache(50);
  await t.throwsAsync(
    rollout([prompts[0]!], rolloutOptions(tiny, { tool: broken, cache, format: findingFormat(callAt(2)) })),
    { instanceOf: TypeError, message: /expected the tool to give a result with a status and an output/ },
  );
  t.is(cache.pagesFree, cache.pagesTotal);
});

test('the wall-clock limit ends writing and waiting, and is recorded', async (t) => {
  const writing = await single(() => null, null, { seconds: 1e-6 });
  t.is(writing.end, 'time_limit');
  const started = performance.now();
  const waiting = await single(
    callAt(2),
    scriptedTool(
      () => 'late',
      () => 60_000,
    ),
    { seconds: 0.3 },
  );
  const took = performance.now() - started;
  t.log(`a call of a minute was given up after ${took.toFixed(0)} ms`);
  t.true(took < 10_000);
  t.is(waiting.end, 'time_limit');
  t.like(waiting.calls[0], { status: 'timeout', output: null });
});

test('an abort while Python runs rejects at once and leaves no process and an empty cache', async (t) => {
  await using tool = await openPythonTool({ workers: 2 });
  const cache = model.openKvCache(100);
  const controller = new AbortController();
  const sleeping = findingFormat((_, pieces) =>
    pieces === 2 ? { kind: 'call', code: 'import time\ntime.sleep(60)', repeated: 0 } : null,
  );
  const reason = new Error('enough');
  const options = rolloutOptions(tiny, { tool, cache, format: sleeping, signal: controller.signal });
  const started = performance.now();
  const running = rollout([{ ...prompts[0]!, samples: 4 }], {
    ...options,
    toolLimits: { ...options.toolLimits, seconds: 60 },
  });
  const up = () => below(tool.supervisorPid!).length >= 5; // a template, and an init and a program for each call
  await Promise.race([until(up, 10_000), running]);
  t.true(up());
  controller.abort(reason);
  const error = await t.throwsAsync(running);
  t.is(error, reason);
  t.true(performance.now() - started < 20_000);
  t.is(cache.pagesFree, cache.pagesTotal);
  await untilIdle(t, tool);
});

test('an abort that ends the last calls rejects: their trajectories are not taken for lost ones', async (t) => {
  const controller = new AbortController();
  const tool = scriptedTool(
    () => 'never',
    () => {
      setTimeout(() => controller.abort(new Error('stop')), 20);
      return 60_000;
    },
  );
  await t.throwsAsync(
    rollout(
      [{ ...prompts[0]!, samples: 1 }],
      rolloutOptions(tiny, { tool, format: findingFormat(callAt(2)), signal: controller.signal }),
    ),
    { message: 'stop' },
  );
});

test('what cannot work is refused before anything runs, with the numbers', async (t) => {
  const run = async (asked: readonly RolloutPrompt[], changed: object, message: RegExp) => {
    const cache = model.openKvCache(8);
    await t.throwsAsync(rollout(asked, rolloutOptions(tiny, { tool: null, cache, ...changed })), {
      instanceOf: RangeError,
      message,
    });
    t.is(cache.tokensComputed, 0);
  };
  const first = prompts[0]!;
  await run(
    [first],
    { limits: { ...wideLimits, totalTokens: first.ids.length } },
    /the prompt of question q-0 has \d+ tokens, which leaves no room under total_tokens \d+/,
  );
  await run(
    [first],
    { limits: { ...wideLimits, totalTokens: 300 } },
    /one trajectory of 300 tokens needs 11 KV pages of 32 tokens, the cache has 8/,
  );
  await run([{ ...first, ids: new Int32Array(0) }], {}, /question q-0 has an empty prompt/);
  await run([{ ...first, samples: 0 }], {}, /question q-0 asks for 0 samples/);
  for (const concurrency of [0, -1, 1.5]) {
    await run([first], { concurrency }, /expected a concurrency of 1 or more/);
  }
  const { toolLimits } = rolloutOptions(tiny, { tool: null });
  for (const outputTokens of [-1, 0.5, Number.NaN]) {
    await run([first], { toolLimits: { ...toolLimits, outputTokens } }, /outputTokens to be 0 .* received/);
  }
  await run([first], { toolLimits: { ...toolLimits, outputSide: 'middle' } }, /received middle/);
  const nothing = await rollout([], rolloutOptions(tiny, { tool: null }));
  t.deepEqual(nothing.trajectories, []);
  t.is(nothing.stats.computed, 0);
});

test.after.always(() => model.dispose());
