# The launcher of the Python tool: a small process that starts one child interpreter per call, so that the trainer,
# which holds gigabytes, never forks. Run as `python3 -I -S launcher.py <settings>`; speaks length-prefixed JSON frames
# (u32 big endian, then ASCII JSON) on stdin and stdout, and ends with its stdin.
#
#   trainer --frames-- launcher --socketpair-- warden (a fork, one per call) --fork, exec-- child interpreter
#
# Invariants: one thread; no wait on a child or a pipe; when it dies, however that happens, the wardens see the end of
# their socket and kill. Only the standard library, Python 3.8 or newer.

import gc
import json
import marshal
import os
import select
import signal
import socket
import struct
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import warden  # noqa: E402
from warden import READ, pack, prctl, read_available  # noqa: E402

# What a child runs: the bootstrap, compiled here once, in a namespace of its own.
START = "import marshal, sys; exec(marshal.loads(bytes.fromhex(sys.argv[1])), {})"

SWEEP_SECONDS, SWEEP_MILLISECONDS = 2.0, 10


class Launcher:
    def __init__(self, settings):
        self.settings = settings
        self.calls = {}  # socket descriptor -> {"id", "socket", "received", "warden", "workdir"}
        self.incoming, self.outgoing = bytearray(), bytearray()
        self.serial = 0
        self.sweep_until, self.abandoned = 0.0, []
        self.poll = select.poll()
        self.wake, wake_write = os.pipe()
        for fd in (0, 1, self.wake, wake_write):
            os.set_blocking(fd, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        self.wake_write = wake_write
        self.poll.register(0, READ)
        self.poll.register(self.wake, READ)

    def send(self, message):
        self.outgoing += pack(message)
        self.poll.register(1, select.POLLOUT)

    def run(self):
        """Serves until stdin ends or stdout breaks."""
        while True:
            sweeping = time.monotonic() < self.sweep_until
            if sweeping:
                self.sweep()
            for fd, event in self.poll.poll(SWEEP_MILLISECONDS if sweeping else None):
                if fd == 0:
                    if read_available(0, self.incoming.extend) < 0:
                        return
                    for message in self.frames():
                        self.obey(message)
                elif fd == 1:
                    try:
                        del self.outgoing[: os.write(1, self.outgoing)]
                    except BlockingIOError:
                        continue
                    except BrokenPipeError:
                        return
                    if not self.outgoing:
                        self.poll.unregister(1)
                elif fd == self.wake:
                    os.read(self.wake, 512)
                    self.reap()
                elif read_available(fd, self.calls[fd]["received"].extend) < 0:
                    self.finish(fd)

    def frames(self):
        messages = []
        while len(self.incoming) >= 4:
            size = struct.unpack(">I", self.incoming[:4])[0]
            if len(self.incoming) < 4 + size:
                break
            messages.append(json.loads(self.incoming[4 : 4 + size].decode("utf-8")))
            del self.incoming[: 4 + size]
        return messages

    def obey(self, message):
        if message["op"] == "run":
            try:
                self.start(message)
            except OSError as error:
                self.send({"op": "done", "id": message["id"], "cause": "failed", "error": "fork failed: %r" % (error,)})
        else:  # cancel: the warden reads an end of file, kills, and answers as always
            for call in self.calls.values():
                if call["id"] == message["id"]:
                    call["socket"].shutdown(socket.SHUT_WR)

    def start(self, message):
        self.serial += 1
        name = "toolgrad-%d-%d-%s" % (os.getpid(), self.serial, os.urandom(4).hex())
        workdir = os.path.join(self.settings["temporary"], name)
        message.update(
            workdir=workdir,
            argv=self.settings["argv"],
            environment=dict(self.settings["environment"], HOME=workdir, TMPDIR=workdir),
        )
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            try:
                null = os.open(os.devnull, os.O_RDWR)
                os.dup2(null, 0)
                os.dup2(null, 1)
                signal.set_wakeup_fd(-1)
                for fd in (null, self.wake, self.wake_write):
                    os.close(fd)
                ours.close()
                for call in self.calls.values():
                    call["socket"].close()
                warden.serve(message, theirs)
            finally:
                os._exit(0)
        theirs.close()
        ours.setblocking(False)
        self.calls[ours.fileno()] = {
            "id": message["id"], "socket": ours, "received": bytearray(), "warden": pid, "workdir": workdir,
        }
        self.poll.register(ours, READ)

    def finish(self, fd):
        """The warden is done: passes its answer on, or clears up after one that was killed."""
        call = self.calls.pop(fd)
        self.poll.unregister(fd)
        call["socket"].close()
        received = call["received"]  # the child's pid (0: none was started), then one frame
        if len(received) >= 8 and len(received) == 8 + struct.unpack(">I", received[4:8])[0]:
            self.outgoing += received[4:]
            self.poll.register(1, select.POLLOUT)
            return
        pid = struct.unpack(">I", received[:4])[0] if len(received) >= 4 else 0
        if pid:
            warden.kill(pid, group=True)
        self.sweep_until = time.monotonic() + SWEEP_SECONDS
        self.abandoned.append(call["workdir"])
        self.sweep()
        error = "the warden of the call died without an answer"
        self.send({"op": "done", "id": call["id"], "cause": "failed", "error": error})

    def sweep(self):
        """Clears up after dead wardens: kills every child here that is no warden (orphans arrive one after the
        other, hence repeatedly) and removes their working directories."""
        wardens = {call["warden"] for call in self.calls.values()}
        for pid in warden.children_of(os.getpid()):
            if pid not in wardens:
                warden.kill(pid)
        for workdir in list(self.abandoned):
            try:
                warden.remove_tree(workdir)
                self.abandoned.remove(workdir)
            except OSError:
                pass  # something still writes there; the next sweep tries again

    def reap(self):
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass  # no children now

    def stop(self):
        """Ends every call and gives the wardens five seconds to clear up; those that hang are killed."""
        for call in self.calls.values():
            call["socket"].close()
        warden.reap_orphans(patience=5.0)


def interpreter_paths():
    """Where the interpreter's own files are; programs are not to show these paths to the model."""
    library = "python%d.%d" % sys.version_info[:2]
    paths = {os.path.dirname(os.__file__), sys.executable, os.path.join("/usr/local/lib", library)}
    for prefix in (sys.prefix, sys.base_prefix):
        system = prefix in ("/", "/usr", "/usr/local")
        paths.add(os.path.join(prefix, "lib", "python3", "dist-packages") if system else prefix)
    return sorted(paths)


def main():
    if sys.version_info < (3, 8):
        sys.exit("Python 3.8 or newer is needed, this is %d.%d" % sys.version_info[:2])
    settings = json.loads(sys.argv[1])
    os.chdir("/")
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)  # the trainer decides: it closes our stdin
    os.closerange(3, 1024)
    if prctl is not None:
        prctl(warden.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with open(settings["bootstrap"], encoding="utf-8") as file:
        bootstrap = marshal.dumps(compile(file.read(), "bootstrap", "exec")).hex()
    # What -I does, but for -E, which would ignore PYTHONHASHSEED (the environment is ours and has no other PYTHON*),
    # and -S with site-packages set up on demand by the bootstrap.
    isolation = ["-s", "-S", "-P"] if sys.version_info >= (3, 11) else ["-s", "-S"]
    settings["argv"] = [sys.executable, *isolation, "-B", "-X", "utf8", "-c", START, bootstrap]
    settings["temporary"] = os.path.realpath(settings["temporary"])
    gc.freeze()
    launcher = Launcher(settings)
    launcher.send({
        "op": "ready",
        "pid": os.getpid(),
        "version": ".".join(str(part) for part in sys.version_info[:3]),
        "executable": sys.executable,
        "paths": interpreter_paths(),
        "temporary": settings["temporary"],
        "supervision": "subreaper" if prctl is not None else "process group",
    })
    launcher.run()
    launcher.stop()


if __name__ == "__main__":
    main()
