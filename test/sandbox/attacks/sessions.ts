/** Attacks between programs and sessions: 85 to 88, and those that came later. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Attack, brief, type Context, hits, judged } from '../attack.ts';
import { named, processorOf, processorSeconds, runningOf } from '../running.ts';

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
    title: 'forks in a session, and kills its parent there',
    run: inSessions(async (context, end) => {
      const session = { session: context.tag };
      await context.plain('x = 1', session);
      const forked = await context.run(
        `
made = 0
try:
    for _ in range(200):
        if os.fork() == 0: time.sleep(3); os._exit(0)
        made += 1
except OSError as error: print(error)
if made > 70: hit(made, 'children')
print(made)`,
        session,
      );
      // They sleep for three seconds; those that were killed are gone before, also on a busy machine.
      const alive = (): number => runningOf(context.tag).length - 1; // one goes on as the session
      for (const until = performance.now() + 1500; alive() > 0 && performance.now() < until; )
        await sleep(20);
      const children = alive();
      const killed = await context.run(
        `
for number in (signal.SIGTERM, signal.SIGSTOP, signal.SIGKILL):
    if os.getppid() != 1 or os.getpid() < 64: attempt(os.kill, os.getppid(), number)
time.sleep(.05)`,
        session,
      );
      const next = await context.plain('print(x)', session);
      end(context.tag);
      const told = killed.sessionEnded === true || next.status === 'session_lost';
      return judged(
        [
          ...hits(context, forked),
          children > 0 && `${children} children went on after their program`,
          next.output !== '1\n' &&
            !told &&
            `its session was lost in silence: ${brief(killed)} / ${brief(next)}`,
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
    title: 'forges messages of its session on every descriptor',
    run: inSessions(async (context, end) => {
      const [one, two] = [`${context.tag}a`, `${context.tag}b`];
      await context.plain('x = 5', { session: two });
      const wrong: string[] = [];
      const told: string[] = [];
      for (const [name, forged] of [
        ['garbage', "[b'S', bytes(64), b'\\xff' * 64, bytes(192)]"],
        // As sandbox/wire.h has it: kind, status, nonce, processor time, memory, process, text.
        ['done', "[struct.pack('<IiQQQi156x', 7, 0, nonce, 0, 0, os.getpid()) for nonce in range(1, 4)]"],
        ['started', "[struct.pack('<IiQQQi156x', 3, 0, nonce, 0, 0, os.getpid()) for nonce in range(1, 4)]"],
        ['ended', "[struct.pack('<IiQQQi156x', 4, 0, 1, 0, 1 << 63, 1)]"],
        ['failed', "[struct.pack('<IiQQQi156s', 6, 5, 1, 0, 0, 1, b'forged')]"],
      ] as const) {
        const result = await context.run(
          `
for fd in range(3, 256):
    try: os.fstat(fd)
    except OSError: continue
    for frame in ${forged}:
        try: os.write(fd, frame)
        except OSError: pass
time.sleep(.1)
os._exit(6)`,
          { session: one, seconds: 2 },
        );
        told.push(`${name}: ${result.status}`);
        const other = await context.plain('print(x)', { session: two });
        const fresh = await context.plain('print(6)');
        if (other.output !== '5\n') wrong.push(`${name}: another session: ${brief(other)}`);
        if (fresh.output !== '6\n') wrong.push(`${name}: a program of its own: ${brief(fresh)}`);
        end(one);
      }
      end(two);
      return judged(wrong, told.join(', '));
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
  {
    ...common,
    number: 134,
    title: 'computes in a thread between the programs of its session, when no clock runs',
    alone: true,
    run: inSessions(async (context, end) => {
      const result = await context.run(
        `
import mmap
# Threads of Python wait for its lock; these do not know it.
page = mmap.mmap(-1, 4096, prot=7)
page.write(bytes.fromhex('00000014' if ARM else 'ebfe'))  # a jump to itself
code = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(page)))
for _ in range(2): libc.pthread_create(ctypes.byref(ctypes.c_void_p()), None, code, None)`,
        { session: context.tag, seconds: 0.5 },
      );
      const before = processorSeconds(context.tag);
      await sleep(1000);
      const used = processorSeconds(context.tag) - before;
      end(context.tag);
      return judged(
        [used > 0.3 && `${used.toFixed(1)} s of processor in a second after its program had ended`],
        `${brief(result)}, ${used.toFixed(2)} s of processor`,
      );
    }),
  },
  {
    ...common,
    number: 135,
    title: 'leaves processes that replace each other between the programs of its session',
    alone: true,
    run: inSessions(async (context, end) => {
      const result = await context.run(
        `
end = time.monotonic() + 3
def live():
    while time.monotonic() < end:
        try:
            if os.fork() != 0: os._exit(0)
            os.setpgid(0, 0)
        except OSError: pass
    os._exit(0)
try:
    for _ in range(8):
        if os.fork() == 0: live()
except OSError as error: print(error)`,
        { session: context.tag },
      );
      await sleep(100);
      let most = 0;
      for (let look = 0; look < 20; look++) {
        most = Math.max(most, runningOf(context.tag).length - 1); // one goes on as the session
        await sleep(10);
      }
      end(context.tag);
      return judged([most > 0 && `${most} processes went on after their program`], brief(result));
    }),
  },
  {
    ...common,
    number: 136,
    title: 'lets a child compute for it in its session, while it waits',
    alone: true,
    run: inSessions(async (context, end) => {
      const result = await context.run(
        `
stop = time.monotonic() + 3
try:
    for _ in range(2):
        if os.fork() == 0:
            while time.monotonic() < stop: pass
            os._exit(0)
    time.sleep(3)
except OSError as error: print(error)`,
        { session: context.tag, seconds: 0.3, wallSeconds: 2 },
      );
      end(context.tag);
      const escaped = result.status === 'timeout' && result.limit === 'wall';
      return judged(
        [escaped && `it ran ${result.seconds.toFixed(1)} s where 0.3 s of processor were allowed`],
        `${brief(result)}, ${result.limit ?? ''}`,
      );
    }),
  },
  {
    ...common,
    number: 137,
    title: 'keeps the supervisor busy between programs by output that nobody waits for',
    alone: true,
    run: inSessions(async (context, end) => {
      const { supervisorPid } = context.tool as { supervisorPid?: number | null };
      if (typeof supervisorPid !== 'number') return judged([], 'the tool has no supervisor');
      const result = await context.run(
        `
data = bytes(1 << 20)
# One call each, which goes on without the lock of Python.
for fd in (1, 2, 1, 2): threading.Thread(target=os.writev, args=(fd, [data] * 1024), daemon=True).start()
time.sleep(.02)`,
        { session: context.tag, outputBytes: 2 ** 26 },
      );
      const before = processorOf(`${supervisorPid}`);
      await sleep(1000);
      const used = processorOf(`${supervisorPid}`) - before;
      end(context.tag);
      return judged(
        [used > 0.25 && `the supervisor used ${used.toFixed(1)} s of processor in a second`],
        `${brief(result)}, the supervisor used ${used.toFixed(2)} s of processor in a second`,
      );
    }),
  },
];
