/**
 * Units of measurement behind a number: which words are units, and which spell the same one.
 *
 * Units are compared, never converted: 60 inches is not 5 feet. Words that are not in the table are units only where the
 * expected answer has the very same words.
 */

/** Spellings of each unit, the canonical one first. */
const kSpellings: readonly (readonly string[])[] = [
  ['mm', 'millimeter', 'millimeters', 'millimetre', 'millimetres'],
  ['cm', 'centimeter', 'centimeters', 'centimetre', 'centimetres'],
  ['m', 'meter', 'meters', 'metre', 'metres'],
  ['km', 'kilometer', 'kilometers', 'kilometre', 'kilometres'],
  ['inch', 'inches', 'in'],
  ['foot', 'feet', 'ft'],
  ['yard', 'yards', 'yd'],
  ['mile', 'miles', 'mi'],
  ['unit', 'units'],
  ['mg', 'milligram', 'milligrams'],
  ['g', 'gram', 'grams'],
  ['kg', 'kilogram', 'kilograms'],
  ['ounce', 'ounces', 'oz'],
  ['pound', 'pounds', 'lb', 'lbs'],
  ['ton', 'tons'],
  ['ml', 'milliliter', 'milliliters'],
  ['l', 'liter', 'liters', 'litre', 'litres'],
  ['gallon', 'gallons'],
  ['cup', 'cups'],
  ['acre', 'acres'],
  ['second', 'seconds', 'sec', 's'],
  ['minute', 'minutes', 'min'],
  ['hour', 'hours', 'h'],
  ['day', 'days'],
  ['week', 'weeks'],
  ['month', 'months'],
  ['year', 'years'],
  ['mph'],
  ['cent', 'cents'],
  ['dollar', 'dollars', 'usd'],
  ['euro', 'euros'],
  ['radian', 'radians'],
  ['point', 'points'],
  ['way', 'ways'],
  ['time', 'times'],
];

const kCanonical = new Map(kSpellings.flatMap((spellings) => spellings.map((word) => [word, spellings[0]!])));

/** Words that stand inside a unit without being one: `square cm`, `miles per hour`. */
const kJoining = new Set(['per', 'square', 'sq', 'cubic', 'cu']);

/** Whether a bare word (two letters or more) is read as a unit and not as a product of variables. */
export function isUnitWord(word: string): boolean {
  const lower = word.toLowerCase();
  return word.length >= 2 && lower !== 'in' && (kCanonical.has(lower) || kJoining.has(lower));
}

/**
 * The canonical form of a unit phrase, `square centimeters` and `cm^2` alike: `cm^2`. `known` says whether every word is in
 * the table; a phrase with an unknown word stays as it is, in lower case.
 */
export function canonicalUnit(phrase: string): { unit: string; known: boolean } {
  const words = phrase
    .toLowerCase()
    .replaceAll('/', ' per ')
    .replace(/[.]/g, '')
    .split(/[ \t\r\n]+/)
    .filter((word) => word !== '');
  const out: string[] = [];
  let known = words.length > 0;
  let exponent = '';
  for (const word of words) {
    if (word === 'square' || word === 'sq') exponent = '^2';
    else if (word === 'cubic' || word === 'cu') exponent = '^3';
    else if (word === 'per') out.push('/');
    else {
      const [name = '', power = ''] = word.split('^');
      const canonical = kCanonical.get(name);
      if (canonical === undefined || (exponent !== '' && power !== '')) known = false;
      out.push(`${canonical ?? name}${exponent}${power === '' ? '' : `^${power}`}`);
      exponent = '';
    }
  }
  if (exponent !== '') known = false;
  return known ? { unit: out.join(' '), known } : { unit: words.join(' '), known: false };
}
