/** A kernel as instructions with jumps, whatever language it is in, and the loops of it. */

export interface Instruction {
  /** With all suffixes: `ld.global.v4.f32`, `LDG.E.128`. */
  readonly opcode: string;
  readonly operands: string;
  readonly line: number;
  /** Where it may jump to. */
  readonly target: string | null;
  /** Whether what follows may run next. */
  readonly continues: boolean;
}

export interface Kernel {
  readonly entry: string;
  readonly instructions: readonly Instruction[];
  /** Index of the instruction behind each label. */
  readonly labels: ReadonlyMap<string, number>;
}

/** A natural loop: the indices of its instructions, ascending. */
export interface Loop {
  readonly body: readonly number[];
  readonly innermost: boolean;
}

interface Block {
  readonly first: number;
  readonly end: number;
  readonly next: number[];
  readonly before: number[];
}

function blocksOf({ entry, instructions, labels }: Kernel): Block[] {
  const starts = new Set([0, ...labels.values()]);
  for (const [i, { target, continues }] of instructions.entries()) {
    if (target !== null || !continues) starts.add(i + 1);
  }
  const firsts = [...starts].filter((i) => i < instructions.length).sort((a, b) => a - b);
  const at = new Map(firsts.map((first, b) => [first, b]));
  const blocks: Block[] = firsts.map((first, b) => ({
    first,
    end: firsts[b + 1] ?? instructions.length,
    next: [],
    before: [],
  }));
  for (const [b, block] of blocks.entries()) {
    const last = instructions[block.end - 1]!;
    const next = last.continues && b + 1 < blocks.length ? [b + 1] : [];
    if (last.target !== null) {
      const to = at.get(labels.get(last.target) ?? -1);
      if (to === undefined)
        throw new Error(`${entry}: line ${last.line} jumps to ${last.target}, which is not there`);
      next.push(to);
    }
    for (const to of new Set(next)) {
      block.next.push(to);
      blocks[to]!.before.push(b);
    }
  }
  return blocks;
}

/** The immediate dominator of every block that is reached, after Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm". */
function dominators(blocks: readonly Block[]): Map<number, number> {
  const order: number[] = [];
  const seen = new Set([0]);
  const stack: [number, number][] = [[0, 0]];
  while (stack.length > 0) {
    const top = stack[stack.length - 1]!;
    const to = blocks[top[0]]!.next[top[1]++];
    if (to === undefined) {
      order.push(top[0]);
      stack.pop();
    } else if (!seen.has(to)) {
      seen.add(to);
      stack.push([to, 0]);
    }
  }
  const place = new Map(order.map((block, i) => [block, i]));
  const above = new Map([[0, 0]]);
  const meet = (first: number, second: number) => {
    let [a, b] = [first, second];
    while (a !== b) {
      while (place.get(a)! < place.get(b)!) a = above.get(a)!;
      while (place.get(b)! < place.get(a)!) b = above.get(b)!;
    }
    return a;
  };
  for (let changed = true; changed; ) {
    changed = false;
    for (const block of order.toReversed().slice(1)) {
      const known = blocks[block]!.before.filter((from) => above.has(from));
      const found = known.reduce(meet);
      if (above.get(block) === found) continue;
      above.set(block, found);
      changed = true;
    }
  }
  return above;
}

/** The natural loops, those with one head merged into one. */
export function loopsOf(kernel: Kernel): Loop[] {
  if (kernel.instructions.length === 0) return [];
  const blocks = blocksOf(kernel);
  const above = dominators(blocks);
  const dominates = (a: number, of: number) => {
    for (let b = of; ; b = above.get(b)!) {
      if (b === a) return true;
      if (b === 0) return false;
    }
  };
  const bodies = new Map<number, Set<number>>();
  for (const [from, { next }] of blocks.entries()) {
    if (!above.has(from)) continue;
    for (const head of next.filter((to) => dominates(to, from))) {
      const body = bodies.get(head) ?? new Set([head]);
      bodies.set(head, body);
      const open = [from];
      for (let block = open.pop(); block !== undefined; block = open.pop()) {
        if (body.has(block)) continue;
        body.add(block);
        open.push(...blocks[block]!.before.filter((one) => above.has(one)));
      }
    }
  }
  const heads = [...bodies.keys()];
  return [...bodies].map(([head, body]) => ({
    body: [...body]
      .sort((a, b) => a - b)
      .flatMap((b) =>
        Array.from({ length: blocks[b]!.end - blocks[b]!.first }, (_, i) => blocks[b]!.first + i),
      ),
    innermost: !heads.some((other) => other !== head && body.has(other)),
  }));
}
