/** The server as OpenAI's own client meets it, with a real model and real Python. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import test from 'ava';
import OpenAI from 'openai';
import { packageRoot } from '../lib/package.ts';
import type { ApiError } from '../lib/serve/api-error.ts';
import { startCompletions } from '../lib/serve/completions.ts';
import { readRequest } from '../lib/serve/request.ts';
import { callReader, withoutToolRoles } from '../lib/serve/tool-calls.ts';
import { openPythonTool } from '../lib/tools/python.ts';
import type { Tool } from '../lib/tools/tool.ts';
import { findingFormat, openTiny, scriptedTool, tinyFolder } from './support/rollouts.ts';
import { temporaryFolder } from './support/runs.ts';
import {
  addQuestion,
  addReply,
  addTool,
  loopLimits,
  product,
  type Serving,
  serveModel,
  writeCaller,
} from './support/serving.ts';

const temporary = temporaryFolder();
await writeCaller(temporary.path);
const plain = await serveModel(temporary.path);
const loop = await serveModel(temporary.path, { loop: { limits: loopLimits, workers: 2 } });
test.after.always(async () => {
  await plain.stop();
  await loop.stop();
  temporary.remove();
});

const clientOf = (serving: Serving) => new OpenAI({ baseURL: serving.url, apiKey: 'none', maxRetries: 0 });
const client = clientOf(plain);
const looping = clientOf(loop);
const hello = [{ role: 'user' as const, content: 'Hello, who are you?' }];
const sampled = { model: 'tiny', messages: hello, temperature: 1, seed: 11, max_tokens: 40 };

/** The untrained model's likeliest tokens go round in a circle: this ends at its limit, and takes a while. */
const endless = { model: 'tiny', messages: hello, temperature: 0, max_tokens: 430, n: 20 };

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
};

test('the model is listed, and a plain answer has text, reason and usage', async (t) => {
  const models = await client.models.list();
  t.deepEqual(
    models.data.map(({ id }) => id),
    ['tiny'],
  );
  t.is((await client.models.retrieve('tiny')).owned_by, 'toolgrad');
  const health = (await (await fetch(plain.url.replace('/v1', '/health'))).json()) as { status: string };
  t.is(health.status, 'ok');

  const answer = await client.chat.completions.create({ ...sampled, n: 3 });
  t.is(answer.object, 'chat.completion');
  t.is(answer.choices.length, 3);
  t.true(answer.choices.every(({ message }) => (message.content ?? '').length > 0));
  t.is(new Set(answer.choices.map(({ message }) => message.content)).size, 3, 'three samples differ');
  t.true(answer.choices.every(({ finish_reason: reason }) => reason === 'length' || reason === 'stop'));
  const { prompt_tokens: prompt, completion_tokens: completion, total_tokens: total } = answer.usage!;
  t.true(prompt > 0 && completion > 3 && completion <= 120 && total === prompt + completion);
});

test('a stream brings the same text in pieces, and the usage when asked for', async (t) => {
  const whole = await client.chat.completions.create(sampled);
  const stream = await client.chat.completions.create({
    ...sampled,
    stream: true,
    stream_options: { include_usage: true },
  });
  let text = '';
  let pieces = 0;
  let finish: string | null = null;
  let usage: OpenAI.CompletionUsage | null | undefined;
  for await (const chunk of stream) {
    t.is(chunk.object, 'chat.completion.chunk');
    usage = chunk.usage;
    const [choice] = chunk.choices;
    if (choice === undefined) continue;
    text += choice.delta.content ?? '';
    pieces += 1;
    finish = choice.finish_reason ?? finish;
  }
  t.log(`${pieces} pieces, ${usage?.completion_tokens} tokens, ${finish}`);
  t.is(text, whole.choices[0]!.message.content!);
  t.is(finish, whole.choices[0]!.finish_reason);
  t.deepEqual(usage, whole.usage);
  t.true(pieces > 5);
});

test('requests that run beside each other get the text they get alone, greedy and seeded', async (t) => {
  const requests = Array.from({ length: 12 }, (_, i) => ({
    ...sampled,
    messages: [{ role: 'user' as const, content: `Say something about ${'the number '.repeat(i % 4)}${i}.` }],
    temperature: i % 3 === 0 ? 0 : 1,
    seed: 100 + i,
    n: 1 + (i % 2),
    max_tokens: 10 + 5 * i,
  }));
  const texts = (answer: OpenAI.ChatCompletion) => answer.choices.map(({ message }) => message.content);
  const alone: (string | null)[][] = [];
  for (const request of requests) alone.push(texts(await client.chat.completions.create(request)));
  const together = await Promise.all(requests.map((request) => client.chat.completions.create(request)));
  t.deepEqual(together.map(texts), alone);
  t.true(new Set(alone.flat()).size > 10, 'the texts are worth comparing');
  const small = await serveModel(temporary.path, { kvMemoryMb: 0.1, contextTokens: 200, queue: 100 });
  const narrow = clientOf(small);
  const queued = await Promise.all(requests.map((request) => narrow.chat.completions.create(request)));
  await small.stop();
  t.deepEqual(queued.map(texts), alone, 'and when most of them must wait for room');
});

test('log-probs come with the tokens, and a stop string ends the answer before itself', async (t) => {
  const whole = await client.chat.completions.create({ ...sampled, logprobs: true });
  const [choice] = whole.choices;
  const text = choice!.message.content!;
  const tokens = choice!.logprobs!.content!;
  t.is(tokens.map(({ token }) => token).join(''), text);
  t.true(tokens.every(({ logprob }) => logprob <= 0));
  const greedy = await client.chat.completions.create({
    ...sampled,
    temperature: 0,
    logprobs: true,
    top_logprobs: 1,
  });
  const [first] = greedy.choices[0]!.logprobs!.content!;
  t.is(first!.top_logprobs[0]!.token, first!.token);

  // A stop of several characters that crosses tokens, given beside one that never comes.
  const stop = text.slice(10, 14);
  const at = text.indexOf(stop);
  const stopped = await client.chat.completions.create({ ...sampled, stop: ['\u0000never', stop] });
  t.is(stopped.choices[0]!.message.content, text.slice(0, at));
  t.is(stopped.choices[0]!.finish_reason, 'stop');
  t.true(stopped.usage!.completion_tokens < whole.usage!.completion_tokens, 'it does not run on');
  let streamed = '';
  for await (const chunk of await client.chat.completions.create({ ...sampled, stop, stream: true })) {
    streamed += chunk.choices[0]?.delta.content ?? '';
  }
  t.is(streamed, text.slice(0, at), 'no part of the stop string slips out');
});

test('with the tool loop the answer holds the call, its real output and what the model made of it', async (t) => {
  const request = {
    model: 'tiny',
    messages: [{ role: 'user' as const, content: product.question }],
    temperature: 0,
  };
  const answer = await looping.chat.completions.create(request);
  const [choice] = answer.choices;
  t.log(JSON.stringify(choice!.message.content));
  t.is(
    choice!.message.content,
    `\`\`\`python\n${product.code}\n\`\`\`\nCode Execution Results:\n${product.output}<<<${product.answer}>>>`,
  );
  t.is(choice!.finish_reason, 'stop');
  const { toolgrad } = choice as unknown as { toolgrad: { end: string; calls: { status: string }[] } };
  t.is(toolgrad.end, 'answer');
  t.deepEqual(
    toolgrad.calls.map(({ status }) => status),
    ['ok'],
  );
  let text = '';
  for await (const chunk of await looping.chat.completions.create({ ...request, stream: true })) {
    text += chunk.choices[0]?.delta.content ?? '';
  }
  t.is(text, choice!.message.content!);
  await t.throwsAsync(looping.chat.completions.create({ ...request, tools: [addTool] }), {
    message: /^400 tools: this server runs the tool itself/,
  });
});

test('without the loop a call comes as tool_calls, and its answer goes into the prompt', async (t) => {
  const request = { model: 'tiny', temperature: 0, tools: [addTool] };
  const user = { role: 'user' as const, content: addQuestion };
  const called = await client.chat.completions.create({ ...request, messages: [user] });
  const { message, finish_reason: finish } = called.choices[0]!;
  t.is(finish, 'tool_calls');
  t.is(message.content, null);
  const [call] = message.tool_calls!;
  if (call?.type !== 'function') return t.fail('expected a function call');
  t.is(call.function.name, 'add');
  const { a, b } = JSON.parse(call.function.arguments) as { a: number; b: number };
  t.deepEqual([a, b], [2, 3]);

  const result = { role: 'tool' as const, tool_call_id: call.id, content: String(a + b) };
  const replied = await client.chat.completions.create({ ...request, messages: [user, message, result] });
  t.is(replied.choices[0]!.message.content, addReply);
  t.is(replied.choices[0]!.finish_reason, 'stop');

  // The client's own helper puts the deltas of a stream together.
  const stream = client.chat.completions.stream({ ...request, messages: [user] });
  const streamed = (await stream.finalChatCompletion()).choices[0]!;
  t.is(streamed.finish_reason, 'tool_calls');
  const [again] = streamed.message.tool_calls!;
  t.is(again?.type === 'function' ? again.function.arguments : '', call.function.arguments);

  const none = await client.chat.completions.create({ ...request, tool_choice: 'none', messages: [user] });
  t.is(none.choices[0]!.message.tool_calls, undefined);
});

test("what cannot be answered is an error of the client's own kind, with the field that is meant", async (t) => {
  const refused = async (fields: object, status: number, param: string | null, code: string | null) => {
    const error = await t.throwsAsync<InstanceType<typeof OpenAI.APIError>>(
      client.chat.completions.create({
        ...sampled,
        ...fields,
      } as OpenAI.ChatCompletionCreateParamsNonStreaming),
      { instanceOf: OpenAI.APIError },
    );
    t.like(error, { status, param, code }, `${JSON.stringify(fields)}: ${error?.message}`);
  };
  await refused({ model: 'gpt-4o' }, 404, 'model', 'model_not_found');
  await refused({ messages: [] }, 400, 'messages', null);
  await refused({ messages: [{ role: 'robot', content: 'x' }] }, 400, 'messages.0.role', null);
  await refused({ temperature: 3 }, 400, 'temperature', null);
  await refused({ temperature: 'hot' }, 400, 'temperature', null);
  await refused({ temprature: 1 }, 400, 'temprature', 'unknown_parameter');
  await refused({ presence_penalty: 1 }, 400, 'presence_penalty', 'unsupported_parameter');
  await refused(
    { response_format: { type: 'json_object' } },
    400,
    'response_format',
    'unsupported_parameter',
  );
  await refused({ tool_choice: 'required' }, 400, 'tool_choice', 'unsupported_parameter');
  await refused({ top_logprobs: 3, logprobs: true }, 400, 'top_logprobs', 'unsupported_parameter');
  await refused({ stop: [''] }, 400, 'stop', null);
  await refused({ max_tokens: 5000 }, 400, 'messages', 'context_length_exceeded');
  await refused(
    { messages: [{ role: 'user', content: 'x'.repeat(5000) }] },
    400,
    'messages',
    'context_length_exceeded',
  );

  const post = (body: string, headers: Record<string, string> = { 'Content-Type': 'application/json' }) =>
    fetch(`${plain.url}/chat/completions`, { method: 'POST', headers, body });
  t.is((await post('{')).status, 400);
  t.is((await post('[]')).status, 400);
  t.is((await post('{}', { 'Content-Type': 'text/plain' })).status, 415, 'what a web page may send unasked');
  t.is((await post(JSON.stringify({ ...sampled, user: 'x'.repeat(5 * 2 ** 20) }))).status, 413);
  t.is((await fetch(`${plain.url}/chat/completions`)).status, 405);
  t.is((await fetch(`${plain.url}/nothing`)).status, 404);
});

test('a page under another name does not reach the server, and a key is asked for when there is one', async (t) => {
  const { request } = await import('node:http');
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const asked = request(`${plain.url}/models`, { headers: { Host: 'evil.example:80' } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    asked.on('error', reject).end();
  });
  t.is(status, 403);
  const locked = await serveModel(temporary.path, {}, { apiKey: 'secret' });
  await t.throwsAsync(clientOf(locked).models.list(), { message: /^401 / });
  const opened = new OpenAI({ baseURL: locked.url, apiKey: 'secret', maxRetries: 0 });
  t.is((await opened.models.list()).data.length, 1);
  await locked.stop();
});

test('a caller that goes away takes its request with it, running or waiting; a full queue says 429', async (t) => {
  const small = await serveModel(tinyFolder, { kvMemoryMb: 0.09, contextTokens: 500, queue: 2 });
  const narrow = clientOf(small);
  const long = { ...endless, n: 1 };
  const abort = new AbortController();
  const running = narrow.chat.completions.create({ ...long, stream: true }, { signal: abort.signal });
  const first = await running;
  await until(() => small.load().active === 1);
  const waiting = new AbortController();
  const second = narrow.chat.completions.create(long, { signal: waiting.signal });
  const third = narrow.chat.completions.create(long, { signal: waiting.signal });
  await until(() => small.load().waiting === 2 || small.load().active > 1);
  t.deepEqual(small.load(), { active: 1, waiting: 2 });
  const error = await t.throwsAsync<InstanceType<typeof OpenAI.APIError>>(
    narrow.chat.completions.create(long),
  );
  t.like(error, { status: 429, code: 'queue_full', type: 'rate_limit_error' });

  waiting.abort();
  await Promise.all([t.throwsAsync(second), t.throwsAsync(third)]);
  await until(() => small.load().waiting === 0);
  abort.abort();
  await t.throwsAsync(async () => {
    for await (const _ of first);
    throw new Error('the stream ended early');
  });
  await until(() => small.load().active === 0);
  const after = await narrow.chat.completions.create({ ...sampled, max_tokens: 5 });
  t.is(after.usage!.completion_tokens, 5, 'it still answers');
  await small.stop();
});

test('the endless request of these tests is one', async (t) => {
  const wide = await serveModel(tinyFolder);
  const { usage } = await clientOf(wide).chat.completions.create({ ...endless, n: 1 });
  t.is(usage!.completion_tokens, endless.max_tokens);
  await wide.stop();
});

test('a program that runs for a caller who has gone is killed; a failure of the tool is the error of its request alone', async (t) => {
  const tiny = await openTiny();
  const sleeps = { kind: 'call', code: 'import time; time.sleep(100)', repeated: 0 } as const;
  const format = findingFormat((_, pieces) => (pieces === 3 ? sleeps : null));
  const start = (tool: Tool) =>
    startCompletions({
      ...tiny,
      cache: tiny.model.openKvCache(40),
      format,
      loop: { tool, limits: { ...loopLimits, tool: { ...loopLimits.tool, seconds: 90 } } },
      contextTokens: 200,
      queue: 10,
    });
  const ids = tiny.tokenizer.encodeTemplate('<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n');
  const request = { ids, n: 2, temperature: 1, topP: 1, seed: 3n, maxTokens: 100, stops: [] };
  const python = await openPythonTool({ workers: 2 });
  const running = start(python);
  const abort = new AbortController();
  const answer = running.complete(request, () => {}, abort.signal);
  await until(() => running.active === 2);
  await new Promise((resolve) => setTimeout(resolve, 300));
  const started = performance.now();
  abort.abort(new Error('gone'));
  await t.throwsAsync(answer, { message: 'gone' });
  await running.close();
  await python.close();
  const took = performance.now() - started;
  t.log(`all gone after ${Math.round(took)} ms`);
  t.true(took < 30_000);

  const broken = start(
    scriptedTool((_, serial) => (serial === 0 ? { status: 'infrastructure_error' } : '1\n')),
  );
  const [first, second] = await Promise.allSettled([
    broken.complete({ ...request, n: 1 }, () => {}),
    broken.complete({ ...request, n: 1 }, () => {}),
  ]);
  t.is(first.status, 'rejected');
  const { status, message } = (first as PromiseRejectedResult).reason as ApiError;
  t.is(status, 500);
  t.regex(message, /^The tool failed/);
  t.is(second.status, 'fulfilled');
  await broken.close();
  tiny.model.dispose();
});

test('closing lets running answers end, and cuts them at the deadline with an error', async (t) => {
  const patient = await serveModel(temporary.path);
  const short = clientOf(patient).chat.completions.create({ ...sampled, max_tokens: 40, n: 8 });
  await until(() => patient.load().active > 0);
  await patient.close(60);
  t.is((await short).choices.length, 8);
  await t.throwsAsync(clientOf(patient).models.list(), { instanceOf: OpenAI.APIConnectionError });
  await patient.stop();

  const hasty = await serveModel(tinyFolder);
  const whole = clientOf(hasty).chat.completions.create(endless);
  const stream = await clientOf(hasty).chat.completions.create({ ...endless, stream: true });
  await until(() => hasty.load().active === 2 * endless.n);
  const started = performance.now();
  const closed = hasty.close(0.1);
  const error = await t.throwsAsync<InstanceType<typeof OpenAI.APIError>>(whole);
  t.is(error!.status, 503);
  await t.throwsAsync(
    async () => {
      for await (const _ of stream);
    },
    { instanceOf: OpenAI.APIError, message: /shut down/ },
  );
  await closed;
  t.log(`cut after ${Math.round(performance.now() - started)} ms`);
  await hasty.stop();
});

test('calls are read however the text is cut, and what is no call stays text', (t) => {
  const text =
    'First.\n<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>\n<tool_call>{"name": "sub"}</tool_call>' +
    '<tool_call>not json</tool_call> then <tool_call>{"name": "add", "arguments": {"a": 2}}';
  const read = (pieces: readonly string[]) => {
    const reader = callReader(new Set(['add']), Number.POSITIVE_INFINITY);
    const events = [...pieces.flatMap((piece) => reader.push(piece)), ...reader.end()];
    return {
      text: events.map((event) => (event.kind === 'text' ? event.text : '|')).join(''),
      calls: events.flatMap((event) => (event.kind === 'call' ? [event.call] : [])),
    };
  };
  const expected = read([text]);
  t.deepEqual(expected.calls, [{ name: 'add', arguments: '{"a":1}' }]);
  t.is(
    expected.text,
    'First.|\n<tool_call>{"name": "sub"}</tool_call><tool_call>not json</tool_call> then <tool_call>{"name": "add", "arguments": {"a": 2}}',
  );
  for (const size of [1, 2, 3, 7, 11]) {
    const pieces = Array.from({ length: Math.ceil(text.length / size) }, (_, i) =>
      text.slice(i * size, (i + 1) * size),
    );
    t.deepEqual(read(pieces), expected, `pieces of ${size}`);
  }
});

test('for a template that knows no tools, functions and calls are written into the messages', (t) => {
  const { messages, tools } = readRequest({
    model: 'm',
    tools: [addTool],
    messages: [
      { role: 'developer', content: 'Be brief.' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'Add ' },
          { type: 'text', text: '2 and 3.' },
        ],
      },
      {
        role: 'assistant',
        content: 'Adding.',
        tool_calls: [
          { id: 'c1', type: 'function', function: { name: 'add', arguments: '{"a":2,"b":3}' } },
          { id: 'c2', type: 'function', function: { name: 'add', arguments: '' } },
        ],
      },
      { role: 'tool', tool_call_id: 'c1', content: '5' },
      { role: 'tool', tool_call_id: 'c2', content: '0\n' },
    ],
  });
  const [system, user, assistant, answers, ...rest] = withoutToolRoles(messages, tools);
  t.regex(system!.content!, /^Be brief\.\n\n# Tools\n[\s\S]*"name": "add"[\s\S]*<\/tools>/);
  t.is(user!.content, 'Add 2 and 3.');
  t.is(
    assistant!.content,
    'Adding.\n<tool_call>\n{"name":"add","arguments":{"a":2,"b":3}}\n</tool_call>\n<tool_call>\n{"name":"add","arguments":{}}\n</tool_call>',
  );
  t.like(answers, {
    role: 'user',
    content: '<tool_response>\n5\n</tool_response>\n<tool_response>\n0\n</tool_response>',
  });
  t.is(rest.length, 0);
});

test('the command serves until Ctrl-C, says where and for whom, and refuses what cannot be', async (t) => {
  const start = (...args: string[]) => {
    const child = spawn(process.execPath, ['--import=tsx', join('lib', 'cli', 'main.ts'), 'serve', ...args], {
      cwd: packageRoot,
    });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      err += chunk.toString();
    });
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
    return { child, ended, out: () => out, err: () => err };
  };
  const running = start(
    temporary.path,
    '--name',
    'mine',
    '--port',
    '0',
    '--threads',
    '2',
    '--kv-memory',
    '4',
  );
  await until(() => running.out().includes('serving') || running.child.exitCode !== null);
  t.log(running.out());
  const url = /serving (http:\/\/127\.0\.0\.1:\d+\/v1) \(this machine only, no key\)/.exec(
    running.out(),
  )![1]!;
  const own = new OpenAI({ baseURL: url, apiKey: 'none' });
  const answer = await own.chat.completions.create({ ...sampled, model: 'mine', max_tokens: 4 });
  t.is(answer.choices.length, 1);
  running.child.kill('SIGINT');
  t.is(await running.ended, 0, running.err());
  t.regex(running.err(), /toolgrad: stopping; running answers get 10 s to end/);

  for (const [args, message] of [
    [['--port', '70000'], /--port: expected a whole number from 0 to 65535, found 70000/],
    [['--format', 'xml'], /--format: expected r1ci, retool, hermes, found xml/],
    [['--api-key-env', 'TOOLGRAD_NOT_SET'], /the environment variable TOOLGRAD_NOT_SET is not set/],
    [['--context', '100000'], /expected a context of 2 to 2048 tokens/],
  ] as const) {
    const refused = start(temporary.path, ...args);
    t.is(await refused.ended, 2, refused.err());
    t.regex(refused.err(), message);
  }
});
