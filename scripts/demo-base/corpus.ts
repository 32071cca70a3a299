/**
 * The synthetic corpus the demo's base model is trained on: short documents of plain prose, logs, records, Python source
 * and lists, drawn from a seeded generator. What it teaches is English-like text, Python syntax and copying.
 *
 * It contains no question, no answer marker, no code fence, no tool call, no program output and none of the demo's tasks
 * (test/demo-base.test.ts checks that). A document is a pure function of (seed, index).
 */
import { createRandom, type Random } from '../../lib/tasks/random.ts';

type Make = (random: Random) => string;

const kConsonants = [...'bcdfghjklmnpqrstvwxyz'];
const kVowels = [...'aeiou'];
const kNouns = (
  'apple banana cherry lemon melon orange pepper tomato onion carrot river mountain valley forest garden window ' +
  'table chair paper letter number list word string value total count index length table box train station market ' +
  'village city bridge street house school teacher student doctor farmer sailor engine wheel ladder basket bottle ' +
  'result execution code program function line order place name size price weight height depth width record file'
).split(' ');
const kVerbs =
  'moved carried counted stored sorted opened closed painted measured found lost sent kept wrote read'.split(
    ' ',
  );
const kAdjectives =
  'small large red green blue old new heavy light early late first last second third long short'.split(' ');
const kPlaces = 'Oslo Lima Cairo Delhi Tokyo Paris Quito Dakar Hanoi Turin Perth Bergen'.split(' ');
const kNames = 'Anna Boris Carla David Elena Felix Greta Hugo Irene Jonas Karin Louis'.split(' ');
const kVariables =
  'a b c n m x y z k total count value items words text data result size left right first'.split(' ');

/** A pronounceable invented word of 2 to 4 syllables. */
function inventedWord(random: Random): string {
  let word = '';
  const syllables = random.integer(2, 4);
  for (let i = 0; i < syllables; i++) word += random.choice(kConsonants) + random.choice(kVowels);
  return random.integer(0, 2) === 0 ? word + random.choice(kConsonants) : word;
}

/** A string of 4 to 16 letters drawn from a few different ones, so that letters repeat. */
function letterString(random: Random): string {
  const letters = random.sample([...kConsonants, ...kVowels], random.integer(3, 8));
  let text = '';
  const length = random.integer(4, 16);
  for (let i = 0; i < length; i++) text += random.choice(letters);
  return text;
}

function word(random: Random): string {
  const kind = random.integer(0, 2);
  return kind === 0 ? random.choice(kNouns) : kind === 1 ? inventedWord(random) : letterString(random);
}

/** An integer of 1 to 6 digits; every number of digits is equally likely. */
function number(random: Random): string {
  const digits = random.integer(1, 6);
  return String(random.integer(digits === 1 ? 0 : 10 ** (digits - 1), 10 ** digits - 1));
}

function hexadecimal(random: Random): string {
  return random.integer(1, 0xfffff).toString(16);
}

function numbers(random: Random, low = 3, high = 9): string[] {
  return Array.from({ length: random.integer(low, high) }, () => number(random));
}

const prose: Make = (r) => {
  const sentences: string[] = [];
  const name = r.choice(kNames);
  const place = r.choice(kPlaces);
  const amount = number(r);
  const noun = r.choice(kNouns);
  const count = r.integer(2, 4);
  for (let i = 0; i < count; i++) {
    sentences.push(
      r.choice([
        `${name} ${r.choice(kVerbs)} the ${r.choice(kAdjectives)} ${noun} in ${place}.`,
        `There were ${amount} of them near the ${r.choice(kNouns)}.`,
        `The ${noun} from ${place} was ${r.choice(kAdjectives)} and ${r.choice(kAdjectives)}.`,
        `All ${amount} went to ${place} with ${name}.`,
        `The code of the ${noun} is ${word(r)}, and the ${r.choice(kNouns)} has the code ${word(r)}.`,
        `Its execution took ${amount} days; the results were ${r.choice(kVerbs)} by ${name}.`,
      ]),
    );
  }
  return sentences.join(' ');
};

const log: Make = (r) => {
  const lines: string[] = [];
  const user = word(r);
  const count = r.integer(2, 5);
  for (let i = 0; i < count; i++) {
    lines.push(`${r.choice(kVerbs)} ${number(r)} from ${word(r)} to ${i % 2 === 0 ? user : word(r)}`);
  }
  const again = r.choice(lines);
  return `${lines.join('\n')}\nagain: ${again}`;
};

const record: Make = (r) => {
  const keys = r.sample(kNouns, r.integer(2, 4));
  const pairs = keys.map((key) => [key, r.integer(0, 1) === 0 ? number(r) : word(r)] as const);
  const plain = pairs.map(([key, value]) => `${key}: ${value}`).join('\n');
  const quoted = pairs
    .map(([key, value]) => `"${key}": ${/^\d/.test(value) ? value : `"${value}"`}`)
    .join(', ');
  return `${plain}\n{${quoted}}`;
};

const list: Make = (r) => {
  const items = r.integer(0, 2) === 0 ? Array.from({ length: r.integer(3, 7) }, () => word(r)) : numbers(r);
  const name = r.choice(kVariables);
  const code = items.map((item) => (/^\d/.test(item) ? item : `"${item}"`)).join(', ');
  return r.choice([
    `${r.choice(kNouns)} list: ${items.join(', ')}\n${name} = [${code}]`,
    `${items.join(' ')}\n${items.join(', ')}`,
    `${name} = [${code}]\nfor item in ${name}:\n    keep(item)`,
  ]);
};

/** Comment and code that share their operands: the most useful kind of document for copying into an expression. */
const commented: Make = (r) => {
  const [a, b, c] = [number(r), number(r), number(r)] as const;
  const name = r.choice(kVariables);
  const text = word(r);
  const letter = r.choice([...text]);
  const values = numbers(r);
  const hex = hexadecimal(r);
  return r.choice([
    `# ${a} and ${b} together\n${name} = ${a} + ${b}`,
    `# ${a} without ${b}\n${name} = ${a} - ${b}`,
    `# ${a} rows of ${b}\n${name} = ${a} * ${b}`,
    `# ${a} rows of ${b}, then ${c} more\n${name} = ${a} * ${b} + ${c}`,
    `# what is left of ${a} in groups of ${b}\n${name} = ${a} % ${b}`,
    `# full groups of ${b} in ${a}\n${name} = ${a} // ${b}`,
    `# letter ${letter} inside ${text}\n${name} = "${text}".count("${letter}")`,
    `# ${text} from the end to the start\n${name} = "${text}"[::-1]`,
    `# ${text} in capitals\n${name} = "${text}".upper()`,
    `# smallest first: ${values.join(', ')}\n${name} = sorted([${values.join(', ')}])`,
    `# largest first: ${values.join(' ')}\n${name} = sorted([${values.join(', ')}], reverse=True)`,
    `# the sum over ${values.join(', ')}\n${name} = sum([${values.join(', ')}])`,
    `# entry ${r.integer(0, 5)} after sorting\n${name} = sorted([${values.join(', ')}])[${r.integer(0, 5)}]`,
    `# common measure of ${a} and ${b}\nimport math\n${name} = math.gcd(${a}, ${b})`,
    `# ${hex} read with sixteen symbols\n${name} = int("${hex}", 16)`,
    `# ${a} written with sixteen symbols\n${name} = hex(${a})[2:]`,
    `# power of ${a} inside ${b}\n${name} = pow(${a}, ${c}, ${b})`,
    `# digits of ${a}\n${name} = sum(int(d) for d in str(${a}))`,
  ]);
};

const program: Make = (r) => {
  const name = r.choice(kNouns);
  const [x, y] = r.sample(kVariables, 2) as [string, string];
  return r.choice([
    `def ${name}(${x}, ${y}):\n    return ${x} ${r.choice(['+', '-', '*', '%', '//'])} ${y}`,
    `def ${name}(${x}):\n    ${y} = 0\n    for item in ${x}:\n        ${y} += item\n    return ${y}`,
    `${x} = ${number(r)}\n${y} = ${x} ${r.choice(['+', '-', '*'])} ${number(r)}\nprint(${y})`,
    `import math\n${x} = math.${r.choice(['gcd', 'lcm'])}(${number(r)}, ${number(r)})\nprint(${x})`,
    `if ${x} ${r.choice(['<', '>', '=='])} ${number(r)}:\n    print(${x})\nelse:\n    print(${y})`,
    `${x} = "${word(r)}"\nprint(len(${x}), ${x}[${r.integer(0, 3)}])`,
    `print("${word(r)}".upper(), "${word(r)}"[::-1])`,
    `print(sorted([${numbers(r).join(', ')}])[${r.integer(0, 5)}])`,
  ]);
};

/** Something, a separator, and the same thing again: induction in its plainest form. */
const repetition: Make = (r) => {
  const items = Array.from({ length: r.integer(2, 12) }, () => (r.integer(0, 2) > 0 ? number(r) : word(r)));
  const separator = r.choice([' | ', '\n', ' ; ', ' / ', '\ncopy: ']);
  const text = items.join(r.choice([' ', ', ']));
  return `${text}${separator}${text}`;
};

const kinds: readonly (readonly [weight: number, make: Make])[] = [
  [2, prose],
  [1, log],
  [2, record],
  [2, list],
  [6, commented],
  [2, program],
  [6, repetition],
];
const kTotalWeight = kinds.reduce((sum, [weight]) => sum + weight, 0);

/** Document `index` of the corpus with this seed: a few hundred characters at most. */
export function corpusDocument(seed: number, index: number): string {
  const random = createRandom(seed, [0xba5e, index]);
  let parts = random.integer(1, 3);
  const pieces: string[] = [];
  while (parts > 0) {
    let pick = random.integer(0, kTotalWeight - 1);
    const kind = kinds.find(([weight]) => {
      pick -= weight;
      return pick < 0;
    });
    pieces.push(kind![1](random));
    parts -= 1;
  }
  return pieces.join('\n\n');
}
