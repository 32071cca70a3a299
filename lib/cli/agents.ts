/** What commands that run agents share: reading --agent, and opening the guide of CodeSteer. */
import { ToolgradError } from '../errors.ts';
import { type AgentName, agentNames } from '../eval/agents.ts';
import type { AgentContext, Guide } from '../eval/attempt.ts';
import { type ChatEndpoint, chatEndpoint } from '../eval/endpoint.ts';
import { endpointGuide, modelGuide } from '../eval/steer.ts';
import { openModel } from '../model/open.ts';
import { placement } from '../run/placement.ts';
import { nearestName } from '../run/yaml.ts';
import { chatmlTemplate, renderPrompt } from '../text/chat.ts';
import type { Setup } from '../train/setup.ts';

export interface GuideFlags {
  /** `self`, the path of a model, or the URL of an endpoint. */
  readonly guide: string;
  /** The model's name at the endpoint. */
  readonly guideModel?: string;
}

/** Collects an option that may be given several times, or as a list with commas. */
export function listOption(value: string, before: string[]): string[] {
  return [...before, ...value.split(',').map((item) => item.trim())];
}

/** The agents named, in the order of `agentNames`; ERR_USAGE for an unknown one. */
export function readAgents(names: readonly string[]): AgentName[] {
  for (const name of names) {
    if ((agentNames as readonly string[]).includes(name)) continue;
    const nearest = nearestName(name, agentNames);
    const hint = nearest === null ? '' : `; did you mean ${nearest}?`;
    throw new ToolgradError(
      'ERR_USAGE',
      `--agent: expected ${agentNames.join(', ')}, found ${JSON.stringify(name)}${hint}`,
    );
  }
  return agentNames.filter((name) => names.includes(name));
}

/** An endpoint from two flags; ERR_USAGE when the model's name is missing. */
export function readEndpoint(flag: string, url: string, model: string | undefined): ChatEndpoint {
  if (model !== undefined) return chatEndpoint({ url, model });
  throw new ToolgradError('ERR_USAGE', `--${flag} ${url}: name the model there with --${flag}-model`);
}

/** Everything the agents need of an open setup; `close` gives back what was opened besides. */
export async function openAgents(
  setup: Setup,
  agents: readonly AgentName[],
  flags: GuideFlags,
): Promise<{ context: AgentContext; close(): void }> {
  const { model, cache, tokenizer, format, tool, limits, toolLimits, config } = setup;
  const template = config.chat_template === 'chatml' ? { template: chatmlTemplate } : {};
  const context: AgentContext = {
    rollout: {
      model,
      cache,
      tokenizer,
      format,
      tool,
      limits,
      toolLimits,
      runSeed: BigInt(config.seed),
    },
    render: (messages) => renderPrompt(tokenizer, messages, template),
    prompt: setup.prompt,
    instruction: config.instruction,
    guide: null,
  };
  if (!agents.includes('steer')) return { context, close() {} };
  const { guide, close } = await openGuide(setup, context, flags);
  return { context: { ...context, guide }, close };
}

async function openGuide(
  setup: Setup,
  context: AgentContext,
  flags: GuideFlags,
): Promise<{ guide: Guide; close(): void }> {
  if (flags.guide === 'self') {
    return { guide: modelGuide('the model itself, under the guiding prompt', context), close() {} };
  }
  if (/^https?:\/\//.test(flags.guide)) {
    const endpoint = readEndpoint('guide', flags.guide, flags.guideModel);
    return { guide: endpointGuide(endpoint), close() {} };
  }
  const { config } = setup;
  const { model, tokenizer } = await openModel(flags.guide, {
    dtype: config.model.dtype,
    ...placement(config.model),
  });
  const bytes = config.rollout.kv_memory_mb * 2 ** 20;
  const cache = model.openKvCache(Math.max(1, Math.floor(bytes / model.memory.kvBytesPerPage)));
  const guide = modelGuide(flags.guide, {
    rollout: { ...context.rollout, model, tokenizer, cache },
    render: (messages) => renderPrompt(tokenizer, messages),
  });
  return {
    guide,
    close() {
      cache.dispose();
      model.dispose();
    },
  };
}
