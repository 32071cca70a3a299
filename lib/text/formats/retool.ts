/**
 * ReTool's format: `<code>` around a python fence calls the interpreter, `<interpreter>` brings its output,
 * `<answer>\boxed{...}</answer>` is the answer.
 *
 * A turn ends at `</code>` or at the end-of-turn token. As in ReTool's own evaluation the script is what follows the last
 * python fence of the block, up to the closing fence (or `</code>` where that is missing); earlier scripts of the block count
 * as repeated and are not run. Text inside `<code>` holds no answers.
 */
import {
  lastBoxed,
  lastEnclosed,
  markerScanner,
  nonEmpty,
  type ParseEvent,
  type ToolFormat,
  type TurnParser,
  turnIsOver,
  wholeLines,
} from './format.ts';

/** ReTool's design of the prompt, in our words; the question and a reminder of the answer's form follow. */
export const retoolInstruction: string = [
  'Solve the problem below step by step. Where it helps, you may write executable Python code to support your reasoning.',
  'The code is run by an external sandbox, and what it prints comes back as <interpreter>output</interpreter>, for you to go on from.',
  'Each piece of code must be a complete script with its imports, must print its result, and is written as',
  '<code>',
  '```python',
  '# your script',
  '```',
  '</code>',
  'The last part of your response must be',
  '<answer>',
  '\\boxed{the final answer}',
  '</answer>',
  '',
  '*user question:*',
  '',
].join('\n');

/** The same task without the tool. */
export const retoolTextInstruction: string = [
  'Solve the problem below step by step, without running any code. The last part of your response must be',
  '<answer>',
  '\\boxed{the final answer}',
  '</answer>',
  '',
  '*user question:*',
  '',
].join('\n');

const kReminder = '\n\nRemember to put the final answer as \\boxed{...} between <answer> and </answer>.';
const kOpen = '<code>';
const kClose = '</code>';
const kTags = /<code>|<\/code>/g;
const kCloseTag = /<\/code>/g;
const kFence = '```';
const kPythonFence = /```python[ \t]*\r?\n/g;

export const retool: ToolFormat = {
  name: 'retool',
  stopStrings: [kClose],
  callEndsTurn: false,
  messages(question, { textOnly = false, instruction } = {}) {
    if (instruction !== undefined) return [{ role: 'user', content: instruction + question }];
    const head = textOnly ? retoolTextInstruction : retoolInstruction;
    return [{ role: 'user', content: head + question + kReminder }];
  },
  parser: () => retoolParser(),
  toolText: ({ output }) => [
    { text: `\n<interpreter>\n${wholeLines(output)}</interpreter>\n\n`, origin: 'tool' },
  ],
  answer: (text) => boxedAnswer(outsideCode(text)),
};

function boxedAnswer(prose: string): string | null {
  const block = lastEnclosed(prose, '<answer>', '</answer>');
  return block === null ? null : nonEmpty(lastBoxed(block));
}

function retoolParser(): TurnParser {
  const scanner = markerScanner();
  const prose: string[] = [];
  const block: string[] = [];
  let state: 'prose' | 'code' | 'over' = 'prose';
  let trailing = 0;
  const over = (event: ParseEvent): ParseEvent => {
    state = 'over';
    return event;
  };
  return {
    get trailing() {
      return trailing;
    },
    push(text) {
      if (state === 'over') turnIsOver();
      scanner.push(text);
      if (state === 'prose') {
        const tag = scanner.next(kTags, kClose.length, (passed) => prose.push(passed));
        if (tag === null) return null;
        if (tag === kClose) {
          trailing = scanner.rest().length;
          return over({ kind: 'malformed', reason: '</code> without <code>' });
        }
        state = 'code';
      }
      if (scanner.next(kCloseTag, kClose.length, (passed) => block.push(passed)) === null) return null;
      trailing = scanner.rest().length;
      return over(readBlock(block.join('')));
    },
    end(reason) {
      if (state === 'over') turnIsOver();
      const rest = scanner.rest();
      if (state === 'code' && reason === 'length') {
        return over({ kind: 'truncated', partial: block.join('') + rest });
      }
      if (state === 'code') return over({ kind: 'malformed', reason: 'the turn ended inside <code>' });
      const answer = boxedAnswer(prose.join('') + rest);
      return over(answer === null ? { kind: 'text' } : { kind: 'answer', answer });
    },
  };
}

/** The call in the text between `<code>` and `</code>`. */
function readBlock(block: string): ParseEvent {
  const fences = [...block.matchAll(kPythonFence)];
  const last = fences.at(-1);
  if (last === undefined) return { kind: 'malformed', reason: 'no ```python fence inside <code>' };
  const start = last.index + last[0].length;
  const close = block.indexOf(kFence, start);
  const code = block.slice(start, close < 0 ? block.length : close).replace(/\r?\n$/, '');
  if (code.trim() === '') return { kind: 'malformed', reason: 'the script is empty' };
  return { kind: 'call', code, repeated: fences.length - 1 };
}

/** The text with every `<code>` block taken out; an unclosed one reaches to the end. */
function outsideCode(text: string): string {
  const kept: string[] = [];
  let at = 0;
  for (;;) {
    const open = text.indexOf(kOpen, at);
    kept.push(text.slice(at, open < 0 ? text.length : open));
    if (open < 0) return kept.join('\n');
    const close = text.indexOf(kClose, open);
    if (close < 0) return kept.join('\n');
    at = close + kClose.length;
  }
}
