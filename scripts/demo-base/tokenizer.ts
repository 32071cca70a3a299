/** The demo's tokenizer: 512 pieces, learned from the first documents of the base model's corpus. */
import { trainTokenizer } from './bpe.ts';
import { corpusDocument } from './corpus.ts';

/** Seed of the corpus the shipped base model was trained on. */
export const corpusSeed = 20261;
export const demoVocabSize = 512;

const kDocuments = 30_000;
const kSpecials = ['<|endoftext|>', '<|im_start|>', '<|im_end|>'];

/** The contents of tokenizer.json. */
export function trainDemoTokenizer(): Record<string, unknown> {
  const documents = Array.from({ length: kDocuments }, (_, i) => corpusDocument(corpusSeed, i));
  return trainTokenizer(documents, demoVocabSize, kSpecials).tokenizer;
}
