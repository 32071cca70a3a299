/** What a run takes is what its plan said: in processes of their own, by the largest resident set that Linux saw. */
import { join } from 'node:path';
import test from 'ava';
import { planPass } from '../lib/index.ts';
import { packageRoot } from '../lib/package.ts';
import { compareCases, growthError, peakError } from '../scripts/memory-plan.ts';
import { tinyConfigs } from './support/tiny-models.ts';

test.serial('the peak of a run is that of its plan within 5 %', async (t) => {
  const cases = ['selective', 'lora full'];
  const found = await compareCases('quick', join(packageRoot, 'assets', 'demo-base'), cases);
  for (const [name, one] of found) {
    const [plan, peak] = [growthError(one), peakError(one)];
    t.log(
      `${name}: plan ${(100 * plan).toFixed(1)} % off, peak of the process ${(100 * peak).toFixed(1)} %; planned ` +
        `${one.planned} besides ${one.besides}, VmHWM ${one.peak}`,
    );
    t.true(Math.abs(peak) < 0.05, name);
    // Beside 90 MB the megabytes of code that Node.js compiles as it runs are some per cent.
    t.true(Math.abs(plan) < 0.08, name);
  }
  t.is(found.size, cases.length);
});

test('a pass is planned for at least one thread, or for a GPU, where rows of products are bfloat16', (t) => {
  const plan = (threads: number | null, dtype: 'float32' | 'bfloat16' = 'bfloat16') =>
    planPass(tinyConfigs.llama, dtype, { kind: 'training', tokens: 64, longest: 32, threads });
  for (const threads of [0, -1, 1.5, Number.NaN]) t.throws(() => plan(threads), { instanceOf: RangeError });
  t.true(plan(1).scratchBytes > 0);
  t.is(plan(null).scratchBytes, 0);
  t.true(plan(null).arenaBytes < plan(1, 'float32').arenaBytes);
});
