/**
 * Makes assets/demo-base, the demo's base model, from nothing but the corpus generator: trains the tokenizer, then the model,
 * with toolgrad's own engine. Seeded: the same processor kernels give the same bytes.
 *
 *   npx tsx scripts/demo-base/make.ts [output folder] [steps]
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AdamWOptions } from '../../lib/model/engine.ts';
import { createModel } from '../../lib/model/model.ts';
import { loadTokenizer } from '../../lib/text/tokenizer-folder.ts';
import { learningRate } from '../../lib/train/schedule.ts';
import { crossEntropy } from '../../lib/train/sft.ts';
import { corpusDocument } from './corpus.ts';
import { corpusSeed, demoVocabSize, trainDemoTokenizer } from './tokenizer.ts';

/** Documents from here on are not trained on; they measure the loss. */
const kHeldout = 1_000_000_000;
const kTokensPerStep = 4096;
const kSchedule = { peak: 2e-3, warmupSteps: 50, decay: 'cosine', finalRatio: 0.05 } as const;
const kAdamW: Omit<AdamWOptions, 'lr'> = {
  beta1: 0.9,
  beta2: 0.95,
  eps: 1e-8,
  weightDecay: 0.05,
  maxGradNorm: 1,
};

/** ChatML without a default system message. */
const kChatTemplate =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

const output = process.argv[2] ?? 'assets/demo-base';
const steps = Number(process.argv[3] ?? 1200);

mkdirSync(output, { recursive: true });
writeFileSync(join(output, 'tokenizer.json'), JSON.stringify(trainDemoTokenizer()));
writeFileSync(
  join(output, 'tokenizer_config.json'),
  `${JSON.stringify(
    {
      tokenizer_class: 'PreTrainedTokenizerFast',
      bos_token: null,
      eos_token: '<|im_end|>',
      pad_token: '<|endoftext|>',
      add_bos_token: false,
      chat_template: kChatTemplate,
      model_max_length: 1024,
    },
    null,
    2,
  )}\n`,
);
const tokenizer = await loadTokenizer(output);
const id = (token: string) => tokenizer.tokenId(token)!;
const endOfText = id('<|endoftext|>');

const model = await createModel(
  {
    arch: 'llama',
    vocabSize: demoVocabSize,
    hiddenSize: 256,
    layers: 4,
    heads: 4,
    kvHeads: 2,
    headDim: 64,
    intermediateSize: 768,
    rmsNormEps: 1e-5,
    ropeTheta: 10000,
    ropeScaling: null,
    maxPositionEmbeddings: 1024,
    tieWordEmbeddings: true,
    qkvBias: false,
    qkNorm: false,
    eosTokenIds: [id('<|im_end|>')],
    bosTokenId: null,
    padTokenId: endOfText,
    dtype: 'bfloat16',
  },
  { seed: BigInt(corpusSeed), trainable: true },
);

/** A packed batch of whole documents, each its own sequence, from document `next` on. */
function batch(first: number, tokensWanted: number) {
  const pieces: Int32Array[] = [];
  let total = 0;
  let next = first;
  while (total < tokensWanted) {
    const ids = tokenizer.encode(corpusDocument(corpusSeed, next));
    next += 1;
    const piece = new Int32Array(ids.length + 2);
    piece[0] = endOfText;
    piece.set(ids, 1);
    piece[ids.length + 1] = endOfText;
    pieces.push(piece);
    total += piece.length;
  }
  const tokens = new Int32Array(total);
  const seqStarts = new Int32Array(pieces.length + 1);
  pieces.forEach((piece, s) => {
    tokens.set(piece, seqStarts[s]!);
    seqStarts[s + 1] = seqStarts[s]! + piece.length;
  });
  const weight = new Float32Array(total).fill(1 / (total - pieces.length));
  for (let s = 0; s < pieces.length; s++) weight[seqStarts[s]!] = 0;
  return { tokens, seqStarts, weight, temperature: 1, next };
}

async function heldoutLoss(): Promise<number> {
  const { tokens, seqStarts } = batch(kHeldout, 16_384);
  const { logprobs } = await model.score({ tokens, seqStarts }, 1);
  return -logprobs.reduce((sum, logprob) => sum + logprob, 0) / (tokens.length - seqStarts.length + 1);
}

const started = performance.now();
let next = 0;
let seen = 0;
for (let step = 0; step < steps; step++) {
  const { next: after, ...packed } = batch(next, kTokensPerStep);
  next = after;
  seen += packed.tokens.length;
  const { loss } = await model.accumulate(packed, crossEntropy);
  const { gradNorm } = await model.update({ ...kAdamW, lr: learningRate(kSchedule, step, steps) });
  if ((step + 1) % 50 === 0 || step === 0) {
    const seconds = (performance.now() - started) / 1000;
    const rate = Math.round(seen / seconds);
    process.stdout.write(
      `step ${step + 1}/${steps}  loss ${loss.toFixed(3)}  grad ${gradNorm.toFixed(2)}  ${next} documents  ${rate} tok/s  ${seconds.toFixed(0)}s\n`,
    );
  }
  if ((step + 1) % 500 === 0 || step + 1 === steps) {
    process.stdout.write(`held-out loss ${(await heldoutLoss()).toFixed(4)} nats a token\n`);
    await model.save(output, tokenizer.files);
  }
}
model.dispose();
