/** Combinations of config values that cannot work, each value being fine by itself. Every one is a sentence about what to change. */
import type { Config } from './config.ts';

/** A combination of values that cannot work, found after each value was fine by itself. */
export interface ConfigConflict {
  /** Path of the key to look at first. */
  readonly path: readonly string[];
  readonly message: string;
}

/**
 * Combinations that cannot work; empty when the config is sound. With `ownTasks` the program brings tasks of its own, so the
 * config need not name any.
 */
export function configConflicts(config: Config, ownTasks = false): ConfigConflict[] {
  const conflicts: ConfigConflict[] = [];
  const conflict = (path: string, message: string) => conflicts.push({ path: path.split('.'), message });
  const { tasks, sft, rl, rollout, model, eval: evaluation } = config;
  const generated = ownTasks || tasks.names.length > 0;
  if (rl.steps > 0 && !generated && tasks.train === null) {
    conflict('rl.steps', 'RL needs questions: name tasks (tasks.names) or give a file (tasks.train)');
  }
  if (sft.steps > 0 && !generated && tasks.traces === null) {
    conflict('sft.steps', 'SFT needs traces: name tasks (tasks.names) or give a file (tasks.traces)');
  }
  if (evaluation.questions > 0 && !generated && tasks.heldout === null) {
    conflict(
      'eval.questions',
      'evaluation needs questions: name tasks, give tasks.heldout, or set eval.questions to 0',
    );
  }
  if (rl.steps > 0 && model.cublaslt === 'all') {
    conflict(
      'model.cublaslt',
      'RL needs log-probs that do not depend on how many rows are computed together: use gradients, or none',
    );
  }
  if (rl.kl === 'none' && rl.kl_coef > 0) {
    conflict('rl.kl_coef', 'kl_coef without an estimator does nothing: set rl.kl');
  }
  if (rl.kl_in === 'loss' && (rl.kl === 'k1' || rl.kl === 'abs')) {
    conflict(
      'rl.kl',
      rl.kl === 'k1'
        ? 'k1 in the loss has a gradient that does not depend on the reference: use k2, k3, k1+ or k3+, or rl.kl_in: reward'
        : 'abs is an estimate for KL in the reward: set rl.kl_in to reward, or use k2, k3, k1+ or k3+',
    );
  }
  if (rl.kl_in === 'reward' && (rl.kl === 'k1+' || rl.kl === 'k3+')) {
    conflict(
      'rl.kl',
      `${rl.kl} differs from its plain form in the gradient only, and KL in the reward has none: use k1, abs, k2 or k3`,
    );
  }
  if (rl.kl_in === 'reward' && (rl.kl_times_ratio || rl.kl_clamp > 0)) {
    conflict(
      rl.kl_times_ratio ? 'rl.kl_times_ratio' : 'rl.kl_clamp',
      'this belongs to KL in the loss; rl.kl_in is reward',
    );
  }
  if (rl.overlong_length > 0 && rl.overlong_buffer > rl.overlong_length) {
    conflict(
      'rl.overlong_buffer',
      `a buffer of ${rl.overlong_buffer} tokens is longer than overlong_length ${rl.overlong_length}`,
    );
  }
  const byToken = rl.advantage === 'reinforce++' || rl.advantage === 'gae';
  if (rl.gamma !== 1 && !byToken) {
    conflict(
      'rl.gamma',
      `gamma discounts token by token, for reinforce++ and gae; rl.advantage is ${rl.advantage}`,
    );
  }
  if (rl.lambda !== 1 && rl.advantage !== 'gae') {
    conflict('rl.lambda', `lambda belongs to gae; rl.advantage is ${rl.advantage}`);
  }
  if (rl.group < 2 && !byToken) {
    conflict(
      'rl.group',
      `${rl.advantage} compares the rollouts of a question: expected a group of 2 or more, found ${rl.group}`,
    );
  }
  const { critic } = config;
  if (rl.advantage === 'gae' && critic.model === 'trunk' && config.lora.rank > 0) {
    conflict(
      'critic.model',
      "with lora the policy's own weights do not train, and a head on them would not fit: use own",
    );
  }
  if (critic.model === 'trunk' && critic.path !== null) {
    conflict('critic.path', 'a critic on the trunk starts where the policy does: leave path out, or use own');
  }
  if (rl.advantage === 'gae' && critic.warmup > rl.steps && rl.steps > 0) {
    conflict('critic.warmup', `warm-up of ${critic.warmup} steps is longer than RL's ${rl.steps}`);
  }
  if (rl.reduction_length > 0 && rl.reduction !== 'constant') {
    conflict('rl.reduction_length', `it is the L of the reduction constant; rl.reduction is ${rl.reduction}`);
  }
  const { correction } = config;
  if (correction.reject !== 'none' && correction.low === 0 && correction.high === 0) {
    conflict('correction.reject', 'rejection needs a bound: set correction.low or correction.high');
  }
  if (correction.high > 0 && correction.high < correction.low) {
    conflict('correction.high', `${correction.high} is below correction.low, ${correction.low}`);
  }
  if (correction.form !== 'decoupled' && (correction.reject !== 'none' || correction.normalise)) {
    conflict(
      correction.reject !== 'none' ? 'correction.reject' : 'correction.normalise',
      `weights are computed by the form decoupled; correction.form is ${correction.form}`,
    );
  }
  if (rl.kl !== 'none' && rl.kl_coef === 0) {
    conflict(
      'rl.kl',
      `kl ${rl.kl} with kl_coef 0 costs a reference pass and does nothing: set rl.kl_coef, or rl.kl to none`,
    );
  }
  if (rl.mini_batches > rl.prompts) {
    conflict(
      'rl.mini_batches',
      `${rl.mini_batches} mini-batches need as many groups; rl.prompts is ${rl.prompts}`,
    );
  }
  if (rl.advantage === 'rloo' && rl.std !== 'none') {
    conflict('rl.std', 'RLOO does not divide by a standard deviation: set rl.std to none');
  }
  if (rl.loss === 'ppo_clip' && rl.dual_clip !== 0 && rl.dual_clip <= 1) {
    conflict('rl.dual_clip', `dual_clip must be above 1 (or 0 = off), found ${rl.dual_clip}`);
  }
  if (rl.dual_clip !== 0 && rl.loss !== 'ppo_clip') {
    conflict('rl.dual_clip', `dual_clip belongs to ppo_clip; rl.loss is ${rl.loss}`);
  }
  if (rl.advantage.startsWith('reinforce++') && (rl.std !== 'sample' || rl.std_scope !== 'group')) {
    conflict(
      'rl.std',
      `${rl.advantage} whitens over the batch's tokens and divides by no deviation of rewards: leave rl.std and rl.std_scope out`,
    );
  }
  if (rl.loss === 'cispo' && rl.clip_low > 1) {
    conflict('rl.clip_low', `expected at most 1 (no lower bound) with cispo, found ${rl.clip_low}`);
  }
  if (rl.loss !== 'cispo' && rl.loss !== 'reinforce' && rl.clip_low >= 1) {
    conflict(
      'rl.clip_low',
      `clip_low ${rl.clip_low} puts the lower ratio bound at or below 0; expected less than 1`,
    );
  }
  if (sft.warmup > sft.steps && sft.steps > 0) {
    conflict('sft.warmup', `warm-up of ${sft.warmup} steps is longer than the phase's ${sft.steps}`);
  }
  if (rl.warmup > rl.steps && rl.steps > 0) {
    conflict('rl.warmup', `warm-up of ${rl.warmup} steps is longer than the phase's ${rl.steps}`);
  }
  if (rollout.first_turn_tokens >= rollout.total_tokens) {
    conflict(
      'rollout.first_turn_tokens',
      `a first turn of ${rollout.first_turn_tokens} tokens does not fit into total_tokens ${rollout.total_tokens} with a prompt`,
    );
  }
  const { targets } = config.lora;
  if (new Set(targets).size !== targets.length || (targets.includes('all-linear') && targets.length > 1)) {
    conflict('lora.targets', `expected all-linear alone or different names, found ${targets.join(', ')}`);
  }
  if (rollout.max_calls >= rollout.max_turns) {
    conflict(
      'rollout.max_turns',
      `${rollout.max_calls} calls and a last answer need ${rollout.max_calls + 1} turns; max_turns is ${rollout.max_turns}`,
    );
  }
  if (config.tool.session === 'trajectory' && config.tool.url !== null) {
    conflict('tool.session', 'a service runs each program by itself: leave tool.url out, or sessions');
  }
  if (config.tool.session === 'trajectory' && config.rollout.step_tokens > 0) {
    conflict(
      'tool.session',
      'partial rollouts are taken up again from their tokens, without the variables of their programs: set rollout.step_tokens to 0',
    );
  }
  if (config.tool.url !== null && config.tool.python !== null) {
    conflict('tool.python', 'programs run at tool.url, with the interpreter there: leave python out');
  }
  partialConflicts(config, conflict);
  aheadConflicts(config, conflict);
  for (const key of ['every', 'without_tool'] as const) {
    if (evaluation.questions > 0 || !evaluation[key]) continue;
    conflict(`eval.${key}`, `there is nothing to evaluate, because eval.questions is 0: leave ${key} out`);
  }
  if (config.text_only) textOnlyConflicts(config, conflict);
  if (evaluation.samples > 1 && evaluation.temperature === 0) {
    conflict(
      'eval.samples',
      'greedy attempts are all the same: set eval.temperature above 0 or eval.samples to 1',
    );
  }
  curriculumConflicts(config, conflict);
  return conflicts;
}

/** A curriculum needs ratings; without them none of its other keys does anything. */
function curriculumConflicts(
  { curriculum, rl }: Config,
  conflict: (path: string, message: string) => void,
): void {
  const { file, order, regroup_every: every } = curriculum;
  if (rl.steps === 0) return;
  if (file === null && every === 0 && order !== 'potential') {
    conflict(
      'curriculum.order',
      `order ${order} needs rated questions: give curriculum.file, or set curriculum.regroup_every`,
    );
  }
  if (every > 0 && order === 'flat') {
    conflict('curriculum.regroup_every', 'order flat asks all questions at once, whatever their ratings are');
  }
}

/** A run without the tool: nothing may ask for calls, or for the comparison with them. */
function textOnlyConflicts(config: Config, conflict: (path: string, message: string) => void): void {
  const { sft, tasks, rl, eval: evaluation } = config;
  if (sft.steps > 0 && tasks.traces === null && sft.code_share > 0) {
    conflict(
      'sft.code_share',
      'a text_only run calls nothing, and made traces must not: set sft.code_share to 0',
    );
  }
  if (rl.unmask_tool)
    conflict('rl.unmask_tool', 'there are no tokens of the tool in a text_only run: leave it out');
  if (evaluation.without_tool) {
    conflict('eval.without_tool', 'every evaluation of a text_only run is without the tool: leave it out');
  }
  if (evaluation.text_prefix !== '') {
    conflict(
      'eval.text_prefix',
      'it begins the answers of a model that only knows to call the tool; a text_only run trains its own: leave it out',
    );
  }
}

/** Batches sampled ahead come from a copy of all weights, with questions that are known a step before. */
function aheadConflicts(
  { lora, curriculum, rollout }: Config,
  conflict: (path: string, message: string) => void,
): void {
  if (!rollout.ahead) return;
  if (lora.rank > 0) {
    conflict(
      'rollout.ahead',
      'the copy that samples ahead has no adapter: train all weights (lora.rank 0), or set rollout.ahead to false',
    );
  }
  if (curriculum.regroup_every > 0) {
    conflict(
      'rollout.ahead',
      'a batch sampled ahead asks its questions before they are rated anew: set curriculum.regroup_every to 0, or rollout.ahead to false',
    );
  }
}

/** Partial rollouts: the budget must move every trajectory, and the bound on staleness must let some be finished. */
function partialConflicts({ rl, rollout }: Config, conflict: (path: string, message: string) => void): void {
  const { step_tokens: budget, max_staleness: bound } = rollout;
  if (budget === 0) {
    if (bound > 0) {
      conflict(
        'rollout.max_staleness',
        'nothing grows stale without partial rollouts: set rollout.step_tokens',
      );
    }
    return;
  }
  if (rl.dynamic_sampling > 0) {
    conflict(
      'rollout.step_tokens',
      'dynamic sampling asks until the batch is full, a budget of tokens stops before: set rl.dynamic_sampling or rollout.step_tokens to 0',
    );
  }
  const open = rl.prompts * rl.group;
  if (budget < open) {
    conflict(
      'rollout.step_tokens',
      `a budget of ${budget} tokens does not give one to each of rl.prompts x rl.group = ${open} trajectories`,
    );
  }
  const updates = rl.epochs * rl.mini_batches;
  if (bound > 0 && bound < updates) {
    conflict(
      'rollout.max_staleness',
      `a step makes up to ${updates} updates (rl.epochs x rl.mini_batches), so with ${bound} all that is parked would be dropped: expected at least ${updates}, or 0 = no bound`,
    );
  }
}
