/** `toolgrad eval <config.yaml> [key=value ...]`: held-out questions with the config's model, nothing trained. */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Command } from 'commander';
import { ToolgradError } from '../errors.ts';
import { evaluate } from '../eval/evaluate.ts';
import type { Config } from '../run/config.ts';
import { writeAtomically } from '../run/directory.ts';
import { evaluationRecord } from '../run/records.ts';
import { checkPrompts } from '../train/lengths.ts';
import { openSetup } from '../train/setup.ts';
import { duration, parameters } from '../view/format.ts';
import { evaluationTable, runView } from '../view/progress.ts';
import { interruptible } from './interrupt.ts';
import { readConfig } from './train.ts';

interface EvalFlags {
  out?: string;
  tool: boolean;
}

export function evalCommand(program: Command): void {
  program
    .command('eval')
    .description("answer the config's held-out questions and count what is right")
    .argument('<config>', 'YAML file')
    .argument(
      '[overrides...]',
      'key=value, for example model.path=runs/demo/checkpoints/000090 eval.questions=200',
    )
    .option('--out <file>', 'write every trajectory as JSON lines')
    .option('--no-tool', 'answer without the tool')
    .addHelpText(
      'after',
      '\nExample:\n  toolgrad eval runs/demo/config.yaml model.path=runs/demo/checkpoints/000090',
    )
    .action(async (path: string, overrides: string[], flags: EvalFlags) => {
      const config = readConfig(path, [...overrides, 'sft.steps=0', 'rl.steps=0']);
      if (config.eval.questions === 0) {
        throw new ToolgradError('ERR_USAGE', 'eval.questions is 0: expected held-out questions to ask');
      }
      if (flags.out !== undefined && !existsSync(dirname(flags.out))) {
        throw new ToolgradError('ERR_USAGE', `--out ${flags.out}: there is no folder ${dirname(flags.out)}`);
      }
      await interruptible('nothing is kept', (signal) => evaluateModel(config, flags, signal));
    });
}

async function evaluateModel(config: Config, flags: EvalFlags, signal: AbortSignal): Promise<void> {
  const setup = await openSetup(config, {}, undefined, false);
  const view = runView();
  try {
    checkPrompts(setup);
    const { model, plan, tokenizer } = setup;
    const { samples } = config.eval;
    const name = flags.tool ? 'with tool' : 'no tool';
    process.stdout.write(
      `model  ${config.model.path}: ${parameters(model.parameterCount)} parameters, ${model.dtype}\n` +
        `data   ${plan.heldout.length} held-out questions x ${samples}, ${name}\n`,
    );
    const evaluation = await evaluate(
      plan.heldout.map((question, index) => setup.prompt(question, index, 1, !flags.tool)),
      plan.tasks,
      {
        model,
        cache: setup.cache,
        tokenizer,
        format: setup.format,
        tool: flags.tool ? setup.tool : null,
        limits: setup.limits,
        toolLimits: setup.toolLimits,
        runSeed: BigInt(config.seed),
        sampling: { temperature: config.eval.temperature, topK: 0, topP: 1, minP: 0 },
        samples,
        signal,
        onProgress: (progress) => view.event({ kind: 'rollout', ...progress }),
      },
    );
    view.end();
    const lost = evaluation.lost > 0 ? `, ${evaluation.lost} attempts lost to failures of the tool` : '';
    process.stdout.write(
      `\n${evaluationTable([{ ...evaluation, name, step: 0 }])}\n\n${duration(evaluation.seconds)}${lost}\n`,
    );
    if (flags.out === undefined) return;
    const lines = evaluation.trajectories.map((item) => JSON.stringify(evaluationRecord(item, tokenizer)));
    writeAtomically(flags.out, `${lines.join('\n')}\n`);
  } finally {
    view.end();
    await setup.close();
  }
}
