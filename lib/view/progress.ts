/**
 * A run on the console: a header, one line per step, and on a terminal a status line that is repainted while a step runs.
 * Without a terminal the same lines appear, without repainting.
 */

import { type Lora, loraTargets } from '../model/lora.ts';
import { unsafeMark } from '../tools/sandbox/level.ts';
import { groupSizes } from '../train/curriculum.ts';
import type { Progress, RlStepReport, TrainEvent } from '../train/loop.ts';
import type { Setup } from '../train/setup.ts';
import type { SftStep } from '../train/sft.ts';
import type { EvaluationSummary } from '../train/train.ts';
import { bytes, duration, parameters, percent, styled, table } from './format.ts';

export interface RunView {
  start(setup: Setup, path: string): void;
  event(event: TrainEvent): void;
  /** Remove the status line. */
  end(): void;
}

/** A view that writes to `out`. */
export function runView(out: NodeJS.WriteStream = process.stdout): RunView {
  const repaint = out.isTTY === true;
  let status = false;
  let lastPaint = 0;
  let explained = false;
  let mark = '';
  const eta = new Map<string, number[]>();

  const clear = () => {
    if (status) out.write('\r\x1b[2K');
    status = false;
  };
  const line = (text: string) => {
    clear();
    out.write(`${mark}${text}\n`);
  };
  return {
    start(setup, path) {
      if (setup.tool.level?.safe === false) mark = styled('red', `${unsafeMark} `);
      for (const text of header(setup, path)) line(text);
    },
    event(event) {
      switch (event.kind) {
        case 'rollout': {
          const now = performance.now();
          if (!repaint || now - lastPaint < 100) return;
          lastPaint = now;
          clear();
          const text = `  rollouts ${event.done}/${event.total} done, ${event.running} writing, ${event.inTool} waiting for Python`;
          // A line that wraps could not be removed again.
          out.write(text.slice(0, Math.max(0, (out.columns || 80) - 1)));
          status = true;
          return;
        }
        case 'sft': {
          const left = remaining(event.at, event.report.seconds);
          const { phaseStep, phaseSteps } = event.at;
          // Long cold starts print about twenty lines; the others are in metrics.jsonl.
          if (phaseStep % Math.ceil(phaseSteps / 20) !== 0 && phaseStep !== phaseSteps) return;
          return line(sftLine(event.at, event.report, event.lr, left));
        }
        case 'warning':
          return line(styled('yellow', `warning: ${event.message}`));
        case 'curriculum': {
          const sizes = groupSizes(event.ratings);
          return line(
            `curriculum: ${event.ratings.length} questions rated anew; groups of ${sizes.join(', ')}`,
          );
        }
        case 'rl':
          if (!explained) for (const text of kLegend) line(styled('dim', text));
          explained = true;
          return line(rlLine(event.at, event.report, remaining(event.at, event.report.seconds)));
        case 'evaluation': {
          const { accuracy, callShare, seconds, questions, samples, lost } = event.evaluation;
          const asked = `${questions} held-out questions${samples > 1 ? ` x ${samples}` : ''}`;
          const missing = lost > 0 ? `, ${lost} lost to tool failures` : '';
          return line(
            styled('bold', `eval ${event.name}: ${percent(accuracy)} right`) +
              ` on ${asked}, ${percent(callShare)} call Python (${duration(seconds)}${missing})`,
          );
        }
      }
    },
    end: clear,
  };

  /** Seconds left in the phase, from the median of its last steps. */
  function remaining(at: Progress, seconds: number): number {
    const recent = [...(eta.get(at.phase) ?? []), seconds].slice(-9);
    eta.set(at.phase, recent);
    const median = [...recent].sort((a, b) => a - b)[Math.floor(recent.length / 2)]!;
    return (at.phaseSteps - at.phaseStep) * median;
  }
}

function header(setup: Setup, path: string): string[] {
  const { config, model, plan, tool } = setup;
  const { memory } = model;
  const { sft, rl } = config;
  const training = memory.weightBytes + memory.masterBytes + memory.momentBytes + memory.gradientBytes;
  const held =
    model.lora === null
      ? `${bytes(training)} weights, masters, moments, gradients`
      : `${bytes(memory.weightBytes)} frozen weights, ${bytes(training - memory.weightBytes + memory.adapterBytes)} adapter, its moments, gradients`;
  return [
    `model  ${config.model.path}: ${parameters(model.parameterCount)} parameters, ${model.dtype}, ${model.isa} kernels on ${model.threads} threads`,
    `memory ${held}; ${bytes(memory.activationBytesPerToken * setup.microBatchTokens + memory.activationBytesFixed)} activations (${setup.microBatchTokens} tokens a micro-batch, recompute ${model.recompute}); ${bytes(setup.cache.pagesTotal * memory.kvBytesPerPage)} KV cache`,
    ...(model.lora === null ? [] : [`lora   ${loraLine(model.lora, model.adapterParameterCount)}`]),
    `tool   ${tool.describe}`,
    `data   ${[
      ...(sft.steps > 0
        ? [`SFT: ${sft.steps} steps of ${sft.batch} out of ${plan.traces.length} worked examples`]
        : []),
      ...(rl.steps > 0 ? [`RL: ${rl.steps} steps of ${rl.prompts} questions x ${rl.group} rollouts`] : []),
      `${plan.heldout.length} held-out questions`,
    ].join('; ')}`,
    `run    ${path}`,
  ];
}

/** `rank 16, alpha 32, 4.9 M parameters in all linear layers`. */
export function loraLine({ rank, alpha, rslora, targets }: Lora, count: number): string {
  const where = targets.length === loraTargets.length ? 'all linear layers' : targets.join(', ');
  return `rank ${rank}, alpha ${alpha}${rslora ? ' over the root of the rank' : ''}, ${parameters(count)} parameters in ${where}`;
}

function sftLine(at: Progress, report: SftStep, lr: number, left: number): string {
  return [
    `sft ${counter(at)}`,
    `loss ${report.loss.toFixed(3)}`,
    `grad ${report.gradNorm.toFixed(2)}`,
    `lr ${lr.toExponential(1)}`,
    `${whole(report.tokens / report.seconds, 5)} tok/s`,
    `eta ${duration(left)}`,
  ].join('  ');
}

/** Shown before the first RL line. */
const kLegend = [
  '   reward: mean of a rollout | solved: right answers | calls: Python calls of a rollout | tool errors: share of calls that failed',
  '   gap: recomputed minus sampled log-prob, always 0 | dead: questions whose rollouts all earned the same and teach nothing',
  '   gen, tool, upd: seconds of writing, of waiting for Python, and of learning',
];

function rlLine(at: Progress, report: RlStepReport, left: number): string {
  const { update, rollout } = report;
  const scored = report.scored.filter(({ trajectory }) => trajectory.end !== 'infrastructure');
  const mean = (values: number[]) =>
    values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
  const groups = new Set(report.scored.map(({ trajectory }) => trajectory.prompt)).size;
  const share = (part: number) => percent(part).padStart(4);
  return [
    `rl ${counter(at)}`,
    `reward ${mean(scored.map(({ reward }) => reward))
      .toFixed(2)
      .padStart(5)}`,
    `solved ${share(mean(scored.map(({ correct }) => (correct ? 1 : 0))))}`,
    `calls ${mean(scored.map(({ trajectory }) => trajectory.calls.length)).toFixed(2)}`,
    `tool errors ${share(rollout.toolErrors / Math.max(1, rollout.calls))}`,
    `gap ${update.logprobGap}`,
    `dead ${whole(update.deadGroups, String(groups).length)}/${groups}`,
    ...(update.lost > 0 ? [`lost ${update.lost}`] : []),
    `${whole(rollout.sampled / Math.max(1e-9, report.rolloutSeconds), 5)} tok/s`,
    `gen ${rollout.engineSeconds.toFixed(1)}s tool ${rollout.toolWaitSeconds.toFixed(1)}s upd ${update.seconds.toFixed(1)}s`,
    `eta ${duration(left)}`,
  ].join('  ');
}

function whole(value: number, width: number): string {
  return String(Math.round(value)).padStart(width);
}

function counter(at: Progress): string {
  return `${String(at.phaseStep).padStart(String(at.phaseSteps).length)}/${at.phaseSteps}`;
}

/** Accuracy per task (rows) and evaluation (columns). */
export function evaluationTable(evaluations: readonly EvaluationSummary[]): string {
  const tasks = [
    ...new Set(evaluations.flatMap((evaluation) => evaluation.tasks.map(({ task }) => task))),
  ].sort();
  const cell = (evaluation: EvaluationSummary, task: string) => {
    const score = evaluation.tasks.find((entry) => entry.task === task);
    return score === undefined ? '-' : percent(score.accuracy);
  };
  return table(
    ['held-out questions', ...evaluations.map(({ name }) => name)],
    [
      ...tasks.map((task) => [task, ...evaluations.map((evaluation) => cell(evaluation, task))]),
      ['all', ...evaluations.map(({ accuracy }) => percent(accuracy))],
      ['call Python', ...evaluations.map(({ callShare }) => percent(callShare))],
    ],
  );
}
