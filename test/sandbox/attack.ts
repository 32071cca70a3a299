/**
 * What an attack is: a hostile program, the layers that stop it, the layers without which it succeeds, and a judgement made
 * outside wherever something outside can show it. `running.ts` adds to every judgement what no program may do: print a
 * secret, change anything of the victim, leave a process, end as an infrastructure error, or break the next call.
 */
import { readFileSync } from 'node:fs';
import type { Tool, ToolRequest, ToolResult } from '../../lib/tools/tool.ts';
import type { LayerName, LevelName } from './levels.ts';
import type { Victim } from './victim.ts';

/** What came of an attack. */
export interface Outcome {
  succeeded: boolean;
  what: string;
}

/** What an attack gets. */
export interface Context {
  readonly level: LevelName;
  /** Whether a layer is switched off so that the attack is to succeed. */
  readonly control: boolean;
  readonly tool: Tool;
  readonly victim: Victim;
  /** A fresh directory outside of everything a program may see. */
  readonly directory: string;
  /** What `hit()` prints, random for every run. */
  readonly word: string;
  /** Name of the attacking process, random for every run. */
  readonly tag: string;
  /** Where the tool makes working directories. */
  readonly temporary: string;
  /** Runs prelude and program. Every result is judged by the general rules too. */
  run(body: string, changed?: Partial<ToolRequest>): Promise<ToolResult>;
  /** Runs a program as it is. */
  plain(code: string, changed?: Partial<ToolRequest>): Promise<ToolResult>;
  /** Whether result's output holds the word of `hit()`. */
  hit(...results: ToolResult[]): boolean;
}

/** One attack. */
export interface Attack {
  readonly number: number;
  readonly title: string;
  /** What stops it; each of them alone where several are named. */
  readonly layers: readonly (LayerName | 'supervisor')[];
  /** Switched off so that it succeeds. Empty with `control`. */
  readonly without: readonly LayerName[];
  /** Why no switch lets it succeed: `none: ...`. */
  readonly control?: `none: ${string}`;
  /** The control needs the superuser: the kernel itself refuses others. */
  readonly controlNeedsRoot?: boolean;
  /** Where it is known to succeed, and why; `docs/python-sandbox.md` says so too. */
  readonly exceptions?: readonly { level: LevelName; why: string }[];
  /** Runs alone: it measures time, or fills the machine. */
  readonly alone?: boolean;
  /** Fit for this processor or interpreter; a sentence when not. */
  readonly unfit?: (context: { machine: string }) => string | null;
  /** Infrastructure errors are what it judges itself. */
  readonly ownErrors?: boolean;
  run(context: Context): Promise<Outcome>;
}

const prelude = readFileSync(new URL('./prelude.py', import.meta.url), 'utf8');

/** The prelude with what `inserted` says, and the program. */
export const withPrelude = (inserted: object, body: string): string =>
  `${prelude.replace('INSERTED', () => JSON.stringify(JSON.stringify(inserted)))}\n${body}`;

const lastLine = (text: string): string => text.trimEnd().split('\n').at(-1)?.slice(0, 120) ?? '';

/** A result in a few words. */
export function brief(result: ToolResult): string {
  const ended = result.error ?? result.signal ?? (result.exitCode === 0 ? '' : `exit ${result.exitCode}`);
  return [result.status, ended, lastLine(result.output)].filter((part) => part !== '').join(', ');
}

/** Lines of a result with the word of `hit()`, without it. */
export function hits(context: Context, result: ToolResult): string[] {
  return `${result.stdout}\n${result.stderr}`
    .split('\n')
    .filter((line) => line.startsWith(context.word))
    .map((line) => line.slice(context.word.length).trim());
}

/** An attack that is one program: it succeeds when it prints the word, or by the general rules. */
export function program(body: string, changed: Partial<ToolRequest> = {}): Attack['run'] {
  return async (context) => {
    const result = await context.run(body, changed);
    const found = hits(context, result);
    const succeeded = found.length > 0;
    return { succeeded, what: succeeded ? found.join('; ').slice(0, 300) : brief(result) };
  };
}

/** Judges by what is wrong: nothing is good. */
export function judged(faults: readonly (string | false | null | undefined)[], otherwise: string): Outcome {
  const found = faults.filter((fault) => typeof fault === 'string' && fault !== '');
  return { succeeded: found.length > 0, what: found.length > 0 ? found.join('; ') : otherwise };
}
