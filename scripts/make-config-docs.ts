/**
 * Writes docs/config.md from the schema in lib/run/config.ts: every key with its type, default, limits and meaning. A test
 * compares the committed page with what this makes.
 *
 *   npx tsx scripts/make-config-docs.ts
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { packageRoot } from '../lib/package.ts';
import { configSchema } from '../lib/run/config.ts';

/** The parts of a JSON Schema that the config uses. */
interface Schema {
  readonly type?: string | readonly string[];
  readonly anyOf?: readonly Schema[];
  readonly const?: unknown;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly string[];
  readonly items?: Schema;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
}

const kSections: Readonly<Record<string, string>> = {
  model: 'The model to start from.',
  lora: 'Training an adapter over the frozen model instead of all weights (docs/lora.md).',
  tasks:
    'Where questions and traces come from. Files and procedural tasks may be mixed; a file wins over `names` for its part.',
  sft: 'The cold start: supervised fine-tuning on traces.',
  rl: 'Reinforcement learning: one rollout batch and its updates per step.',
  critic: 'The critic of PPO (`rl.advantage: gae`).',
  correction: 'What is done about tokens that older weights sampled.',
  rollout: 'Limits of one trajectory, and the memory for all of them.',
  tool: 'Limits of one Python call.',
  optim: 'AdamW, for both phases.',
  curriculum: 'Which of the training questions RL asks when ([curriculum.md](curriculum.md)).',
  eval: 'Held-out questions.',
  checkpoint: 'When to write checkpoints, and how many to keep.',
};

const kHead = `# Config

*Made by \`npx tsx scripts/make-config-docs.ts\` from \`lib/run/config.ts\`; do not edit.*

A config is a YAML file. Only \`model.path\`, something to learn from (\`tasks\`) and something to do (\`sft.steps\`, \`rl.steps\`) must
be given. On the command line \`section.key=value\` overrides a key; values are YAML: \`rl.steps=20 'tasks.names=[gcd, order]'\`.
An unknown key, a value of the wrong type or outside its limits, and a combination that cannot work stop the program before
anything is loaded, with line, column and the nearest known name. The resolved config is written to the run directory.
\`toolgrad train <config> --dry-run\` prints it with the memory plan and one tool call.

A config may lie upon another one: \`extends: r1ci\` takes a packaged preset (\`r1ci\`, \`retool\`, \`hermes\`, \`trl\`, \`verl\`; docs/recipes.md),
\`extends: ../base.yaml\` a file, relative to the one that names it; that one may extend another. Keys of the file win over what it extends,
arguments over both; sections are merged key by key, lists and single values replaced. An error names the file that the value came from, and
the resolved config has no \`extends\`.

Paths are relative to the working directory. A dash means that there is no default.
`;

const kTail = `
## Environment variables

| variable | meaning |
|---|---|
| \`TOOLGRAD_THREADS\` | engine threads where \`model.threads\` is 0 and for \`kernels.*\`; default: one per core. Changes no bit |
| \`TOOLGRAD_DEVICE\` | \`cpu\`, \`cuda\`, \`cuda:1\` or \`auto\`: where models lie when \`model.device\` is null; default \`cpu\` |
| \`TOOLGRAD_LIBCUDA\` | the CUDA driver library to load instead of \`libcuda.so.1\` |
| \`TOOLGRAD_CUDA_SYNC\` | \`1\`: wait for the GPU after each launch, so that an error names the kernel that caused it |
| \`TOOLGRAD_CUDA_GRAPHS\` | \`0\`: launch the kernels of a decoding step on a GPU one by one instead of replaying them as graphs; the bits are the same |
| \`TOOLGRAD_ISA\` | \`portable\`, \`avx2\`, \`avx512\` or \`avx512bf16\`: the kernel build, instead of the best that the processor runs |
| \`TOOLGRAD_DEBUG\` | set to anything: the command line prints the stack of an error |
| \`TOOLGRAD_PREBUILD\` | folder whose \`build/Release\` holds the addon to load, instead of the package's |
| \`TOOLGRAD_SANDBOX\` | folder with the \`toolgrad-sandbox\` and \`toolgrad-sandbox.so\` to use instead of the package's |
| \`NO_COLOR\` | no colours on a terminal |
`;

/** The page. Throws when a key has no meaning to print. */
export function configPage(): string {
  const schema = z.toJSONSchema(configSchema, { io: 'input' }) as Schema;
  const entries = Object.entries(schema.properties ?? {});
  const sections = entries.filter(([, value]) => value.properties !== undefined);
  const parts = [
    kHead,
    '## Top level\n',
    rows(
      '',
      entries.filter(([, value]) => value.properties === undefined),
    ),
  ];
  for (const [name, section] of sections) {
    const about = kSections[name];
    if (about === undefined)
      throw new Error(`scripts/make-config-docs.ts: section ${name} has no introduction`);
    parts.push(`\n## ${name}\n\n${about}\n`, rows(`${name}.`, Object.entries(section.properties ?? {})));
  }
  return `${parts.join('\n')}\n${kTail}`;
}

function rows(prefix: string, keys: readonly [string, Schema][]): string {
  const lines = keys.map(([key, schema]) => {
    if (schema.description === undefined)
      throw new Error(`lib/run/config.ts: ${prefix}${key} has no description`);
    const cells = [
      `\`${prefix}${key}\``,
      typeOf(schema),
      defaultOf(schema),
      limitsOf(schema),
      schema.description,
    ];
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  });
  return ['| key | type | default | limits | meaning |', '|---|---|---|---|---|', ...lines].join('\n');
}

function typeOf(schema: Schema): string {
  if (schema.enum !== undefined) return schema.enum.map((name) => `\`${name}\``).join(', ');
  if (schema.type === 'array') return `list of ${schema.items?.type}s`;
  if (schema.const !== undefined) return String(schema.const);
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeOf).join(' or ');
  return typeof schema.type === 'string' ? schema.type : (schema.type ?? []).join(' or ');
}

function defaultOf(schema: Schema): string {
  return schema.default === undefined ? '-' : `\`${JSON.stringify(schema.default)}\``;
}

function limitsOf({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: Schema): string {
  const limits: string[] = [];
  if (exclusiveMinimum !== undefined) limits.push(`> ${exclusiveMinimum}`);
  if (minimum !== undefined) limits.push(`≥ ${minimum}`);
  if (maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER) limits.push(`≤ ${maximum}`);
  if (exclusiveMaximum !== undefined) limits.push(`< ${exclusiveMaximum}`);
  return limits.join(', ');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(join(packageRoot, 'docs', 'config.md'), configPage());
}
