/** Attacks on signals, processes and priorities: 30 to 45, and those that came later. */
import { type Attack, brief, hits, judged, program } from '../attack.ts';

const strangers = ['namespaces', 'landlock', 'seccomp'] as const;
const kernelOnly = ['namespaces', 'seccomp'] as const;
const noSwitch = 'none: the supervisor measures and kills at every level' as const;

/** A static program for x86-64 that prints the word and ends with status 0. */
export const tinyElf = `
def elf(text):
    tail = b'\\xba' + struct.pack('<I', len(text)) + bytes.fromhex('0f05b83c00000031ff0f05')
    code = bytes.fromhex('b801000000bf01000000488d35') + struct.pack('<i', len(tail)) + tail + text
    head = b'\\x7fELF\\x02\\x01\\x01' + bytes(9) + struct.pack('<HHIQQQIHHHHHH', 2, 62, 1, 0x400078, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return head + struct.pack('<IIQQQQQQ', 1, 5, 0, 0x400000, 0x400000, 120 + len(code), 120 + len(code), 4096) + code
binary = elf((V['word'] + ' a program of its own ran\\n').encode())
`;
const onlyIntel = ({ machine }: { machine: string }): string | null =>
  machine === 'x86_64' ? null : 'its machine code is for x86-64';

/** With processes where the level offers them, and without. */
function bothWays(body: string, limit: number): Attack['run'] {
  return async (context) => {
    const none = await context.run(body, { seconds: 1, wallSeconds: 2 });
    const faults = hits(context, none);
    let told = brief(none);
    if (context.level === 'namespaces' && !context.control) {
      const some = await context.run(`LIMIT = ${limit}\n${body}`, {
        seconds: 1,
        wallSeconds: 2,
        processes: limit,
      });
      faults.push(...hits(context, some));
      told += ` / ${brief(some)}`;
    }
    return judged([[...new Set(faults)].join('; ')], told);
  };
}

export const processes: readonly Attack[] = [
  {
    number: 30,
    title: 'kills its parent, the trainer, everyone, its group',
    layers: strangers,
    without: strangers,
    async run(context) {
      const gentle = await context.run(`
for target in (V['pid'], -V['pid']): attempt(os.kill, target, signal.SIGUSR1)
if pinned(): attempt(os.kill, -1, signal.SIGURG)
attempt(os.kill, V['trainer'], 0)`);
      const parent = await context.run(`
if os.getppid() != 1 or os.getpid() < 64:
    for number in (signal.SIGTERM, signal.SIGKILL): attempt(os.kill, os.getppid(), number)
time.sleep(.1)`);
      const group = await context.run(
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nattempt(os.kill, 0, signal.SIGTERM)\nprint('alive')",
      );
      return judged([], [gentle, parent, group].map(brief).join(' / '));
    },
  },
  {
    number: 31,
    title: 'signals the trainer by tgkill, sigqueue, pidfd and tkill',
    layers: strangers,
    without: strangers,
    run: program(`
info = ctypes.create_string_buffer(struct.pack('3i', signal.SIGUSR1, 0, -1), 128)
pid = V['pid']
for call in (('tgkill', pid, pid, signal.SIGUSR1), ('tkill', pid, signal.SIGUSR2), ('rt_sigqueueinfo', pid, signal.SIGUSR1, info),
             ('rt_tgsigqueueinfo', pid, pid, signal.SIGUSR1, info)):
    print(call[0], sc(*call))
fd = sc('pidfd_open', pid, 0)
if fd >= 0: print(sc('pidfd_send_signal', fd, signal.SIGUSR1, 0, 0))
import fcntl
one, two = __import__('socket').socketpair()
for owner in (pid, -pid): attempt(fcntl.fcntl, one, fcntl.F_SETOWN, owner)
attempt(fcntl.fcntl, one, 10, signal.SIGUSR2)  # F_SETSIG
attempt(fcntl.fcntl, one, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
two.send(b'x')
time.sleep(.1)`),
  },
  {
    number: 32,
    title: 'traces the trainer, reads and writes its memory, takes its descriptors',
    layers: strangers,
    without: strangers,
    run: program(`
pid = V['pid']
print('seize', sc('ptrace', 0x4206, pid, 0, 0))
if sc('ptrace', 16, pid, 0, 0) == 0: hit('attached'); os.waitpid(pid, 0x40000000); sc('ptrace', 17, pid, 0, 0)
buffer = ctypes.create_string_buffer(V['tokenLength'])
def vector(address, size): return struct.pack('QQ', address, size)
local = vector(ctypes.addressof(buffer), V['tokenLength'])
if sc('process_vm_readv', pid, local, 1, vector(V['tokenAddress'], V['tokenLength']), 1, 0) > 0: print(buffer.value)
message = ctypes.create_string_buffer(b'conquered')
sc('process_vm_writev', pid, vector(ctypes.addressof(message), 9), 1, vector(V['flagAddress'], 9), 1, 0)
fd = sc('pidfd_open', pid, 0)
if fd >= 0:
    taken = sc('pidfd_getfd', fd, V['held'], 0)
    if taken >= 0: print(os.pread(taken, 100, 0))`),
  },
  {
    number: 33,
    title: 'changes limits, priority, processors and I/O class of the trainer',
    layers: kernelOnly,
    without: kernelOnly,
    run: program(`
import resource
pid = V['pid']
attempt(resource.prlimit, pid, resource.RLIMIT_CORE, (0, 0))
attempt(os.setpriority, os.PRIO_PROCESS, pid, 15)
attempt(os.sched_setaffinity, pid, {min(os.sched_getaffinity(0))})
sc('ioprio_set', 1, pid, (2 << 13) | 7)
sc('sched_setscheduler', pid, 3, struct.pack('i', 0))
sc('sched_setattr', pid, struct.pack('IIQiIQQQII', 56, 5, 0, 0, 0, 0, 0, 0, 0, 0), 0)
sc('prlimit64', pid, 4, struct.pack('QQ', 0, 0), 0)
if V['made']: attempt(os.setpriority, os.PRIO_USER, V['uid'], 15)`),
  },
  {
    number: 34,
    title: 'fork bomb',
    layers: kernelOnly,
    without: ['seccomp'],
    alone: true,
    run: bothWays(
      `
made = 0
end = time.monotonic() + 3
for _ in range(200):
    try:
        if os.fork() == 0:
            while time.monotonic() < end: time.sleep(.01)
            os._exit(0)
        made += 1
    except OSError as error: print(error); break
# Threads are counted like processes, so that a program that may start some can start as many more as it may have threads.
if made > (LIMIT + 64 if 'LIMIT' in globals() else 0): hit(made, 'children')
print(made)`,
      4,
    ),
  },
  {
    number: 35,
    title: 'fork bomb whose members replace each other',
    layers: kernelOnly,
    without: ['seccomp'],
    alone: true,
    run: bothWays(
      `
end = time.monotonic() + 3
for number in range(1, 32):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
def live():  # a member ends and its child goes on: nobody can be killed for long
    while time.monotonic() < end:
        try:
            if os.fork() != 0: os._exit(0)
            os.setpgid(0, 0)
        except OSError: pass
        time.sleep(.005)
    os._exit(0)
try:
    for _ in range(6):
        if os.fork() == 0: live()
        if 'LIMIT' not in globals(): hit('it forked')
except OSError as error: print(error)
time.sleep(.2)`,
      8,
    ),
  },
  {
    number: 36,
    title: 'leaves a daemon: forks twice, own session, ignores signals',
    layers: kernelOnly,
    without: ['seccomp'],
    run: bothWays(
      `
try:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGCHLD): signal.signal(number, signal.SIG_IGN)
            os.closerange(0, 64)
            time.sleep(4)
        os._exit(0)
    if 'LIMIT' not in globals(): hit('it forked')
    os.wait()
except OSError as error: print(error)`,
      4,
    ),
  },
  {
    number: 37,
    title: 'leaves a child that holds standard output open',
    layers: kernelOnly,
    without: ['seccomp'],
    alone: true,
    async run(context) {
      const allowed = context.level === 'namespaces' && !context.control ? { processes: 4 } : {};
      const result = await context.run(
        `
try:
    if os.fork() == 0: time.sleep(4); os._exit(0)
    ${'processes' in allowed ? '' : "hit('it forked')"}
except OSError as error: print(error)
print('end', flush=True)`,
        { ...allowed, seconds: 5 },
      );
      return judged(
        [...hits(context, result), result.seconds > 2 && `the call took ${result.seconds.toFixed(1)} s`],
        brief(result),
      );
    },
  },
  {
    number: 38,
    title: 'starts three thousand threads',
    layers: ['rlimits'],
    without: ['rlimits', 'namespaces'],
    alone: true,
    run: program(
      `
threading.stack_size(32768)
stop = threading.Event()
made = 0
try:
    for _ in range(3000):
        threading.Thread(target=stop.wait, daemon=True).start(); made += 1
except (RuntimeError, MemoryError) as error: print(error)
stop.set()
if made >= 3000: hit(made, 'threads')
print(made)`,
      { memoryBytes: 2 ** 28, wallSeconds: 3 },
    ),
  },
  {
    number: 39,
    title: 'makes zombies and never waits for them',
    layers: kernelOnly,
    without: ['seccomp'],
    run: bothWays(
      `
made = 0
for _ in range(30):
    try:
        if os.fork() == 0: os._exit(0)
        made += 1
    except OSError as error: print(error); break
if made > 0 and 'LIMIT' not in globals(): hit(made, 'children')`,
      4,
    ),
  },
  {
    number: 40,
    title: 'stops itself',
    layers: ['supervisor'],
    without: [],
    control: noSwitch,
    alone: true,
    async run(context) {
      const result = await context.run("os.kill(os.getpid(), signal.SIGSTOP)\nprint('went on')", {
        seconds: 1,
        wallSeconds: 0.5,
      });
      const fine = result.status === 'timeout' || /refused|PermissionError/.test(result.output);
      return judged(
        [!fine && `ended as ${brief(result)}`],
        `${brief(result)} after ${result.seconds.toFixed(2)} s`,
      );
    },
  },
  {
    number: 41,
    title: 'forks by vfork, clone, clone3 and posix_spawn',
    layers: ['seccomp'],
    without: ['seccomp'],
    run: program(`
def child(what, number):
    if number == 0: sc('exit_group', 0)
    if number > 0: hit(what); attempt(os.waitpid, number, 0x40000000)
    else: print(what, number)
SIGCHLD = 17
child('clone', sc('clone', SIGCHLD, 0, 0, 0, 0))
child('clone as vfork', sc('clone', SIGCHLD | 0x4000, 0, 0, 0, 0))
child('clone without a signal', sc('clone', 0, 0, 0, 0, 0))
child('clone, parent shared', sc('clone', SIGCHLD | 0x8000, 0, 0, 0, 0))
child('clone, memory of files shared', sc('clone', SIGCHLD | 0x600, 0, 0, 0, 0))
child('clone3', sc('clone3', struct.pack('11Q', 0, 0, 0, 0, SIGCHLD, 0, 0, 0, 0, 0, 0), 88))
if 'fork' in NR: child('fork', sc('fork'))
attempt(lambda: child('posix_spawn', os.posix_spawn('/bin/true', ['true'], {})))
attempt(lambda: child('forkpty', os.forkpty()[0]))`),
  },
  {
    number: 42,
    title: 'executes echo, sh, python and a program with set-user-id',
    layers: strangers,
    without: strangers,
    async run(context) {
      const faults: string[] = [];
      const told: string[] = [];
      const say = "'echo ' + V['word'] + ' from sh'";
      for (const [file, ...args] of [
        ["'/bin/echo'", "V['word']", "'from echo'"],
        ["'/bin/sh'", "'-c'", say],
        ["sys.executable or '/usr/bin/python3'", "'-I'", "'-c'", `'print("' + V['word'] + ' from python")'`],
        ["'/usr/bin/python3'", "'-I'", "'-c'", `'print("' + V['word'] + ' from python3")'`],
      ]) {
        const result = await context.run(`attempt(os.execv, ${file}, ['x', ${args.join(', ')}])`);
        faults.push(...hits(context, result));
        told.push(brief(result));
      }
      const privileges = await context.run(`
no = libc.prctl(39, 0, 0, 0, 0)
if no != 1: hit('no_new_privs is', no)`);
      if (!context.control) faults.push(...hits(context, privileges));
      return judged([...new Set(faults)], [...new Set(told)].join(' / '));
    },
  },
  {
    number: 43,
    title: 'executes a file that exists in memory only',
    layers: ['seccomp'],
    without: ['seccomp', 'namespaces', 'landlock'],
    unfit: onlyIntel,
    run: program(`${tinyElf}
fd = sc('memfd_create', b'x', 0)
print('memfd', fd)
if fd < 0: fd = os.open('mine', os.O_CREAT | os.O_RDWR, 0o700)
os.write(fd, binary)
print(sc('execveat', fd, b'', struct.pack('QQ', 0, 0), struct.pack('Q', 0), 0x1000))
attempt(os.execve, fd, ['x'], {})`),
  },
  {
    number: 44,
    title: 'crashes the process that watches over it, by signals',
    layers: strangers,
    without: [],
    control: 'none: attack 30 shows that a parent can be killed when no layer forbids it',
    async run(context) {
      const results = [];
      for (const number of ['SEGV', 'ILL', 'STOP', 'ABRT', 'BUS', 'KILL']) {
        results.push(
          await context.run(`
if os.getppid() != 1 or os.getpid() < 64:
    attempt(os.kill, os.getppid(), signal.SIG${number})
    if os.getpid() < 64: attempt(os.kill, 1, signal.SIG${number})
time.sleep(.05)
print('alive')`),
        );
      }
      const lost = results.filter(({ output }) => !output.endsWith('alive\n'));
      return judged(
        [lost.length > 0 && `it ended with its watcher: ${lost.map(brief)}`],
        'went on six times',
      );
    },
  },
  {
    number: 45,
    title: 'ends itself by every signal that would leave a core',
    layers: ['supervisor'],
    without: [],
    control: noSwitch,
    async run(context) {
      const wrong: string[] = [];
      for (const name of ['SIGSEGV', 'SIGABRT', 'SIGQUIT', 'SIGKILL', 'SIGBUS', 'SIGILL', 'SIGXCPU']) {
        const result = await context.run(
          `signal.signal(signal.${name}, signal.SIG_DFL) if '${name}' != 'SIGKILL' else 0\nos.kill(os.getpid(), signal.${name})\ntime.sleep(5)`,
          { ...(context.level === 'namespaces' ? { fetch: ['core'] } : {}) },
        );
        const statuses = name === 'SIGXCPU' ? ['exception', 'timeout'] : ['exception'];
        if (result.signal !== name || !statuses.includes(result.status))
          wrong.push(`${name}: ${brief(result)}`);
        if (Object.keys(result.files ?? {}).length > 0) wrong.push('a core was left');
      }
      return judged(wrong, 'seven signals reported by name, no core');
    },
  },
  {
    number: 93,
    title: 'executes a program in memory through /proc, and by the dynamic loader',
    layers: ['seccomp', 'landlock', 'namespaces'],
    without: strangers,
    unfit: onlyIntel,
    run: program(`${tinyElf}
import glob
fd = sc('memfd_create', b'x', 0)
if fd >= 0:
    os.write(fd, binary)
    for name in ('/proc/self/fd/%d', '/dev/fd/%d'): attempt(os.execv, name % fd, ['x'])
open('mine', 'wb').write(binary)
attempt(os.chmod, 'mine', 0o755)
attempt(os.execv, './mine', ['x'])
for loader in glob.glob('/lib64/ld-linux*') + glob.glob('/lib/*/ld-linux*') + ['/lib64/ld-linux-x86-64.so.2']:
    attempt(os.execv, loader, ['ld', './mine'])
    attempt(os.execv, loader, ['ld', '/bin/echo', V['word'], 'by the loader'])`),
  },
  {
    number: 94,
    title: 'executes from a thread, and while other threads run',
    layers: strangers,
    without: strangers,
    run: program(`
for _ in range(4): threading.Thread(target=time.sleep, args=(.3,), daemon=True).start()
thread = threading.Thread(target=lambda: attempt(os.execv, '/bin/echo', ['echo', V['word'], 'from a thread']))
thread.start(); thread.join(); time.sleep(.1)`),
  },
  {
    number: 95,
    title: 'takes real-time scheduling and the highest priority',
    layers: ['supervisor', 'namespaces', 'seccomp'],
    without: [],
    control: 'none: capabilities are dropped at every level',
    run: program(`
for call in (('sched_setscheduler', 0, 1, struct.pack('i', 1)), ('sched_setscheduler', 0, 2, struct.pack('i', 50)),
             ('sched_setattr', 0, struct.pack('IIQiIQQQII', 56, 6, 0, 0, 0, 10**7, 10**8, 10**8, 0, 0), 0),
             ('sched_setattr', 0, struct.pack('IIQiIQQQII', 56, 0, 0, -20, 0, 0, 0, 0, 0, 0), 0),
             ('setpriority', 0, 0, -20), ('ioprio_set', 1, 0, 1 << 13)):
    result = sc(*call)
    if result == 0 and (os.sched_getscheduler(0) != 0 or os.getpriority(0, 0) < 0 or sc('ioprio_get', 1, 0) >> 13 == 1):
        hit(call[0], call[2]); sc('sched_setscheduler', 0, 0, struct.pack('i', 0)); sc('setpriority', 0, 0, 0)`),
  },
  {
    number: 96,
    title: 'has or takes capabilities, changes its user',
    layers: ['supervisor', 'namespaces', 'seccomp'],
    without: [],
    control: 'none: capabilities are dropped at every level',
    run: program(`
head, data = struct.pack('Ii', 0x20080522, 0), ctypes.create_string_buffer(24)
sc('capget', head, data)
held = struct.unpack('6I', data.raw)
if held[0] or held[3] or held[1] or held[4]: hit('capabilities', [hex(word) for word in held])
sc('capset', head, struct.pack('6I', *[0xffffffff] * 6))
if libc.prctl(47, 2, 21, 0, 0) == 0: hit('ambient capability')
other = 65533
for name, args in (('setuid', (other,)), ('setresuid', (other, other, other)), ('setgid', (other,)), ('setgroups', (0, 0))):
    if sc(name, *args) == 0 and (os.getuid() == other or os.getgid() == other): hit(name)`),
  },
  {
    number: 97,
    title: 'uses handles of processes: pidfd_open, kcmp, waitid, process_madvise of strangers',
    layers: kernelOnly,
    without: kernelOnly,
    run: program(`
pid = V['pid']
fd = sc('pidfd_open', pid, 0)
if fd >= 0: hit('pidfd_open'); print(sc('process_madvise', fd, struct.pack('QQ', V['tokenAddress'] & ~4095, 4096), 1, 21, 0))
if sc('kcmp', pid, pid, 0, 0, 0) >= 0: hit('kcmp')
print(sc('wait4', pid, 0, 1, 0))
for name in ('getpgid', 'getsid'):
    got = attempt(getattr(os, name), pid)
    if got is not None: print(name, got)`),
  },
  {
    number: 98,
    title: 'plays with SIGCHLD, masks and handlers before it exits with 7',
    layers: ['supervisor'],
    without: [],
    control: noSwitch,
    async run(context) {
      const result = await context.run(`
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4); signal.setitimer(signal.ITIMER_PROF, 1e-4, 1e-4)
libc.prctl(1, 0, 0, 0, 0); libc.prctl(36, 1, 0, 0, 0); libc.prctl(4, 0, 0, 0, 0)
for _ in range(1000): attempt(os.kill, os.getpid(), signal.SIGUSR1)
os._exit(7)`);
      return judged([result.exitCode !== 7 && `reported as ${brief(result)}`], brief(result));
    },
  },
  {
    number: 99,
    title: 'gives itself a name that a reader of /proc would take for a state',
    layers: ['supervisor'],
    without: [],
    control: noSwitch,
    alone: true,
    async run(context) {
      const names = [') Z 1 1 1 (', ') S 1 0\n0 ', 'x\ny'];
      const wrong: string[] = [];
      for (const name of names) {
        const result = await context.run(
          `libc.prctl(15, ${JSON.stringify(name)}.encode(), 0, 0, 0)\nwhile True: pass`,
          { seconds: 0.3, wallSeconds: 1 },
        );
        if (result.status !== 'timeout' || result.seconds > 2) wrong.push(brief(result));
      }
      return judged(wrong, 'three names, ended on time');
    },
  },
  {
    number: 100,
    title: 'damages its futex lists and thread addresses before it ends',
    layers: ['supervisor'],
    without: [],
    control: noSwitch,
    async run(context) {
      const result = await context.run(`
sc('set_robust_list', 0xdead0000, 24)
sc('set_tid_address', 0xbeef0000)
loop = ctypes.create_string_buffer(24)
struct.pack_into('QqQ', loop, 0, ctypes.addressof(loop) + 8, 0, 0); struct.pack_into('Q', loop, 8, ctypes.addressof(loop) + 8)
sc('set_robust_list', loop, 24)
os._exit(9)`);
      return judged([result.exitCode !== 9 && `reported as ${brief(result)}`], brief(result));
    },
  },
  {
    number: 101,
    title: 'waits in vfork, where signals do not reach it',
    layers: ['seccomp', 'supervisor'],
    without: ['seccomp'],
    alone: true,
    run: program(
      `
end = time.monotonic() + 4
number = sc('clone', 17 | 0x4000, 0, 0, 0, 0)
if number == 0:
    for n in range(1, 32):
        if n not in (9, 19): signal.signal(n, signal.SIG_IGN)
    hit('a child runs')
    while time.monotonic() < end: time.sleep(.01)
    os._exit(0)`,
      { seconds: 1, wallSeconds: 0.6 },
    ),
  },
  {
    number: 102,
    title: 'uses processor time in children, which are not waited for',
    layers: ['supervisor'],
    without: [],
    control: noSwitch,
    alone: true,
    async run(context) {
      if (context.level !== 'namespaces') return judged([], 'this level offers no processes');
      const result = await context.run(
        `
end = time.monotonic() + 6
for _ in range(3):
    if os.fork() == 0:
        while time.monotonic() < end: pass
        os._exit(0)
time.sleep(5)`,
        { seconds: 0.5, wallSeconds: 4, processes: 4 },
      );
      const late = result.cpuSeconds > 2.5 || result.seconds > 3;
      return judged(
        [
          (result.status !== 'timeout' || late) &&
            `${brief(result)}: ${result.cpuSeconds.toFixed(1)} s of processor`,
        ],
        `${brief(result)}, ${result.limit}, ${result.cpuSeconds.toFixed(2)} s of processor`,
      );
    },
  },
];
