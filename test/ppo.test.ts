/** PPO with a critic as whole runs: a model of its own and a head on the trunk, warm-up, checkpoints, resume to the bit. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { readLines } from '../lib/run/directory.ts';
import { type TrainOptions, train } from '../lib/train/train.ts';
import { checkpointBytes, folderWithBase, lengthReward, recordsOf, runConfig } from './support/runs.ts';

const { base, at } = await folderWithBase();

const ppo = [
  'sft.steps=0',
  'sft.warmup=0',
  'rl.advantage=gae',
  'rl.gamma=0.99',
  'rl.lambda=0.95',
  'rl.kl=none',
  'rl.kl_coef=0',
  'rl.group=2',
  'critic.warmup=1',
  'critic.lr=0.01',
  'eval.questions=0',
  'eval.every=0',
  'eval.without_tool=false',
];
const run = (name: string, critic: string, options: TrainOptions = {}) =>
  train(runConfig(base, at(name), [...ppo, `critic.model=${critic}`]), { reward: lengthReward, ...options });

for (const critic of ['own', 'trunk']) {
  test(`PPO with a critic (${critic}) warms up, trains, and resumes to the bit`, async (t) => {
    await run(`${critic}-whole`, critic);
    const metrics = readLines(join(at(`${critic}-whole`), 'metrics.jsonl'));
    const reports = metrics.map(({ critic: report }) => report as Record<string, number>);
    t.log(
      reports.map(
        (report) => `loss ${report.loss!.toFixed(4)}, explained ${report.explained_variance!.toFixed(2)}`,
      ),
    );
    t.is(reports.length, 4);
    t.true(reports.every((report) => report.loss! > 0 && report.grad_norm! > 0));
    t.deepEqual(
      metrics.map(({ updates }) => (updates as number) > 0),
      [false, true, true, true],
      'in the warm-up only the critic learns',
    );
    t.true(metrics.every(({ logprob_gap: gap }) => gap === 0));

    const controller = new AbortController();
    const stopped = await run(`${critic}-parts`, critic, {
      signal: controller.signal,
      onEvent: (event) => {
        if (event.kind === 'rl' && event.at.phaseStep === 2) controller.abort(new Error('stop'));
      },
    });
    t.true(stopped.interrupted);
    await run(`${critic}-parts`, critic, { mode: 'resume' });
    t.deepEqual(
      checkpointBytes(at(`${critic}-parts`), '000004'),
      checkpointBytes(at(`${critic}-whole`), '000004'),
    );
    t.deepEqual(recordsOf(at(`${critic}-parts`)), recordsOf(at(`${critic}-whole`)));
    const folder = join('checkpoints', '000004', ...(critic === 'own' ? ['critic'] : []));
    const [head, other] = ['parts', 'whole'].map((name) =>
      readFileSync(join(at(`${critic}-${name}`), folder, 'value_head.safetensors')),
    );
    t.deepEqual(head, other);
    t.is(existsSync(join(at(`${critic}-whole`), 'checkpoints', '000004', 'critic')), critic === 'own');
  });
}
