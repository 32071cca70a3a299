/**
 * Supervised fine-tuning on multi-turn traces: cross entropy on the model's own tokens (tool output, prompt and template
 * are in the context but not in the loss), packed, one update per batch of traces.
 */
import type { AdamWOptions, EngineModel, LossOptions } from '../model/engine.ts';
import { Ledger } from '../rollout/ledger.ts';
import type { ToolFormat } from '../text/formats/format.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { cutRows, lossMask, lossWeights, packRows, type Reduction } from './batch.ts';
import type { Trace } from './traces.ts';

export const crossEntropy: LossOptions = {
  kind: 'cross_entropy',
  clipLow: 0,
  clipHigh: 0,
  dualClip: 0,
  kl: 'none',
  klCoef: 0,
  entropyCoef: 0,
};

/**
 * A trace as a ledger: each text the model wrote is encoded by itself (as it would have been sampled), tool output as the
 * format renders it. Log-probs of its policy tokens are 0: nobody sampled them.
 */
export function traceLedger(
  prompt: Int32Array,
  trace: Trace,
  tokenizer: Tokenizer,
  format: ToolFormat,
): Ledger {
  const ledger = new Ledger();
  ledger.appendPrompt(prompt);
  const eos = tokenizer.eosIds[0];
  if (eos === undefined)
    throw new Error('SFT needs a tokenizer with an end-of-turn token; this one names none');
  trace.turns.forEach(({ text, toolOutput }, turn) => {
    const ids = tokenizer.encodeModelText(text);
    const ends = toolOutput === undefined || format.callEndsTurn;
    for (const id of ids) ledger.appendPolicy(id, 0, turn, 0);
    if (ends) ledger.appendPolicy(eos, 0, turn, 0);
    if (toolOutput === undefined) return;
    for (const segment of format.toolText({ status: 'ok', output: toolOutput })) {
      if (segment.origin === 'tool') ledger.appendTool(tokenizer.encode(segment.text), turn, turn);
      else ledger.appendTemplate(tokenizer.encodeTemplate(segment.text), turn);
    }
  });
  return ledger;
}

export interface SftStep {
  readonly loss: number;
  readonly tokens: number;
  readonly tokensInLoss: number;
  readonly gradNorm: number;
  readonly seconds: number;
}

/** One update on `ledgers`; the gradient does not depend on `microBatchTokens`. */
export async function sftStep(
  model: EngineModel,
  ledgers: readonly Ledger[],
  options: { adamw: AdamWOptions; reduction: Reduction; microBatchTokens: number; signal?: AbortSignal },
): Promise<SftStep> {
  if (ledgers.length === 0) throw new RangeError('sftStep: expected at least one trace, found none');
  const started = performance.now();
  const rows = ledgers.map((ledger) => ({ ledger, advantages: null, oldLogprobs: null, refLogprobs: null }));
  const weights = lossWeights(
    ledgers.map((ledger) => lossMask(ledger, false)),
    options.reduction,
  );
  let loss = 0;
  let tokensInLoss = 0;
  const packs = cutRows(
    ledgers.map((ledger) => ledger.length),
    options.microBatchTokens,
  );
  try {
    for (const pack of packs) {
      options.signal?.throwIfAborted();
      const batch = packRows(
        pack.map((row) => rows[row]!),
        pack.map((row) => weights[row]!),
        1,
      );
      const result = await model.accumulate(batch, crossEntropy);
      loss += result.loss;
      tokensInLoss += result.tokens;
    }
  } catch (error) {
    await model.zeroGradients();
    throw error;
  }
  const { gradNorm } = await model.update(options.adamw);
  return {
    loss,
    tokens: ledgers.reduce((sum, ledger) => sum + ledger.length, 0),
    tokensInLoss,
    gradNorm,
    seconds: (performance.now() - started) / 1000,
  };
}
