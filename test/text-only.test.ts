/** Runs without the tool: the text-only baseline, from its cold start to its evaluation. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { readLines } from '../lib/run/directory.ts';
import { parseConfig } from '../lib/run/yaml.ts';
import type { Tool } from '../lib/tools/tool.ts';
import { planQuestions } from '../lib/train/questions.ts';
import { train } from '../lib/train/train.ts';
import { lengthReward, runConfig, temporaryFolder, writeBase } from './support/runs.ts';

const temporary = temporaryFolder();
test.after.always(() => temporary.remove());
const textOnly = ['text_only=true', 'sft.code_share=0', 'eval.without_tool=false'];

test('a text_only run trains and evaluates without a call, on prompts and traces that ask for none', async (t) => {
  const base = join(temporary.path, 'base');
  const run = join(temporary.path, 'run');
  await writeBase(base);
  let calls = 0;
  const tool: Tool = {
    describe: 'a tool that nobody may call',
    run: () => {
      calls += 1;
      return Promise.reject(new Error('called'));
    },
    close: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const config = runConfig(base, run, [...textOnly, 'instruction=', 'rollout.total_tokens=300']);
  const prompts: string[] = [];
  const result = await train(config, {
    tool,
    reward: lengthReward,
    onStart: (setup) => {
      const [question] = setup.plan.heldout;
      prompts.push(setup.tokenizer.decode(setup.prompt(question!, 0, 1).ids));
      t.true(
        setup.plan.traces.every(({ turns }) => turns.every(({ toolOutput }) => toolOutput === undefined)),
      );
    },
  });
  t.regex(prompts[0]!, /without running any code/);
  t.is(calls, 0);
  t.deepEqual(
    result.evaluations.map(({ name, callShare }) => [name, callShare]),
    [
      ['before', 0],
      ['after SFT', 0],
      ['RL step 2', 0],
      ['after RL', 0],
    ],
  );
  let trajectories = 0;
  let asked = 0;
  for (const file of readdirSync(join(run, 'rollouts'))) {
    for (const record of readLines(join(run, 'rollouts', file))) {
      trajectories += 1;
      if (record.end === 'max_calls') asked += 1;
      t.deepEqual(record.calls, []);
    }
  }
  t.log(`${trajectories} trajectories, ${asked} ended by a call that was not run`);
  t.is(trajectories, 48);
});

test('what cannot be without the tool is refused', async (t) => {
  const least = 'text_only: true\nmodel: { path: m }\ntasks: { names: [gcd] }\n';
  const refused = (override: string, message: RegExp) =>
    t.regex(
      t.throws(() => parseConfig(least, 'run.yaml', [override]), { code: 'ERR_CONFIG' })!.message,
      message,
    );
  refused('sft.steps=1', /sft.code_share: a text_only run calls nothing.*set sft.code_share to 0/);
  refused('rl.unmask_tool=true', /rl.unmask_tool: there are no tokens of the tool/);
  refused('eval.without_tool=true', /eval.without_tool: every evaluation of a text_only run/);
  refused('eval.text_prefix=The', /eval.text_prefix: it begins the answers/);
  const config = parseConfig(least, 'run.yaml', [
    'tasks.traces=test/fixtures/text-only-traces.jsonl',
    'sft.steps=1',
  ]);
  await t.throwsAsync(planQuestions(config), {
    instanceOf: RangeError,
    message:
      'tasks.traces: the trace of "What is 6 * 7?" calls the tool, and text_only is set: give traces without calls',
  });
});
