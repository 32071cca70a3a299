# Run in the sandbox at every start, before any program of a model: tries what no program may do and prints what came of each, as
# JSON on two lines. The trainer puts `arguments = {…}` in front.
import ctypes
import errno
import json
import os
import resource
import socket
import sys

results = {}


def attempt(name, action):
    """Records `done`, or the name of the error that stopped it."""
    try:
        action()
        results[name] = "done"
    except OSError as error:
        results[name] = errno.errorcode.get(error.errno, str(error.errno))
    except MemoryError:
        results[name] = "MemoryError"
    except Exception as error:
        results[name] = type(error).__name__


libc = ctypes.CDLL(None, use_errno=True)


def checked(result):
    if result == -1:
        raise OSError(ctypes.get_errno(), "")


def write(path):
    with open(path, "w") as file:
        file.write("overwritten")


def connect(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.connect(address)


def fork():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


attempt("read", lambda: open(arguments["secret"]).read())
attempt("stat", lambda: os.stat(arguments["secret"]))
attempt("write", lambda: write(arguments["victim"]))
attempt("hidden", lambda: open("/canary").read())
attempt("signal", lambda: os.kill(arguments["trainer"], 0))
attempt("signalParent", lambda: os.kill(os.getppid(), 0))
attempt("environ", lambda: open("/proc/%d/environ" % arguments["trainer"], "rb").read())
attempt("tcp", lambda: connect(socket.AF_INET, ("127.0.0.1", arguments["port"])))
attempt("abstract", lambda: connect(socket.AF_UNIX, "\0" + arguments["abstract"]))
attempt("fork", fork)
def shared_memory():
    segment = libc.shmget(0, 4096, 0o1600)
    checked(segment)
    libc.shmctl(segment, 0, None)  # removed at once, where it could be made


attempt("sharedMemory", shared_memory)
attempt("memory", lambda: bytearray(arguments["memory"]))
attempt("raise", lambda: resource.setrlimit(resource.RLIMIT_AS, (-1, -1)))
attempt("bigFile", lambda: open("big", "wb", 0).truncate(arguments["file"]))
results["token"] = "done" if arguments["token"] in str(dict(os.environ)) else "absent"
results["pid"] = "init" if os.getpid() == 1 else "alone" if os.getppid() == 1 and os.getpid() < 64 else "shared"
print(json.dumps(results), flush=True)

results.clear()
attempt("exec", lambda: os.execv(sys.executable, [sys.executable, "-c", 'print(\'{"exec": "done"}\')']))
attempt("ptrace", lambda: checked(libc.ptrace(0, 0, 0, 0)))  # last: what is traced stops at signals
print(json.dumps(results))
