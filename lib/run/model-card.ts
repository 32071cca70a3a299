/** README.md of a run directory: a draft of a model card, from what the run knows. Written anew whenever the run ends. */
import { packageVersion } from '../package.ts';
import type { Config } from './config.ts';

export interface CardEvaluation {
  readonly name: string;
  readonly step: number;
  readonly accuracy: number;
  readonly callShare: number;
  readonly questions: number;
}

/** What the card says besides the config. */
export interface CardFacts {
  /** Folder of the last checkpoint, relative to the run directory; null when there is none yet. */
  readonly checkpoint: string | null;
  readonly evaluations: readonly CardEvaluation[];
  readonly stepsDone: number;
  readonly interrupted: boolean;
}

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

/** The card as Markdown, with the front matter that model hubs read. */
export function modelCard(config: Config, facts: CardFacts): string {
  const { model, lora, tasks, sft, rl, format, rollout, eval: evaluation } = config;
  const adapted = lora.rank > 0;
  const steps = sft.steps + rl.steps;
  const sources = [...tasks.names, ...[tasks.train, tasks.traces].filter((file) => file !== null)];
  const lines = [
    '---',
    `library_name: ${adapted ? 'peft' : 'transformers'}`,
    'tags: [toolgrad, tool-use, code-interpreter, reinforcement-learning]',
    `base_model: ${JSON.stringify(model.path)}`,
    '---',
    '',
    `# ${config.run.split('/').at(-1)}`,
    '',
    `A draft, made by toolgrad ${packageVersion}. Fill in licence, intended use and what you know of the data.`,
    '',
    `* **Base model**: \`${model.path}\`, ${adapted ? `frozen in ${model.dtype}` : `trained in ${model.dtype} with float32 masters`}`,
    ...(adapted
      ? [
          `* **LoRA**: rank ${lora.rank}, alpha ${lora.alpha}${lora.rslora ? ' (rslora)' : ''}, targets ${lora.targets.join(', ')}`,
        ]
      : []),
    `* **Data**: ${sources.length === 0 ? 'tasks of the program that ran it' : sources.map((name) => `\`${name}\``).join(', ')}`,
    `* **Cold start**: ${sft.steps === 0 ? 'none' : `${sft.steps} steps of ${sft.batch} traces, peak lr ${sft.lr}`}`,
    `* **Reinforcement learning**: ${
      rl.steps === 0
        ? 'none'
        : `${rl.steps} steps of ${rl.prompts} questions x ${rl.group} rollouts; advantage ${rl.advantage}, loss ${rl.loss}, ` +
          `${rl.reduction}, reward ${rl.reward}, KL ${rl.kl === 'none' ? 'none' : `${rl.kl} x ${rl.kl_coef}`}, lr ${rl.lr}`
    }`,
    `* **Tool**: Python, format ${format}, at most ${rollout.max_calls} calls and ${rollout.total_tokens} tokens a trajectory`,
    `* **Seed**: ${config.seed}; everything else is in [config.yaml](config.yaml) and [env.json](env.json)`,
  ];
  if (facts.stepsDone < steps || facts.interrupted)
    lines.push(`* **Not finished**: ${facts.stepsDone} of ${steps} steps are done`);
  lines.push('', '## Evaluation', '');
  if (facts.evaluations.length === 0) {
    lines.push('None was made.');
  } else {
    const how = evaluation.temperature === 0 ? 'greedy' : `temperature ${evaluation.temperature}`;
    lines.push(
      `Held-out questions, ${evaluation.samples} attempt${evaluation.samples === 1 ? '' : 's'} each, ${how}. One run: the spread over seeds is not known from it.`,
      '',
      '| | step | questions | right | call Python |',
      '|---|---|---|---|---|',
      ...facts.evaluations.map(
        (e) =>
          `| ${e.name} | ${e.step} | ${e.questions} | ${percent(e.accuracy)} | ${percent(e.callShare)} |`,
      ),
    );
  }
  lines.push('', '## How to load', '');
  if (facts.checkpoint === null) {
    lines.push('There is no checkpoint yet.');
  } else {
    lines.push(
      '```python',
      ...(adapted
        ? [
            'from peft import AutoPeftModelForCausalLM',
            'from transformers import AutoTokenizer',
            '',
            `model = AutoPeftModelForCausalLM.from_pretrained("${facts.checkpoint}")`,
          ]
        : [
            'from transformers import AutoModelForCausalLM, AutoTokenizer',
            '',
            `model = AutoModelForCausalLM.from_pretrained("${facts.checkpoint}")`,
          ]),
      `tokenizer = AutoTokenizer.from_pretrained("${facts.checkpoint}")`,
      '```',
      '',
      `Or \`npx toolgrad chat ${facts.checkpoint}\` here.`,
    );
  }
  lines.push(
    '',
    '## Limits',
    '',
    `The model expects the prompts of the format \`${format}\` and a program that runs what it writes. It was rewarded for right answers to`,
    'questions of the kind above; nothing here says how it does elsewhere. Programs it writes must run in a sandbox.',
    '',
  );
  return lines.join('\n');
}
