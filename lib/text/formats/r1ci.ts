/**
 * R1-Code-Interpreter's format: a ```python fence calls the interpreter, `Code Execution Results:` brings its output,
 * `<<<answer>>>` is the answer.
 *
 * A turn ends at its second ``` or at the end-of-turn token; so a script cannot contain three backticks. An answer does not
 * end a turn. Fenced text is no place for answers: `<<<42>>>` inside a script is a text of the script.
 */
import {
  lastEnclosed,
  markerScanner,
  nonEmpty,
  type ParseEvent,
  type ToolFormat,
  type TurnParser,
  turnIsOver,
  wholeLines,
} from './format.ts';

/** R1-CI's design of the head prompt (the paper's wording is not public; these words are ours). */
export const r1ciInstruction: string = [
  'Answer the question below. Think it through first; you decide whether plain reasoning is enough or whether a program helps.',
  '1. Where search, counting, optimisation or exact arithmetic is needed, write Python. Open the script with ```python and close it with ```.',
  '2. A script must be complete in itself, imports included, and must print what you want to know. Nothing is kept between scripts.',
  '3. Stop writing as soon as a script is closed. It is then run, and its output and errors follow after "Code Execution Results:".',
  '4. Read the results, and reason on or write another script if that is needed.',
  '5. When you are sure, end with the final answer in the form <<<answer>>>.',
  '',
  'Question: ',
].join('\n');

/** A short head prompt for small models. */
export const r1ciShortInstruction: string =
  'Solve the question. If you want to compute something, write one complete Python script that prints it, in a ```python ' +
  "block, and stop: its output follows after 'Code Execution Results:'. End with the final answer as <<<answer>>>.\n\nQuestion: ";

/** The same task without the tool. */
export const r1ciTextInstruction: string =
  'Answer the question below by reasoning step by step, without running any code. End with the final answer in the form ' +
  '<<<answer>>>.\n\nQuestion: ';

const kFence = '```';
const kFenceOnly = /```/g;
const kFenceOrLineEnd = /```|\n/g;

export const r1ci: ToolFormat = {
  name: 'r1ci',
  stopStrings: [], // the closing fence is spelled like the opening one, so no plain string can stop a foreign engine
  callEndsTurn: false,
  messages(question, { textOnly = false, instruction } = {}) {
    const head = instruction ?? (textOnly ? r1ciTextInstruction : r1ciInstruction);
    return [{ role: 'user', content: head + question }];
  },
  parser: () => r1ciParser(),
  toolText: ({ output }) => [{ text: `\nCode Execution Results:\n${wholeLines(output)}`, origin: 'tool' }],
  answer: (text) => nonEmpty(lastEnclosed(outsideFences(text), '<<<', '>>>')),
};

function r1ciParser(): TurnParser {
  const scanner = markerScanner();
  const prose: string[] = [];
  const tag: string[] = [];
  const code: string[] = [];
  let state: 'prose' | 'tag' | 'code' | 'over' = 'prose';
  let trailing = 0;

  const over = (event: ParseEvent): ParseEvent => {
    state = 'over';
    return event;
  };
  const closed = (): ParseEvent => {
    trailing = scanner.rest().length;
    if (state === 'tag')
      return over({ kind: 'malformed', reason: 'the fence closes on the line it opens on' });
    const language = tag.join('').trim();
    if (language !== 'python') {
      const found = language === '' ? 'has no tag' : `is tagged ${JSON.stringify(language.slice(0, 40))}`;
      return over({ kind: 'malformed', reason: `the fence ${found}; expected \`\`\`python` });
    }
    const script = code.join('').replace(/\r?\n$/, '');
    if (script.trim() === '') return over({ kind: 'malformed', reason: 'the script is empty' });
    return over({ kind: 'call', code: script, repeated: 0 });
  };

  return {
    get trailing() {
      return trailing;
    },
    push(text) {
      if (state === 'over') turnIsOver();
      scanner.push(text);
      for (;;) {
        if (state === 'prose') {
          if (scanner.next(kFenceOnly, kFence.length, (passed) => prose.push(passed)) === null) return null;
          state = 'tag';
        } else if (state === 'tag') {
          const marker = scanner.next(kFenceOrLineEnd, kFence.length, (passed) => tag.push(passed));
          if (marker === null) return null;
          if (marker === kFence) return closed();
          state = 'code';
        } else {
          if (scanner.next(kFenceOnly, kFence.length, (passed) => code.push(passed)) === null) return null;
          return closed();
        }
      }
    },
    end(reason) {
      if (state === 'over') turnIsOver();
      const inCall = state !== 'prose';
      const rest = scanner.rest();
      if (inCall && reason === 'length') {
        return over({ kind: 'truncated', partial: state === 'code' ? code.join('') + rest : '' });
      }
      if (inCall) return over({ kind: 'malformed', reason: 'the turn ended inside a fence' });
      const answer = nonEmpty(lastEnclosed(prose.join('') + rest, '<<<', '>>>'));
      return over(answer === null ? { kind: 'text' } : { kind: 'answer', answer });
    },
  };
}

/** The text with every fenced block taken out; an unclosed one reaches to the end. */
function outsideFences(text: string): string {
  return text
    .split(kFence)
    .filter((_, i) => i % 2 === 0)
    .join('\n');
}
