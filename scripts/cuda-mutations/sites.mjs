// Where the operators of cuda-mutations.mjs fit, and which faults a seed draws.
//
// Sources: cuda/kernels/*.cu, what they include of cuda/kernels/, and the functions marked TOOLGRAD_HOST_DEVICE of engine
// headers. A site is { id, operator, file, line, column, was, becomes, text, previous, lines }: `text` is its line, `previous`
// the line before, `lines` maps line numbers (from 0) to new text.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { operators } from './operators.mjs';

export const kernels = 'cuda/kernels';

/** file -> the files of cuda/ and binding/ that it includes, itself among them, over all levels. */
function inclusions(root, file, seen = new Set()) {
  if (seen.has(file)) return seen;
  seen.add(file);
  for (const [, name] of readFileSync(join(root, file), 'utf8').matchAll(/^#include "([^"]+)"/gm)) {
    const found = ['cuda', 'binding']
      .map((folder) => `${folder}/${name}`)
      .find((path) => existsSync(join(root, path)));
    if (found !== undefined) inclusions(root, found, seen);
  }
  return seen;
}

/** module (the name of a .cu) -> its files. */
export function modulesOf(root) {
  const names = readdirSync(join(root, kernels)).filter((name) => name.endsWith('.cu'));
  return new Map(names.map((name) => [name.slice(0, -3), inclusions(root, `${kernels}/${name}`)]));
}

const blank = (text) => text.replace(/[^\n]/g, ' ');

/** Lines of device code, comments (and, in `code`, strings) blank; null for a line that is none. */
function deviceLines(file, text) {
  const bare = text.replace(/\/\/[^\n]*/g, blank);
  const raw = bare.split('\n');
  const code = bare.replace(/"[^"\n]*"/g, blank).split('\n');
  let inside = /\.cuh?$/.test(file);
  const marked = file.startsWith('binding/');
  let depth = 0;
  return raw.map((line, i) => {
    if (!marked && /^#if defined\(__CUDACC__\)/.test(line)) inside = true;
    if (!marked && file.endsWith('.h') && /^#endif/.test(line)) inside = false;
    if (marked && line.includes('TOOLGRAD_HOST_DEVICE')) inside = true;
    const here = inside;
    if (marked && inside) {
      depth += (line.match(/\{/g) ?? []).length - (line.match(/\}/g) ?? []).length;
      if (depth === 0 && line.includes('}')) inside = false;
    }
    const skip = /^\s*(#|template\b|static_assert\b|using\b)|__builtin_assume|__launch_bounds__/.test(line);
    return here && !skip ? { raw: line, code: code[i] } : null;
  });
}

function* matches(operator, line) {
  if (operator.sites) {
    yield* operator.sites(line.code);
    return;
  }
  const text = operator.inStrings ? line.raw : line.code;
  for (const match of text.matchAll(operator.find)) {
    const made = operator.make(match, text);
    if (made !== null && made !== match[0])
      yield { column: match.index, length: match[0].length, text: made };
  }
}

// Constants decide sizes that the host shares; only a padding is a matter of the kernel alone.
const constant = /^\s*(static )?constexpr\b/;

export function findSites(root) {
  const files = new Set([...modulesOf(root).values()].flatMap((set) => [...set]));
  const sites = [];
  for (const file of [...files].sort()) {
    const lines = readFileSync(join(root, file), 'utf8').split('\n');
    const device = deviceLines(file, lines.join('\n'));
    const alike = new Set();
    for (const [i, line] of device.entries()) {
      if (line === null) continue;
      for (const operator of operators) {
        if (constant.test(line.raw) && operator.id !== 'padding-dropped') continue;
        for (const { column, length, text } of matches(operator, line)) {
          const was = lines[i].slice(column, column + length);
          const change = (old, at) => old.slice(0, at) + text + old.slice(at + length);
          const changed = { [i]: change(lines[i], column) };
          if (operator.everywhere) {
            if (alike.has(was)) continue;
            alike.add(was);
            for (const [j, old] of lines.entries())
              if (device[j] !== null && old.includes(was)) changed[j] = change(old, old.indexOf(was));
          }
          const id = `${operator.id}:${file}:${i + 1}:${column + 1}`;
          sites.push({
            id,
            operator: operator.id,
            file,
            line: i + 1,
            column: column + 1,
            was,
            becomes: text,
            text: lines[i],
            previous: lines[i - 1] ?? '',
            lines: changed,
          });
        }
      }
    }
  }
  return sites;
}

/** A number in [0, 1) from a seed and a name: edits elsewhere in the sources leave it as it is. */
function hashed(seed, name) {
  return createHash('sha256').update(`${seed}\0${name}`).digest().readUInt32BE(0) / 2 ** 32;
}

const alternates = 7;

/**
 * `count` slots (more where the rules need more), each with sites to try in order: the first that compiles to other PTX is the
 * slot's fault. Every .cu has a fault of its own text, every header with sites has one, every .cu is hit by at least two,
 * every operator that fits anywhere is used; the rest is drawn by the number of sites. Rarely used operators go first.
 */
export function draw(sites, modules, seed, count) {
  // The place of a line in its file is no part of a site's name, its text is.
  const seen = new Map();
  const order = new Map(
    sites.map((site) => {
      const name = [site.operator, site.file, site.text.trim(), site.column].join('\0');
      seen.set(name, (seen.get(name) ?? 0) + 1);
      return [site, hashed(seed, `${name}\0${seen.get(name)}`)];
    }),
  );
  const uses = new Map(operators.map(({ id }) => [id, 0]));
  const hits = new Map([...modules.keys()].map((name) => [name, 0]));
  const taken = new Set();
  const slots = [];
  const add = (why, fits) => {
    const free = sites.filter((site) => !taken.has(site) && fits(site));
    free.sort((a, b) => uses.get(a.operator) - uses.get(b.operator) || order.get(a) - order.get(b));
    // Alternates have operators of their own where there are enough.
    const chosen = [];
    for (const site of [...free, ...free]) {
      const repeats = chosen.filter(({ operator }) => operator === site.operator).length;
      if (chosen.includes(site) || (repeats > 0 && chosen.length < new Set(free.map((s) => s.operator)).size))
        continue;
      if (chosen.push(site) === alternates) break;
    }
    if (chosen.length === 0) return;
    for (const site of chosen) taken.add(site);
    uses.set(chosen[0].operator, uses.get(chosen[0].operator) + 1);
    for (const [name, files] of modules) if (files.has(chosen[0].file)) hits.set(name, hits.get(name) + 1);
    slots.push({ slot: slots.length + 1, why, sites: chosen });
  };
  const shuffled = (list) => [...list].sort((a, b) => hashed(seed, a) - hashed(seed, b));
  const own = [...modules.keys()].map((name) => `${kernels}/${name}.cu`);
  const shared = [...new Set(sites.map(({ file }) => file))].filter((file) => !own.includes(file));
  for (const file of shuffled([...own, ...shared])) add(file, (site) => site.file === file);
  for (const name of shuffled([...modules.keys()]))
    while (hits.get(name) < 2) {
      const before = slots.length;
      add(name, (site) => site.file === `${kernels}/${name}.cu`);
      if (slots.length === before) break;
    }
  for (const { id } of operators) if (uses.get(id) === 0) add(id, (site) => site.operator === id);
  for (const drawn of [...sites].sort((a, b) => order.get(a) - order.get(b))) {
    if (slots.length >= count) break;
    if (!taken.has(drawn)) add('drawn', (site) => site.file === drawn.file);
  }
  return slots;
}
