/** The four agents on a tiny model with real Python, and guides and judges behind a real HTTP server. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import { agentNames, attempts } from '../lib/eval/agents.ts';
import type { AgentContext, Guide } from '../lib/eval/attempt.ts';
import { mapLimited } from '../lib/eval/attempt.ts';
import { chatEndpoint } from '../lib/eval/endpoint.ts';
import { evaluationStep } from '../lib/eval/evaluate.ts';
import { codeMessages } from '../lib/eval/program.ts';
import { report } from '../lib/eval/report.ts';
import { loadSets } from '../lib/eval/sets.ts';
import { endpointGuide, modelGuide } from '../lib/eval/steer.ts';
import { packageRoot } from '../lib/package.ts';
import { Origin } from '../lib/rollout/ledger.ts';
import { type ChatMessage, renderPrompt } from '../lib/text/chat.ts';
import { formats } from '../lib/text/formats/index.ts';
import { openSetup } from '../lib/train/setup.ts';
import { runConfig, temporaryFolder, writeBase } from './support/runs.ts';
import { sharedPath } from './support/shared.ts';

const temporary = temporaryFolder();
const base = join(temporary.path, 'base');
await writeBase(base);
const config = runConfig(base, join(temporary.path, 'run'), [
  'sft.steps=0',
  'rl.steps=0',
  'eval.questions=6',
  'eval.every=0',
  'rollout.total_tokens=512',
]);
const setup = await openSetup(config, {}, undefined, false);
const { model, cache, tokenizer, format, tool, limits, toolLimits, plan } = setup;
const context: AgentContext = {
  rollout: { model, cache, tokenizer, format, tool, limits, toolLimits, runSeed: 3n },
  render: (messages) => renderPrompt(tokenizer, messages),
  prompt: setup.prompt,
  instruction: '',
  guide: null,
};
const questions = plan.heldout.map((question, index) => ({ question, index }));
const options = {
  sampling: { temperature: 1, topK: 0, topP: 1, minP: 0 },
  samples: 4,
  step: evaluationStep,
};
const servers: Server[] = [];
test.after.always(async () => {
  for (const server of servers) server.close();
  await setup.close();
  temporary.remove();
});

/** A chat endpoint on this machine; `reply` gives a completion's text, or a status to fail with. */
async function serve(reply: (messages: ChatMessage[], serial: number) => string | number): Promise<string> {
  let serial = 0;
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () => {
      const { messages } = JSON.parse(body) as { messages: ChatMessage[] };
      const said = request.url === '/v1/chat/completions' ? reply(messages, serial++) : 404;
      response.statusCode = typeof said === 'number' ? said : 200;
      response.end(
        typeof said === 'number' ? 'no' : JSON.stringify({ choices: [{ message: { content: said } }] }),
      );
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
}

test.serial('All Code runs exactly one program, and what it prints is the answer', async (t) => {
  const made = await attempts('code', questions, context, options);
  t.is(made.length, 24);
  const ends: Record<string, number> = {};
  for (const { trajectory } of made) {
    const { calls, answer, end, ledger } = trajectory;
    ends[end] = (ends[end] ?? 0) + 1;
    t.true(calls.length <= 1);
    t.false([...ledger.origins].includes(Origin.tool), 'the model never saw the output');
    const [call] = calls;
    if (call === undefined) t.is(answer, null);
    else if (call.status === 'ok') t.is(answer, call.output!.trim());
    else t.is(answer, null);
  }
  t.log(JSON.stringify(ends));
  t.true((ends.answer ?? 0) > 0 && (ends.no_answer ?? 0) > 0, 'some programs work and some do not');
});

test.serial(
  'All Text calls nothing, Code Agent is the rollout of training, both are the same again',
  async (t) => {
    const text = await attempts('text', questions, context, options);
    t.true(text.every(({ trajectory }) => trajectory.calls.length === 0));
    const agent = await attempts('agent', questions, context, options);
    t.true(agent.some(({ trajectory }) => trajectory.calls.length > 0));
    t.true(agent.some(({ trajectory }) => [...trajectory.ledger.origins].includes(Origin.tool)));
    // In pieces it is the same evaluation.
    const pieces = [
      ...(await attempts('agent', questions.slice(0, 2), context, options)),
      ...(await attempts('agent', questions.slice(2), context, options)),
    ];
    t.deepEqual(
      pieces.map(({ trajectory }) => trajectory.text),
      agent.map(({ trajectory }) => trajectory.text),
    );
  },
);

test.serial('CodeSteer does what its guide says, and stops when the guide accepts', async (t) => {
  const seen: string[] = [];
  const guide: Guide = {
    describe: 'a script',
    async reply(conversations) {
      return conversations.map((messages) => {
        const prompt = messages[0]!.content!;
        seen.push(prompt);
        const used = /(\d+) are used/.exec(prompt)![1];
        return { 0: '<<<code>>>', 1: 'now think <<<text>>>' }[used!] ?? 'fine <<<accept>>>';
      });
    },
  };
  const made = await attempts('steer', questions.slice(0, 2), { ...context, guide }, options);
  t.is(made.length, 8);
  for (const { trajectory, steering } of made) {
    t.deepEqual(
      steering!.map(({ mode, advice, decided }) => [mode, advice, decided]),
      [
        ['code', '', true],
        ['text', 'now think', true],
      ],
    );
    t.is(trajectory.turns, 2);
    t.is(trajectory.answer, steering![1]!.answer);
    t.is(trajectory.text, steering!.map(({ text }) => text).join('\n'));
    t.true(
      trajectory.calls.every(({ turn }) => turn === 0),
      'only the code turn ran a program',
    );
  }
  t.true(made.some(({ trajectory }) => trajectory.calls.length > 0));
  t.true(
    seen.some((prompt) => prompt.includes('The program ended with ')),
    'the guide sees outputs',
  );
  t.is(new Set(made.map(({ trajectory: { prompt, sample } }) => `${prompt}/${sample}`)).size, 8);
  t.true(new Set(made.slice(0, 4).map(({ trajectory }) => trajectory.text)).size > 1, 'samples differ');
});

test.serial('CodeSteer ends at the turn limit, and without a marker where there is none', async (t) => {
  const of = async (reply: string) => {
    const guide: Guide = {
      describe: reply,
      reply: async (conversations) => conversations.map(() => reply),
    };
    const made = await attempts(
      'steer',
      questions.slice(0, 1),
      { ...context, guide },
      { ...options, samples: 1 },
    );
    return made[0]!.steering!.map(({ mode, decided }) => `${mode} ${decided}`);
  };
  t.deepEqual(await of('<<<text>>>'), new Array(limits.maxTurns).fill('text true'));
  t.deepEqual(await of('I do not know'), ['text false'], 'text first, then the answer stands');
  t.deepEqual(await of('<<<accept>>>'), ['text false'], 'there is nothing to accept before the first turn');
  await t.throwsAsync(attempts('steer', questions, context, options), { message: /needs a guide/ });
  const self = modelGuide('self', context);
  const made = await attempts('steer', questions.slice(0, 2), { ...context, guide: self }, options);
  t.is(made.length, 8, 'a model that knows no markers can be its own guide');
});

test.serial('a guide and a judge behind an endpoint are asked over HTTP', async (t) => {
  const url = await serve((messages) =>
    messages[0]!.content!.includes('purpose')
      ? '<<<simulation; yes>>>'
      : messages[0]!.content!.includes('0 are used')
        ? '<<<code>>>'
        : '<<<accept>>>',
  );
  const endpoint = chatEndpoint({ url, model: 'm' });
  const { judgeCalls } = await import('../lib/eval/judge.ts');
  const guided = { ...context, guide: endpointGuide(endpoint) };
  const { report: found, records } = await report('steer', questions, plan.tasks, guided, {
    ...options,
    seed: 1,
    judge: (asked) => judgeCalls(asked, endpoint),
  });
  t.is(records.length, 24);
  t.is(records[0]!.agent, 'steer');
  const calls = records.reduce((sum, record) => sum + record.calls.length, 0);
  t.true(calls > 0);
  t.is(found.behaviour.purposes.simulation, calls);
  t.is(found.behaviour.self_checks, 0, 'a first program has nothing to check');
  t.is(found.scores.attempts, 24);
});

test('an endpoint is asked again after a passing failure, and not after a refusal', async (t) => {
  const url = await serve((_, serial) => (serial < 2 ? 503 : 'yes'));
  const one = [[{ role: 'user', content: 'x' }]] as const;
  t.deepEqual(await chatEndpoint({ url, model: 'm', pause: 1 }).complete(one), ['yes']);
  const down = await serve(() => 500);
  await t.throwsAsync(chatEndpoint({ url: down, model: 'm', pause: 1, retries: 2 }).complete(one), {
    code: 'ERR_ENDPOINT',
    message: /failed 3 times; the last time: status 500: no/,
  });
  const refusing = await serve(() => 401);
  await t.throwsAsync(chatEndpoint({ url: refusing, model: 'm' }).complete(one), {
    message: /refused the request with status 401/,
  });
  await t.throwsAsync(chatEndpoint({ url: 'http://127.0.0.1:9', model: 'm', retries: 0 }).complete(one), {
    code: 'ERR_ENDPOINT',
  });
  t.throws(() => chatEndpoint({ url: 'localhost', model: 'm' }), { message: /expected an http\(s\) URL/ });
});

test('work is done so many at a time, in order, and a failure is thrown', async (t) => {
  let open = 0;
  let peak = 0;
  const square = async (n: number) => {
    peak = Math.max(peak, ++open);
    await new Promise((resolve) => setTimeout(resolve, 5 - (n % 3)));
    open -= 1;
    if (n === 99) throw new Error('99');
    return n * n;
  };
  const numbers = Array.from({ length: 20 }, (_, i) => i);
  t.deepEqual(
    await mapLimited(numbers, square, 3),
    numbers.map((n) => n * n),
  );
  t.is(peak, 3);
  await t.throwsAsync(mapLimited([1, 99, 2], square, 2), { message: '99' });
  t.deepEqual(await mapLimited([], square), []);
});

test('sets are loaded by the beginning of their names; AIME is 30 questions a year', async (t) => {
  const fixture = (name: string) => join(packageRoot, 'test', 'fixtures', 'datasets', name);
  const sets = await loadSets([
    `gpqa=${fixture('gpqa-diamond.csv')}`,
    `math500=${fixture('math-500.jsonl')}`,
  ]);
  t.deepEqual([...sets.tasks.keys()], ['gpqa', 'math500']);
  for (const question of sets.questions) {
    t.true(sets.tasks.get(question.task)!.verify(question, question.answer).correct, question.id);
  }
  await t.throwsAsync(loadSets(['aime24']), { code: 'ERR_USAGE', message: /expected name=path/ });
  await t.throwsAsync(loadSets(['a=x.jsonl']), { message: /x.jsonl: cannot be read/ });
  const twice = `gpqa=${fixture('gpqa-diamond.csv')}`;
  await t.throwsAsync(loadSets([twice, twice]), { message: /given twice/ });
  const shared = sharedPath(t, 'data/aime');
  if (shared === undefined) return;
  const aime = await loadSets(['24', '25'].map((year) => `aime${year}=${join(shared, `aime${year}.jsonl`)}`));
  t.is(aime.questions.length, 60);
});

test('every format has a prompt for a single program', (t) => {
  for (const name of ['r1ci', 'retool', 'hermes'] as const) {
    const messages = codeMessages(formats[name], 'What is 2 + 2?', null);
    t.true(messages.at(-1)!.content!.endsWith('Question: What is 2 + 2?'));
    t.is(messages.length, name === 'hermes' ? 2 : 1);
  }
  t.deepEqual(agentNames, ['text', 'code', 'agent', 'steer']);
});
