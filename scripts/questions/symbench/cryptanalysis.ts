/** Questions of the SymBench task cryptanalysis: see records.ts. */
import { publishedIn, type SymbenchSource } from './records.ts';

export const cryptanalysisSource: SymbenchSource = {
  task: 'cryptanalysis',
  files: ['cryptanalysis'],
  read(record) {
    const found = publishedIn<{ answer: string[] }>(record);
    if (found === null) return null;
    const { text, solution } = found;
    const guesses = [...text.matchAll(/^[0-9]+\. Guess: ([0-9]{2}[A-Z]{2}), Feedback: (.*)\.$/gm)];
    if (guesses.length < 3) throw new Error(`${record.id}: expected guesses, found ${JSON.stringify(text)}`);
    const answer = JSON.stringify(solution.answer).replaceAll(',', ', ');
    return {
      content: guesses.map(([, guess, feedback]) => `${guess}: ${feedback}`).join('\n'),
      prompt: text,
      published: answer,
      recomputed: answer,
      meta: {},
    };
  },
};
