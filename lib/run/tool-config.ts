/** The part of the configuration (`config.ts`) that says how programs are run. */
import { z } from 'zod';

const count = z.int().min(1);
const countOrNone = z.int().min(0);
const httpAddress = z.url({ protocol: /^https?$/, error: 'Expected an http(s) address' });

export const toolSchema = z
  .strictObject({
    seconds: z.number().min(0.001).max(86_400).default(5).describe('processor time of a call'),
    wall_seconds: z
      .union([z.literal(0), z.number().min(0.001).max(86_400)])
      .default(0)
      .describe('wall clock of a call; 0 = three times seconds'),
    session: z
      .enum(['none', 'trajectory'])
      .default('none')
      .describe('fresh interpreter for each call, or one for each trajectory, which keeps its variables'),
    memory_mb: z.int().min(64).default(512).describe('memory of a process in MiB'),
    output_characters: count.default(2000).describe('output shown to the model'),
    output_tokens: z
      .union([z.literal(0), z.int().min(16)])
      .default(0)
      .describe('the same in tokens; 0 = no limit of its own'),
    output_side: z
      .enum(['both', 'head', 'tail'])
      .default('both')
      .describe('what is kept of an output that is too long: both ends, or one'),
    output_mb: count.max(64).default(1).describe('output kept at all, in MiB'),
    file_mb: count.default(16).describe('size of all files of a program in MiB'),
    workers: countOrNone.max(1024).default(0).describe('calls at once; 0 = one per core, or what url says'),
    python: z.string().nullable().default(null).describe('interpreter; default: python3 on PATH'),
    unsafe: z
      .boolean()
      .default(false)
      .describe(
        'run programs even where the sandbox does not hold (--unsafe-sandbox); docs/python-sandbox.md',
      ),
    url: httpAddress.nullable().default(null).describe('SandboxFusion service to run programs at'),
  })
  .prefault({});
