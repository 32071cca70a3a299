/** `--unsafe-sandbox`, which every command that runs programs has. */

export const unsafeOption = [
  '--unsafe-sandbox',
  'run programs although the sandbox does not hold here (docs/python-sandbox.md)',
] as const;

/** What it means in a config. */
export function unsafeOverride(flags: { unsafeSandbox?: boolean }): string[] {
  return flags.unsafeSandbox === true ? ['tool.unsafe=true'] : [];
}
