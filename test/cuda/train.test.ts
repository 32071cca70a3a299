/** A whole run on the GPU that TOOLGRAD_LIBCUDA names: cold start, GRPO with real Python, evaluation, files. */
import { join } from 'node:path';
import { loadModel } from '../../lib/model/model.ts';
import { readLines } from '../../lib/run/directory.ts';
import { train } from '../../lib/train/train.ts';
import { onGpu } from '../support/cuda.ts';
import { checkpointBytes, folderWithBase, lengthReward, recordsOf, runConfig } from '../support/runs.ts';

onGpu('a whole run trains on a GPU; interrupted and resumed it has the same bits', async (t) => {
  const { base, at } = await folderWithBase();
  const short = [
    'model.device=cuda',
    'sft.steps=2',
    'sft.warmup=1',
    'rl.steps=3',
    'rl.prompts=2',
    'eval.questions=2',
  ];
  const config = (name: string) => runConfig(base, at(name), short);
  const options = { reward: lengthReward };
  const whole = await train(config('whole'), options);
  t.false(whole.interrupted);
  const steps = readLines(join(at('whole'), 'metrics.jsonl')).filter(({ kind }) => kind === 'rl');
  t.is(steps.length, 3);
  for (const { logprob_gap: gap } of steps) t.is(gap, 0);
  t.true(
    steps.some(({ calls_per_trajectory: calls }) => Number(calls) > 0),
    'the tool was called',
  );

  const controller = new AbortController();
  const first = await train(config('parts'), {
    ...options,
    signal: controller.signal,
    onEvent: (event) => {
      if (event.kind === 'rl') controller.abort(new Error('stop'));
    },
  });
  t.true(first.interrupted);
  const second = await train(config('parts'), { ...options, mode: 'resume' });
  t.false(second.interrupted);
  t.deepEqual(recordsOf(at('parts')), recordsOf(at('whole')));
  t.deepEqual(checkpointBytes(at('parts'), '000005'), checkpointBytes(at('whole'), '000005'));
  using onCpu = await loadModel(whole.checkpoint!);
  t.true(onCpu.parameterCount > 0, 'what a GPU trained, a CPU loads');
});
