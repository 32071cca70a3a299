// What cuda-mutations.mjs found, in Markdown.

const cell = (text) => text.replaceAll('|', '\\|').replaceAll('`', "'");
const code = (text) => (text.trim() === '' ? 'left out' : `\`${cell(text.trim())}\``);

/** The part of a message that says what was seen, not where in memory. */
function shorter(detail) {
  const fault = /^kernel (\w+), PTX line \d+(?: \(([^)]*)\))?, ([\w.:]+),.*? lane \d+: (.*)$/.exec(detail);
  const text = fault === null ? detail : `${fault[1]}, ${fault[3]}: ${fault[4]}`;
  const plain = text
    .replace(/^SIGABRT: *what\(\): */, 'the op says: ')
    .replace(/ at 0x[0-9a-f]+(?= (is out of|is misaligned))/, '')
    .replace(/:? the address is (\d+ bytes? [a-z ]+) block \d+.*$/, ', $1 an array')
    .replace(
      / (a write of another value over|.*?) what block .* without a fence.*$/,
      (_, how) => ` ${how} what another block wrote`,
    )
    .replace(/ at shared address \d+/, '')
    .replace(/(byte \d+ was never written).*$/, '$1')
    .replace(/ at 0x[0-9a-f]+/g, '');
  return plain.length > 150 ? `${plain.slice(0, 147)}...` : plain;
}

export function markdown(results, operators) {
  const faults = results.faults.filter(({ outcome }) => outcome !== 'discarded');
  const discarded = results.faults.length - faults.length;
  const caught = faults.filter(({ outcome }) => outcome === 'caught');
  const open = faults.filter(({ outcome, why }) => outcome === 'survived' && why === undefined).length;
  const kinds = new Map();
  for (const { kind } of caught) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  const most = [...kinds].sort((a, b) => b[1] - a[1]).map(([kind, n]) => `${kind} ${n}`);
  const what = new Map(operators.map((operator) => [operator.id, operator.what]));
  const lines = [
    `Seed ${results.seed}: ${faults.length} faults, ${caught.length} caught, ${faults.length - caught.length - open} not caught for a reason that is given, ` +
      `${open} not caught. By: ${most.join(', ')}. ${discarded} more were drawn and discarded: they did not compile or gave the same PTX.`,
    '',
    '| | place | fault | was | became | caught by |',
    '|--:|---|---|---|---|---|',
  ];
  for (const [i, fault] of faults.entries()) {
    const by =
      fault.outcome === 'caught'
        ? `${fault.kind}: ${cell(shorter(fault.detail))} (${fault.check})`
        : fault.why === undefined
          ? '**nothing**'
          : `nothing: ${cell(fault.why)}`;
    const place = `${fault.file.replace('cuda/kernels/', '').replace('binding/', '')}:${fault.line}`;
    lines.push(
      `| ${i + 1} | ${place} | ${fault.operator}: ${what.get(fault.operator)} | ${code(fault.was)} | ${code(fault.becomes)} | ${by} |`,
    );
  }
  return `${lines.join('\n')}\n`;
}
