/**
 * What teachers are asked, in our words: the styles of R1-Code-Interpreter's synthesis (free, text to code, code to text) and the
 * rewriting of ReTool's curation. The papers' own wordings are not public.
 */
import type { ChatMessage } from '../text/chat.ts';
import type { ToolFormat } from '../text/formats/format.ts';
import type { StyleName } from './config.ts';

const kStyles: Readonly<Record<StyleName, string>> = {
  free: '',
  text_code:
    'For the question below, work in two steps. First reason in plain text, without code, to a provisional answer. Then check ' +
    'that answer with a program; where the two differ, find out why before you give the final answer.\n\n',
  code_text:
    'For the question below, begin with a program that computes what is needed. Then go on in plain text: say what its output ' +
    'means, check it by reasoning, and give the final answer.\n\n',
};

/** The conversation that asks `question` in a style. */
export function styledMessages(
  format: ToolFormat,
  style: StyleName,
  question: string,
  instruction: string | null,
): ChatMessage[] {
  const messages = format.messages(question, instruction === null ? {} : { instruction });
  const last = messages.at(-1)!;
  return [...messages.slice(0, -1), { ...last, content: kStyles[style] + (last.content ?? '') }];
}

/** How a teacher writes a call with its claimed output, in each format. */
interface Markup {
  readonly example: string;
  readonly answer: string;
}

const kMarkup: Readonly<Record<ToolFormat['name'], Markup>> = {
  r1ci: {
    example:
      '```python\n# a complete script that prints its result\n```\nCode Execution Results:\n<output>\nwhat it prints\n</output>',
    answer: '<<<the final answer>>>',
  },
  retool: {
    example:
      '<code>\n```python\n# a complete script that prints its result\n```\n</code>\n<interpreter>\nwhat it prints\n</interpreter>',
    answer: '<answer>\n\\boxed{the final answer}\n</answer>',
  },
  hermes: {
    example:
      '<tool_call>\n{"name": "code_interpreter", "arguments": {"code": "a complete script that prints its result"}}\n</tool_call>\n' +
      '<tool_response>\nwhat it prints\n</tool_response>',
    answer: '\\boxed{the final answer}',
  },
};

/** Asks for a text solution with its calculations replaced by programs and their output. */
export function rewriteMessages(format: ToolFormat, question: string, solution: string): ChatMessage[] {
  const { example, answer } = kMarkup[format.name];
  const content = [
    'Below are a problem and a solution in words. Rewrite the solution so that a Python interpreter does the calculating.',
    '- Keep the line of thought, its order and its wording wherever nothing is calculated by hand.',
    '- Replace each calculation that a program does better (arithmetic, enumeration, solving, checking) by a program and its output:',
    example,
    '- Every program is complete in itself, imports included, prints its result, and knows nothing of the programs before it.',
    '- Go on from the output as if you had just read it. Do not repeat by hand what a program has done.',
    '- Use these marks for nothing else, and close every one that you open.',
    '- The last line is the answer, given once, in this form:',
    answer,
    'Write the rewritten solution and nothing else.',
    '',
    `Problem:\n${question}`,
    '',
    `Solution:\n${solution}`,
  ].join('\n');
  return [{ role: 'user', content }];
}

/** Asks whether a text solution is fit for rewriting. */
export function judgeMessages(question: string, answer: string, solution: string): ChatMessage[] {
  const content = [
    'Below are a problem, its known answer and a solution. Is the problem well posed, and is the solution complete, free of errors',
    'and does it reach that answer? Say briefly why, then write VALID or INVALID alone on the last line.',
    '',
    `Problem:\n${question}`,
    '',
    `Known answer: ${answer}`,
    '',
    `Solution:\n${solution}`,
  ].join('\n');
  return [{ role: 'user', content }];
}

/** The judge's verdict; null when it gave none. */
export function readVerdict(text: string): boolean | null {
  const last = text
    .trim()
    .split('\n')
    .at(-1)!
    .replace(/[*_`.\s]/g, '');
  return last === 'VALID' ? true : last === 'INVALID' ? false : null;
}
