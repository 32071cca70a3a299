/** Attacks on files and secrets: 1 to 23, and those that came later. */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ToolRequest } from '../../../lib/tools/tool.ts';
import { request } from '../../support/tool.ts';
import { type Attack, brief, hits, judged, program } from '../attack.ts';
import type { LevelName } from '../levels.ts';

/** An attack that wins a race now and then is made until it does, three times at most. */
function threeTimes(run: Attack['run']): Attack['run'] {
  return async (context) => {
    let outcome = await run(context);
    for (let i = 1; i < 3 && !outcome.succeeded; i++) outcome = await run(context);
    return outcome;
  };
}

const view = ['namespaces', 'landlock'] as const;
const below = ['landlock+seccomp+rlimits', 'container'] as const;
const metadata = below.map((level: LevelName) => ({
  level,
  why: 'Landlock does not govern metadata: who knows a path sees whether it is there, its size, times and links',
}));

export const files: readonly Attack[] = [
  {
    number: 1,
    title: 'reads a secret that everyone may read',
    layers: view,
    without: view,
    run: program("show(V['secret'])"),
  },
  {
    number: 2,
    title: 'reads the password file',
    layers: view,
    without: view,
    async run(context) {
      const { stdout } = await context.plain("print(open('/etc/passwd').read(), end='')", {
        outputBytes: 2 ** 20,
      });
      const whole = existsSync('/etc/passwd') && stdout === readFileSync('/etc/passwd', 'utf8');
      return judged([whole && 'it printed the password file of the machine'], 'not read');
    },
  },
  {
    number: 3,
    title: 'overwrites the reward by its path',
    layers: view,
    without: view,
    run: program(`attempt(lambda: open(V['reward'], 'w').write('{"reward": 1.0}'))`),
  },
  {
    number: 4,
    title: 'overwrites the reward through a symbolic link in its directory',
    layers: view,
    without: view,
    run: program(`
os.symlink(V['reward'], 'mine')
attempt(lambda: open('mine', 'w').write('{"reward": 1.0}'))
attempt(os.symlink, V['directory'], 'there')
attempt(lambda: open('there/reward.json', 'w').write('{"reward": 1.0}'))`),
  },
  {
    number: 5,
    title: 'hard-links a secret into its directory',
    layers: view,
    without: view,
    run: program(`
attempt(os.link, V['secret'], 'mine')
attempt(os.link, V['secret'], V['directory'] + '/again')
if os.path.exists('mine'): show('mine')
sc('linkat', -100, V['secret'].encode(), -100, b'mine2', 0x400)
time.sleep(.2)`),
  },
  {
    number: 6,
    title: 'moves files out of its directory, and others into it',
    layers: view,
    without: view,
    run: program(`
open('mine', 'w').write('x')
attempt(os.rename, 'mine', V['directory'] + '/planted')
attempt(os.rename, V['reward'], 'reward')
attempt(lambda: __import__('shutil').move(V['secret'], 'secret'))`),
  },
  {
    number: 7,
    title: 'lists the directory of the trainer, and the root',
    layers: view,
    without: view,
    run: program(`
print(attempt(os.listdir, V['directory'] + '/names'))
for where in ('/', '/home', '/root', '/etc', '/proc', '/run', '/tmp'): print(where, attempt(os.listdir, where))
if os.path.basename(os.path.dirname(V['directory'])) in (attempt(os.listdir, '/tmp') or ()): hit('listed /tmp')`),
  },
  {
    number: 8,
    title: 'asks for size and inode of a hidden file',
    layers: ['namespaces'],
    without: ['namespaces'],
    exceptions: metadata,
    run: program("info = attempt(os.stat, V['secret'])\nif info: hit('stat', info.st_ino)"),
  },
  {
    number: 9,
    title: 'changes mode, owner, times and attributes of a file of the same user',
    layers: ['namespaces', 'seccomp'],
    without: ['namespaces', 'seccomp'],
    run: program(`
name = V['reward'].encode()
for go in (lambda: os.chmod(name, 0o777), lambda: os.chown(name, os.getuid(), os.getgid()), lambda: os.utime(name, (1, 1)),
           lambda: os.utime(V['secret'], (2, 2), follow_symlinks=False), lambda: os.setxattr(name, 'user.mine', b'x'),
           lambda: os.removexattr(V['secret'], 'user.note'), lambda: os.chmod(V['directory'], 0o777)):
    attempt(go)
AT = -100
times = struct.pack('4q', 3, 0, 3, 0)
sc('fchmodat', AT, name, 0o666)
sc('fchmodat2', AT, name, 0o606, 0)
sc('utimensat', AT, name, times, 0)
sc('setxattrat', AT, name, 0, b'user.mine2', struct.pack('QII', 0, 0, 0), 16)
for old in ('chmod', 'utime', 'futimesat', 'utimes', 'chown', 'lchown'):
    if old in NR: sc(old, *((AT, name, 0) if old == 'futimesat' else (name, 0o640, V['uid'])))`),
  },
  {
    number: 10,
    title: 'truncates a file outside of its directory',
    layers: view,
    without: view,
    run: program(`
attempt(os.truncate, V['reward'], 0)
sc('truncate', V['secret'].encode(), 1)
attempt(lambda: os.close(os.open(V['reward'], os.O_WRONLY | os.O_TRUNC)))`),
  },
  {
    number: 11,
    title: 'leaves a symbolic link where a result file is wanted',
    layers: ['supervisor'],
    without: [],
    control: 'none: collecting files is the supervisor itself, at every level',
    async run(context) {
      const result = await context.run(
        `
os.symlink(V['secret'], 'out.txt')
os.symlink(V['directory'], 'folder')
open('good.txt', 'w').write('good')
os.symlink('good.txt', 'near.txt')`,
        { fetch: ['out.txt', 'folder/secret.txt', 'near.txt', 'good.txt'] },
      );
      const names = Object.keys(result.files ?? {});
      return judged([names.length > 1 && `returned ${names}`], `returned only ${names} (${brief(result)})`);
    },
  },
  {
    number: 12,
    title: 'leaves a pipe, a socket and a device where result files are wanted',
    layers: ['supervisor'],
    without: [],
    control: 'none: collecting files is the supervisor itself, at every level',
    async run(context) {
      const begin = performance.now();
      const result = await context.run(
        `
attempt(os.mkfifo, 'pipe')
import socket
attempt(lambda: socket.socket(socket.AF_UNIX).bind('socket'))
attempt(os.mknod, 'null', 0o20666, os.makedev(1, 3))
attempt(os.mknod, 'full', 0o20666, os.makedev(1, 5))
os.mkdir('folder')`,
        { fetch: ['pipe', 'socket', 'null', 'full', 'folder', 'absent'] },
      );
      const took = performance.now() - begin;
      const names = Object.keys(result.files ?? {});
      return judged(
        [names.length > 0 && `returned ${names}`, took > 5000 && `took ${took.toFixed(0)} ms`],
        `nothing returned, ${brief(result)}`,
      );
    },
  },
  {
    number: 13,
    title: 'swaps a result file for a symbolic link while it is collected',
    layers: ['supervisor'],
    without: [],
    control: 'none: nothing of a call runs any more when its files are collected',
    async run(context) {
      const body = `
open('a', 'w').write('mine'); os.symlink(V['secret'], 'b')
def swap():
    while True:
        for source in ('a', 'b'):
            try:
                if source == 'a': open('t', 'w').write('mine')
                else: os.symlink(V['secret'], 't')
                os.rename('t', 'out.txt')
            except OSError: pass
if V['forks'] and os.fork() == 0: swap()
threading.Thread(target=swap, daemon=True).start()
time.sleep(.01)
os._exit(0)`;
      const processes = context.level === 'namespaces' ? 2 : 0;
      const forks = `V['forks'] = ${processes}\n`;
      const rounds = context.control ? 3 : 12;
      const found: string[] = [];
      for (let round = 0; round < rounds; round++) {
        const changed: Partial<ToolRequest> = { fetch: ['out.txt'], ...(processes > 0 ? { processes } : {}) };
        const { files: got, status } = await context.run(forks + body, changed);
        const bytes = got?.['out.txt'];
        found.push(bytes === undefined ? status : Buffer.from(bytes).toString('latin1'));
      }
      const strange = found.filter((text) => !['mine', '', 'ok'].includes(text));
      return judged(
        [strange.length > 0 && `returned ${strange[0]}`],
        `${rounds} rounds: ${[...new Set(found)]}`,
      );
    },
  },
  {
    number: 14,
    title: 'asks for files by names that lead elsewhere',
    layers: ['supervisor'],
    without: [],
    control: 'none: requests are checked before anything runs',
    async run(context) {
      const bad = [
        '../x',
        '/etc/passwd',
        'a/../../x',
        'a\0b',
        'a\nb',
        '',
        '.',
        'a//b',
        './a',
        'x'.repeat(10_000),
        'a/',
      ];
      const accepted: string[] = [];
      for (const name of bad) {
        for (const changed of [{ fetch: [name] }, { files: { [name]: new Uint8Array(1) } }]) {
          try {
            await context.tool.run(request('print(1)', changed));
            accepted.push(JSON.stringify(name).slice(0, 30));
          } catch (error) {
            if (!(error instanceof RangeError)) throw error;
          }
        }
      }
      return judged([accepted.length > 0 && `accepted ${accepted}`], `${bad.length} names refused twice`);
    },
  },
  {
    number: 15,
    title: 'plants modules for the next program, in its directory and in the library',
    layers: view,
    without: view,
    controlNeedsRoot: true,
    async run(context) {
      const first = await context.run(`
import sysconfig, site
places = {p for p in sys.path if p} | set(sysconfig.get_paths().values()) | {os.path.dirname(os.__file__) + '/__pycache__'}
for place in places:
    attempt(lambda: open(os.path.join(place, V['tag'] + '.txt'), 'w').close())
    if os.path.exists(os.path.join(place, V['tag'] + '.txt')):
        os.unlink(os.path.join(place, V['tag'] + '.txt')); hit('wrote in', place)
# Modules are planted beneath its own directory only: without protection the others are everyone's.
here = os.getcwd()
own = ['.'] + [p for p in (os.environ.get('HOME', ''), os.environ.get('TMPDIR', '')) if os.path.realpath(p).startswith(here)]
for place in own + [os.path.join(p, '.local/lib/python%d.%d/site-packages' % sys.version_info[:2]) for p in own]:
    for name in ('sitecustomize', 'usercustomize', 'colorsys', 'numpy', 'json', 'wave'):
        try:
            os.makedirs(place, exist_ok=True)
            open(os.path.join(place, name + '.py'), 'x').write('print("POI" + "SONED")')
        except OSError: pass`);
      const next = await context.plain(
        'import colorsys, wave, json\nprint(colorsys.rgb_to_hsv(1, 1, 1))\nimport os; print(sorted(os.listdir(".")))',
      );
      return judged(
        [
          context.hit(first) && hits(context, first).join('; '),
          /POISONED/.test(next.output) && 'the next program was poisoned',
          !next.output.endsWith('[]\n') &&
            !context.control &&
            `the next directory is not empty: ${brief(next)}`,
        ],
        `${brief(first)} / ${brief(next)}`,
      );
    },
  },
  {
    number: 16,
    title: 'leaves a file in the shared temporary directories for the next program',
    layers: view,
    without: view,
    async run(context) {
      const places = ['/tmp', '/var/tmp', '/dev/shm', '/run', '/dev/mqueue', '/var/lock', '/work', '/'];
      const left = await context.run(`
for place in ${JSON.stringify(places)}:
    attempt(lambda: open(place + '/' + V['tag'], 'w').write('message'))`);
      const found = await context.run(`
for place in ${JSON.stringify(places)}:
    if os.path.exists(place + '/' + V['tag']): hit('found in', place)`);
      const outside = places.map((place) => path.join(place, context.tag)).filter((file) => existsSync(file));
      for (const file of outside) rmSync(file, { force: true });
      return judged(
        [...hits(context, found), outside.length > 0 && `outside: ${outside}`],
        `${brief(left)} / ${brief(found)}`,
      );
    },
  },
  {
    number: 17,
    title: 'signals to a sibling by locks on a shared file',
    layers: ['seccomp'],
    without: ['seccomp'],
    async run(context) {
      const head = 'import fcntl\nfile = open(os.__file__)\n';
      const holder = context.run(`${head}
end = time.monotonic() + 1.2
while time.monotonic() < end:
    try: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError: pass
    attempt(fcntl.lockf, file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    time.sleep(.01)`);
      const watcher = context.run(`${head}
end = time.monotonic() + 1.2
while time.monotonic() < end:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB); fcntl.flock(file, fcntl.LOCK_UN)
    except OSError as error: hit(error); break
    time.sleep(.003)`);
      const [one, two] = await Promise.all([holder, watcher]);
      return judged([context.hit(two) && 'a sibling saw the lock'], `${brief(one)} / ${brief(two)}`);
    },
  },
  {
    number: 18,
    title: 'writes one file of 400 MB where 8 MiB are allowed',
    layers: ['rlimits', 'namespaces', 'supervisor'],
    without: ['rlimits', 'namespaces'],
    // Without limits the supervisor, which looks every few milliseconds, may be faster than the print: hence three times.
    run: threeTimes(
      program(
        `
part = bytes(1 << 18)
with open('big', 'wb', buffering=0) as file:
    for _ in range(1600):
        if attempt(file.write, part) is None: break
        size = os.fstat(file.fileno()).st_size
        if size > 8 << 20: hit(size, 'bytes'); break`,
        { fileBytes: 8 * 2 ** 20 },
      ),
    ),
  },
  {
    number: 19,
    title: 'writes forty files of 8 MB where 16 MiB are allowed',
    layers: ['namespaces', 'supervisor'],
    without: [],
    control: 'none: the supervisor watches the directory when it is not a file system of its own',
    async run(context) {
      const result = await context.run(
        `
total = 0
for i in range(40):
    with open('file%d' % i, 'wb', buffering=0) as file:
        for _ in range(8):
            if attempt(file.write, bytes(1 << 20)): total += 1
    print(total, flush=True)`,
        { fileBytes: 16 * 2 ** 20 },
      );
      const most = Math.max(0, ...[...result.stdout.matchAll(/^(\d+)$/gm)].map(([, mib]) => Number(mib)));
      return judged([most > 16 + 25 + 8 && `${most} MiB written`], `${most} MiB written, ${brief(result)}`);
    },
  },
  {
    number: 20,
    title: 'makes twenty thousand empty files',
    layers: ['namespaces', 'supervisor'],
    without: [],
    control: 'none: the supervisor watches the directory when it is not a file system of its own',
    run: program(
      `
made = 0
for i in range(20000):
    try: os.close(os.open('f%d' % i, os.O_CREAT | os.O_WRONLY)); made += 1
    except OSError as error: print(error, made, flush=True); break
    if i % 1000 == 0: print(i, flush=True)
if made >= 20000: hit(made, 'files')`,
      { seconds: 5 },
    ),
  },
  {
    number: 21,
    title: 'makes a sparse file of a terabyte',
    layers: ['rlimits'],
    without: ['rlimits'],
    run: program(`
for size in (1 << 40, 1 << 33):
    open('f', 'w').close()
    attempt(os.truncate, 'f', size)
    if os.stat('f').st_size == size: hit(size)
fd = os.open('g', os.O_CREAT | os.O_RDWR)
attempt(os.pwrite, fd, b'x', 1 << 39)
if os.fstat(fd).st_size > 1 << 38: hit('by pwrite')`),
  },
  ...(
    [
      [
        22,
        'nests 200 directories with names of 255 bytes',
        'os.chdir("."), [attempt(lambda: (os.mkdir("d" * 255), os.chdir("d" * 255))) for _ in range(200)]',
      ],
      [
        23,
        'takes its own rights on its directories away',
        "os.makedirs('a/b/c'); open('a/b/f', 'w').close()\nfor d in ('a/b/c', 'a/b', 'a', '.'): attempt(os.chmod, d, 0)",
      ],
    ] as const
  ).map(
    ([number, title, body]): Attack => ({
      number,
      title: `${title}, to hinder the clean-up`,
      layers: ['supervisor'],
      without: [],
      control: 'none: cleaning up is the supervisor itself',
      alone: true,
      async run(context) {
        const before = readdirSync(context.temporary).length;
        const result = await context.run(body);
        const until = performance.now() + 3000;
        while (readdirSync(context.temporary).length > before && performance.now() < until) await sleep(20);
        const left = readdirSync(context.temporary).length - before;
        return judged([left > 0 && `${left} entries left in the temporary directory`], brief(result));
      },
    }),
  ),
];
