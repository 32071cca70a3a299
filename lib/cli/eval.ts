/** `toolgrad eval <config.yaml> [key=value ...]`: held-out questions with the config's model, nothing trained. */
import type { Command } from 'commander';
import { evaluate } from '../eval/evaluate.ts';
import { writeAtomically } from '../run/directory.ts';
import { evaluationRecord } from '../run/records.ts';
import { openSetup } from '../train/setup.ts';
import { bytes, duration } from '../view/format.ts';
import { evaluationTable } from '../view/progress.ts';
import { interruptible } from './interrupt.ts';
import { readConfig } from './train.ts';

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
      '\nExample:\n  toolgrad eval examples/demo.yaml model.path=runs/demo/checkpoints/000090',
    )
    .action(async (path: string, overrides: string[], flags: { out?: string; tool: boolean }) => {
      const config = readConfig(path, [...overrides, 'sft.steps=0', 'rl.steps=0']);
      const setup = await openSetup(config, {}, undefined, false);
      try {
        const evaluation = await interruptible((signal) =>
          evaluate(
            setup.plan.heldout.map((question, index) => setup.prompt(question, index, 1, !flags.tool)),
            setup.plan.tasks,
            {
              model: setup.model,
              cache: setup.cache,
              tokenizer: setup.tokenizer,
              format: setup.format,
              tool: flags.tool ? setup.tool : null,
              limits: setup.limits,
              toolLimits: setup.toolLimits,
              runSeed: BigInt(config.seed),
              sampling: { temperature: config.eval.temperature, topK: 0, topP: 1, minP: 0 },
              samples: config.eval.samples,
              signal,
            },
          ),
        );
        const name = flags.tool ? 'with tool' : 'no tool';
        process.stdout.write(`${evaluationTable([{ ...evaluation, name, step: 0 }])}\n`);
        process.stdout.write(
          `${evaluation.questions} questions x ${evaluation.samples}, ${duration(evaluation.seconds)}, resident ${bytes(process.memoryUsage().rss)}\n`,
        );
        if (evaluation.lost > 0)
          process.stdout.write(`${evaluation.lost} attempts were lost to tool failures\n`);
        if (flags.out !== undefined) {
          const lines = evaluation.trajectories.map((item) =>
            JSON.stringify(evaluationRecord(item, setup.tokenizer)),
          );
          writeAtomically(flags.out, `${lines.join('\n')}\n`);
        }
      } finally {
        await setup.close();
      }
    });
}
