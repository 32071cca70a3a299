/**
 * The golden models on a GPU: logits, loss and every gradient within twice what a plain bf16 computation of the peer library
 * loses. The loss is one number, whose rounding errors may cancel by luck: it may also be off by 1e-3 of itself.
 */
import { loadModel } from '../../lib/model/model.ts';
import { onGpu } from '../support/cuda.ts';
import { compareForward, compareTraining, GoldenModel, goldenModels } from '../support/golden-models.ts';
import { sharedPath } from '../support/shared.ts';

const lossBound = 1e-3;

for (const name of goldenModels) {
  onGpu(`${name} on a GPU is within twice the error of a plain bf16 computation`, async (t) => {
    const root = sharedPath(t, 'golden/models');
    if (root === undefined) return;
    const golden = new GoldenModel(root, name);
    using model = await loadModel(golden.folder, { dtype: 'bfloat16', trainable: true, device: 'cuda' });
    const logits = (await compareForward(model, golden)).filter(({ tensor }) => tensor === 'logits');
    const rows = [...logits, ...(await compareTraining(model, golden))].map((row) =>
      row.tensor === 'loss' ? { ...row, bound: Math.max(row.bound, lossBound) } : row,
    );
    const worst = rows.reduce((a, b) => (b.error / b.bound > a.error / a.bound ? b : a));
    t.log(
      `${rows.length} tensors; nearest its bound: ${worst.tensor}, ${worst.error.toExponential(1)} of ${worst.bound.toExponential(1)}`,
    );
    for (const { tensor, error, bound } of rows)
      t.true(error <= bound, `${tensor}: ${error}, bound ${bound}`);
    t.true(rows.length > 10);
  });
}
