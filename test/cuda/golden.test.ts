/** The golden models on a GPU: logits, loss and every gradient against what the peer library computed. */
import test from 'ava';
import { loadModel } from '../../lib/model/model.ts';
import { noGpu } from '../support/cuda.ts';
import { compareForward, compareTraining, GoldenModel, goldenModels, worstPerTensor } from '../support/golden.ts';
