# A process of the same user that attacks are aimed at. It makes its files in the directory it is given, listens on every
# kind of socket, and answers each line of standard input with one line: all that an attack could have changed.
# Usage: victim.py DIRECTORY TAG TOKEN NAME_TOKEN; the token is in its environment too. Ends at the end of its input.
import array, ctypes, json, os, resource, selectors, signal, socket, stat, struct, sys

directory, tag, token, name_token = sys.argv[1:5]
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
ARM = os.uname().machine == 'aarch64'
NR = {'ioprio_get': 31, 'add_key': 217, 'keyctl': 219, 'shmget': 194, 'shmctl': 195, 'msgget': 186, 'msgctl': 187,
      'semget': 190, 'semctl': 191, 'mq_unlink': 181} if ARM else {
      'ioprio_get': 252, 'add_key': 248, 'keyctl': 250, 'shmget': 29, 'shmctl': 31, 'msgget': 68, 'msgctl': 71,
      'semget': 64, 'semctl': 66, 'mq_unlink': 241}
key = int(tag[-6:], 16) | 0x5000000


def sc(name, *args):
    return libc.syscall(NR[name], *[ctypes.c_long(a) if isinstance(a, int) else a for a in args])


def path(name):
    return os.path.join(directory, name)


def write(name, text):
    with open(path(name), 'w') as file:
        file.write(text)
    os.chmod(path(name), 0o644)
    return path(name)


os.umask(0o022)
secret = write('secret.txt', token + '\n')
reward = write('reward.json', '{"reward": 0.0}\n')
os.mkdir(path('names'))
os.mkdir(path('kept'))
write('names/' + name_token, '')
write('kept/precious.txt', 'precious\n')
os.symlink('/nowhere/' + token, path('link'))
try:
    os.setxattr(secret, 'user.note', token.encode())
except OSError:
    pass  # this file system has none
held = open(secret)
buffer = ctypes.create_string_buffer(token.encode())
flag = ctypes.create_string_buffer(b'untouched')

signals = []
for number in set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, lambda n, _: signals.append(n))
signals_seen = {}

seen = []
select = selectors.DefaultSelector()
pending = b''


def passing(listener):
    """Gives the secret, open, to whoever connects."""
    peer, _ = listener.accept()
    seen.append('abstract stream')
    try:
        peer.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [held.fileno()]))])
    except OSError:
        pass  # it has hung up
    peer.close()


def listen(family, kind, address, what, accept=None):
    try:
        made = socket.socket(family, kind)
        made.bind(address)
        if kind == socket.SOCK_STREAM:
            made.listen(16)
    except OSError:
        return None  # a machine without IPv6

    def ready():
        if accept is not None:
            accept(made)
        elif kind == socket.SOCK_STREAM:
            made.accept()[0].close()
            seen.append(what)
        else:
            made.recv(100)
            seen.append(what)
    select.register(made, selectors.EVENT_READ, ready)
    name = made.getsockname()
    return name[1] if family in (socket.AF_INET, socket.AF_INET6) else name


stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
ports = {
    'tcp': listen(socket.AF_INET, stream, ('127.0.0.1', 0), 'tcp'),
    'tcp6': listen(socket.AF_INET6, stream, ('::1', 0), 'tcp6'),
    'udp': listen(socket.AF_INET, datagram, ('127.0.0.1', 0), 'udp'),
    'udp6': listen(socket.AF_INET6, datagram, ('::1', 0), 'udp6'),
    'unix': listen(socket.AF_UNIX, stream, path('unix'), 'unix stream'),
    'unixDatagram': listen(socket.AF_UNIX, datagram, path('unix-datagram'), 'unix datagram'),
}
listen(socket.AF_UNIX, stream, '\0' + tag + 's', 'abstract stream', passing)
listen(socket.AF_UNIX, datagram, '\0' + tag + 'd', 'abstract datagram')


def describe(name):
    info = os.lstat(name)
    content = None
    if stat.S_ISREG(info.st_mode):
        with open(name, 'rb') as file:
            content = file.read().decode('latin-1')
    try:
        notes = sorted(os.listxattr(name, follow_symlinks=False))
    except OSError:
        notes = []
    return [content, info.st_mode, info.st_mtime_ns, info.st_nlink, info.st_uid, info.st_size, notes]


def state():
    files = {}
    for where, folders, names in os.walk(directory):
        for name in folders + names:
            files[os.path.relpath(os.path.join(where, name), directory)] = describe(os.path.join(where, name))
    left = [what for what, number in (
        ('shared memory', sc('shmget', key, 0, 0)), ('messages', sc('msgget', key, 0)),
        ('semaphores', sc('semget', key, 0, 0)),
        ('key', sc('keyctl', 10, -4, b'user', tag.encode(), 0))) if number >= 0]
    limits = {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith('RLIMIT')}
    with open('/proc/self/oom_score_adj') as score:
        oom = score.read().strip()
    return {'files': files, 'signals': list(signals), 'connections': list(seen), 'ipc': left, 'limits': limits,
            'nice': os.getpriority(os.PRIO_PROCESS, 0), 'policy': os.sched_getscheduler(0), 'oom score': oom,
            'processors': sorted(os.sched_getaffinity(0)), 'io priority': sc('ioprio_get', 1, 0),
            'memory': flag.value.decode('latin-1')}


def clean():
    sc('shmctl', sc('shmget', key, 0, 0), 0, 0)
    sc('msgctl', sc('msgget', key, 0), 0, 0)
    sc('semctl', sc('semget', key, 0, 0), 0, 0)
    sc('mq_unlink', tag.encode())
    found = sc('keyctl', 10, -4, b'user', tag.encode(), 0)
    if found >= 0:
        sc('keyctl', 9, found, -4)
    return {}


def answer(value):
    sys.stdout.write(json.dumps(value) + '\n')
    sys.stdout.flush()


def command():
    global pending
    read = os.read(0, 4096)
    if not read:
        sys.exit(0)
    pending += read
    *lines, pending = pending.split(b'\n')
    for line in lines:
        answer(clean() if line == b'clean' else state())


select.register(0, selectors.EVENT_READ, command)
# A process with capabilities is out of reach for one without them. The victim has none, so that only a sandbox protects it.
libc.capset(struct.pack('Ii', 0x20080522, 0), bytes(24))
answer({'pid': os.getpid(), 'uid': os.getuid(), 'directory': directory, 'secret': secret, 'reward': reward,
        'link': path('link'), 'unix': path('unix'), 'unixDatagram': path('unix-datagram'), 'key': key, 'held': held.fileno(),
        'tokenAddress': ctypes.addressof(buffer), 'tokenLength': len(token), 'flagAddress': ctypes.addressof(flag),
        'tcp': ports['tcp'], 'tcp6': ports['tcp6'], 'udp': ports['udp'], 'udp6': ports['udp6']})
while True:
    # All that is waiting is taken before a command is answered, so that an answer misses no connection.
    for selected, _ in sorted(select.select(), key=lambda pair: pair[0].fd == 0):
        selected.data()
