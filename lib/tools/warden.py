# The warden of one call: a fork of the launcher that starts the child interpreter in its own session with resource
# limits and a private working directory, feeds it the program, keeps head and tail of its output, ends it at its
# deadline, kills every descendant, removes the directory and answers. End of file on its control socket (the launcher
# died, or cancels) is its order to kill. On Linux it adopts orphans, and the child dies with it.
# Invariants: never waits without a deadline; never trusts what the child says beyond the words S, M and X.

import fcntl
import json
import os
import resource
import select
import signal
import socket
import stat
import struct
import sys
import time

LINUX = sys.platform.startswith("linux")
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
CHUNK = 1 << 16
READ = select.POLLIN | select.POLLHUP | select.POLLERR

prctl = None
if LINUX:
    try:
        import ctypes

        prctl = ctypes.CDLL(None, use_errno=True).prctl
    except (ImportError, OSError, AttributeError):
        prctl = None  # the ready frame says so: daemonised children may then survive


def pack(message):
    body = json.dumps(message).encode("ascii")
    return struct.pack(">I", len(body)) + body


# ---------------------------------------------------------------- the child, between fork and exec


def limit(kind, soft, hard=None):
    """Lowers one resource limit, never above what this process already has."""
    ceiling = resource.getrlimit(kind)[1]
    values = [soft, soft if hard is None else hard]
    if ceiling != resource.RLIM_INFINITY:
        values = [min(value, ceiling) for value in values]
    try:
        resource.setrlimit(kind, tuple(values))
    except (ValueError, OSError):
        if LINUX:
            raise  # macOS refuses some limits (RLIMIT_AS); docs/python-tool.md says which are then absent


def become(call, stdout, stderr, channel, warden):
    """Turns this forked process into the child interpreter. Does not return; raises if it cannot."""
    os.setsid()
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != warden:
            os._exit(1)
        try:
            with open("/proc/self/oom_score_adj", "w") as score:
                score.write("1000")  # the out-of-memory killer takes this process before the trainer
        except OSError:
            pass  # an extra: the address-space limit is what bounds memory
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.umask(0o077)
    os.chdir(call["workdir"])
    null = os.open(os.devnull, os.O_RDONLY)
    # Sources above 3 first, so that no dup2 overwrites one that is still needed; all else is close-on-exec.
    sources = [os.dup(fd) if fd > 3 else fcntl_dup(fd) for fd in (null, stdout, stderr, channel)]
    for target, source in enumerate(sources):
        os.dup2(source, target, inheritable=True)
    seconds = max(1, int(-(-call["seconds"] // 1)))
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_CPU, seconds + 1, seconds + 2)  # counts the start too; stops what uses several cores
    limit(resource.RLIMIT_FSIZE, call["fileBytes"])
    limit(resource.RLIMIT_NOFILE, 256)
    limit(resource.RLIMIT_AS, call["memoryBytes"])
    os.execve(call["argv"][0], call["argv"], call["environment"])


def fcntl_dup(fd):
    """A duplicate above descriptor 3."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 4)


# ---------------------------------------------------------------- the warden of one call


class Kept:
    """The first and the last bytes of a stream; what lies between is counted and dropped."""

    def __init__(self, size):
        self.head_size, self.tail_size = size - size // 2, size // 2
        self.head, self.tail, self.total = bytearray(), bytearray(), 0

    def add(self, data):
        self.total += len(data)
        room = self.head_size - len(self.head)
        if room > 0:
            self.head += data[:room]
            data = data[room:]
        self.tail += data
        if len(self.tail) > self.tail_size:
            del self.tail[: len(self.tail) - self.tail_size]

    def report(self):
        dropped = self.total - len(self.head) - len(self.tail)
        return {"head": self.head.decode("latin-1"), "dropped": dropped, "tail": self.tail.decode("latin-1")}


def children_of(parent):
    """Pids of the processes whose parent is `parent` (Linux; elsewhere none are known)."""
    found = []
    for entry in os.listdir("/proc") if LINUX else ():
        if entry.isdigit():
            try:
                with open("/proc/%s/stat" % entry, "rb") as stat:
                    fields = stat.read().rpartition(b")")[2].split()
            except OSError:
                continue  # it ended while we looked
            if int(fields[1]) == parent:
                found.append(int(entry))
    return found


def kill(target, group=False):
    try:
        (os.killpg if group else os.kill)(target, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # already gone (macOS answers EPERM for a group of zombies)


def reap_orphans(patience=0.0, seconds=5.0):
    """Reaps every child of this process, killing those still there after `patience` seconds; returns how many
    outlived another `seconds` of that."""
    begin = time.monotonic()
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0]:
                continue
        except ChildProcessError:
            return 0
        waited = time.monotonic() - begin
        if waited >= patience:
            left = children_of(os.getpid())
            for pid in left:
                kill(pid)
            if waited > patience + seconds:
                return len(left)
        time.sleep(0.001)


def read_available(fd, sink):
    """Reads what is there now: how many bytes, 0 if none, -1 at end of file."""
    try:
        data = os.read(fd, CHUNK)
    except BlockingIOError:
        return 0
    except ConnectionResetError:
        return -1
    if not data:
        return -1
    sink(data)
    return len(data)


def signal_name(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        return "SIG%d" % number


def remove_tree(path):
    """Removes a directory whatever its depth and permissions; follows no link and never leaves the tree."""

    def enter(name):
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            fd = os.open(name, flags)
        except PermissionError:  # the program took its own permission away
            os.chmod(name, stat.S_IRWXU)
            fd = os.open(name, flags)
        try:
            os.fchmod(fd, stat.S_IRWXU)
            os.fchdir(fd)
        finally:
            os.close(fd)
        return name, identity()

    def identity():
        here = os.stat(".")
        return here.st_dev, here.st_ino

    try:
        above = [enter(path)]
    except FileNotFoundError:
        return
    try:
        while above:
            deeper = None
            with os.scandir(".") as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        deeper = entry.name
                        break
                    os.unlink(entry.name)
            if deeper is not None:
                above.append(enter(deeper))
                continue
            name, _ = above.pop()
            if above:
                os.chdir("..")
                if identity() != above[-1][1]:
                    raise OSError("the directory %r was moved while it was removed" % name)
                os.rmdir(name)
    finally:
        os.chdir("/")
    os.rmdir(path)


def guard(call, control):
    """Runs one call to its end. Returns the reply as a dict."""
    if prctl is not None:
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_read, False)
    os.set_blocking(wake_write, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    ours, theirs = socket.socketpair()
    os.mkdir(call["workdir"], 0o700)
    begin = time.monotonic()
    warden = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            become(call, out_write, err_write, theirs.fileno(), warden)
        except BaseException as error:  # told to the warden, which is the only one who can act on it
            os.write(theirs.fileno(), b"X" + repr(error).encode("ascii", "replace")[:1000])
        os._exit(127)
    control.send(struct.pack(">I", pid))
    call["pid"] = pid
    for fd in (out_write, err_write):
        os.close(fd)
    theirs.close()
    ours.setblocking(False)
    os.set_blocking(out_read, False)
    os.set_blocking(err_read, False)

    stdout, stderr, said = Kept(call["outputBytes"]), Kept(call["outputBytes"]), bytearray()
    sinks = {out_read: stdout.add, err_read: stderr.add, ours.fileno(): said.extend}
    source = memoryview(call["code"].encode("utf-8", "surrogatepass"))
    poll = select.poll()
    poll.register(control, READ)
    poll.register(wake_read, READ)
    poll.register(out_read, READ)
    poll.register(err_read, READ)
    poll.register(ours, READ | select.POLLOUT)
    deadline, started, cause, ended = begin + call["startSeconds"], False, None, None
    while cause is None:
        for fd, event in poll.poll(max(0, (deadline - time.monotonic()) * 1000 + 0.5)):
            if fd == control.fileno():
                cause = "cancelled"
            elif fd == wake_read:
                os.read(wake_read, 512)
                # Left a zombie where the system can tell so, which keeps its group id from reuse until the kill.
                if hasattr(os, "waitid"):
                    if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                        cause = "exit"
                else:
                    done, *rest = os.wait4(pid, os.WNOHANG)
                    if done:
                        cause, ended = "exit", rest
            else:
                if fd == ours.fileno() and event & select.POLLOUT:
                    try:
                        source = source[ours.send(source[:CHUNK]):]
                    except BlockingIOError:
                        pass
                    except OSError:
                        source = source[:0]  # it ended before it read its program: the exit status tells
                    if not len(source):
                        poll.modify(ours, READ)
                        try:
                            ours.shutdown(socket.SHUT_WR)
                        except OSError:
                            pass  # the same
                if event & READ and read_available(fd, sinks[fd]) < 0:
                    poll.unregister(fd)
        if not started and said[:1] == b"S":
            started, deadline = True, time.monotonic() + call["seconds"]
        if stdout.total + stderr.total > call["hardBytes"]:
            cause = cause or "output"
        if cause is None and time.monotonic() >= deadline:
            cause = "deadline"
    kill(pid, group=True)
    if ended is None:
        kill(pid)
        ended = os.wait4(pid, 0)[1:]
    status, usage = ended
    end = time.monotonic()
    left = reap_orphans()
    for fd, sink in sinks.items():  # what the pipes still hold; nobody is left who could add to it
        for _ in range(64):
            if read_available(fd, sink) <= 0:
                break
    reply = {
        "cause": cause,
        "said": said[:1000].decode("ascii", "replace"),
        "exitCode": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
        "signal": signal_name(os.WTERMSIG(status)) if os.WIFSIGNALED(status) else None,
        "seconds": end - begin,
        "cpuSeconds": usage.ru_utime + usage.ru_stime,
        "residentBytes": usage.ru_maxrss * (1024 if LINUX else 1),
        "stdout": stdout.report(),
        "stderr": stderr.report(),
        "survivors": left,
        "workdir": call["workdir"],
    }
    remove_tree(call["workdir"])
    return reply


def serve(call, control):
    """Body of the forked warden: one call, one reply; the caller exits after it."""
    try:
        reply = guard(call, control)
    except BaseException as error:
        reply = {"cause": "failed", "error": "the warden of the call failed: %r" % (error,)}
        if "pid" not in call:
            control.send(struct.pack(">I", 0))
        try:
            reap_orphans()
            remove_tree(call["workdir"])
        except OSError as second:
            reply["error"] += "; clearing up failed too: %r" % (second,)
    reply["id"] = call["id"]
    control.setblocking(True)
    try:
        control.sendall(pack(dict(reply, op="done")))
    except OSError:
        pass  # the launcher is gone, and with it whoever wanted the answer
