/**
 * What a program is for, by rules on its text, and whether a later call checks an earlier result. ReTool had a language model
 * name purposes; these rules are ours, so that the numbers need no judge. The first rule that fits decides; docs/evaluation.md
 * lists them. They look at the program only, never at the question or at whether the answer was right.
 */

export const purposes = [
  'verification',
  'symbolic',
  'simulation',
  'search',
  'data handling',
  'calculation',
  'other',
] as const;
export type Purpose = (typeof purposes)[number];

/** The program without comments and with the contents of its texts removed, so that rules see code only. */
export function bareCode(code: string): string {
  const tokens =
    /'''[\s\S]*?(?:'''|$)|"""[\s\S]*?(?:"""|$)|'(?:\\.|[^'\\\n])*'?|"(?:\\.|[^"\\\n])*"?|#[^\n]*/g;
  return code.replace(tokens, (token) => (token.startsWith('#') ? '' : "''"));
}

interface Rule {
  readonly purpose: Purpose;
  /** On the bare code. */
  readonly code?: RegExp;
  /** On the program as written, its texts and comments included. */
  readonly text?: RegExp;
  /** On the bare code. */
  readonly shape?: (code: string) => boolean;
}

/** A loop inside a loop with a test inside both. */
function testsInNestedLoops(code: string): boolean {
  const loops: number[] = [];
  for (const line of code.split('\n')) {
    const indent = line.search(/\S/);
    if (indent < 0) continue;
    while (loops.length > 0 && loops.at(-1)! >= indent) loops.pop();
    if (loops.length >= 2 && /\bif\b/.test(line)) return true;
    if (/^\s*for\b/.test(line)) {
      if (loops.length >= 1 && /:.*\bif\b/.test(line)) return true;
      loops.push(indent);
    }
  }
  return false;
}

/** A loop that looks on until something is found. */
function looksOn(code: string): boolean {
  const start = code.search(/^[ \t]*while[ \t]+True\b/m);
  return start >= 0 && /\bbreak\b/.test(code.slice(start));
}

const kRules: readonly Rule[] = [
  // Asserts, functions and names that check, a comparison printed, or a text that reports a check.
  { purpose: 'verification', code: /^\s*assert\b|\b(?:verify|validate|is_valid|check)\w*\s*\(/m },
  { purpose: 'verification', code: /\bprint\s*\([^\n]*(?:==|!=)/ },
  { purpose: 'verification', text: /#\s*(?:verify|check|validate|test)\b/i },
  { purpose: 'verification', text: /["'](?:correct|incorrect|valid|invalid|verified)\b/i },
  { purpose: 'symbolic', code: /\b(?:import|from)\s+sympy\b|\bsymbols\s*\(|\bsympify\s*\(/ },
  { purpose: 'simulation', code: /\b(?:import|from)\s+random\b|\brandom\.\w+\s*\(|\bsimulat\w*/i },
  // Enumerations of candidates, queues of states, recursion with a search's name, or a loop in a loop with a test in it.
  {
    purpose: 'search',
    code: /\b(?:permutations|combinations\w*|product)\s*\(|\b(?:import|from)\s+(?:heapq|itertools)\b/,
  },
  { purpose: 'search', code: /\bdeque\s*\(|\bdef\s+\w*(?:dfs|bfs|search|backtrack|solve)\w*\s*\(/i },
  { purpose: 'search', shape: testsInNestedLoops },
  { purpose: 'search', shape: looksOn },
  {
    purpose: 'data handling',
    code: /\.(?:split|join|replace|sort|count|strip|lower|upper|index|append|items|reverse)\s*\(|\b(?:sorted|reversed|Counter|defaultdict|zip|enumerate)\s*\(|\b(?:import|from)\s+(?:re|json|datetime|collections|string|pandas|csv)\b/,
  },
  {
    purpose: 'calculation',
    code: /[\w)\]]\s*(?:\*\*|\/\/|[-+*/%])\s*[\w(]|\b(?:sum|max|min|pow|abs|round|divmod|bin|hex|len|range)\s*\(|\b(?:import|from)\s+(?:math|cmath|fractions|decimal|numpy|statistics)\b/,
  },
];

/** The purpose of a program by the rules. */
export function purposeOf(code: string): Purpose {
  const bare = bareCode(code);
  const rule = kRules.find(
    ({ code: pattern, text, shape }) => pattern?.test(bare) || text?.test(code) || shape?.(bare),
  );
  return rule?.purpose ?? 'other';
}

/** A call as the rules see it. */
export interface CheckedCall {
  readonly code: string;
  readonly status: string;
  readonly output: string | null;
}

/**
 * Whether call `index` checks an earlier result by rule: an earlier call succeeded, this program differs from it, and it is a
 * verification by purpose or compares something with what the earlier one printed last.
 */
export function checksEarlier(calls: readonly CheckedCall[], index: number): boolean {
  const call = calls[index]!;
  return calls.slice(0, index).some((earlier) => {
    if (earlier.status !== 'ok' || earlier.code === call.code) return false;
    if (purposeOf(call.code) === 'verification') return true;
    const printed = earlier.output?.trim().split('\n').at(-1)?.trim() ?? '';
    if (printed.length < 2) return false; // a digit occurs everywhere
    return /==|!=|<=|>=|<|>|\bin\b/.test(bareCode(call.code)) && holdsLiteral(call.code, printed);
  });
}

/** Whether the literal stands in the code by itself, not as part of a longer number or word. */
function holdsLiteral(code: string, literal: string): boolean {
  for (let at = code.indexOf(literal); at >= 0; at = code.indexOf(literal, at + 1)) {
    const around = `${code[at - 1] ?? ' '}${code[at + literal.length] ?? ' '}`;
    if (!/[\w.]/.test(around)) return true;
  }
  return false;
}
