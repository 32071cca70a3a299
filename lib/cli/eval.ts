/** `toolgrad eval <config.yaml> [key=value ...]`: held-out questions with the config's model, by one agent or several. */
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { ToolgradError } from '../errors.ts';
import { type AgentName, agentTitles } from '../eval/agents.ts';
import type { BehaviourRecord } from '../eval/behaviour.ts';
import type { ChatEndpoint } from '../eval/endpoint.ts';
import { evaluationStep } from '../eval/evaluate.ts';
import { judgeCalls } from '../eval/judge.ts';
import { type AgentReport, type AttemptRecord, report } from '../eval/report.ts';
import { type EvaluationSets, loadSets } from '../eval/sets.ts';
import { packageVersion } from '../package.ts';
import type { Config } from '../run/config.ts';
import { writeAtomically } from '../run/directory.ts';
import { checkPrompts } from '../train/lengths.ts';
import { openSetup } from '../train/setup.ts';
import { duration, parameters } from '../view/format.ts';
import { runView } from '../view/progress.ts';
import { behaviourTable, scoreTable } from '../view/scores.ts';
import { type GuideFlags, listOption, openAgents, readAgents, readEndpoint } from './agents.ts';
import { interruptible } from './interrupt.ts';
import { readConfig } from './train.ts';
import { unsafeOption, unsafeOverride } from './unsafe.ts';

interface EvalFlags extends GuideFlags {
  readonly unsafeSandbox?: boolean;
  readonly agent: readonly string[];
  readonly tool: boolean;
  readonly set: readonly string[];
  readonly samples?: string;
  readonly temperature?: string;
  readonly topP?: string;
  readonly topK?: string;
  readonly pass: readonly string[];
  readonly out?: string;
  readonly json?: boolean;
  readonly judge?: string;
  readonly judgeModel?: string;
}

export function evalCommand(program: Command): void {
  program
    .command('eval')
    .description("answer the config's held-out questions and count what is right")
    .argument('<config>', 'YAML file')
    .argument(
      '[overrides...]',
      'key=value, for example model.path=runs/demo/checkpoints/000090 tasks.heldout=aime24.jsonl',
    )
    .option('--agent <name>', 'text, code, agent or steer; several allowed (default: agent)', listOption, [])
    .option('--no-tool', 'answer without the tool; the same as --agent text')
    .option(
      '--set <name=path>',
      'a published set instead of the held-out questions: aime24=..., gpqa=..., math500=...; several allowed',
      listOption,
      [],
    )
    .option('--samples <k>', 'attempts per question (eval.samples)')
    .option('--temperature <t>', 'of sampling (eval.temperature)')
    .option('--top-p <p>', 'sample from the likeliest tokens that make up this share (eval.top_p)')
    .option('--top-k <k>', 'sample from the k likeliest tokens (eval.top_k)')
    .option('--pass <k>', 'report pass@k; several allowed (default: 2, 4, 8, ...)', listOption, [])
    .option(
      '--guide <who>',
      'guide of steer: self, a model, or the URL of an OpenAI-compatible endpoint',
      'self',
    )
    .option('--guide-model <name>', "the guide's name at that endpoint")
    .option('--judge <url>', 'endpoint that names what programs are for, instead of rules')
    .option('--judge-model <name>', "the judge's name at that endpoint")
    .option('--out <folder>', 'write eval.jsonl and summary.json there')
    .option('--json', 'print summary.json instead of tables')
    .option(...unsafeOption)
    .addHelpText(
      'after',
      '\nExample:\n  toolgrad eval runs/demo/config.yaml model.path=runs/demo/checkpoints/000090 --agent text,agent --samples 4 --temperature 0.6',
    )
    .action(async (path: string, overrides: string[], flags: EvalFlags) => {
      const config = readConfig(path, [
        ...overrides,
        ...unsafeOverride(flags),
        ...settings(flags),
        'sft.steps=0',
        'rl.steps=0',
      ]);
      const sets = flags.set.length === 0 ? null : await loadSets(flags.set);
      if (sets === null && config.eval.questions === 0) {
        throw new ToolgradError('ERR_USAGE', 'eval.questions is 0: expected held-out questions to ask');
      }
      checkOut(flags.out);
      const judge = flags.judge === undefined ? null : readEndpoint('judge', flags.judge, flags.judgeModel);
      const agents = chosenAgents(flags);
      const ks = flags.pass.map((text) => passCount(text, config.eval.samples));
      await interruptible('nothing is kept', (signal) =>
        evaluateModel(config, sets, agents, ks, judge, flags, signal),
      );
    });
}

/** The flags that stand for keys of the config. */
function settings({ samples, temperature, topP, topK, set }: EvalFlags): string[] {
  return [
    // The sets are all that is asked.
    ...(set.length === 0 ? [] : ['eval.questions=0', 'eval.every=0', 'eval.without_tool=false']),
    ...(samples === undefined ? [] : [`eval.samples=${samples}`]),
    ...(temperature === undefined ? [] : [`eval.temperature=${temperature}`]),
    ...(topP === undefined ? [] : [`eval.top_p=${topP}`]),
    ...(topK === undefined ? [] : [`eval.top_k=${topK}`]),
  ];
}

function chosenAgents({ agent, tool }: EvalFlags): AgentName[] {
  if (tool) return agent.length === 0 ? ['agent'] : readAgents(agent);
  if (agent.length === 0) return ['text'];
  throw new ToolgradError('ERR_USAGE', '--no-tool stands for --agent text: give one of them');
}

function passCount(text: string, samples: number): number {
  const k = Number(text);
  if (Number.isInteger(k) && k >= 1 && k <= samples) return k;
  throw new ToolgradError(
    'ERR_USAGE',
    `--pass: expected a number from 1 to the ${samples} attempts per question, found ${text}`,
  );
}

function checkOut(folder: string | undefined): void {
  if (folder === undefined) return;
  if (!existsSync(dirname(folder))) {
    throw new ToolgradError('ERR_USAGE', `--out ${folder}: there is no folder ${dirname(folder)}`);
  }
  if (existsSync(join(folder, 'summary.json'))) {
    throw new ToolgradError('ERR_USAGE', `--out ${folder}: it holds an evaluation; choose another folder`);
  }
}

async function evaluateModel(
  config: Config,
  sets: EvaluationSets | null,
  agents: readonly AgentName[],
  ks: readonly number[],
  judge: ChatEndpoint | null,
  flags: EvalFlags,
  signal: AbortSignal,
): Promise<void> {
  const setup = await openSetup(config, {}, undefined, false);
  const view = runView(flags.json === true ? process.stderr : process.stdout);
  const say = (text: string) => {
    if (flags.json !== true) process.stdout.write(text);
  };
  try {
    checkPrompts(setup);
    const { model, plan } = setup;
    const { questions, tasks } = sets ?? { questions: plan.heldout, tasks: plan.tasks };
    const { samples, temperature, top_p: topP, top_k: topK } = config.eval;
    say(
      `model  ${config.model.path}: ${parameters(model.parameterCount)} parameters, ${model.dtype}\n` +
        `data   ${questions.length} held-out questions x ${samples}, ${agents.map((name) => agentTitles[name]).join(', ')}\n`,
    );
    const { context, close } = await openAgents(setup, agents, flags);
    const reports: AgentReport[] = [];
    const records: AttemptRecord[] = [];
    try {
      for (const agent of agents) {
        const made = await report(
          agent,
          questions.map((question, index) => ({ question, index })),
          tasks,
          context,
          {
            sampling: { temperature, topK, topP, minP: 0 },
            samples,
            step: evaluationStep,
            seed: config.seed,
            ...(ks.length === 0 ? {} : { ks }),
            ...(judge === null
              ? {}
              : { judge: (asked: readonly BehaviourRecord[]) => judgeCalls(asked, judge, signal) }),
            signal,
            onProgress: (progress) => view.event({ kind: 'rollout', ...progress }),
          },
        );
        reports.push(made.report);
        if (flags.out !== undefined) records.push(...made.records);
      }
    } finally {
      close();
    }
    view.end();
    const summary = {
      toolgrad: packageVersion,
      model: config.model.path,
      format: config.format,
      seed: config.seed,
      samples,
      temperature,
      top_p: topP,
      top_k: topK,
      guide: context.guide?.describe ?? null,
      judge: judge?.describe ?? null,
      agents: reports,
    };
    const text = `${JSON.stringify(summary, null, 2)}\n`;
    if (flags.json === true) process.stdout.write(text);
    say(`\n${scoreTable(reports)}\n\n${behaviourTable(reports)}\n\n`);
    const lost = reports.reduce((sum, entry) => sum + entry.lost, 0);
    const seconds = reports.reduce((sum, entry) => sum + entry.seconds, 0);
    say(`${duration(seconds)}${lost > 0 ? `, ${lost} attempts lost to failures of the tool` : ''}\n`);
    if (flags.out === undefined) return;
    mkdirSync(flags.out, { recursive: true });
    writeAtomically(
      join(flags.out, 'eval.jsonl'),
      records.map((record) => `${JSON.stringify(record)}\n`).join(''),
    );
    writeAtomically(join(flags.out, 'summary.json'), text);
  } finally {
    view.end();
    await setup.close();
  }
}
