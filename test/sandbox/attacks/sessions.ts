/** Attacks between programs and sessions: 85 to 88, and those that came later. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Attack, brief, type Context, hits, judged } from '../attack.ts';
import { named } from '../running.ts';

const noSwitch = 'none: sessions are processes of their own at every level' as const;
const common = { layers: ['supervisor'], without: [], control: noSwitch } as const;

/** The attack, where the tool has sessions. */
function inSessions(
  run: (context: Context, end: (session: string) => void) => ReturnType<Attack['run']>,
): Attack['run'] {
  return async (context) => {
    const { tool } = context;
    if (tool.endSession === undefined) return judged([], 'the tool has no sessions');
    return run(context, (session) => tool.endSession?.(session));
  };
}

export const sessions: readonly Attack[] = [
  {
    ...common,
    number: 85,
    title: 'poisons builtins of its session to falsify those of others',
    run: inSessions(async (context, end) => {
      const [one, two] = [`${context.tag}a`, `${context.tag}b`];
      const probe = 'print(len("abc"), sum([1, 2]), 7, sorted([2, 1]))';
      const before = await context.plain(probe, { session: two });
      await context.plain(
        'import builtins\nbuiltins.len = builtins.sum = lambda *a: 99\nbuiltins.print = print',
        { session: one },
      );
      const own = await context.plain(probe, { session: one });
      const other = await context.plain(probe, { session: two });
      const fresh = await context.plain(probe);
      end(one);
      end(two);
      const right = '3 3 7 [1, 2]\n';
      const all = [before, other, fresh].map(({ output }) => output);
      return judged(
        [
          all.some((output) => output !== right) && `others saw ${JSON.stringify(all)}`,
          own.output !== '99 99 7 [1, 2]\n' && `its own session did not keep it: ${brief(own)}`,
        ],
        'only its own session is changed',
      );
    }),
  },
  {
    ...common,
    number: 86,
    title: 'looks for another session: processes, files, shared memory, locks',
    layers: ['namespaces', 'landlock', 'seccomp'],
    run: inSessions(async (context, end) => {
      const [one, two] = [`${context.tag}a`, `${context.tag}b`];
      const [token] = context.victim.tokens;
      const hide = `secret = '${token}'\nopen('secret.txt', 'w').write(secret)\nopen('/tmp/secret.txt', 'w').write(secret)`;
      const held = await context.plain(`try:\n  ${hide.replaceAll('\n', '\n  ')}\nexcept OSError: pass`, {
        session: two,
      });
      const result = await context.run(
        `
import glob
for where in ('.', '..', '../*', '/tmp', '/tmp/*', '/work', '/dev/shm', '/var/tmp', '/proc/[0-9]*/cwd', '/proc/[0-9]*/root/work'):
    for name in glob.glob(where + '/*'):
        if os.path.isfile(name): show(name)
for pid in range(1, 64):
    if pid not in (os.getpid(), os.getppid(), 1):
        try: os.kill(pid, 0); print('there is', pid)
        except OSError: pass
print(os.listdir('.'))`,
        { session: one },
      );
      end(one);
      end(two);
      return judged(
        [!context.control && /secret\.txt/.test(result.stdout) && 'it sees the file'],
        `${brief(held)} / ${brief(result)}`,
      );
    }),
  },
  {
    ...common,
    number: 87,
    title: 'lets a program of its session run out of time, to lose or to keep its state',
    alone: true,
    run: inSessions(async (context, end) => {
      const session = { session: context.tag };
      await context.plain('x = 41', session);
      const late = await context.plain('x = 7\nwhile True: pass', {
        ...session,
        seconds: 0.3,
        wallSeconds: 1,
      });
      const next = await context.plain('print(x + 1)', session);
      const again = await context.plain('print("again")', session);
      end(context.tag);
      const kept = next.output === '42\n';
      const told = late.sessionEnded === true || next.status === 'session_lost';
      return judged(
        [
          late.status !== 'timeout' && brief(late),
          !kept && !told && `lost in silence: ${brief(next)}`,
          again.output !== 'again\n' && `the next one: ${brief(again)}`,
        ],
        kept ? 'earlier state is there' : 'told that it ended',
      );
    }),
  },
  {
    ...common,
    number: 88,
    title: 'many programs, good and hostile, eight at a time',
    alone: true,
    async run(context) {
      const hostile = [
        'import os\nos.fork()',
        'while True: pass',
        'import os, signal\nos.kill(os.getpid(), signal.SIGKILL)',
        'x = [0] * 10 ** 10',
        'while True: print("x" * 10000)',
        'import os\nos.closerange(0, 100)',
        'import ctypes\nctypes.string_at(0)',
        '1/0',
        'import time\ntime.sleep(100)',
      ];
      let good = 0;
      const wrong: string[] = [];
      const codes = Array.from({ length: 160 }, (_, i) =>
        i % 4 === 3 ? hostile[(i >> 2) % hostile.length]! : null,
      );
      const lane = async (from: number): Promise<void> => {
        for (let i = from; i < codes.length; i += 8) {
          const code = codes[i];
          if (code === null) {
            const result = await context.plain(`print(${i} ** 2)`, { seconds: 5, wallSeconds: 30 });
            if (result.output === `${i ** 2}\n`) good++;
            else wrong.push(brief(result));
          } else await context.plain(code!, { seconds: 0.2, wallSeconds: 0.5, memoryBytes: 2 ** 28 });
        }
      };
      await Promise.all(Array.from({ length: 8 }, (_, i) => lane(i)));
      return judged(wrong.slice(0, 3), `${good} good ones are right among ${codes.length}`);
    },
  },
  {
    ...common,
    number: 130,
    title: 'forks in a session, kills its parent there',
    layers: ['namespaces', 'seccomp'],
    run: inSessions(async (context, end) => {
      const session = { session: context.tag };
      await context.plain('x = 1', session);
      const forked = await context.run(
        `
try:
    if os.fork() == 0: time.sleep(3); os._exit(0)
    hit('it forked')
except OSError as error: print(error)`,
        session,
      );
      const killed = await context.run(
        `
for number in (signal.SIGTERM, signal.SIGSTOP, signal.SIGKILL):
    if os.getppid() != 1 or os.getpid() < 64: attempt(os.kill, os.getppid(), number)
time.sleep(.05)`,
        session,
      );
      const next = await context.plain('print(x)', session);
      end(context.tag);
      return judged(
        [
          ...hits(context, forked),
          next.output !== '1\n' && `its session was lost: ${brief(killed)} / ${brief(next)}`,
        ],
        `${brief(forked)} / ${brief(killed)}`,
      );
    }),
  },
  {
    ...common,
    number: 131,
    title: 'stays alive after its session has ended: threads, ignored signals, PDEATHSIG cleared',
    alone: true,
    run: inSessions(async (context, end) => {
      const result = await context.run(
        `
libc.prctl(1, 0, 0, 0, 0)
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT): signal.signal(number, signal.SIG_IGN)
threading.Thread(target=lambda: [time.sleep(.01) for _ in range(1000)], daemon=True).start()`,
        { session: context.tag },
      );
      end(context.tag);
      await sleep(1000);
      const left = named(context.tag);
      return judged([left.length > 0 && `${left.length} processes a second later`], brief(result));
    }),
  },
  {
    ...common,
    number: 132,
    title: 'looks for, and writes to, descriptors of its session',
    run: inSessions(async (context, end) => {
      const session = { session: context.tag };
      const first = await context.run(
        `
for fd in range(3, 4096):
    try: info = os.fstat(fd)
    except OSError: continue
    hit('descriptor', fd, oct(info.st_mode))
    for frame in (b'S', bytes(64), b'\\xff' * 64):
        try: os.write(fd, frame)
        except OSError: pass`,
        session,
      );
      const next = await context.plain('import os\nos._exit(6)', session);
      end(context.tag);
      return judged(
        [...hits(context, first), next.exitCode !== 6 && `the next program's status is ${brief(next)}`],
        `${brief(first)} / ${brief(next)}`,
      );
    }),
  },
  {
    ...common,
    number: 133,
    title: 'prints between the programs of its session, from threads',
    run: inSessions(async (context, end) => {
      const [one, two] = [`${context.tag}a`, `${context.tag}b`];
      await context.run(
        "def talk():\n  for _ in range(300): os.write(1, b'from the first ' * 100); time.sleep(.001)\nthreading.Thread(target=talk, daemon=True).start()",
        { session: one },
      );
      await sleep(100);
      const other = await context.plain('print("second")', { session: two });
      const fresh = await context.plain('print("fresh")');
      const own = await context.plain('print("own")', { session: one });
      end(one);
      end(two);
      return judged(
        [
          other.output !== 'second\n' && `another session: ${brief(other)}`,
          fresh.output !== 'fresh\n' && `a program of its own: ${brief(fresh)}`,
          !own.output.includes('own') && `its own: ${brief(own)}`,
        ],
        'others see nothing of it',
      );
    }),
  },
];
