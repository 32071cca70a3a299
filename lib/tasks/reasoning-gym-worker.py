# The process in which the Python package `reasoning-gym` makes questions and scores answers. Run as
# `python3 reasoning-gym-worker.py <bytes of memory>` in a process group of its own; speaks JSON lines (ASCII) on stdin and
# stdout, one reply to each request, in order.
#
# Invariants: what the package prints goes to stderr; when the other end of stdin is gone, a watching fork kills the whole
# process group, even in the middle of a scorer that holds the interpreter's lock; question number i is always the same one,
# whatever was asked before. Python 3.10 or newer, as the package; Linux or macOS.

import difflib
import importlib.metadata
import json
import os
import select
import signal
import sys

# Questions of one data set object; the next ones come from another object whose seed is as much further.
CHUNK = 500
KEPT_ENTRIES = 512


class Refused(Exception):
    """A request that cannot be answered; `kind` says why."""

    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


def watch_stdin():
    """Forks a process that waits for the other end of stdin to close, without reading from it."""
    if os.fork() != 0:
        return
    os.close(1)
    os.close(2)
    poll = select.poll()
    poll.register(0, 0)
    poll.poll()
    os.killpg(0, signal.SIGKILL)


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
    if len(sys.argv) != 2:
        sys.exit("usage: reasoning-gym-worker.py <bytes of memory>, in a process group of its own")
    watch_stdin()
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if path != here]
    out = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)

    def send(message):
        out.write(json.dumps(message) + "\n")
        out.flush()

    limit_memory(int(sys.argv[1]))
    try:
        import reasoning_gym
        import reasoning_gym.factory
    except ImportError as error:
        send({"refused": "missing", "message": f"{error} (Python {sys.version.split()[0]}, {sys.executable})"})
        return
    send({"ready": True, "python": sys.version.split()[0], "executable": sys.executable})
    worker = Worker(reasoning_gym)
    for line in sys.stdin.buffer:
        send(worker.answer(json.loads(line)))


main()
