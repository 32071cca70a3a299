# The process in which the Python package `reasoning-gym` makes questions and scores answers. Run as
# `python3 reasoning-gym-worker.py`; speaks JSON lines (ASCII) on stdin and stdout, one reply to each request, in order.
#
# Invariants: what the package prints goes to stderr; when stdin ends, the whole process group is killed, even in the middle of
# a scorer; question number i is always the same one, whatever was asked before. Python 3.10 or newer, as the package.

import difflib
import importlib.metadata
import json
import os
import queue
import signal
import sys
import threading

# Questions of one data set object; the next ones come from another object whose seed is as much further.
CHUNK = 500
KEPT_ENTRIES = 512


class Refused(Exception):
    """A request that cannot be answered; `kind` says why."""

    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


def read_requests(requests):
    """Feeds the queue; ends the process with its stdin."""
    pending = b""
    while True:
        received = os.read(0, 1 << 16)
        if not received:
            break
        *lines, pending = (pending + received).split(b"\n")
        for line in lines:
            requests.put(line)
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


class Worker:
    def __init__(self, package):
        self.package = package
        self.name, self.config, self.seed = None, {}, 0
        self.chunk, self.data, self.entries = None, None, {}

    def open(self, request):
        names = sorted(self.package.factory.DATASETS)
        name = request["generator"]
        if name not in names:
            near = difflib.get_close_matches(name, names, 5, 0.5)
            hint = f"did you mean {', '.join(near)}?" if near else f"it has {', '.join(names)}"
            raise Refused("generator", f"the package has no generator {json.dumps(name)}; {hint}")
        fields = self.package.factory.DATASETS[name][1].__dataclass_fields__
        for key in request["config"]:
            if key not in fields or key in ("seed", "size"):
                known = ", ".join(field for field in fields if field not in ("seed", "size"))
                raise Refused("config", f"{name} has no option {json.dumps(key)}; it has {known or 'none'}")
        self.name, self.config, self.seed = name, request["config"], request["seed"]
        self.chunk, self.data, self.entries = None, None, {}
        try:
            self.data_of(0)
        except Exception as error:
            raise Refused("config", f"{name} refused its options: {type(error).__name__}: {error}")
        return {"version": importlib.metadata.version("reasoning-gym"), "generators": len(names)}

    def data_of(self, chunk):
        if self.chunk != chunk:
            seed = (self.seed + chunk * CHUNK) % 2**32
            fields = self.package.factory.DATASETS[self.name][1].__dataclass_fields__
            given = dict(self.config)
            if "seed" in fields:
                given["seed"] = seed
            if "size" in fields:
                given["size"] = CHUNK
            self.data, self.chunk = self.package.create_dataset(self.name, **given), chunk
        return self.data

    def entry(self, index):
        if index not in self.entries:
            if len(self.entries) >= KEPT_ENTRIES:
                self.entries.pop(next(iter(self.entries)))
            self.entries[index] = self.data_of(index // CHUNK)[index % CHUNK]
        return self.entries[index]

    def question(self, request):
        entry = self.entry(request["index"])
        answer = entry["answer"]
        return {"question": str(entry["question"]), "answer": "" if answer is None else str(answer)}

    def score(self, request):
        entry = self.entry(request["index"])
        data = self.data_of(request["index"] // CHUNK)
        try:
            return {"score": float(data.score_answer(request["answer"], entry))}
        except BaseException as error:  # a scorer that cannot read an answer, or was told to exit by it
            return {"raised": f"{type(error).__name__}: {error}"[:200]}

    def answer(self, request):
        operations = {"open": self.open, "question": self.question, "score": self.score}
        try:
            return operations[request["op"]](request)
        except Refused as refused:
            return {"refused": refused.kind, "message": str(refused)}
        except Exception as error:
            return {"refused": "failed", "message": f"{type(error).__name__}: {error}"}


def limit_memory(byte_count):
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (byte_count, byte_count))
    except (ImportError, ValueError, OSError):
        pass  # no such limit on this system


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if path != here]
    out = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)

    def send(message):
        out.write(json.dumps(message) + "\n")
        out.flush()

    requests = queue.Queue()
    threading.Thread(target=read_requests, args=(requests,), daemon=True).start()
    if len(sys.argv) > 1:
        limit_memory(int(sys.argv[1]))
    try:
        import reasoning_gym
        import reasoning_gym.factory
    except ImportError as error:
        send({"refused": "missing", "message": f"{error} (Python {sys.version.split()[0]}, {sys.executable})"})
        os._exit(0)  # without waiting for the reading thread
    send({"ready": True, "python": sys.version.split()[0], "executable": sys.executable})
    worker = Worker(reasoning_gym)
    while True:
        send(worker.answer(json.loads(requests.get())))


main()
