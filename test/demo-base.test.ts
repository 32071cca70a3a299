import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { packageRoot } from '../lib/package.ts';
import { demoTaskNames, demoTasks } from '../lib/tasks/demo.ts';
import { questions } from '../lib/tasks/task.ts';
import { corpusDocument } from '../scripts/demo-base/corpus.ts';
import { corpusSeed, trainDemoTokenizer } from '../scripts/demo-base/tokenizer.ts';

const folder = join(packageRoot, 'assets', 'demo-base');
/** The base model was trained on the first 41,869. */
const kDocuments = 42_000;

test('the base corpus holds no question, answer marker, code fence, tool call or chat turn', (t) => {
  const forbidden = [
    '?',
    '<<<',
    '>>>',
    '```',
    'Code Execution',
    'The answer',
    'What is',
    'Compute',
    'Find',
    '<|',
  ];
  const found = new Map<string, string>();
  for (let i = 0; i < kDocuments; i++) {
    const document = corpusDocument(corpusSeed, i);
    for (const text of forbidden) if (document.includes(text)) found.set(text, document);
  }
  t.deepEqual([...found], []);
});

test('the base corpus holds no program of a held-out or training question of the demo', (t) => {
  const programs = new Set<string>();
  const prompts = new Set<string>();
  for (const name of demoTaskNames) {
    for (const split of ['train', 'heldout'] as const) {
      for (const question of questions(demoTasks[name], split, 300, 1)) {
        programs.add(demoTasks[name].solution(question));
        prompts.add(question.prompt);
      }
    }
  }
  let shared = 0;
  for (let i = 0; i < 5_000; i++) {
    const document = corpusDocument(corpusSeed, i);
    for (const line of document.split('\n')) if (programs.has(line) || prompts.has(line)) shared += 1;
  }
  t.is(shared, 0);
  t.true(programs.size > 3000, 'the check has programs to look for');
});

test('a document of the corpus is a function of seed and index', (t) => {
  t.is(corpusDocument(corpusSeed, 7), corpusDocument(corpusSeed, 7));
  t.not(corpusDocument(corpusSeed, 7), corpusDocument(corpusSeed, 8));
});

test('the shipped tokenizer is the one the script trains, and the model file is at most 8 MB', (t) => {
  const shipped = JSON.parse(readFileSync(join(folder, 'tokenizer.json'), 'utf8')) as unknown;
  t.deepEqual(JSON.parse(JSON.stringify(trainDemoTokenizer())), shipped);
  const { size } = statSync(join(folder, 'model.safetensors'));
  t.log(`model.safetensors: ${size} bytes`);
  t.true(size <= 8_000_000);
});
