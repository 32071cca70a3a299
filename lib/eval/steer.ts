/**
 * CodeSteer: a guide steers a solver turn by turn. Before each turn the guide reads the question and all earlier turns and says
 * `<<<text>>>` (solve the next turn by reasoning), `<<<code>>>` (by a program) or `<<<accept>>>` (the last answer stands);
 * what it writes before the marker is shown to the solver as advice. Turns are limited.
 *
 * The published system trains its guide and adds a symbolic checker; this is the loop with an untrained guide, in our own words
 * (a reconstruction). Each solver turn is a conversation rendered anew, so its tokens are not those sampled before: fit for
 * evaluation, not for training.
 */
import { Origin } from '../rollout/ledger.ts';
import { rollout } from '../rollout/rollout.ts';
import { shorten } from '../rollout/shorten.ts';
import type { CallRecord, Trajectory } from '../rollout/trajectory.ts';
import type { ChatMessage } from '../text/chat.ts';
import { lastEnclosed, type ToolFormat } from '../text/formats/format.ts';
import {
  type AgentContext,
  type Attempt,
  type AttemptOptions,
  type Guide,
  type IndexedQuestion,
  mapLimited,
  rolloutOptions,
  type SteerTurn,
  signalForMany,
} from './attempt.ts';
import type { ChatEndpoint } from './endpoint.ts';
import { codeMessages, programSyntax, runOnce } from './program.ts';

/** The most characters of advice, and of each earlier turn, that are shown on. */
const kAdviceCharacters = 2000;
const kTurnCharacters = 4000;

/** A guide that is a loaded model: another one, or the solver's own under the guiding prompt. */
export function modelGuide(describe: string, context: Pick<AgentContext, 'rollout' | 'render'>): Guide {
  return {
    describe,
    async reply(conversations, keys, options) {
      const prompts = conversations
        .map((messages, i) => ({
          question: { id: `guide-${keys[i]}`, task: 'guide', prompt: '', answer: '' },
          ids: context.render(messages),
          prompt: keys[i]!,
          samples: 1,
        }))
        // A conversation that has outgrown the guide gets no reply: the last answer stands.
        .filter(({ ids }) => ids.length < context.rollout.limits.totalTokens);
      const { trajectories } = await rollout(prompts, {
        ...context.rollout,
        format: proseFormat(context.rollout.format),
        tool: null,
        sampling: options.sampling,
        step: options.step,
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      });
      const texts = new Map(trajectories.map(({ prompt, text }) => [prompt, text]));
      return keys.map((key) => texts.get(key) ?? '');
    },
  };
}

/** A guide behind an OpenAI-compatible endpoint. */
export function endpointGuide(endpoint: ChatEndpoint): Guide {
  return {
    describe: endpoint.describe,
    reply: (conversations, _, { signal }) => endpoint.complete(conversations, signal),
  };
}

/** A format whose turns are prose whatever they hold: a guide that writes a fence makes no call. */
function proseFormat(format: ToolFormat): ToolFormat {
  const parser = () => ({ trailing: 0, push: () => null, end: () => ({ kind: 'text' }) as const });
  return { ...format, parser, answer: () => null };
}

interface Course {
  readonly item: IndexedQuestion;
  readonly sample: number;
  /** Keys this attempt's random numbers. */
  readonly key: number;
  readonly turns: SteerTurn[];
  readonly calls: CallRecord[];
  /** The conversation with the solver. */
  messages: ChatMessage[];
  last: Trajectory | null;
  seconds: number;
  over: boolean;
}

/** A turn that the guide asked for. */
interface Move {
  readonly course: Course;
  readonly mode: 'text' | 'code';
  readonly advice: string;
  readonly decided: boolean;
}

/** Every question's steered attempts, in the order of questions, then samples. */
export async function steer(
  questions: readonly IndexedQuestion[],
  context: AgentContext,
  options: AttemptOptions,
): Promise<Attempt[]> {
  const { guide } = context;
  if (guide === null) throw new TypeError('the agent steer needs a guide');
  const { maxTurns } = context.rollout.limits;
  const courses: Course[] = questions.flatMap((item) =>
    Array.from({ length: options.samples }, (_, sample) => ({
      item,
      sample,
      key: item.index * options.samples + sample,
      turns: [],
      calls: [],
      messages: [],
      last: null,
      seconds: 0,
      over: false,
    })),
  );
  for (let turn = 0; turn < maxTurns; turn++) {
    const open = courses.filter(({ over }) => !over);
    if (open.length === 0) break;
    // Steps count down from the caller's: guide and solver of a turn draw numbers that nothing else draws.
    const step = options.step - 2 * turn;
    const replies = await guide.reply(
      open.map((course) => guideMessages(course, maxTurns)),
      open.map(({ key }) => key),
      { ...options, step: step - 1 },
    );
    const moves = open.flatMap((course, i) => {
      const move = readReply(course, replies[i]!);
      if (move === null) course.over = true;
      return move === null ? [] : [move];
    });
    await play(moves, context, { ...options, step });
  }
  return courses.map(finish);
}

/** The solver's turns, all at once, and the programs they wrote. */
async function play(moves: readonly Move[], context: AgentContext, options: AttemptOptions): Promise<void> {
  const { totalTokens } = context.rollout.limits;
  const prompts = moves.flatMap((move) => {
    const { course } = move;
    const messages = solverMessages(move, context);
    const ids = context.render(messages);
    if (ids.length >= totalTokens && course.last !== null) {
      course.over = true; // no room for another turn: the last answer stands
      return [];
    }
    course.messages = messages;
    return [{ question: course.item.question, prompt: course.key, samples: 1, ids }];
  });
  const { trajectories } = await rollout(prompts, { ...rolloutOptions(context, options), tool: null });
  const written = new Map(trajectories.map((trajectory) => [trajectory.prompt, trajectory]));
  const signal = signalForMany(options.signal);
  await mapLimited(moves, async ({ course, mode, advice, decided }) => {
    const trajectory = written.get(course.key);
    if (trajectory === undefined) return;
    const done = mode === 'code' ? await runOnce(trajectory, context, signal) : trajectory;
    const turn = course.turns.length;
    const tokens = done.ledger.origins.reduce((sum, from) => sum + (from === Origin.policy ? 1 : 0), 0);
    course.turns.push({ mode, advice, decided, text: done.text, tokens, answer: done.answer });
    course.calls.push(...done.calls.map((call) => ({ ...call, turn })));
    course.messages = [...course.messages, { role: 'assistant', content: done.text }];
    course.last = done;
    course.seconds += done.seconds + done.calls.reduce((sum, call) => sum + call.seconds, 0);
    if (done.end === 'infrastructure') course.over = true;
  });
}

/** The last turn's trajectory, with what was written and run in all turns. */
function finish({ item, sample, turns, calls, last, seconds }: Course): Attempt {
  if (last === null) throw new TypeError(`steer: question ${item.question.id} was never asked`);
  const codes = new Set<string>();
  const trajectory: Trajectory = {
    ...last,
    prompt: item.index,
    sample,
    turns: turns.length,
    calls: calls.map((call) => {
      const repeated = codes.has(call.code);
      codes.add(call.code);
      return { ...call, repeated };
    }),
    text: turns.map(({ text }) => text).join('\n'),
    seconds,
  };
  return { trajectory, steering: turns };
}

/** The guide's prompt: the question and what happened so far (reconstruction). */
function guideMessages({ item, turns, calls }: Course, maxTurns: number): ChatMessage[] {
  const history = turns.map(({ mode, text, answer }, i) => {
    const call = calls.find(({ turn }) => turn === i);
    const ran = call === undefined ? '' : `\nThe program ended with ${call.status} and gave:\n${call.output}`;
    const found = answer === null ? 'no answer' : `the answer ${answer}`;
    return `Turn ${i + 1} (${mode}):\n${shorten(text, kTurnCharacters)}${ran}\nThis turn gave ${found}.`;
  });
  const accept =
    turns.length === 0
      ? ''
      : '\n<<<accept>>> if the last answer is right and complete: check it against every condition of the question first.';
  const content = [
    'You guide a solver that can either reason in words or write one Python program a turn. You do not solve the question yourself.',
    'Decide what the solver should do next. Programs are good at exact arithmetic, counting, search and simulation; words are good',
    'at understanding and common sense. Be wary of programs that only print a guessed result. Give the solver short advice, say what',
    `was wrong with its last turn if anything was, and end with one of these markers. At most ${maxTurns} turns are allowed; ${turns.length} are used.`,
    '<<<text>>> to let it reason in words.',
    `<<<code>>> to let it write a program.${accept}`,
    '',
    `Question: ${item.question.prompt}`,
    ...(history.length === 0 ? [] : ['', ...history]),
  ].join('\n');
  return [{ role: 'user', content }];
}

/** What a reply asks for; null = the last answer stands. */
function readReply(course: Course, reply: string): Move | null {
  const first = course.turns.length === 0;
  const marker = lastEnclosed(reply, '<<<', '>>>')?.trim().toLowerCase() ?? '';
  const known = marker === 'text' || marker === 'code' || (marker === 'accept' && !first);
  if (marker === 'accept' && !first) return null;
  if (!known && !first) return null;
  const at = reply.lastIndexOf('<<<');
  const advice = shorten((known ? reply.slice(0, at) : reply).trim(), kAdviceCharacters);
  return { course, mode: marker === 'code' ? 'code' : 'text', advice, decided: known };
}

/** The solver's conversation with the next turn's request at its end (reconstruction). */
function solverMessages({ course, mode, advice }: Move, context: AgentContext): ChatMessage[] {
  const { format } = context.rollout;
  const { prompt } = course.item.question;
  const note = advice === '' ? '' : `\n\nAdvice: ${advice}`;
  if (course.turns.length === 0) {
    const { instruction } = context;
    const first =
      mode === 'code'
        ? codeMessages(format, prompt, instruction)
        : format.messages(prompt, { textOnly: true, ...(instruction === null ? {} : { instruction }) });
    const last = first.at(-1)!;
    return [...first.slice(0, -1), { ...last, content: `${last.content}${note}` }];
  }
  const call = course.calls.find(({ turn }) => turn === course.turns.length - 1);
  const ran = call === undefined ? '' : `The program ended with ${call.status} and gave:\n${call.output}\n\n`;
  const request =
    mode === 'code'
      ? `Now write one complete Python program whose printed output is the final answer and nothing else. ${programSyntax(format)}`
      : `Now reason in words, without code, and end with the final answer in the form ${answerForm(format)}.`;
  return [...course.messages, { role: 'user', content: `${ran}${request}${note}` }];
}

function answerForm(format: ToolFormat): string {
  switch (format.name) {
    case 'r1ci':
      return '<<<answer>>>';
    case 'retool':
      return '<answer>\\boxed{...}</answer>';
    case 'hermes':
      return '\\boxed{...}';
  }
}
