/** `toolgrad curriculum <config.yaml> [key=value ...]`: rate the training questions by attempts of several agents, into a file. */
import { appendFileSync, existsSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Command } from 'commander';
import { ToolgradError } from '../errors.ts';
import { type AgentName, agentNames, agentTitles, attempts } from '../eval/agents.ts';
import type { AgentContext, IndexedQuestion } from '../eval/attempt.ts';
import { judged } from '../eval/evaluate.ts';
import type { Config } from '../run/config.ts';
import { readLines, writeAtomically } from '../run/directory.ts';
import type { Task } from '../tasks/task.ts';
import { groupSizes, loadRatings, type Rating, rate, type Tally } from '../train/curriculum.ts';
import { openSetup } from '../train/setup.ts';
import { duration, parameters, percent, table } from '../view/format.ts';
import { type RunView, runView } from '../view/progress.ts';
import { type GuideFlags, listOption, openAgents, readAgents } from './agents.ts';
import { interruptible } from './interrupt.ts';
import { readConfig } from './train.ts';
import { unsafeOption, unsafeOverride } from './unsafe.ts';

interface CurriculumFlags extends GuideFlags {
  readonly unsafeSandbox?: boolean;
  readonly agent: readonly string[];
  readonly temperatures: string;
  readonly questions?: string;
  readonly out: string;
  readonly resume?: boolean;
}

/** Keys the random numbers of ratings; agents and samples count down from it, and steered turns below each. */
const kRatingStep = 0xfffe_0000;
const kStepsPerSample = 1024;
/** Questions between two writes of the file. */
const kChunk = 64;

export function curriculumCommand(program: Command): void {
  program
    .command('curriculum')
    .description('rate the training questions by attempts of several agents, for curriculum.file')
    .argument('<config>', 'YAML file of the run that is to use it')
    .argument('[overrides...]', 'key=value, for example model.path=runs/first/checkpoints/000080')
    .requiredOption('--out <file>', 'JSON lines: every question with its counts, potential and group')
    .option(
      '--agent <name>',
      'text, code, agent or steer; several allowed (default: all four)',
      listOption,
      [],
    )
    .option(
      '--temperatures <list>',
      'one attempt by each agent at each of these temperatures',
      '0.6,0.7,0.8,0.9,1',
    )
    .option('--questions <n>', 'only the first n training questions')
    .option(
      '--guide <who>',
      'guide of steer: self, a model, or the URL of an OpenAI-compatible endpoint',
      'self',
    )
    .option('--guide-model <name>', "the guide's name at that endpoint")
    .option('--resume', 'go on with a file that was not finished')
    .option(...unsafeOption)
    .addHelpText(
      'after',
      '\nExample:\n  toolgrad curriculum first.yaml model.path=runs/first/checkpoints/000080 --out curriculum.jsonl',
    )
    .action(async (path: string, overrides: string[], flags: CurriculumFlags) => {
      const config = readConfig(path, [
        ...overrides,
        ...unsafeOverride(flags),
        'curriculum.file=null',
        'curriculum.order=potential',
      ]);
      if (config.rl.steps === 0) {
        throw new ToolgradError('ERR_USAGE', 'rl.steps is 0: expected training questions to rate');
      }
      const agents = flags.agent.length === 0 ? agentNames : readAgents(flags.agent);
      const temperatures = readTemperatures(flags.temperatures);
      checkOut(flags);
      await interruptible('the questions rated so far are kept (--resume goes on)', (signal) =>
        rateQuestions(config, agents, temperatures, flags, signal),
      );
    });
}

function readTemperatures(text: string): number[] {
  return text.split(',').map((item) => {
    const value = Number(item);
    if (item.trim() !== '' && value >= 0 && Number.isFinite(value)) return value;
    throw new ToolgradError('ERR_USAGE', `--temperatures: expected numbers of 0 or more, found ${text}`);
  });
}

function checkOut({ out, resume }: CurriculumFlags): void {
  if (!existsSync(dirname(out))) {
    throw new ToolgradError('ERR_USAGE', `--out ${out}: there is no folder ${dirname(out)}`);
  }
  if (existsSync(out) && resume !== true) {
    throw new ToolgradError('ERR_USAGE', `--out ${out} is there already: add --resume to go on with it`);
  }
}

async function rateQuestions(
  config: Config,
  agents: readonly AgentName[],
  temperatures: readonly number[],
  flags: CurriculumFlags,
  signal: AbortSignal,
): Promise<void> {
  const started = performance.now();
  const setup = await openSetup(config, {}, undefined, false);
  const view = runView();
  try {
    const { plan, model } = setup;
    const questions = chosen(plan.pool, flags.questions).map((question, index) => ({ question, index }));
    process.stdout.write(
      `model  ${config.model.path}: ${parameters(model.parameterCount)} parameters, ${model.dtype}\n` +
        `data   ${questions.length} training questions x ${agents.length * temperatures.length}: ` +
        `${agents.map((name) => agentTitles[name]).join(', ')} at temperatures ${temperatures.join(', ')}\n`,
    );
    const done = startFile(flags.out);
    const { context, close } = await openAgents(setup, agents, flags);
    try {
      const left = questions.filter(({ question }) => !done.has(question.id));
      for (let from = 0; from < left.length; from += kChunk) {
        const chunk = left.slice(from, from + kChunk);
        const rated = await rateChunk(chunk, plan.tasks, agents, temperatures, context, view, signal);
        appendFileSync(flags.out, rated.map((rating) => `${JSON.stringify(rating)}\n`).join(''));
        view.end();
        process.stdout.write(
          `${questions.length - left.length + from + chunk.length}/${questions.length} questions\n`,
        );
      }
    } finally {
      close();
    }
    view.end();
    const ratings = loadRatings(flags.out);
    process.stdout.write(`\n${groupTable(ratings)}\n\n`);
    const missing = questions.length - ratings.length;
    if (missing > 0) {
      process.stdout.write(`${missing} questions are not in the file: the tool failed at every attempt\n`);
    }
    process.stdout.write(`${flags.out}: ${duration((performance.now() - started) / 1000)}\n`);
  } finally {
    view.end();
    await setup.close();
  }
}

function chosen<T>(pool: readonly T[], count: string | undefined): readonly T[] {
  if (count === undefined) return pool;
  const wanted = Number(count);
  if (Number.isInteger(wanted) && wanted >= 1 && wanted <= pool.length) return pool.slice(0, wanted);
  throw new ToolgradError(
    'ERR_USAGE',
    `--questions: expected a number from 1 to the ${pool.length} training questions, found ${count}`,
  );
}

/** The ids that an unfinished file holds; a last line that was cut off is removed. */
function startFile(path: string): Set<string> {
  if (!existsSync(path)) {
    writeFileSync(path, '');
    return new Set();
  }
  const lines = readLines(path);
  writeAtomically(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  return new Set(lines.length === 0 ? [] : loadRatings(path).map(({ question }) => question.id));
}

async function rateChunk(
  questions: readonly IndexedQuestion[],
  tasks: ReadonlyMap<string, Task>,
  agents: readonly AgentName[],
  temperatures: readonly number[],
  context: AgentContext,
  view: RunView,
  signal: AbortSignal,
): Promise<Rating[]> {
  const tallies = new Map(questions.map(({ index }) => [index, {} as Record<string, Tally>]));
  for (const agent of agents) {
    for (const [sample, temperature] of temperatures.entries()) {
      const place = agentNames.indexOf(agent) * temperatures.length + sample;
      const made = await attempts(agent, questions, context, {
        sampling: { temperature, topK: 0, topP: 1, minP: 0 },
        samples: 1,
        step: kRatingStep - place * kStepsPerSample,
        signal,
        onProgress: (progress) => view.event({ kind: 'rollout', ...progress }),
      });
      for (const { trajectory } of made) {
        if (trajectory.end === 'infrastructure') continue;
        const byAgent = tallies.get(trajectory.prompt)!;
        const { attempts: before, right } = byAgent[agent] ?? { attempts: 0, right: 0 };
        const { correct } = judged(trajectory, tasks);
        byAgent[agent] = { attempts: before + 1, right: right + (correct ? 1 : 0) };
      }
    }
  }
  return questions.flatMap(({ question, index }) => {
    const byAgent = tallies.get(index)!;
    return Object.keys(byAgent).length === 0 ? [] : [rate(question, byAgent)];
  });
}

/** Groups with their sizes and accuracies, and what each agent had right. */
function groupTable(ratings: readonly Rating[]): string {
  const agents = agentNames.filter((name) => ratings.some((rating) => name in rating.agents));
  const share = (tallies: readonly (Tally | undefined)[]) => {
    const known = tallies.filter((tally) => tally !== undefined);
    const made = known.reduce((sum, { attempts }) => sum + attempts, 0);
    return made === 0 ? '-' : percent(known.reduce((sum, { right }) => sum + right, 0) / made);
  };
  const row = (title: string, members: readonly Rating[]) => [
    title,
    String(members.length),
    share(members),
    ...agents.map((name) => share(members.map((rating) => rating.agents[name]))),
  ];
  return table(
    ['group', 'questions', 'right', ...agents.map((name) => agentTitles[name])],
    [
      ...groupSizes(ratings).map((_, i) =>
        row(
          String(i + 1),
          ratings.filter(({ group }) => group === i + 1),
        ),
      ),
      row('all', ratings),
    ],
  );
}
