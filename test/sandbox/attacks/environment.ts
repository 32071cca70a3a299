/** Attacks on the environment and on what /proc tells: 24 to 29, and those that came later. */
import { hostname } from 'node:os';
import { type Attack, brief, judged, program } from '../attack.ts';
import type { LevelName } from '../levels.ts';

const view = ['namespaces', 'landlock'] as const;

/** Prints every word like a secret in the memory around some addresses of the program: heap, stack, objects. */
const scanMemory = `
import re
ends = os.pipe()
for end in ends: os.set_blocking(end, False)
libc.sbrk.restype = libc.malloc.restype = ctypes.c_void_p
libc.getauxval.restype = ctypes.c_ulong
def readable(page):  # asked of a pipe, which refuses a page whose reading would end the program
    done = libc.write(ends[1], ctypes.c_void_p(page), ctypes.c_size_t(4096))
    if done > 0: os.read(ends[0], 4096)
    return done == 4096
def scan(start, most=3000):
    for step in (-4096, 4096):
        page, count = start & ~4095, 0
        while count < most and readable(page):
            for found in re.findall(rb'SECRET-[0-9a-f]{18}', ctypes.string_at(page, 4096)): print(found, flush=True)
            page, count = page + step, count + 1
`;

export const environment: readonly Attack[] = [
  {
    number: 24,
    title: "looks for the trainer's variables in environment, stack and heap",
    layers: ['supervisor'],
    without: [],
    control: 'none: the environment is made anew at every level',
    run: program(`${scanMemory}
print(dict(os.environ), flush=True)
libc.getenv.restype = ctypes.c_char_p
for name in (b'TOOLGRAD_TEST_SECRET', b'TOOLGRAD_TEST_TRAINER_SECRET', b'PATH'): print(libc.getenv(name), flush=True)
show('/proc/self/environ')
for word in (25, 31, 15, 24): # AT_RANDOM, AT_EXECFN, AT_PLATFORM, AT_BASE_PLATFORM: near the strings of the stack
    where = libc.getauxval(ctypes.c_ulong(word))
    if where: scan(where, 64)
for where in (libc.sbrk(0) - 4096, libc.malloc(64), id(V), id(print)): scan(where)
print('scanned')`),
  },
  {
    number: 25,
    title: 'reads environment, memory, files and links of processes in /proc',
    layers: view,
    without: view,
    run: program(`
for pid in (V['pid'], os.getppid(), V['trainer'], 1):
    for name in ('environ', 'cmdline', 'root' + V['secret'], 'cwd' + V['secret'], 'fd/%d' % V['held'], 'maps', 'stack'):
        show('/proc/%d/%s' % (pid, name))
    print(attempt(os.listdir, '/proc/%d/fd' % pid), flush=True)
def memory():
    with open('/proc/%d/mem' % V['pid'], 'rb', buffering=0) as file:
        file.seek(V['tokenAddress']); print(file.read(V['tokenLength']), flush=True)
attempt(memory)`),
  },
  {
    number: 26,
    title: 'counts the processes of the machine in /proc',
    layers: view,
    without: view,
    run: program(`
found = [name for name in attempt(os.listdir, '/proc') or () if name.isdigit()]
if str(V['pid']) in found or len(found) > 3: hit(len(found), 'processes')
elif found: print(found)
if attempt(os.stat, '/proc/%d' % V['pid']): print('the number is known')`),
  },
  {
    number: 27,
    title: "raises the trainer's score with the out-of-memory killer",
    layers: view,
    without: view,
    run: program(`
for name, value in (('oom_score_adj', '777'), ('oom_adj', '10'), ('coredump_filter', '0x7f'), ('timerslack_ns', '1')):
    attempt(lambda: open('/proc/%d/%s' % (V['pid'], name), 'w').write(value))`),
  },
  {
    number: 28,
    title: 'looks for descriptors that it inherited',
    layers: ['supervisor'],
    without: [],
    control: 'none: descriptors are closed at every level',
    run: program(`
for fd in range(3, 1 << 17):
    try: info = os.fstat(fd)
    except OSError: continue
    hit('descriptor', fd, 'of type', oct(info.st_mode))`),
  },
  {
    number: 29,
    title: 'looks for names of the task in its command line and settings',
    layers: ['supervisor'],
    without: [],
    control: 'none: the command line is made at every level',
    async run(context) {
      const result = await context.run(
        `
print(sys.argv, getattr(sys, 'orig_argv', ''), sys.path, sys.executable, sys.flags, __file__ if '__file__' in globals() else '')
show('/proc/self/cmdline')
print(dict(os.environ))
import __main__; print(vars(__main__).keys())`,
        { outputBytes: 2 ** 16 },
      );
      const telling = [
        process.cwd(),
        context.directory,
        'launcher.py',
        'bootstrap.py',
        ...process.argv.slice(2),
      ];
      const found = telling.filter((word) => word.length > 3 && result.stdout.includes(word));
      return judged([found.length > 0 && `it knows ${found}`], brief(result));
    },
  },
  {
    number: 89,
    title: 'reads through /proc/self: memory, root, descriptors, threads',
    layers: view,
    without: view,
    run: program(`
for base in ('/proc/self', '/proc/thread-self', '/proc/self/task/%d' % threading.get_native_id(), '/dev/fd/../self', '/proc/1'):
    for way in ('/root', '/cwd/' + '../' * 12):
        show(base + way + V['secret'])
def own_memory():
    with open('/proc/self/mem', 'r+b', buffering=0) as file:
        file.seek(id(V)); print(len(file.read(16)))
        hit('/proc/self/mem is open for writing')
attempt(own_memory)`),
  },
  {
    number: 90,
    title: 'reads the name of the machine and of its user',
    layers: ['namespaces'],
    without: ['namespaces'],
    exceptions: (['landlock+seccomp+rlimits', 'container'] as const).map((level: LevelName) => ({
      level,
      why: 'without a namespace of its own the name of the machine is there for everyone',
    })),
    async run(context) {
      const result = await context.run('print([os.uname().nodename])');
      return judged(
        [result.stdout === `['${hostname()}']\n` && 'it knows the name of the machine'],
        brief(result),
      );
    },
  },
  {
    number: 91,
    title: 'opens switches of the kernel in /proc and /sys for writing',
    layers: view,
    without: view,
    controlNeedsRoot: true,
    run: program(`
import glob
for name in ['/proc/sys/kernel/core_pattern', '/proc/sysrq-trigger', '/proc/sys/vm/overcommit_memory', '/sys/power/state',
             '/sys/kernel/uevent_helper', '/proc/self/uid_map', '/proc/self/attr/current'] + glob.glob('/sys/fs/cgroup/*procs'):
    fd = attempt(os.open, name, os.O_WRONLY)  # opened only
    if fd is not None: hit(name)`),
  },
  {
    number: 92,
    title: "looks for an earlier program's code and a concurrent one's in memory and descriptors",
    layers: ['supervisor'],
    without: [],
    control: 'none: every program is a fork of a template that has run nothing',
    async run(context) {
      const [token] = context.victim.tokens;
      // The other program holds the secret in its code and says nothing.
      const other = (): string =>
        `secret = '${token}'\nimport time\nkept = [secret * 2] * 100\ntime.sleep(0.6)`;
      await context.plain(other().replace('0.6', '0'));
      const [before, result] = await Promise.all([
        context.plain(other()),
        context.run(`${scanMemory}
import gc
for thing in gc.get_objects():
    if isinstance(thing, (dict, list, tuple)):
        for text in re.findall(r'SECRET-[0-9a-f]{18}', str(type(thing)) + ascii(thing)[:10000]): print(text, flush=True)
frame = sys._getframe()
while frame: print(frame.f_code.co_filename, list(frame.f_locals)[:20]); frame = frame.f_back
for fd in range(3, 200):
    try: print(os.pread(fd, 1 << 16, 0), flush=True)
    except OSError: pass
for where in (libc.sbrk(0) - 4096, libc.malloc(64), libc.malloc(1 << 20), id(V), id(print), id(sys)): scan(where)
print('scanned')`),
      ]);
      return judged([], `${brief(before)} / ${brief(result)}`);
    },
  },
];
