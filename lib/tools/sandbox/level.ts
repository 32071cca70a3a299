/**
 * What the sandbox keeps programs from on this machine, found by attacking it: a program that tries what no program may do runs at every
 * start (`sandbox/canaries.py`), and a layer counts only if what it alone stops was stopped. Nothing is believed because it was asked for.
 */
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../../package.ts';
import type { ResultFrame, RunFrame } from './frames.ts';
import { type Layer, layerNames } from './supervisor.ts';

export interface LayerState {
  readonly layer: Layer;
  readonly works: boolean;
  /** What showed it, or why it is not there. */
  readonly why: string;
}

/** The isolation of a tool, as verified. */
export interface SandboxLevel {
  /** The layers that work, joined by `+`; `none`. */
  readonly name: string;
  readonly layers: readonly LayerState[];
  /** Whether a control group bounds memory and processes of all programs together; no level depends on it. */
  readonly cgroup: { readonly works: boolean; readonly why: string };
  /** seccomp, rlimits and at least one of Landlock and namespaces. */
  readonly safe: boolean;
  /** What programs can do all the same, in words. */
  readonly weaknesses: readonly string[];
}

/** Begins every line that a run without a sandbox that holds prints and logs. */
export const unsafeMark = 'UNSAFE SANDBOX';

const everywhere = [
  'programs share the kernel of this machine: a hole in it is a way out',
  'timing of caches and processors can be observed between programs that run at the same time',
];
const withoutNamespaces = [
  'programs can ask whether a path exists and read its metadata (stat)',
  'programs see the process list only by number, and share the user id of the programs beside them',
  'files are counted by looking every 50 ms, so a program may write more than its quota for that long',
];

export function levelOf(
  layers: readonly LayerState[],
  cgroup: SandboxLevel['cgroup'] = { works: false, why: 'not asked for' },
): SandboxLevel {
  const works = (name: Layer) => layers.some(({ layer, works }) => layer === name && works);
  const names = layerNames.filter(works);
  const safe = works('seccomp') && works('rlimits') && (works('landlock') || works('namespaces'));
  const unsafe = 'UNSAFE: a hostile program is not kept from this machine';
  return {
    name: names.length === 0 ? 'none' : names.join('+'),
    layers,
    cgroup,
    safe,
    weaknesses: [
      ...(safe ? [] : [unsafe]),
      ...(works('namespaces') ? [] : withoutNamespaces),
      ...(works('landlock') ? [] : ['one layer less guards the files: Landlock is missing']),
      ...everywhere,
    ],
  };
}

const memoryBytes = 2 ** 28;
const fileBytes = 2 ** 20;

type Outcomes = Readonly<Record<string, string>>;

/** Which outcomes a layer must show. */
function verdicts(got: Outcomes, planned: ReadonlyMap<Layer, string>): LayerState[] {
  const among =
    (...allowed: string[]) =>
    (name: string) =>
      allowed.includes(got[name] ?? 'no answer');
  const checks: Record<Layer, [name: string, fine: (name: string) => boolean][]> = {
    // Only a view without the file makes it absent: Landlock does not govern stat.
    namespaces: [
      ['stat', among('ENOENT')],
      ['pid', among('alone')],
    ],
    landlock: [[planned.get('namespaces') === undefined ? 'hidden' : 'read', among('EACCES')]],
    seccomp: ['tcp', 'abstract', 'fork', 'exec', 'ptrace', 'sharedMemory', 'signal', 'signalParent'].map(
      (name) => [name, among('EPERM')],
    ),
    rlimits: [
      ['memory', among('MemoryError')],
      ['raise', among('ValueError', 'EPERM')],
      ['bigFile', among('EFBIG')],
    ],
  };
  return layerNames.map((layer) => {
    const missing = planned.get(layer);
    if (missing !== undefined) return { layer, works: false, why: missing };
    const bad = checks[layer].filter(([name, fine]) => !fine(name));
    const shown = (list: [string, unknown][]) =>
      list.map(([name]) => `${name}: ${got[name] ?? 'no answer'}`).join(', ');
    return bad.length === 0
      ? { layer, works: true, why: shown(checks[layer]) }
      : { layer, works: false, why: `attacks were not stopped as expected (${shown(bad)})` };
  });
}

/** What a supervisor can do for {@link verifyLevel}. */
export type RunOnce = (run: Partial<RunFrame> & { code: string }) => Promise<ResultFrame>;

function listen(server: Server, where: { port: number; host: string } | { path: string }): Promise<void> {
  return new Promise((done, failed) => {
    server.once('error', failed);
    server.listen(where, () => done());
    server.unref();
  });
}

/**
 * Attacks a running sandbox and says which layers stop what they must. `planned` maps the layers that are off to the reason.
 * @throws {Error} if the program of the attacks cannot be run at all, or the attacks left a mark.
 */
export async function verifyLevel(
  run: RunOnce,
  planned: ReadonlyMap<Layer, string>,
  cgroup: SandboxLevel['cgroup'],
): Promise<SandboxLevel> {
  const folder = mkdtempSync(join(tmpdir(), 'toolgrad-canary-'));
  chmodSync(folder, 0o755); // so that nothing but the sandbox keeps a stranger out
  let connections = 0;
  const count = () => {
    connections += 1;
  };
  const [tcp, abstract] = [createServer(count), createServer(count)];
  const token = randomBytes(16).toString('hex');
  try {
    const [secret, victim] = [join(folder, 'secret'), join(folder, 'victim')];
    writeFileSync(secret, token, { mode: 0o644 });
    writeFileSync(victim, token, { mode: 0o666 });
    const abstractName = `toolgrad-canary-${token}`;
    await listen(tcp, { port: 0, host: '127.0.0.1' });
    await listen(abstract, { path: `\0${abstractName}` });
    const address = tcp.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const settings = { secret, victim, trainer: process.pid, port, abstract: abstractName, token };
    const source = readFileSync(join(packageRoot, 'sandbox', 'canaries.py'), 'utf8');
    process.env.TOOLGRAD_CANARY = token;
    const result = await run({
      code: `arguments = ${JSON.stringify({ ...settings, memory: 2 * memoryBytes, file: 2 * fileBytes })}\n${source}`,
      ...{ memoryBytes, fileBytes },
    });
    const lines = Buffer.from(result.stdout.head).toString('utf8').trim().split('\n');
    if (result.cause === 'failed') throw new Error(result.error);
    if (lines[0]?.startsWith('{') !== true) {
      const errors = Buffer.from(result.stderr.head).toString('utf8').slice(-1000);
      throw new Error(`the first program ended as ${result.cause}, wait status ${result.status}: ${errors}`);
    }
    const outcomes = Object.assign({}, ...lines.map((line) => JSON.parse(line))) as Outcomes;
    const layers = verdicts(outcomes, planned);
    const level = levelOf(layers, cgroup);
    const marks = [
      ...(readFileSync(victim, 'utf8') === token ? [] : ['a file was overwritten']),
      ...(connections === 0 ? [] : [`${connections} connections were made`]),
      ...(outcomes.read === 'done' ? ['a file was read'] : []),
      ...(outcomes.environ === 'done' ? ["the trainer's environment was read"] : []),
      ...(outcomes.token === 'done' ? ["a variable of the trainer's environment was passed on"] : []),
    ];
    if (!level.safe || marks.length === 0) return level;
    const broken = layers.map((state) => ({ ...state, works: false, why: marks.join('; ') }));
    return levelOf(broken, cgroup);
  } finally {
    delete process.env.TOOLGRAD_CANARY;
    for (const server of [tcp, abstract]) server.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The level in lines for `doctor` and errors. */
export function describeLayers(level: SandboxLevel): string[] {
  const cgroup = { layer: 'cgroup', ...level.cgroup };
  return [...level.layers, cgroup].map(
    ({ layer, works, why }) =>
      `${works ? 'yes' : layer === 'cgroup' ? 'no ' : 'NO '}  ${layer.padEnd(10)}  ${why}`,
  );
}
