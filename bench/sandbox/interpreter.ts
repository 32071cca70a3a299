/**
 * The interpreter that the other ways of running programs start: a virtual environment whose packages are those of the real one. Lines
 * of code in .pth files, which packages leave and every start would run (up to 80 ms of it have been seen), are not run in it, so that
 * none of that is counted against a spawn.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

export interface LeanInterpreter {
  readonly executable: string;
  readonly folder: string;
  remove(): void;
}

const question =
  'import sys, sysconfig; print(sys.executable, "%d.%d" % sys.version_info[:2], sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *__import__("site").getsitepackages(), sep="\\n")';

export function makeLeanInterpreter(executable: string): LeanInterpreter {
  const [real, version, ...packages] = execFileSync(executable, ['-I', '-c', question], {
    encoding: 'utf8',
  })
    .trim()
    .split('\n');
  const folder = mkdtempSync(join(tmpdir(), 'toolgrad-bench-python-'));
  const own = join(folder, 'lib', `python${version}`, 'site-packages');
  mkdirSync(own, { recursive: true });
  mkdirSync(join(folder, 'bin'));
  symlinkSync(real!, join(folder, 'bin', 'python3'));
  writeFileSync(
    join(folder, 'pyvenv.cfg'),
    `home = ${dirname(real!)}\ninclude-system-site-packages = false\n`,
  );
  // Folders that are added in this way are not searched for .pth files.
  writeFileSync(join(own, 'packages.pth'), `${[...new Set(packages)].join('\n')}\n`);
  return {
    executable: join(folder, 'bin', 'python3'),
    folder,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
