/** Attacks on time and memory: 59 to 68, and those that came later. */
import type { ToolRequest } from '../../../lib/tools/tool.ts';
import { type Attack, brief, hits, judged, program } from '../attack.ts';

const noSwitch = 'none: the supervisor measures and kills at every level' as const;
const residentBytes = (): number => process.memoryUsage().rss;

/** Programs that must end as a timeout, this much after their seconds at the most. */
function onTime(
  programs: Readonly<Record<string, string>>,
  changed: Partial<ToolRequest>,
  late: number,
): Attack['run'] {
  return async (context) => {
    const limits = { seconds: 0.3, wallSeconds: 1.5, ...changed };
    const wrong: string[] = [];
    const took: string[] = [];
    for (const [name, body] of Object.entries(programs)) {
      const result = await context.run(body, limits);
      took.push(`${name} ${result.seconds.toFixed(2)} s`);
      if (result.status !== 'timeout' || result.seconds > limits.wallSeconds + late) {
        wrong.push(`${name}: ${brief(result)} after ${result.seconds.toFixed(2)} s`);
      }
    }
    return judged(wrong, took.join(', '));
  };
}

export const limits: readonly Attack[] = [
  {
    number: 59,
    title: 'computes without end: a loop, a huge power, a regular expression, threads',
    layers: ['supervisor'],
    without: [],
    control: noSwitch,
    alone: true,
    run: onTime(
      {
        loop: 'while True: pass',
        power: 'x = 10 ** (10 ** 8)',
        expression: "import re\nre.match(r'(a+)+$', 'a' * 40 + 'b')",
        threads:
          'import zlib\ndef burn():\n  data = bytes(1 << 20)\n  while True: zlib.crc32(data)\nfor _ in range(8): threading.Thread(target=burn).start()',
        fibonacci: 'def f(n): return f(n - 1) + f(n - 2) if n > 1 else n\nf(60)',
      },
      {},
      0.5,
    ),
  },
  {
    number: 60,
    title: 'sleeps for ever, waits for nothing',
    layers: ['supervisor'],
    without: [],
    control: noSwitch,
    alone: true,
    run: onTime(
      {
        sleep: 'while True: time.sleep(1000)',
        select: 'import select\nselect.select([], [], [])',
        lock: 'lock = threading.Lock(); lock.acquire(); lock.acquire()',
        pause: 'signal.pause()',
      },
      { wallSeconds: 0.5 },
      0.5,
    ),
  },
  {
    number: 61,
    title: 'ignores every signal and every exception, and goes on',
    layers: ['supervisor'],
    without: [],
    control: noSwitch,
    alone: true,
    run: onTime(
      {
        ignoring: `
for number in signal.valid_signals():
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
while True: pass`,
        swallowing: `
while True:
    try:
        while True: pass
    except BaseException: pass`,
        'swallowing asleep': `
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGXCPU, signal.SIGALRM):
    signal.signal(number, lambda *_: None)
while True:
    try: time.sleep(100)
    except BaseException: pass`,
      },
      { wallSeconds: 1 },
      0.5,
    ),
  },
  {
    number: 62,
    title: 'takes memory without end: a huge list, appending, 64 mappings of 1 GiB',
    layers: ['rlimits'],
    without: ['rlimits'],
    async run(context) {
      const before = residentBytes();
      const memory = { memoryBytes: 2 ** 28 };
      const mapped = await context.run(
        `
made = 0
for _ in range(64):
    at = libc.mmap(None, 1 << 30, 3, 0x4022, -1, 0)  # private, anonymous, no reserve: nothing is touched
    if at is not None and at != (1 << 64) - 1: made += 1
if made: hit(made, 'GiB mapped')
print(made)`,
        memory,
      );
      const told = [brief(mapped)];
      const wrong = hits(context, mapped);
      if (!context.control) {
        for (const body of [
          'x = [0] * 10 ** 10',
          'x = []\nwhile True: x.append(bytes(1 << 16))',
          'x = bytearray(1 << 40)',
        ]) {
          const result = await context.run(body, memory);
          if (result.status !== 'memory') wrong.push(`${body}: ${brief(result)}`);
          told.push(brief(result));
        }
        const grown = (residentBytes() - before) / 2 ** 20;
        if (grown > 200) wrong.push(`the trainer grew by ${grown.toFixed(0)} MiB`);
      }
      return judged(wrong, told.join(' / '));
    },
  },
  {
    number: 63,
    title: 'takes memory that is no address space: memory files, pipes, shared mappings, thread stacks',
    layers: ['seccomp', 'rlimits'],
    without: ['seccomp', 'rlimits'],
    run: program(
      `
import mmap
total = 0
fds = []
try:
    for _ in range(40):
        fd = sc('memfd_create', b'x', 0)
        if fd < 0: print('memfd', fd); break
        fds.append(fd)
        for _ in range(16): total += os.write(fd, bytes(1 << 20))
except (OSError, MemoryError) as error: print(error)
if total > 400 << 20: hit(total >> 20, 'MiB in memory files')
for fd in fds: os.close(fd)
total, maps = 0, []
try:
    for _ in range(40):
        shared = mmap.mmap(-1, 32 << 20, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
        for at in range(0, 32 << 20, 1 << 20): shared[at] = 1
        maps.append(shared); total += 32
except (OSError, MemoryError) as error: print(error)
if total > 512: hit(total, 'MiB of shared mappings')
total = 0
try:
    while total < 200:
        read, write = os.pipe(); os.set_blocking(write, False); total += os.write(write, bytes(1 << 20)) / (1 << 20)
except OSError as error: print(error)
if total >= 60: hit(total, 'MiB in pipes')`,
      { memoryBytes: 2 ** 28, fileBytes: 64 * 2 ** 20 },
    ),
  },
  {
    number: 64,
    title: 'unpacks bombs: zlib, lzma, bz2, nested JSON, growing text',
    layers: ['rlimits', 'supervisor'],
    without: [],
    control: 'none: attack 62 shows what takes memory when nothing limits it',
    async run(context) {
      const bodies = {
        zlib: 'import zlib\nx = zlib.compress(bytes(1 << 25))\nfor _ in range(9): x = zlib.decompress(x) * 8; x = zlib.compress(x)\nzlib.decompress(x)',
        lzma: 'import lzma\nx = lzma.compress(bytes(1 << 26))\nx = [lzma.decompress(x) for _ in range(99)]',
        nested: "import json\njson.loads('[' * 10 ** 6)",
        text: "x = 'lol'\nwhile True: x = x * 10",
        format: "'%2000000000d' % 1 + '{:>3000000000}'.format(1)",
      };
      const wrong: string[] = [];
      const told: string[] = [];
      for (const [name, body] of Object.entries(bodies)) {
        const result = await context.run(body, { seconds: 1, memoryBytes: 2 ** 28 });
        if (!['memory', 'timeout', 'exception'].includes(result.status))
          wrong.push(`${name}: ${brief(result)}`);
        told.push(`${name} ${result.status}`);
      }
      return judged(wrong, told.join(', '));
    },
  },
  {
    number: 65,
    title: 'recurses without end, with the limit on recursion raised',
    layers: ['supervisor'],
    without: [],
    control: noSwitch,
    async run(context) {
      const deep = await context.run(
        'sys.setrecursionlimit(2 ** 31 - 1)\ndef f(n): return f(n + 1) + 1\nf(0)',
        { seconds: 2 },
      );
      const native = await context.run(
        'sys.setrecursionlimit(2 ** 31 - 1)\nclass A:\n  def __repr__(self): return repr(self) + "x"\nx = []\nfor _ in range(10 ** 6): x = [x]\nrepr(x)',
        { seconds: 2 },
      );
      const fine = ['exception', 'memory', 'timeout'];
      const wrong = [deep, native].filter(({ status }) => !fine.includes(status)).map(brief);
      return judged(wrong, `${brief(deep)} / ${brief(native)}`);
    },
  },
  {
    number: 66,
    title: 'raises its own limits',
    layers: ['rlimits'],
    without: ['rlimits'],
    run: program(`
import resource
unlimited = resource.RLIM_INFINITY
for name in ('AS', 'CPU', 'FSIZE', 'NOFILE', 'CORE', 'MEMLOCK', 'SIGPENDING', 'MSGQUEUE', 'RTPRIO', 'NICE'):
    kind = getattr(resource, 'RLIMIT_' + name, None)
    if kind is None: continue
    before = resource.getrlimit(kind)
    for wanted in ((unlimited, unlimited), (before[0], unlimited)):
        attempt(resource.setrlimit, kind, wanted)
        attempt(resource.prlimit, os.getppid(), kind, wanted)
    soft, hard = resource.getrlimit(kind)
    if hard == unlimited or (before[1] != unlimited and hard > before[1]): hit(name, before, '->', (soft, hard))`),
  },
  {
    number: 67,
    title: 'changes the clocks that Python knows, to seem fast',
    layers: ['supervisor'],
    without: [],
    control: noSwitch,
    async run(context) {
      const result = await context.run(`
real = time.sleep
time.time = time.monotonic = time.perf_counter = time.process_time = lambda: 0.0
real(.3)
total = 0
for i in range(3 * 10 ** 6): total += i
os.times = lambda: (0, 0, 0, 0, 0)`);
      const wrong = result.seconds < 0.3 || result.cpuSeconds < 0.02;
      const told = `${result.seconds.toFixed(2)} s, ${result.cpuSeconds.toFixed(2)} s of processor`;
      return judged([wrong && `measured ${told}`], `measured ${told}`);
    },
  },
  {
    number: 68,
    title: 'many programs at once, each just below its memory limit',
    layers: ['supervisor'],
    without: [],
    control: noSwitch,
    alone: true,
    async run(context) {
      const before = residentBytes();
      const results = await Promise.all(
        Array.from({ length: 16 }, () =>
          context.run('x = bytearray(100 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1\nprint(len(x))', {
            memoryBytes: 2 ** 28,
            seconds: 10,
          }),
        ),
      );
      const wrong = results.filter(({ status, output }) => status !== 'ok' || output !== `${100 << 20}\n`);
      const grown = (residentBytes() - before) / 2 ** 20;
      return judged(
        [
          wrong.length > 0 && wrong.map(brief).join(', '),
          grown > 200 && `the trainer grew by ${grown.toFixed(0)} MiB`,
        ],
        `${results.length} ended well`,
      );
    },
  },
  {
    number: 121,
    title: 'opens a thousand descriptors',
    layers: ['rlimits'],
    without: ['rlimits'],
    run: program(`
fds = []
try:
    while len(fds) < 1000: fds.append(os.dup(1))
except OSError as error: print(error, len(fds))
if len(fds) > 260: hit(len(fds), 'descriptors')`),
  },
  {
    number: 122,
    title: 'makes a hundred thousand timers and pending signals',
    layers: ['rlimits'],
    without: ['rlimits'],
    run: program(`
made = 0
buffer = ctypes.create_string_buffer(8)
event = ctypes.create_string_buffer(struct.pack('Qii', 0, 40, 0), 64)
while made < 100000 and sc('timer_create', 1, event, buffer) == 0: made += 1
if made > 5000: hit(made, 'timers')
print(made)`),
  },
  {
    number: 123,
    title: 'locks memory',
    layers: ['rlimits', 'seccomp'],
    without: ['rlimits', 'seccomp'],
    run: program(`
at = libc.mmap(None, 4 << 20, 3, 0x22, -1, 0)
for name, args in (('mlock', (at, 4 << 20)), ('mlock2', (at, 4 << 20, 1))):
    if sc(name, *args) == 0: hit(name, '4 MiB')
if libc.mmap(None, 4 << 20, 3, 0x2022, -1, 0) != (1 << 64) - 1: hit('MAP_LOCKED')`),
  },
  {
    number: 124,
    title: 'waits in a fault of its own handling, where only death ends it',
    layers: ['seccomp', 'supervisor'],
    without: ['seccomp'],
    alone: true,
    run: program(
      `
fd = sc('userfaultfd', 1)
print('userfaultfd', fd, flush=True)
if fd >= 0:
    hit('userfaultfd')
    import fcntl
    fcntl.ioctl(fd, 0xc018aa3f, struct.pack('QQQ', 0xaa, 0, 0))
    at = libc.mmap(None, 4096, 3, 0x22, -1, 0)
    fcntl.ioctl(fd, 0xc020aa00, struct.pack('QQQQ', at, 4096, 1, 0))
    ctypes.string_at(at, 1)  # nobody answers
time.sleep(10)`,
      { seconds: 1, wallSeconds: 0.7 },
    ),
  },
  {
    number: 125,
    title: 'sleeps in many threads with every clock and waits in the kernel',
    layers: ['supervisor'],
    without: [],
    control: noSwitch,
    alone: true,
    run: onTime(
      {
        threads:
          'for _ in range(20): threading.Thread(target=time.sleep, args=(1e5,)).start()\nthreading.Thread(target=lambda: os.read(os.pipe()[0], 1)).start()\nsys.exit(0)',
        'at exit': 'import atexit\natexit.register(time.sleep, 1e5)',
        finalizer: 'class A:\n  def __del__(self): time.sleep(1e5)\na = A()\ndel a',
      },
      { wallSeconds: 0.5 },
      0.5,
    ),
  },
];
