/** Runs Python programs in one real python3, for tests that compare them with what TypeScript computed. */
import { spawn } from 'node:child_process';

/** Runs scripts one after the other in one real python3 and returns what each printed. */
export function runPython(scripts: readonly string[]): Promise<string[]> {
  const driver = [
    'import contextlib, io, json, sys',
    'outputs = []',
    'for script in json.load(sys.stdin):',
    '    out = io.StringIO()',
    '    with contextlib.redirect_stdout(out):',
    '        exec(compile(script, "solution.py", "exec"), {"__name__": "__main__"})',
    '    outputs.append(out.getvalue())',
    'print(json.dumps(outputs))',
  ].join('\n');
  return new Promise((resolve, reject) => {
    const child = spawn('python3', ['-I', '-c', driver], { stdio: ['pipe', 'pipe', 'pipe'] });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk;
    });
    child.stderr.on('data', (chunk: Buffer) => {
      err += chunk;
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(JSON.parse(out) as string[]);
      else reject(new Error(`python3 ended with ${code}: ${err}`));
    });
    child.stdin.end(JSON.stringify(scripts));
  });
}
