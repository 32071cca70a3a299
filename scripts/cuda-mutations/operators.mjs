// The operators of cuda-mutations.mjs: each is a kind of fault that authors of CUDA kernels make, as a rule that rewrites one
// line of device code. `find` is a global pattern on a line whose comments are blank; `make(groups)` gives what the match
// becomes, or null where the rule does not fit. `everywhere`: the same match in all lines of the file changes at once.

const balanced = (text, from) => {
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    if ('([{'.includes(text[at])) depth++;
    if (')]}'.includes(text[at]) && --depth === 0) return at;
  }
  return -1;
};

/** The top-level arguments of a call whose '(' is at `from`, or null when the call goes on in the next line. */
function callArguments(text, from) {
  const end = balanced(text, from);
  if (end < 0) return null;
  const parts = [''];
  let depth = 0;
  for (const c of text.slice(from + 1, end)) {
    if ('([{'.includes(c)) depth++;
    if (')]}'.includes(c)) depth--;
    if (c === ',' && depth === 0) parts.push('');
    else parts[parts.length - 1] += c;
  }
  return { end: end + 1, parts: parts.map((part) => part.trim()) };
}

/** A chunk's place without the permutation, at one use only: the other side still permutes. */
function* plainChunk(line) {
  if (line.includes('__device__')) return;
  for (const match of line.matchAll(/\bchunk_offset<([^<>]+)>\(/g)) {
    const call = callArguments(line, match.index + match[0].length - 1);
    if (call === null || call.parts.length !== 2) continue;
    const [row, chunk] = call.parts;
    const text = `static_cast<uint32_t>(((${row}) * (${match[1]}) + (${chunk})) * 16)`;
    yield { column: match.index, length: call.end - match.index, text };
  }
}

/** `a < b ? a : b`: where the two are equal, either is the result. */
function isMinimum(match, line) {
  const left = line
    .slice(0, match.index)
    .split(/(?<!-)[=,:?(] /)
    .pop();
  const taken = / \? (.*)$/.exec(line.slice(match.index + match[0].length))?.[1];
  return taken?.replaceAll('(', '').startsWith(left.trim().replaceAll('(', '')) ?? false;
}

const other = { N: 'K', K: 'N', H: 'G', G: 'H' };
const strict = { '<': '<=', '<=': '<', '>': '>=', '>=': '>' };
const dimensions =
  /\* ((?:p\.|s\.|)(?:C|V|D|stride|dz_stride|page_stride|layer_stride|page_elements)|stride_|row_stride|half)\b/g;
const scales =
  / \* ((?:p|weights)\.(?:scale|inv_temperature|chunk|before|sign)|row\.inv_temperature|inv_temperature|scale|rstd|inverse|kLog2e|kLn2|factor\[[^\]]+\]|ratio\.share|s\.(?:grad_scale|decay)|coefficient|share)\b/g;
const bases =
  /(?<=[[(+ ])(n0|k0|t0|r0|v0|d0|col0|row0|key0|query0|tile0|column0|first|begin|window|start) \+ (?=[\w(])/g;
const declared =
  /\b(?:float|double|int|unsigned long long) (?:\w+ = 0(?:\.0f?)?, )*(sum|total|weighted|delta|seen|squares|count|mine|before|log_ratios|tokens|above|x) = (0(?:\.0f?)?)(?=[;,])/g;

export const operators = [
  {
    id: 'barrier-dropped',
    what: 'a barrier is missing',
    find: /\b__sync(?:threads|warp)\(\w*\);/g,
    make: () => ';',
  },
  {
    id: 'wait-short',
    what: 'a wait lets one more group of copies be under way',
    find: /\bwait_copies<([^<>]+)>\(\)/g,
    make: ([, n]) => `wait_copies<${n} + 1>()`,
  },
  {
    id: 'commit-dropped',
    what: 'a group of copies is not closed',
    find: /\bcommit_copies\(\);/g,
    make: () => ';',
  },
  {
    id: 'copy-tail-ignored',
    what: 'a copy does not stop at the end',
    find: /(?<=, )([^,?]+) \? (\w+) : 0\)/g,
    make: ([, , bytes]) => `${bytes})`,
  },
  {
    id: 'bound-dropped',
    what: 'one of two bounds is not checked',
    find: /(?<=[(=] |\()([\w.]+(?: [+*] [\w.]+(?: \* [\w.]+)?)* (?:<|>=) [\w.]+) && (?=[\w(])| && ([\w.]+(?: [+*] [\w.]+(?: \* [\w.]+)?)* (?:<|>=) [\w.]+)(?=[;)]| \?)/g,
    make: () => '',
  },
  {
    id: 'exit-dropped',
    what: 'threads or blocks past the end go on',
    find: /\bif \(((?:[^()]|\([^()]*\))*(?:<|>)(?:[^()]|\([^()]*\))*)\) (return|continue)\b/g,
    make: ([, , how]) => `if (false) ${how}`,
  },
  { id: 'swizzle-one-side', what: 'one side does not permute the chunks', sites: plainChunk },
  {
    id: 'swizzle-weak',
    what: 'the permutation is gone or covers fewer rows, on both sides',
    find: /\bchunk \^ flip\b|\brow & 7\b|\(row >> 1\) & 3|\(row >> 2\) & 1/g,
    make: ([all]) =>
      ({ 'chunk ^ flip': 'chunk', 'row & 7': '(row & 3)', '(row >> 1) & 3': '((row >> 1) & 1)' })[all] ?? '0',
  },
  {
    id: 'padding-dropped',
    what: 'rows of a shared tile are not padded',
    find: /(?<=\[)(k\w+) \+ 1(?=\])|(?<== )(kVocabTileColumns) \+ 8(?=;)/g,
    make: ([, a, b]) => a ?? b,
    everywhere: true,
  },
  {
    id: 'off-by-one',
    what: 'a comparison of a mask, tail or cut is off by one',
    find: / (<=|<|>=|>) (?=[\w(-])/g,
    make: (match, line) =>
      /\bfor \(|template|__builtin_assume/.test(line) || isMinimum(match, line)
        ? null
        : ` ${strict[match[1]]} `,
  },
  {
    id: 'loop-one-short',
    what: 'a loop misses its last round',
    find: /(\bfor \([^;]*; )([^;&]+) (<|>=) ([^;&]+)(?=;)/g,
    make: ([, head, a, sign, b]) => (sign === '<' ? `${head}${a} < (${b}) - 1` : `${head}${a} > ${b}`),
  },
  {
    id: 'loop-late',
    what: 'a loop misses its first round',
    find: /(\bfor \((?:int|int64_t) \w+ = )([^;,]+)(?=;)/g,
    make: ([, head, start]) => (/distance/.test(head) ? null : `${head}(${start}) + 1`),
  },
  {
    id: 'fragment-lanes',
    what: 'lanes hold other rows or columns of a fragment',
    find: /\blane (\/|%) (4|8)\b|\((lane) & (15|7)\)|\blane >> (4|3)\b|\bat\.(outer|low|inner|high)\b/g,
    make: ([, sign, by, lane, mask, shift, row]) => {
      if (sign) return sign === '/' ? `lane % ${by}` : `lane / ${by}`;
      if (lane) return mask === '15' ? '(lane & 7)' : '(lane & 15)';
      if (shift) return `lane >> ${7 - shift}`;
      return `at.${{ outer: 'low', low: 'outer', inner: 'high', high: 'inner' }[row]}`;
    },
  },
  {
    id: 'fragment-halves',
    what: 'halves of a fragment are exchanged',
    find: /\b(b|fragment_b)\[(\d)\], \1\[(\d)\]|\b(r|half) \* 8\b|\bi \/ 2\b|\(i >> 1\)|\bi & 1\b/g,
    make: ([all, array, one, two, row]) => {
      if (array) return `${array}[${two}], ${array}[${one}]`;
      if (row) return `(1 - ${row}) * 8`;
      return { 'i / 2': 'i % 2', '(i >> 1)': '(i & 1)', 'i & 1': 'i >> 1' }[all];
    },
  },
  {
    id: 'ldmatrix-form',
    what: 'a tile is loaded with or without transposition, the wrong one',
    find: /\bload_tiles(_transposed)?\(/g,
    make: ([, form], line) =>
      line.includes('__device__') ? null : form ? 'load_tiles(' : 'load_tiles_transposed(',
  },
  { id: 'fence-dropped', what: 'a fence is missing', find: /\b__threadfence\(\);/g, make: () => ';' },
  {
    id: 'atomic-plain',
    what: 'an atomic update is an ordinary one',
    find: /\batomic(Add|Or|Min|Max)\((&?)([^;]+), ([^;]+)\);/g,
    make: ([, kind, by, place, value]) => {
      const to = by === '&' ? place : `(*${place})`;
      if (kind === 'Add') return `${to} += ${value};`;
      if (kind === 'Or') return `${to} |= ${value};`;
      return `if (${value} ${kind === 'Min' ? '<' : '>'} ${to}) ${to} = ${value};`;
    },
  },
  {
    id: 'page-index',
    what: 'another page',
    find: /\b(pages|page_table|page_start)\[([^[\]]+)\]|\bp\.(from|to)\[blockIdx\.x\]/g,
    make: ([, array, index, side]) =>
      array ? `${array}[(${index}) + 1]` : `p.${side === 'from' ? 'to' : 'from'}[blockIdx.x]`,
  },
  {
    id: 'dimension-swapped',
    what: 'the stride of another dimension',
    find: /([*/%] (?:p\.|s\.|kv\.)?)(N|K|H|G)\b/g,
    make: ([, head, name]) => `${head}${other[name]}`,
  },
  {
    id: 'stride-wrong',
    what: 'rows lie one element further apart',
    find: dimensions,
    make: ([, x]) => `* (${x} + 1)`,
  },
  {
    id: 'accumulate-lost',
    what: 'a sum keeps its last term only',
    find: / \+= /g,
    make: (_, line) => (/\bfor \(/.test(line) ? null : ' = '),
  },
  {
    id: 'update-dropped',
    what: 'what happens under a condition does not',
    find: /\bif \((?:[^()]|\([^()]*\))*\) \w[\w.]*(?:\[[^\]]*\])* [+|]?= [^;=]+;/g,
    make: () => ';',
  },
  {
    id: 'difference-swapped',
    what: 'the operands of a difference are exchanged',
    find: /(?<=[(=*] |\()([a-z_][\w.]*(?:\[[^[\]]*\])*) - ([a-z_][\w.]*(?:\[[^[\]]*\])*)(?=[;),])/g,
    make: ([, a, b]) => `${b} - ${a}`,
  },
  {
    id: 'shuffle-lane',
    what: 'a shuffle reads another lane',
    find: /(\b__shfl_(?:xor_)?sync\(0xffffffffu, (?:[^(),]|\([^()]*\))+, )(\w+)\)/g,
    make: ([, head, lane]) =>
      lane === 'distance' ? null : `${head}${lane === '31' ? '30' : `(${lane}) ^ 3`})`,
  },
  {
    id: 'tree-cut',
    what: 'a reduction over lanes misses a level',
    find: /\bdistance = 16\b|\bdistance < 32\b|\bdistance > 0\b/g,
    make: ([all]) =>
      ({ 'distance = 16': 'distance = 8', 'distance < 32': 'distance < 16' })[all] ?? 'distance > 1',
  },
  {
    id: 'sum-start',
    what: 'a sum does not start at 0',
    find: declared,
    make: ([all, , zero]) => `${all.slice(0, all.length - zero.length)}1`,
  },
  {
    id: 'max-start',
    what: 'a maximum starts at 0',
    find: /(?<=[={] )minus_infinity\(\)(?=[;,])|(?<=\{)minus_infinity\(\)(?=,)/g,
    make: () => '0.0f',
  },
  { id: 'scale-lost', what: 'a factor is missing', find: scales, make: () => '' },
  {
    id: 'sign-lost',
    what: 'a sign is missing',
    find: /(?<=[,=?:] |\(|return )-(?=[a-z(_])/g,
    make: () => '',
  },
  { id: 'base-lost', what: 'an index forgets the start of its tile', find: bases, make: () => '' },
  {
    id: 'rounding',
    what: 'another direction of rounding',
    find: /\bcvt\.rn\b|_rn\(|_ru\(/g,
    make: ([all]) => ({ 'cvt.rn': 'cvt.rz', '_rn(': '_rz(', '_ru(': '_rd(' })[all],
    inStrings: true,
  },
  {
    id: 'random-word',
    what: 'another word of the random numbers',
    find: /\bcounter\.v\[(\d)\]|\bdraw\.v\[(\w)\]|\{position, sample,|\bseed >> 32\b/g,
    make: ([all, word, drawn]) => {
      if (word) return `counter.v[${(Number(word) + 1) % 4}]`;
      if (drawn) return `draw.v[${drawn === '0' ? 2 : 0}]`;
      return all === 'seed >> 32' ? 'seed' : '{sample, position,';
    },
  },
  {
    id: 'stage-stuck',
    what: 'a stage of the pipeline is used before it is free',
    find: /\b(step|tile|page) & 1\b|% Shape::kStages\b/g,
    make: ([, name]) => (name ? `${name} & 0` : '% (Shape::kStages - 1)'),
  },
  {
    id: 'special-value',
    what: 'infinity is not looked after',
    find: /[\w.[\]]+ == minus_infinity\(\) \? 0\.0f : |\bfmaxf\(-128\.0f, (\w+)\)/g,
    make: ([, x]) => x ?? '',
  },
  {
    id: 'mask-dropped',
    what: 'what a mask hides is used',
    find: /(?<== )([^=?;]+) \? ([^?:;]+) : 0(?:\.0f|u)?(?=;)/g,
    make: ([, , value]) => value,
  },
  {
    id: 'option-ignored',
    what: 'an option is not looked at',
    find: /\bp\.(?:accumulate|keep_mean)(?: != 0)?(?= \?| &&|;)|(?<=\bif \()p\.\w+ != nullptr(?=\))/g,
    make: () => 'false',
  },
  {
    id: 'alignment-assumed',
    what: 'arrays are taken for aligned',
    find: /\bconst bool (wide|pairs) = ?(?=.|$)/g,
    make: ([, name]) => `const bool ${name} = true || `,
  },
];
