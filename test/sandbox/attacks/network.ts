/** Attacks by network and interprocess communication: 46 to 51, and those that came later. */
import { type Attack, brief, hits, judged, program } from '../attack.ts';

const strangers = ['namespaces', 'landlock', 'seccomp'] as const;

export const network: readonly Attack[] = [
  {
    number: 46,
    title: 'TCP and UDP, IPv4 and IPv6, to a listener of the machine; listens itself',
    layers: strangers,
    without: strangers,
    run: program(`
import socket
for family, host, tcp, udp in ((socket.AF_INET, '127.0.0.1', V['tcp'], V['udp']), (socket.AF_INET6, '::1', V['tcp6'], V['udp6'])):
    if tcp: attempt(lambda: socket.create_connection((host, tcp), 1).close())
    def send():
        with socket.socket(family, socket.SOCK_DGRAM) as sock: sock.sendto(b'x', (host, udp))
    if udp: attempt(send)
    def listen():
        with socket.socket(family) as sock: sock.bind((host, 0)); sock.listen(); hit('listens on', host)
    attempt(listen)
time.sleep(.1)`),
  },
  {
    number: 47,
    title: 'looks up names, which must fail at once',
    layers: ['supervisor'],
    without: [],
    control: 'none: a name that nobody has cannot be found; how long it takes is what counts',
    alone: true,
    async run(context) {
      const result = await context.run(`
import socket
for name in ('toolgrad-test.invalid', 'a.invalid'):
    begin = time.monotonic()
    found = attempt(socket.getaddrinfo, name, 80)
    if found: hit('found', found)
    print(name, round(time.monotonic() - begin, 3))`);
      return judged(
        [...hits(context, result), result.seconds > 1.5 && `took ${result.seconds} s`],
        brief(result),
      );
    },
  },
  {
    number: 48,
    title: 'unix, abstract, netlink, vsock, AF_ALG, packet, raw and other sockets',
    layers: ['seccomp', 'namespaces'],
    without: strangers,
    run: program(`
import socket
def connect(address, kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_UNIX, kind) as sock:
        if kind == socket.SOCK_STREAM: sock.connect(address)
        else: sock.sendto(b'x', address)
for address in (V['unix'], '\\0' + V['tag'] + 's'): attempt(connect, address)
for address in (V['unixDatagram'], '\\0' + V['tag'] + 'd'): attempt(connect, address, socket.SOCK_DGRAM)
made = []
for family in (1, 2, 10, 16, 17, 29, 38, 40, 44):  # others could make the kernel load a module
    for kind in (1, 2, 3, 5):
        fd = sc('socket', family, kind, 0)
        if fd >= 0: made.append((family, kind)); os.close(fd)
if made: hit('sockets', made)
time.sleep(.1)`),
  },
  {
    number: 49,
    title: 'sets up io_uring, which could make sockets',
    layers: ['seccomp', 'rlimits'],
    without: ['seccomp', 'rlimits'],
    run: program(`
fd = sc('io_uring_setup', 4, ctypes.create_string_buffer(120))
if fd >= 0: hit('a ring')
print(fd, sc('io_uring_enter', -1, 0, 0, 0, 0, 0), sc('io_uring_register', -1, 0, 0, 0))`),
  },
  {
    number: 50,
    title: 'leaves shared memory, messages, semaphores, queues and keys for the next program',
    layers: ['namespaces', 'seccomp'],
    without: ['namespaces', 'seccomp'],
    async run(context) {
      const left = await context.run(`
key = V['key']
print(sc('shmget', key, 4096, 0o1666), sc('msgget', key, 0o1666), sc('semget', key, 1, 0o1666))
print(sc('mq_open', V['tag'].encode(), 0o102, 0o666, 0))
print(sc('add_key', b'user', V['tag'].encode(), b'message', 7, -4))
attempt(lambda: open('/dev/shm/' + V['tag'], 'w').close())`);
      const found = await context.run(`
key = V['key']
for what, number in (('shmget', sc('shmget', key, 0, 0)), ('msgget', sc('msgget', key, 0)), ('semget', sc('semget', key, 0, 0)),
                     ('mq_open', sc('mq_open', V['tag'].encode(), 0)),
                     ('keyctl', sc('keyctl', 10, -4, b'user', V['tag'].encode(), 0))):
    if number >= 0: hit(what)
if sc('mq_unlink', V['tag'].encode()) == 0: hit('mq_unlink')
if os.path.exists('/dev/shm/' + V['tag']): hit('/dev/shm'); os.unlink('/dev/shm/' + V['tag'])`);
      return judged(hits(context, found), `${brief(left)} / ${brief(found)}`);
    },
  },
  {
    number: 51,
    title: 'passes and takes descriptors by an inherited socket',
    layers: ['supervisor'],
    without: [],
    control: 'none: no socket is inherited at any level',
    run: program(`
import array, socket, stat
for fd in range(0, 4096):
    try:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode): continue
    except OSError: continue
    hit('a socket at', fd)
    sock = socket.socket(fileno=os.dup(fd))
    sock.setblocking(False)
    attempt(sock.sendmsg, [b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [0]))])
    print(attempt(sock.recvmsg, 1 << 16, 4096), flush=True)`),
  },
  {
    number: 103,
    title: 'reads a secret by io_uring: opens and reads without a system call of their own',
    layers: ['namespaces', 'landlock', 'seccomp', 'rlimits'],
    without: ['namespaces', 'landlock', 'seccomp', 'rlimits'],
    run: program(`
params = ctypes.create_string_buffer(120)
ring = sc('io_uring_setup', 8, params)
if ring < 0: print(ring); raise SystemExit
words = struct.unpack('30I', params.raw)
sq = dict(zip(('head', 'tail', 'mask', 'entries', 'flags', 'dropped', 'array'), words[10:17]))
cq = dict(zip(('head', 'tail', 'mask', 'entries', 'overflow', 'cqes'), words[20:26]))
rings = libc.mmap(None, 8192, 3, 0x8001, ring, 0)
rings_cq = libc.mmap(None, 8192, 3, 0x8001, ring, 0x8000000)
entries = libc.mmap(None, 4096, 3, 0x8001, ring, 0x10000000)
def u32(at): return ctypes.c_uint32.from_address(at)
def submit(opcode, fd, address, length, offset, flags):
    tail = u32(rings + sq['tail'])
    index = tail.value & u32(rings + sq['mask']).value
    ctypes.memmove(entries + 64 * index, struct.pack('BBHiQQIIQ', opcode, 0, 0, fd, offset, address, length, flags, 7) + bytes(24), 64)
    u32(rings + sq['array'] + 4 * index).value = index
    tail.value += 1
    print('enter', sc('io_uring_enter', ring, 1, 1, 1, 0, 0), flush=True)
    head = u32(rings_cq + cq['head'])
    at = rings_cq + cq['cqes'] + 16 * (head.value & u32(rings_cq + cq['mask']).value)
    head.value += 1
    return ctypes.c_int32.from_address(at + 8).value
name, buffer = ctypes.create_string_buffer(V['secret'].encode()), ctypes.create_string_buffer(200)
fd = submit(18, -100, ctypes.addressof(name), 0, 0, 0)  # OPENAT
print('opened', fd)
if fd >= 0: print(submit(22, fd, ctypes.addressof(buffer), 100, 0, 0), buffer.value)  # READ
made = submit(45, 1, 0, 0, 1, 0)  # SOCKET
if made >= 0: hit('a socket by io_uring')`),
  },
  {
    number: 104,
    title: 'takes an open descriptor of the secret from a listener in the abstract name space',
    layers: strangers,
    without: strangers,
    run: program(`
import array, socket
def take():
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect('\\0' + V['tag'] + 's')
        _, passed, _, _ = sock.recvmsg(10, socket.CMSG_SPACE(4))
        print(os.pread(array.array('i', passed[0][2])[0], 100, 0), flush=True)
attempt(take)`),
  },
  {
    number: 105,
    title: 'turns an anonymous pair of sockets into a way out: sends and connects by address',
    layers: ['seccomp', 'namespaces'],
    without: strangers,
    run: program(`
import socket
for kind in (socket.SOCK_DGRAM, socket.SOCK_SEQPACKET, socket.SOCK_STREAM, socket.SOCK_RAW):
    pair = attempt(socket.socketpair, socket.AF_UNIX, kind)
    if not pair: continue
    for address in (V['unixDatagram'], '\\0' + V['tag'] + 'd', V['unix'], '\\0' + V['tag'] + 's'):
        attempt(pair[0].sendto, b'x', address)
        attempt(pair[0].sendmsg, [b'x'], [], 0, address)
        attempt(pair[1].connect, address)
        attempt(pair[1].send, b'x')
    attempt(pair[0].bind, '\\0' + V['tag'] + 'b')
    attempt(pair[0].listen)
for family in (socket.AF_INET, 16, 30, 40): print(family, sc('socketpair', family, 1, 0, ctypes.create_string_buffer(8)))
time.sleep(.1)`),
  },
  {
    number: 106,
    title: 'fills the kernel with descriptors in flight and with pipe buffers',
    layers: ['rlimits', 'seccomp'],
    without: ['seccomp', 'rlimits'],
    async run(context) {
      const result = await context.run(`
import array, fcntl, socket
sent = grown = 0
pairs = []
try:
    for _ in range(40):
        pair = socket.socketpair(); pairs.append(pair); pair[0].setblocking(False)
        for _ in range(300):
            pair[0].sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [pair[1].fileno()] * 100))]); sent += 100
except OSError as error: print(error, sent)
pairs.clear()
pipes = []
try:
    for _ in range(100):
        pipes.append(os.pipe())
        if fcntl.fcntl(pipes[-1][1], 1031, 1 << 20) >= 1 << 20: grown += 1
except OSError as error: print(error, grown)
if grown: hit(grown, 'pipes of 1 MiB')
if sent > 5000: hit(sent, 'descriptors in flight')`);
      return judged(hits(context, result), brief(result));
    },
  },
  {
    number: 107,
    title: "watches the trainer's directory by inotify and fanotify",
    layers: ['namespaces', 'seccomp'],
    without: ['namespaces', 'seccomp'],
    run: program(`
fd = sc('inotify_init1', 0o4000)
if fd >= 0 and sc('inotify_add_watch', fd, (V['directory'] + '/names').encode(), 0xfff) >= 0: hit('inotify watches')
if sc('fanotify_init', 0x200, 0) >= 0: hit('fanotify')`),
  },
  {
    number: 108,
    title: 'asks a file for leases, notifications and locks by other ways',
    layers: ['seccomp'],
    without: ['seccomp'],
    run: program(`
import fcntl
fd = os.open(os.__file__, os.O_RDONLY)
if attempt(fcntl.fcntl, os.open(os.path.dirname(os.__file__), os.O_RDONLY), 1026, 0x8000001f) is not None: hit('F_NOTIFY')
if attempt(fcntl.fcntl, fd, 1024, 0) is not None and fcntl.fcntl(fd, 1025) == 0: hit('F_SETLEASE')
lock = struct.pack('hhqqi', 0, 0, 0, 0, 0)
def locked():
    fcntl.fcntl(fd, 37, lock)  # F_OFD_SETLK
    other = os.open(os.__file__, os.O_RDONLY)
    return struct.unpack('hhqqi4x', fcntl.fcntl(other, 36, struct.pack('hhqqi4x', 1, 0, 0, 0, 0)))[0] != 2
if attempt(locked): hit('a lock of an open file is seen')`),
  },
];
