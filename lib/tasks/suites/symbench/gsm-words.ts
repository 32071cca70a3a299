/**
 * Constants that the words of a word problem bring into its solution: `half` divides by 2, a `week` has 7 days.
 *
 * Only what a word names may be an operand beside the question's own numbers; so a number that a solution found without
 * saying how is noticed.
 */

const kNamed: readonly (readonly [RegExp, readonly string[]])[] = [
  [/\b(?:half|halves|twice|double[ds]?|doubling|both|pairs?|couples?|twins?|two)\b/i, ['2', '1/2']],
  [/\b(?:thirds?|three|triple[ds]?|thrice|triplets?)\b/i, ['3', '1/3', '2']],
  [/\b(?:quarters?|fourths?|four|quadruple[ds]?)\b/i, ['4', '1/4', '3', '3/4', '25']],
  [/\b(?:fifths?|five)\b/i, ['5', '1/5', '2', '3', '4']],
  [/\b(?:sixths?|six)\b/i, ['6', '1/6']],
  [/\b(?:sevenths?|seven|weeks?|weekly|days?|daily)\b/i, ['7']],
  [/\b(?:eighths?|eight)\b/i, ['8', '1/8']],
  [/\b(?:ninths?|nine)\b/i, ['9']],
  [/\b(?:tenths?|ten|decades?|dimes?)\b/i, ['10', '1/10']],
  [/\beleven\b/i, ['11']],
  [/\b(?:twelve|dozens?|years?|yearly|annual(?:ly)?|months?|monthly|foot|feet|inch|inches)\b/i, ['12']],
  [/\b(?:thirteen)\b/i, ['13']],
  [/\b(?:fourteen|fortnights?)\b/i, ['14']],
  [/\b(?:fifteen)\b/i, ['15']],
  [/\b(?:twenty)\b/i, ['20']],
  [/\b(?:weeks?|weekend|months?)\b/i, ['4']],
  [/\b(?:days?|daily|hours?)\b/i, ['24']],
  [/\b(?:months?|days?|thirty)\b/i, ['30', '31']],
  [/\b(?:weeks?|weekly|years?)\b/i, ['52']],
  [/\b(?:hours?|minutes?|seconds?|hourly|sixty)\b/i, ['60', '3600']],
  [/\b(?:years?|days?)\b/i, ['365']],
  [
    /%|\b(?:percent(?:age)?|cents?|dollars?|hundred|centur(?:y|ies)|meters?|cm|centimeters?)\b|\$/i,
    ['100', '1/100'],
  ],
  [/\b(?:thousand|kilo[a-z]*|km|kg|grams?|milli[a-z]*|liters?|tons?)\b/i, ['1000']],
  [/\b(?:yards?)\b/i, ['3']],
  [/\b(?:pounds?|ounces?)\b/i, ['16']],
  [/\b(?:nickels?)\b/i, ['5']],
];

/** The constants that a question names, as texts of rationals; 1 is always among them. */
export function constantsNamedIn(question: string): Set<string> {
  const found = new Set(['1']);
  for (const [words, values] of kNamed)
    if (words.test(question)) for (const value of values) found.add(value);
  return found;
}

const kUnits =
  'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen'.split(
    ' ',
  );
const kTens = 'twenty thirty forty fifty sixty seventy eighty ninety'.split(' ');

/** Whether a question writes the number in words, too. */
export function wordOfNumber(value: number, question: string): boolean {
  if (value >= 100) return /\b(?:hundred|thousand|million)\b/i.test(question);
  const tens = kTens[Math.floor(value / 10) - 2];
  const unit = kUnits[value % 10];
  const word = value < 20 ? kUnits[value]! : value % 10 === 0 ? tens! : `${tens}[- ]${unit}`;
  return new RegExp(`\\b${word}\\b`, 'i').test(question);
}
