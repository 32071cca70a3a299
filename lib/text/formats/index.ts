/** The three tool formats by name; see docs/formats.md. */
import { ToolgradError } from '../../errors.ts';
import type { Tokenizer } from '../tokenizer.ts';
import type { ToolFormat } from './format.ts';
import { hermes } from './hermes.ts';
import { r1ci } from './r1ci.ts';
import { retool } from './retool.ts';

export type {
  MessageOptions,
  ParseEvent,
  ToolFormat,
  ToolSegment,
  TurnParser,
} from './format.ts';
export { hermes, r1ci, retool };

/** Every format by the name it has in a config. */
export const formats: { readonly [name in ToolFormat['name']]: ToolFormat } = { r1ci, retool, hermes };

/** Checks that the tokens a format's template text needs exist; else a ToolgradError ERR_FORMAT that says which is missing. */
export function checkFormat(format: ToolFormat, tokenizer: Pick<Tokenizer, 'addedTokens' | 'eosIds'>): void {
  if (tokenizer.eosIds.length === 0) {
    throw new ToolgradError(
      'ERR_FORMAT',
      `format ${format.name} needs a token that ends a turn, but the tokenizer names none; set eos_token in tokenizer_config.json`,
    );
  }
  const template = format
    .toolText({ status: 'ok', output: '' })
    .filter(({ origin }) => origin === 'template');
  for (const { text } of template) {
    for (const [token] of text.matchAll(/<\|[a-z_]+\|>/g)) {
      if (tokenizer.addedTokens.has(token)) continue;
      throw new ToolgradError(
        'ERR_FORMAT',
        `format ${format.name} needs the token ${token}, which this tokenizer lacks; use r1ci or retool with this model`,
      );
    }
  }
}
