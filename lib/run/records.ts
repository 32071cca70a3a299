/** What the loop reports, as records of the run directory's files. Names are explained in docs/metrics.md. */
import { type Ledger, Origin } from '../rollout/ledger.ts';
import type { Trajectory } from '../rollout/trajectory.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import type { Progress, RlStepReport } from '../train/loop.ts';
import type { PolicyStep } from '../train/policy-step.ts';
import { policyTokens, type Scored } from '../train/score.ts';
import type { SftStep } from '../train/sft.ts';

type Json = Record<string, unknown>;

export function sftMetrics(at: Progress, report: SftStep, lr: number): Json {
  return {
    kind: 'sft',
    step: at.step,
    phase_step: at.phaseStep,
    loss: report.loss,
    tokens: report.tokens,
    tokens_in_loss: report.tokensInLoss,
    grad_norm: report.gradNorm,
    lr,
    seconds: report.seconds,
    tokens_per_second: report.tokens / report.seconds,
  };
}

/** Averages a rollout batch; trajectories lost to infrastructure count only in `lost`. */
export function rlMetrics(at: Progress, report: RlStepReport): Json {
  const { update, rollout, partial, seconds, rolloutSeconds } = report;
  const scored = report.scored.filter(({ trajectory }) => trajectory.end !== 'infrastructure');
  const mean = (value: (item: Scored) => number) =>
    scored.reduce((sum, item) => sum + value(item), 0) / Math.max(1, scored.length);
  const ends: Record<string, number> = {};
  const parts: Record<string, number> = {};
  for (const { trajectory } of report.scored) ends[trajectory.end] = (ends[trajectory.end] ?? 0) + 1;
  for (const item of scored) {
    for (const [name, value] of Object.entries(item.parts))
      parts[name] = (parts[name] ?? 0) + value / scored.length;
  }
  return {
    kind: 'rl',
    step: at.step,
    phase_step: at.phaseStep,
    reward: mean(({ reward }) => reward),
    reward_parts: parts,
    solved: mean(({ correct }) => (correct ? 1 : 0)),
    generation_rounds: report.batch.rounds,
    questions: report.batch.questions,
    groups_dropped: report.batch.dropped,
    groups_surplus: report.batch.surplus,
    stage: report.stage,
    groups_waiting: partial.groupsWaiting,
    parked: partial.parked,
    stale_dropped: partial.dropped,
    staleness: staleness(scored, report.version),
    dead_groups: update.deadGroups,
    lost: update.lost,
    call_share: mean(({ trajectory }) => (trajectory.calls.length > 0 ? 1 : 0)),
    calls_per_trajectory: mean(({ trajectory }) => trajectory.calls.length),
    turns: mean(({ trajectory }) => trajectory.turns),
    tool_error_rate: rollout.toolErrors / Math.max(1, rollout.calls),
    policy_tokens: mean(({ trajectory }) => policyTokens(trajectory.ledger)),
    trajectory_tokens: mean(({ trajectory }) => trajectory.ledger.length),
    ends,
    logprob_gap: update.logprobGap,
    loss: update.loss,
    policy_loss: update.policyLoss,
    kl_loss: update.klLoss,
    kl: update.kl,
    kl_penalty: update.klPenalty,
    stale_tokens: update.staleTokens,
    correction: update.correction,
    critic:
      update.critic === null
        ? null
        : {
            loss: update.critic.loss,
            clip_fraction: update.critic.clipFraction,
            explained_variance: update.critic.explainedVariance,
            grad_norm: update.critic.gradNorm,
          },
    entropy: update.entropy,
    ratio_mean: update.meanRatio,
    ratio_max: update.maxRatio,
    clip_low: update.clipLow,
    clip_high: update.clipHigh,
    grad_norm: update.gradNorm,
    updates: update.updates,
    tokens_in_loss: update.tokensInLoss,
    lr: report.lr,
    sampled_tokens: rollout.sampled,
    computed_tokens: rollout.computed,
    prefilled_again: partial.refilled,
    decode_steps: rollout.decodeSteps,
    generation_seconds: rollout.engineSeconds,
    tool_wait_seconds: rollout.toolWaitSeconds,
    tool_seconds: rollout.toolSeconds,
    rollout_seconds: rolloutSeconds,
    ahead_wait_seconds: report.aheadWaitSeconds,
    update_seconds: update.seconds,
    seconds,
    tokens_per_second: rollout.sampled / Math.max(1e-9, rolloutSeconds),
  };
}

/** Mean over the policy's tokens of the updates since they were written. */
function staleness(scored: readonly Scored[], version: number): number {
  let updates = 0;
  let tokens = 0;
  for (const { ledger } of scored.map(({ trajectory }) => trajectory)) {
    const { versions, origins, length } = ledger;
    for (let t = 0; t < length; t++) {
      if (origins[t] !== Origin.policy) continue;
      updates += version - versions[t]!;
      tokens += 1;
    }
  }
  return updates / Math.max(1, tokens);
}

/** One line of rollouts/<step>.jsonl: everything the update saw, token by token, and everything the tool was asked and said. */
export function rolloutRecord(
  scored: Scored,
  update: Pick<PolicyStep, 'advantages' | 'tokenAdvantages'>,
  index: number,
  tokenizer: Tokenizer,
): Json {
  const { trajectory, correct, reward, parts } = scored;
  const byToken = update.tokenAdvantages[index]!.filter((_, t) => trajectory.ledger.mask[t] === 1);
  return {
    ...trajectoryRecord(trajectory, tokenizer),
    started: trajectory.started,
    correct,
    reward,
    reward_parts: parts,
    advantage: update.advantages[index]!,
    // One number when all tokens have the same.
    token_advantages: byToken.every((value) => value === byToken[0]) ? null : [...byToken],
  };
}

/** One line of eval/<step>.jsonl. */
export function evaluationRecord(
  { trajectory, correct }: { trajectory: Trajectory; correct: boolean },
  tokenizer: Tokenizer,
): Json {
  return { ...trajectoryRecord(trajectory, tokenizer), correct };
}

function trajectoryRecord(trajectory: Trajectory, tokenizer: Tokenizer): Json {
  const { question, prompt, sample, end, reason, answer, turns, calls, seconds, ledger } = trajectory;
  return {
    question,
    prompt,
    sample,
    end,
    reason,
    answer,
    turns,
    seconds,
    segments: segments(ledger, tokenizer),
    calls,
    ledger: ledger.toJSON(),
  };
}

const kOriginNames = Object.keys(Origin) as (keyof typeof Origin)[];

/** The ledger as text, one piece per run of tokens of one origin; special tokens are written out. */
function segments(ledger: Ledger, tokenizer: Tokenizer): { origin: string; text: string }[] {
  const { ids, origins, length } = ledger;
  const pieces: { origin: string; text: string }[] = [];
  for (let start = 0, t = 1; t <= length; t++) {
    if (t < length && origins[t] === origins[start]) continue;
    const text = tokenizer.decode(ids.subarray(start, t));
    pieces.push({ origin: kOriginNames[origins[start]!]!, text });
    start = t;
  }
  return pieces;
}
