/** Attacks on the surface of the kernel: 52 to 58, and those that came later. Arguments are such that nothing happens. */
import { type Attack, brief, hits, judged, program } from '../attack.ts';
import type { LevelName } from '../levels.ts';

const view = ['namespaces', 'landlock'] as const;
const metadata = (['landlock+seccomp+rlimits', 'container'] as const).map((level: LevelName) => ({
  level,
  why: 'Landlock does not govern metadata: who knows a path sees whether it is there, and where a symbolic link leads',
}));

/** Calls, each refused by the filter; with no filter the kernel looks at the arguments, which are wrong, and says so. */
const surface = `
calls = {
  'bpf': (99, 0, 0), 'perf_event_open': (0, 0, -1, -1, 0), 'userfaultfd': (1,), 'io_uring_setup': (0, 0), 'io_uring_enter': (-1, 0, 0, 0, 0, 0),
  'io_uring_register': (-1, 99, 0, 0), 'keyctl': (999,), 'add_key': (0, 0, 0, 0, 0), 'request_key': (0, 0, 0, 0),
  'init_module': (0, 0, 0), 'finit_module': (-1, 0, 0), 'delete_module': (0, 0), 'kexec_load': (0, 0, 0, 1 << 40),
  'mount': (0, 1, 0, 0, 0), 'umount2': (0, 0), 'pivot_root': (0, 0), 'chroot': (0,), 'open_tree': (-1, 0, 0), 'move_mount': (-1, 0, -1, 0, 0),
  'fsopen': (0, 0), 'fsconfig': (-1, 0, 0, 0, 0), 'fsmount': (-1, 0, 0), 'fspick': (-1, 0, 0), 'mount_setattr': (-1, 0, 0, 0, 0),
  'statmount': (0, 0, 0, 0), 'listmount': (0, 0, 0, 0), 'swapon': (0, 0), 'swapoff': (0,), 'syslog': (9, 0, 0), 'acct': (1,), 'quotactl': (-1, 0, 0, 0),
  'open_by_handle_at': (-1, 0, 0), 'name_to_handle_at': (-1, 0, 0, 0, 0), 'fanotify_init': (-1, 0), 'inotify_init1': (0,), 'inotify_add_watch': (-1, 0, 0),
  'personality': (0xffffffff,), 'iopl': (0,), 'ioperm': (0, 0, 0), 'modify_ldt': (0, 0, 0), 'settimeofday': (1, 1), 'clock_settime': (99, 0),
  'clock_adjtime': (99, 0), 'adjtimex': (0,), 'sethostname': (1, -1), 'setdomainname': (1, -1), 'capset': (0, 0),
  'seccomp': (2, 0, 0), 'landlock_create_ruleset': (0, 0, 1), 'landlock_restrict_self': (-1, 0), 'memfd_create': (0, 0), 'memfd_secret': (99,),
  'splice': (-1, 0, -1, 0, 0, 0), 'tee': (-1, -1, 0, 0), 'vmsplice': (-1, 0, 0, 0), 'mlock': (0, 0), 'mlock2': (0, 0, 0), 'mlockall': (0,),
  'mbind': (0, 0, 0, 0, 0, 99), 'set_mempolicy': (-1, 0, 0), 'migrate_pages': (-1, 0, 0, 0), 'move_pages': (-1, 0, 0, 0, 0, 0),
  'kcmp': (-1, -1, 0, 0, 0), 'process_madvise': (-1, 0, 0, 0, 0), 'process_mrelease': (-1, 0), 'pidfd_open': (-1, 0), 'pidfd_getfd': (-1, 0, 0),
  'pidfd_send_signal': (-1, 0, 0, 0), 'ptrace': (-1, -1, 0, 0), 'process_vm_readv': (-1, 0, 0, 0, 0, 0), 'process_vm_writev': (-1, 0, 0, 0, 0, 0),
  'shmget': (1, 0, 0), 'msgctl': (-1, 2, 0), 'semget': (1, -1, 0), 'mq_open': (0, 0, 0, 0), 'socket': (1, 1, 0), 'setns': (-1, 0), 'unshare': (1 << 2,),
  'clone3': (0, 0), 'lookup_dcookie': (0, 0, 0), 'uselib': (0,), 'ustat': (-1, 0), 'sysfs': (99, 0), 'remap_file_pages': (0, 0, 0, 0, 0),
  'sched_setattr': (0, 0, 0), 'sched_setscheduler': (0, 99, 0), 'open_tree_attr': (-1, 0, 0, 0, 0), 'listns': (0, 0, 0, 0), 'lsm_set_self_attr': (0, 0, 0, 0),
}
reached = []
for name, args in calls.items():
    if name in NR and sc(name, *args) not in REFUSALS: reached.append(name)
if reached: hit(len(reached), 'calls reached the kernel:', ' '.join(reached))
`;

export const kernel: readonly Attack[] = [
  {
    number: 52,
    title: 'makes and joins namespaces, mounts, changes the root',
    layers: ['seccomp'],
    without: ['seccomp'],
    run: program(`
flags = {'mount': 0x20000, 'cgroup': 0x2000000, 'uts': 0x4000000, 'ipc': 0x8000000, 'user': 0x10000000, 'pid': 0x20000000,
         'net': 0x40000000, 'time': 0x80}
for name, flag in flags.items():
    for both in (flag, flag | 0x10000000):
        number = sc('clone', 17 | both, 0, 0, 0, 0)
        if number == 0: sc('exit_group', 0)
        if number > 0: hit('clone with', name); attempt(os.waitpid, number, 0)
for name, flag in flags.items():
    if sc('unshare', flag) == 0: hit('unshare', name)
if sc('unshare', 0x10000000 | 0x20000) == 0 or True:
    os.makedirs('mine', exist_ok=True)
    if sc('mount', b'none', b'mine', b'tmpfs', 0, 0) == 0: hit('mount'); sc('umount2', b'mine', 2)
    if sc('pivot_root', b'mine', b'mine') == 0: hit('pivot_root')
    if sc('chroot', b'mine') == 0: hit('chroot')`),
  },
  {
    number: 53,
    title: 'calls the kernel by its other interfaces: int 0x80 and x32',
    layers: ['seccomp'],
    without: ['seccomp'],
    unfit: ({ machine }) => (machine === 'x86_64' ? null : 'its machine code is for x86-64'),
    async run(context) {
      const old = await context.run(`
import mmap
code = bytes.fromhex('b814000000cd80c3')  # mov eax, 20 (getpid); int 0x80; ret
page = mmap.mmap(-1, 4096, prot=7); page.write(code)
got = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
print(got, flush=True)
if got == os.getpid(): hit('getpid by int 0x80')`);
      const other = await context.run(`
got = sc(0x40000000 | NR['getpid'])
if got == os.getpid(): hit('getpid by x32')
print(got)`);
      return judged([...hits(context, old), ...hits(context, other)], `${brief(old)} / ${brief(other)}`);
    },
  },
  {
    number: 54,
    title: 'bpf, perf_event_open, userfaultfd, modules, personality, clocks and the rest of the table',
    layers: ['seccomp'],
    without: ['seccomp'],
    run: program(surface),
  },
  {
    number: 55,
    title: 'opens devices',
    layers: view,
    without: view,
    run: program(`
# Named one by one: opening a device that nobody knows (a watchdog, a tape) can do something.
for name in '''kmsg kvm fuse mem port ptmx tty console net/tun loop-control vhost-net vhost-vsock nvidiactl nvidia0 dri/renderD128
    vda sda nvme0n1 userfaultfd autofs vsock mapper/control snapshot'''.split():
    try: fd = os.open('/dev/' + name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError: continue
    hit(name); os.close(fd)`),
  },
  {
    number: 56,
    title: 'types into the terminal by TIOCSTI and TIOCLINUX',
    layers: ['seccomp'],
    without: ['seccomp'],
    run: program(`
import fcntl
for fd in (0, 1, 2):
    for name, request in (('TIOCSTI', 0x5412), ('TIOCLINUX', 0x541c), ('TIOCSCTTY', 0x540e)):
        try: fcntl.ioctl(fd, request, b'x' * 8); hit(name, fd)
        except OSError as error:
            # not a terminal: the kernel has looked
            if -error.errno not in REFUSALS and name != 'TIOCSCTTY': hit(name, 'reached the kernel at', fd)
if attempt(os.open, '/dev/tty', os.O_RDWR) is not None: hit('a terminal')`),
  },
  {
    number: 57,
    title: 'loads a filter or a Landlock ruleset of its own',
    layers: ['seccomp'],
    without: ['seccomp'],
    run: program(`
code = ctypes.create_string_buffer(struct.pack('HBBI', 6, 0, 0, 0x7fff0000))  # allow everything
prog = ctypes.create_string_buffer(struct.pack('HxxxxxxQ', 1, ctypes.addressof(code)))
libc.prctl(38, 1, 0, 0, 0)
if libc.prctl(22, 2, ctypes.c_void_p(ctypes.addressof(prog)), 0, 0) == 0: hit('prctl filter')
if sc('seccomp', 1, 0, prog) == 0: hit('seccomp filter')
if sc('landlock_create_ruleset', struct.pack('QQQ', 1, 0, 0), 8, 0) >= 0: hit('landlock ruleset')`),
  },
  {
    number: 58,
    title: 'calls every number with random arguments',
    layers: ['namespaces', 'landlock', 'seccomp'],
    without: [],
    control: 'none: random arguments show nothing, and are not for a machine without protection',
    async run(context) {
      if (context.control) return judged([], 'not without protection');
      const rounds = 16;
      const ended = new Map<string, number>();
      for (let seed = 0; seed < rounds; seed++) {
        const result = await context.run(
          `
import random
random.seed(${seed})
skip = {NR[name] for name in ('kill', 'tkill', 'tgkill', 'rt_sigqueueinfo', 'rt_tgsigqueueinfo', 'pidfd_send_signal', 'reboot',
        'vhangup', 'exit', 'exit_group', 'acct', 'kexec_load', 'kexec_file_load') if name in NR}
buffer = ctypes.create_string_buffer(4096)
pool = [0, 1, 2, 3, -1, 4096, 1 << 31, 1 << 63, 0xffffffff, ctypes.addressof(buffer), -100, 7, 64, os.getpid()]
for _ in range(4000):
    number = random.choice((random.randrange(0, 480), random.randrange(0, 1024), random.randrange(1 << 30)))
    if number in skip: continue
    libc.syscall(ctypes.c_long(number), *[ctypes.c_long((lambda v: v - (1 << 64) if v >> 63 and v > 0 else v)(random.choice(pool))) for _ in range(6)])`,
          { seconds: 0.5, wallSeconds: 0.4 },
        );
        ended.set(result.status, (ended.get(result.status) ?? 0) + 1);
      }
      return judged(
        [],
        `${rounds} rounds: ${[...ended].map(([status, count]) => `${count} ${status}`).join(', ')}`,
      );
    },
  },
  {
    number: 109,
    title: 'opens a secret by openat2, by a handle, by every old way',
    layers: view,
    without: view,
    run: program(`
name = V['secret'].encode()
def tell(fd):
    if fd >= 0: print(os.pread(fd, 100, 0), flush=True)
tell(sc('openat2', -100, name, struct.pack('QQQ', 0, 0, 0), 24))
tell(sc('openat', -100, name, 0, 0))
if not ARM: tell(sc(2, name, 0, 0)); tell(sc(85, name + b'x', 0o600))
handle = ctypes.create_string_buffer(struct.pack('Ii', 128, 0) + bytes(128))
mount = ctypes.create_string_buffer(4)
if sc('name_to_handle_at', -100, name, handle, mount, 0) == 0:
    tell(sc('open_by_handle_at', attempt(os.open, '.', os.O_RDONLY) or -100, handle, 0))
    print('a handle was made')
root = sc('openat', -100, b'/', 0o10200000, 0)  # O_PATH | O_DIRECTORY
if root >= 0: tell(sc('openat', root, name[1:], 0, 0)); tell(sc('openat2', root, name, struct.pack('QQQ', 0, 0, 0x10), 24))`),
  },
  {
    number: 110,
    title: 'becomes the superuser of a namespace and mounts over what it may not write',
    layers: ['seccomp'],
    without: ['seccomp'],
    run: program(`
uid = os.getuid()
if sc('unshare', 0x10000000 | 0x20000) == 0:
    hit('a user namespace')
    attempt(lambda: open('/proc/self/uid_map', 'w').write('0 %d 1' % uid))
    if sc('mount', b'none', os.path.dirname(os.__file__).encode(), b'tmpfs', 0, 0) == 0: hit('mounted over the library')`),
  },
  {
    number: 111,
    title: 'mounts by the new calls: fsopen, fsmount, open_tree, move_mount',
    layers: ['seccomp'],
    without: ['seccomp'],
    run: program(`
print('unshare', sc('unshare', 0x10000000 | 0x20000))
fd = sc('fsopen', b'tmpfs', 0)
print('fsopen', fd)
if fd >= 0:
    hit('fsopen')
    sc('fsconfig', fd, 6, 0, 0, 0)
    tree = sc('fsmount', fd, 0, 0)
    if tree >= 0: hit('fsmount')
tree = sc('open_tree', -100, b'.', 1)
if tree >= 0: hit('open_tree')`),
  },
  {
    number: 112,
    title: 'enters namespaces by descriptors of /proc and of processes',
    layers: ['seccomp'],
    without: ['seccomp', 'namespaces', 'landlock'],
    run: program(`
# A descriptor of a namespace is no way in by itself.
for pid in (str(os.getppid()), str(V['pid']), 'self'):
    if pid == 'self': print('unshare', sc('unshare', 0x50000000))
    for name in ('user', 'mnt', 'net', 'pid', 'ipc', 'uts'):
        fd = attempt(os.open, '/proc/%s/ns/%s' % (pid, name), os.O_RDONLY)
        if fd is not None and sc('setns', fd, 0) == 0: hit('entered', name, 'of', 'itself' if pid == 'self' else pid)
fd = sc('pidfd_open', V['pid'], 0)
for flag in (0x20000, 0x10000000, 0x40000000):
    if fd >= 0 and sc('setns', fd, flag) == 0: hit('entered', hex(flag))`),
  },
  {
    number: 113,
    title: 'installs a listener for system calls, and dispatches them to itself',
    layers: ['seccomp'],
    without: ['seccomp'],
    run: program(`
code = ctypes.create_string_buffer(struct.pack('HBBI', 6, 0, 0, 0x7fff0000))
prog = ctypes.create_string_buffer(struct.pack('HxxxxxxQ', 1, ctypes.addressof(code)))
libc.prctl(38, 1, 0, 0, 0)
fd = sc('seccomp', 1, 8, prog)  # NEW_LISTENER
if fd >= 0: hit('a listener')`),
  },
  {
    number: 114,
    title: 'leaves a jail by chroot and directory descriptors, and walks up',
    layers: view,
    without: view,
    run: program(`
up = attempt(os.open, '.', os.O_RDONLY)
os.makedirs('jail', exist_ok=True)
print('chroot', sc('chroot', b'jail'))
for _ in range(20): attempt(os.chdir, '..')
show('.' + V['secret']); show('../' * 20 + V['secret'][1:])
fd = attempt(os.open, '/', os.O_RDONLY | os.O_DIRECTORY)
if fd is not None: print(attempt(os.listdir, fd))`),
  },
  {
    number: 115,
    title: 'learns what a hidden link says, and whether a path exists',
    layers: ['namespaces'],
    without: ['namespaces'],
    exceptions: metadata,
    run: program(`
print(attempt(os.readlink, V['link']), flush=True)
if os.access(V['secret'], os.R_OK): hit('access')
if attempt(os.statvfs, V['secret']): hit('statfs')
if attempt(os.chdir, V['directory']) is None and os.getcwd() == V['directory']: hit('chdir')
fd = attempt(os.open, V['secret'], os.O_PATH)
if fd is not None: hit('O_PATH')`),
  },
  {
    number: 116,
    title: 'reads extended attributes of a hidden file',
    layers: ['namespaces', 'seccomp'],
    without: ['namespaces', 'seccomp'],
    run: program(`
print(attempt(os.getxattr, V['secret'], 'user.note'), attempt(os.listxattr, V['secret']), flush=True)
buffer = ctypes.create_string_buffer(200)
print(sc('getxattr', V['secret'].encode(), b'user.note', buffer, 200), buffer.value)
got = ctypes.create_string_buffer(200)
value = struct.pack('QII', ctypes.addressof(got), 200, 0)
print(sc(464, -100, V['secret'].encode(), 0, b'user.note', value, 16), got.value)`),
  },
  {
    number: 117,
    title: 'makes devices, pipes and sockets in its directory',
    layers: ['supervisor', 'landlock', 'seccomp'],
    without: [],
    control: 'none: capabilities are dropped at every level',
    run: program(`
for kind, major, minor in ((0o20000, 1, 1), (0o60000, 254, 0), (0o20000, 1, 3)):
    if attempt(os.mknod, 'd%d' % minor, kind | 0o600, os.makedev(major, minor)) is None and os.path.exists('d%d' % minor):
        hit('device', major, minor)`),
  },
  {
    number: 118,
    title: 'races a symbolic link against an open for writing, ten thousand times',
    layers: view,
    without: view,
    run: program(
      `
open('mine', 'w').close()
end = time.monotonic() + .5
def swap():
    while time.monotonic() < end:
        os.symlink(V['reward'], 't'); os.rename('t', 'x')
        open('t', 'w').close(); os.rename('t', 'x')
thread = threading.Thread(target=swap); thread.start()
opened = 0
for _ in range(10000):
    if time.monotonic() > end: break
    try:
        fd = os.open('x', os.O_WRONLY); opened += 1
        if os.fstat(fd).st_size > 10 or os.fstat(fd).st_ino == os.stat(V['reward']).st_ino: os.write(fd, b'raced')
        os.close(fd)
    except OSError: pass
thread.join(); print(opened)`,
      { seconds: 5 },
    ),
  },
  {
    number: 119,
    title: 'writes to files of the interpreter that every program shares',
    layers: view,
    without: view,
    controlNeedsRoot: true,
    run: program(`
names = {getattr(m, '__file__', None) for m in list(sys.modules.values())} | {getattr(m, '__cached__', None) for m in list(sys.modules.values())}
names |= {sys.executable, '/lib64/ld-linux-x86-64.so.2', os.path.realpath('/lib/x86_64-linux-gnu/libc.so.6')}
opened = 0
for name in sorted(n for n in names if n):
    try: os.close(os.open(name, os.O_RDWR)); opened += 1
    except OSError: pass
if opened: hit(opened, 'files open for writing')`),
  },
  {
    number: 120,
    title: 'removes and replaces files of the trainer, makes directories beside them',
    layers: view,
    without: view,
    run: program(`
attempt(os.unlink, V['reward'])
attempt(os.mkdir, V['directory'] + '/new')
attempt(os.symlink, '/etc/passwd', V['directory'] + '/planted')
attempt(os.rmdir, V['directory'] + '/kept')
attempt(lambda: open(V['outside'] + '/planted', 'w').close())
if os.path.exists(V['outside'] + '/planted'): hit('wrote outside')`),
  },
];
