/**
 * The public API of toolgrad. Everything a user may want to call or replace is exported here by name; importing it loads no
 * native code. What a symbol does is written where it is defined.
 */

// Errors and the package itself.
export { errorCode, errorMessage, ToolgradError } from './errors.ts';
// Evaluation: agents, statistics, behaviour.
export { type AgentName, agentNames, agentTitles } from './eval/agents.ts';
export type { AgentContext, AttemptOptions, Guide, IndexedQuestion } from './eval/attempt.ts';
export {
  type Behaviour,
  type BehaviourRecord,
  type Judgements,
  measureBehaviour,
} from './eval/behaviour.ts';
export { type ChatEndpoint, chatEndpoint, type EndpointOptions } from './eval/endpoint.ts';
export {
  type Evaluation,
  type EvaluationOptions,
  evaluate,
  isCorrect,
  type TaskScore,
} from './eval/evaluate.ts';
export { judgeCalls } from './eval/judge.ts';
export { type AgentReport, type AttemptRecord, type ReportOptions, report } from './eval/report.ts';
export { type EvaluationSets, loadSets } from './eval/sets.ts';
export {
  type BootstrapOptions,
  type Counts,
  type Estimate,
  macroMean,
  passAtK,
} from './eval/statistics.ts';
export { endpointGuide, modelGuide } from './eval/steer.ts';
// Adapters.
export { type AdapterSource, isAdapterFolder, openAdapter } from './model/adapter-files.ts';
export type { ModelConfig, ParameterShape } from './model/config.ts';
export { parameterCount, parameterShapes, parseHfConfig, toHfConfig } from './model/config.ts';
export { Device, type DeviceName } from './model/device.ts';
// Models and the engine.
export type {
  AdamWOptions,
  AdapterUse,
  EngineModel,
  KvCache,
  LossBatch,
  LossOptions,
  LossResult,
  MemoryPlan,
  PackedBatch,
  Recompute,
  SampleSeed,
  SamplingParams,
  Scores,
  StepResult,
  StepRow,
  UpdateResult,
  ValueBatch,
  ValueLossOptions,
  ValueLossResult,
  WeightDtype,
} from './model/engine.ts';
export { recomputeLevels } from './model/engine.ts';
export type { ModelSource, TokenizerSource } from './model/files.ts';
export { openModelFiles } from './model/files.ts';
// Ops on your own buffers.
export * as kernels from './model/kernels.ts';
export { type Lora, type LoraOptions, type LoraTarget, loraTargets } from './model/lora.ts';
export { type PassKind, type PassOptions, planMemory, planPass } from './model/memory.ts';
export type { CreateOptions, CublasLtProducts, ModelOptions } from './model/model.ts';
export { createModel, loadModel, Model } from './model/model.ts';
export { type ModelAndTokenizer, type OpenOptions, openModel } from './model/open.ts';
export { type DType, describeTensor, Tensor, type TensorArrays, type TensorLayout } from './model/tensor.ts';
export { packageVersion } from './package.ts';
// Rollouts.
export { Ledger, type LedgerJson, Origin } from './rollout/ledger.ts';
export type { RolloutOptions, RolloutPrompt } from './rollout/options.ts';
export { type RolloutResult, rollout } from './rollout/rollout.ts';
export type {
  CallRecord,
  RolloutLimits,
  RolloutStats,
  ToolLimits,
  Trajectory,
  TrajectoryEnd,
} from './rollout/trajectory.ts';
export { listCheckpoints, type RunState, readState } from './run/checkpoint.ts';
// Runs: config, checkpoints, environment.
export { type Config, configSchema } from './run/config.ts';
export { describeEnvironment, type Environment } from './run/environment.ts';
export type { Difference } from './run/recorded.ts';
export { type ReplayOptions, type ReplayReport, replay } from './run/replay.ts';
export { formatConfig, parseConfig } from './run/yaml.ts';
// A model behind OpenAI's chat API.
export { type Answering, type AnsweringOptions, openAnswering } from './serve/open.ts';
export type { SandboxLimits } from './serve/sandbox-request.ts';
export {
  openSandboxServer,
  type RunningSandboxServer,
  type SandboxServerOptions,
} from './serve/sandbox-server.ts';
export { openServer, type RunningServer, type ServerOptions } from './serve/server.ts';
// Cold-start traces from a teacher.
export { parseSynthesis, type Synthesis } from './synthesize/config.ts';
export { type SynthesisOptions, synthesize } from './synthesize/synthesize.ts';
export {
  accepted,
  type Comparison,
  compareInteger,
  compareList,
  compareText,
  compareTextIgnoringCase,
  rejected,
  type Verdict,
} from './tasks/answer.ts';
export { loadCsvTask } from './tasks/csv.ts';
export { type DemoTaskName, demoTask, demoTaskNames, demoTasks } from './tasks/demo.ts';
export { loadTaskFile } from './tasks/files.ts';
export { verifyExpression } from './tasks/game24.ts';
// Tasks, verifiers and rewards.
export { makeTask, type TaskName, taskNames, tasks } from './tasks/index.ts';
export { DataError, type JsonlOptions, loadJsonlTask, readJsonl } from './tasks/jsonl.ts';
export { type DatasetOptions, loadAime, loadDapoMath, loadGpqa, loadMath } from './tasks/math/datasets.ts';
export { type MathOptions, mathEqual, verifyMath } from './tasks/math/equal.ts';
export { equalsVerlBox, lastBox } from './tasks/math/strict-box.ts';
export { verifyNumber } from './tasks/number.ts';
export { createRandom, type Random } from './tasks/random.ts';
export {
  openReasoningGym,
  type ReasoningGym,
  type ReasoningGymOptions,
} from './tasks/reasoning-gym-python.ts';
export {
  anchorReward,
  correctReward,
  hermesReward,
  type Overlong,
  overlongPenalty,
  type Reward,
  type RewardParts,
  r1ciReward,
  retoolReward,
  rewards,
  type ScoredCall,
  type ScoredInput,
  scoreTrajectory,
  sumOfParts,
} from './tasks/reward.ts';
export {
  namedSplits,
  openSuiteTask,
  type PublishedTask,
  type SuiteSets,
  suiteSets,
  suiteTaskNames,
} from './tasks/suites/index.ts';
export {
  type Draw,
  type FixedTask,
  type Generator,
  type ProceduralTask,
  proceduralTask,
  type Question,
  type QuestionsOptions,
  questions,
  type Split,
  type Task,
} from './tasks/task.ts';
export { type ChatMessage, type ChatOptions, renderPrompt, renderText } from './text/chat.ts';
export type {
  MessageOptions,
  ParseEvent,
  ToolFormat,
  ToolSegment,
  TurnParser,
} from './text/formats/index.ts';
export { checkFormat, formats, hermes, r1ci, retool } from './text/formats/index.ts';
// Text: tokenizers, chat templates, the formats of tool calls.
export type { AddedToken, TextPart, TextStream, Tokenizer } from './text/tokenizer.ts';
export { loadTokenizer, saveTokenizer } from './text/tokenizer-folder.ts';
export { tokenizerFromGguf } from './text/tokenizer-gguf.ts';
// Tools.
export { openSandboxFusion, type SandboxFusionOptions } from './tools/fusion.ts';
export { openPythonTool, type PythonTool, type PythonToolOptions } from './tools/python.ts';
export {
  checkToolRequest,
  type Tool,
  type ToolRequest,
  type ToolResult,
  type ToolStatus,
} from './tools/tool.ts';
// Training.
export { type AdvantageOptions, type GroupAdvantages, groupAdvantages } from './train/advantage.ts';
export {
  cutRows,
  lossMask,
  lossWeights,
  packIds,
  packRows,
  type Reduction,
  type Row,
} from './train/batch.ts';
export {
  type CorrectionOptions,
  type CorrectionWeights,
  correctionWeights,
  type KlEstimate,
  klEstimates,
} from './train/correction.ts';
export {
  type CriticOptions,
  type CriticRow,
  type CriticStep,
  criticStep,
  criticValues,
  explainedVariance,
  packValues,
} from './train/critic.ts';
export {
  type Curriculum,
  type CurriculumOptions,
  loadRatings,
  makeCurriculum,
  type Rating,
  rate,
} from './train/curriculum.ts';
export { type Estimator, estimateAdvantages, type RewardedRows } from './train/estimate.ts';
export type { Progress, RlStepReport, TrainEvent } from './train/loop.ts';
export type { PolicyStepOptions, ScoredTrajectory } from './train/policy-options.ts';
export { type PolicyStep, policyStep } from './train/policy-step.ts';
export { type LearningRate, learningRate } from './train/schedule.ts';
export { type Scored, scoreRollouts } from './train/score.ts';
export { openSetup, type Sampler, type Setup, type UserParts } from './train/setup.ts';
export { crossEntropy, type SftStep, sftStep, traceLedger } from './train/sft.ts';
export {
  type LoadTracesOptions,
  loadTraces,
  makeTraces,
  type Trace,
  type TraceOptions,
} from './train/traces.ts';
export { type EvaluationSummary, type TrainOptions, type TrainResult, train } from './train/train.ts';
