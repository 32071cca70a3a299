/**
 * Decimal answers, compared exactly: `4.25`, `-2.50`, `.5`, `1,234.5` (groups of three), and fractions `10/3`.
 *
 * A value that has a decimal form must be given exactly, trailing zeros aside. A value that has none (10/3; its canonical
 * answer is the nearest double, so it has more than ten decimals) may be rounded to two decimals or more; a cut-off one
 * (11/3 as 3.66) is wrong. Sums of doubles may be off in their last places: a difference of at most 1e-9 never counts.
 */
import { accepted, rejected, type Verdict } from '../../answer.ts';

const kDecimal = /^(-?)(0|[1-9][0-9]*|[1-9][0-9]{0,2}(?:,[0-9]{3})+)?(?:\.([0-9]+))?$/;
const kFraction = /^(-?[0-9]+) ?\/ ?([1-9][0-9]*)$/;
const kLongestDecimal = 60;
const kExactPlaces = 10;
const kNoise = 9;

interface Value {
  readonly numerator: bigint;
  readonly denominator: bigint;
  /** Decimals as written; undefined for a fraction. */
  readonly places: number | undefined;
}

function readValue(text: string): Value | undefined {
  if (text.length > kLongestDecimal) return undefined;
  const fraction = kFraction.exec(text);
  if (fraction !== null) {
    return { numerator: BigInt(fraction[1]!), denominator: BigInt(fraction[2]!), places: undefined };
  }
  const decimal = kDecimal.exec(text);
  if (decimal === null) return undefined;
  const [, sign = '', whole = '', decimals = ''] = decimal;
  if (whole === '' && decimals === '') return undefined;
  const magnitude = BigInt(`${whole.replaceAll(',', '')}${decimals}`);
  return {
    numerator: sign === '-' ? -magnitude : magnitude,
    denominator: 10n ** BigInt(decimals.length),
    places: decimals.length,
  };
}

/** Compares by the rules above; `expected` is a canonical answer: the shortest text of a double. */
export function compareDecimal(expected: string, answer: string): Verdict {
  const wanted = readValue(expected);
  if (wanted?.places === undefined) {
    throw new TypeError(`compareDecimal: expected a decimal as the canonical answer, found ${expected}`);
  }
  const found = readValue(answer);
  if (found === undefined) return rejected('not a decimal number or a fraction');
  const roundable = wanted.places > kExactPlaces && found.places !== undefined && found.places >= 2;
  const difference = found.numerator * wanted.denominator - wanted.numerator * found.denominator;
  const scaled = 2n * (difference < 0n ? -difference : difference);
  const scale = found.denominator * wanted.denominator;
  // |found - wanted| <= 10^-places / 2, or <= 10^-kNoise
  const rounded = roundable && scaled * 10n ** BigInt(found.places!) <= scale;
  const equal = scaled * 10n ** BigInt(kNoise) <= 2n * scale;
  return rounded || equal ? accepted : rejected('a different number');
}
