# Writes what each of programs/*.py prints with a plain interpreter, once: python3 make-expected.py [NAME ...]
# NAME.out is its standard output; if it fails, a last line with exit status and the last line of standard error.
# A program's first lines may say `# needs: EXPRESSION`, which must be true (and not fail) where it is to run.
import os, subprocess, sys, tempfile

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'programs')
names = sys.argv[1:] or sorted(n[:-3] for n in os.listdir(here) if n.endswith('.py'))
for name in names:
    with open(os.path.join(here, name + '.py'), encoding='utf-8') as file:
        code = file.read()
    with tempfile.TemporaryDirectory() as folder:
        environment = {'PATH': os.environ['PATH'], 'HOME': folder, 'LANG': 'C.UTF-8', 'PYTHONUTF8': '1'}
        done = subprocess.run([sys.executable, '-I', '-X', 'utf8', '-c', code], cwd=folder, env=environment,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    text = done.stdout.decode('utf-8')
    if done.returncode != 0:
        last = done.stderr.decode('utf-8').strip().split('\n')[-1]
        text += ('exit %d: %s' % (done.returncode, last)).strip() + '\n'
    with open(os.path.join(here, name + '.out'), 'w', encoding='utf-8') as file:
        file.write(text)
    print(name, done.returncode, len(text))
