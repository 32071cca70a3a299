# The Python side of the sandbox. A template imports modules once and then forks: tg_serve of the library returns only in a new,
# sandboxed process, which runs one program as __main__ under the name script.py, or the cells of a session. The template never
# runs a program itself. Arguments: this file, the library, the layers, modules to import (commas between), readable paths.
# Python 3.8 or newer.

import sys


def _open():
    import ctypes

    _, _, library, layers, modules, *paths = sys.argv

    class Task(ctypes.Structure):
        _fields_ = [
            ("input", ctypes.c_int32),
            ("forked", ctypes.c_int32),
            ("session", ctypes.c_uint32),
            ("code_bytes", ctypes.c_uint32),
            ("files_bytes", ctypes.c_uint32),
            ("pad", ctypes.c_uint32),
            ("seed", ctypes.c_uint64),
        ]

    # PyDLL keeps the interpreter's lock: nothing of Python may run between fork and PyOS_AfterFork_Child.
    sandbox = ctypes.PyDLL(library)
    task = Task()
    texts = (ctypes.c_char_p * len(paths))(*[path.encode() for path in paths])
    failed = sandbox.tg_open(ctypes.c_uint(int(layers)), texts, ctypes.c_size_t(len(paths)))
    if failed:
        sys.exit("the policy cannot be made: errno %d" % -failed)
    return sandbox, task, ctypes, modules, bool(int(layers) & 1)


_sandbox, _task, _ctypes, _modules, _forks = _open()


def _template():
    import builtins
    import gc
    import os
    import posix
    import sys

    sandbox, task, ctypes, modules, sandbox_forks = _sandbox, _task, _ctypes, _modules, _forks
    python = ctypes.pythonapi

    class LazySite:
        """Last finder: sets up site-packages (`site`, 2 to 30 ms) at the first import that the standard library does
        not serve, so that only the programs that import numpy and the like pay for it."""

        @staticmethod
        def load():
            if LazySite in sys.meta_path:
                sys.meta_path.remove(LazySite)
                import site

                site.main()

        @staticmethod
        def find_spec(name, path=None, target=None):
            if name.partition(".")[0] == "org":  # the standard library asks whether it runs on Jython
                return None
            LazySite.load()
            for finder in sys.meta_path:
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    return spec
            return None

        @staticmethod
        def find_distributions(context):
            LazySite.load()
            from importlib.machinery import PathFinder

            return PathFinder.find_distributions(context)

    sys.path[:] = [path for path in sys.path if path not in ("", "/")]
    sys.meta_path.append(LazySite)
    # What programs import most; each would cost a call milliseconds.
    import _sitebuiltins
    import ast
    import atexit
    import bisect
    import collections
    import copy
    import dataclasses
    import datetime
    import decimal
    import fractions
    import functools
    import heapq
    import io
    import itertools
    import json
    import linecache
    import math
    import operator
    import random
    import re
    import statistics
    import string
    import threading
    import time
    import traceback
    import typing

    builtins.exit = _sitebuiltins.Quitter("exit", "Ctrl-D (i.e. EOF)")
    builtins.quit = _sitebuiltins.Quitter("quit", "Ctrl-D (i.e. EOF)")
    builtins.help = _sitebuiltins._Helper()
    if modules:
        LazySite.load()
        for module in modules.split(","):
            try:
                __import__(module)
                if module == "numpy":
                    __import__("numpy.random")  # which numpy itself imports at its first use only
            except Exception:
                traceback.print_exc()  # the programs that import it will say so themselves
    # First uses that fill caches.
    re.compile(r"\s*(\d+)")
    json.dumps({"a": [1.5, None]})
    try:
        raise ValueError("first")
    except ValueError as error:
        "".join(traceback.format_exception(type(error), error, error.__traceback__))
    strptime = time.strptime("2020", "%Y")
    del strptime

    main = sys.modules["__main__"]
    sys.argv[:] = ["script.py"]
    if hasattr(sys, "orig_argv"):
        sys.orig_argv[:] = ["python3", "script.py"]
    namespace = main.__dict__
    # A program that is stopped by its deadline has then shown the lines it printed before.
    sys.stdout.reconfigure(line_buffering=True)
    spare = [bytes(2 << 20)]  # mapped, never touched: costs address space only
    begin_fork, after_fork, parent_after_fork = (
        python.PyOS_BeforeFork,
        python.PyOS_AfterFork_Child,
        python.PyOS_AfterFork_Parent,
    )

    class Source:
        """Loader of __main__: lets tracebacks and inspect show lines of a program that is in no file."""

        texts = {}

        @staticmethod
        def get_source(name):
            return Source.texts.get(name, "")

    kept = {"__name__": "__main__", "__builtins__": builtins, "__loader__": Source, "__doc__": None}

    def take(fd, size):
        parts = []
        while size > 0:
            part = posix.read(fd, min(size, 1 << 20))
            if not part:
                break
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def write_files(data):
        """Files of the call: u32 length of the name, the name, u32 length, the content."""
        at = 0

        def field():
            nonlocal at
            size = int.from_bytes(data[at : at + 4], "little")
            at += 4 + size
            return data[at - size : at]

        while at < len(data):
            name, content = field().decode(), field()
            if "/" in name:
                os.makedirs(os.path.dirname(name), exist_ok=True)
            with open(name, "wb") as file:
                file.write(content)

    def seed_numpy(numpy_random, value):
        numpy_random.seed(value & 0xFFFFFFFF)
        words = random.Random(value ^ 0x9E3779B97F4A7C15)
        # What default_rng() takes for its entropy.
        numpy_random.bit_generator.randbits = words.getrandbits

    class LateNumpy:
        """First finder: seeds numpy's generators where a program, or a package that it imports, brings numpy in."""

        value = 0

        @staticmethod
        def find_spec(name, path=None, target=None):
            if name != "numpy.random":
                return None
            sys.meta_path.remove(LateNumpy)
            for finder in sys.meta_path:
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    break
            else:
                return None
            execute = spec.loader.exec_module

            def execute_and_seed(module):
                execute(module)
                seed_numpy(module, LateNumpy.value)

            spec.loader.exec_module = execute_and_seed
            return spec

    if "numpy.random" not in sys.modules:
        sys.meta_path.insert(0, LateNumpy)

    def seed(value):
        random.seed(value)
        LateNumpy.value = value
        if "numpy.random" in sys.modules:
            seed_numpy(sys.modules["numpy.random"], value)

    def become(cwd):
        os.environ["HOME"] = os.environ["TMPDIR"] = cwd
        namespace.clear()
        namespace.update(kept)

    def show(error, depth):
        """Prints an exception with the program's own frames."""
        frames = error.__traceback__
        for _ in range(depth):
            frames = frames.tb_next if frames is not None else None
        spare.clear()
        if isinstance(error, MemoryError):
            frame = frames
            while frame is not None:
                frame.tb_frame.clear()
                frame = frame.tb_next
        try:
            sys.stdout.flush()
        except BaseException:
            pass  # what the program did to its own stream is its own affair; the traceback still goes out
        try:
            traceback.print_exception(type(error), error, frames, file=sys.__stderr__)
        except BaseException:
            posix.write(2, ("%s\n" % type(error).__name__).encode("ascii", "replace"))

    def exit_status(code):
        if code is None:
            return 0
        if isinstance(code, int):
            return code & 0xFF
        try:
            print(code, file=sys.stderr)
        except BaseException:
            pass  # as Python itself does it
        return 1

    def leave(status):
        """The end of a program, as Python itself ends, but for the pulling down of every module."""
        try:
            threading._shutdown()
        except BaseException as error:
            show(error, 1)
        try:
            atexit._run_exitfuncs()
        except SystemExit:
            pass  # Python ignores it here too
        except BaseException:
            pass  # atexit has printed it
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            try:
                stream.flush()
            except BaseException:
                if stream is sys.__stdout__ and status == 0:
                    status = 120  # as Python itself does when standard output cannot be flushed
        posix._exit(status)

    def run_program(source):
        Source.texts["__main__"] = source.decode("utf-8", "replace")
        status = 0
        try:
            code = compile(source, "script.py", "exec", 0, True)
            exec(code, namespace)
        except SystemExit as error:
            status = exit_status(error.code)
        except BaseException as error:
            status = 1
            if isinstance(error, MemoryError):
                namespace.clear()
                namespace.update(kept)
            show(error, 1)
        leave(status)

    def run_cell(source, number):
        """The cell's exit status. The value of a last expression is shown as the interactive interpreter does."""
        name = "<cell %d>" % number
        text = source.decode("utf-8", "replace")
        lines = [line + "\n" for line in text.splitlines()]
        linecache.cache[name] = (len(text), None, lines, name)
        try:
            tree = ast.parse(source, name)
        except BaseException as error:
            show(error, 1000)  # no frame of it is the program's
            return 1
        try:
            last = None
            if tree.body and isinstance(tree.body[-1], ast.Expr):
                last = ast.Expression(tree.body.pop().value)
            exec(compile(tree, name, "exec", 0, True), namespace)
            if last is not None:
                sys.displayhook(eval(compile(last, name, "eval", 0, True), namespace))
            status = 0
        except SystemExit as error:
            status = exit_status(error.code)
        except BaseException as error:
            status = 1
            show(error, 1)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except BaseException:
                pass  # the program closed or replaced it
        return status

    def run_session(forks):
        cells = 0
        while True:
            # A thread does not live on in a fork: then the cell runs here, where a deadline ends the whole session.
            fork_first = 1 if forks and threading.active_count() == 1 else 0
            begin_fork()
            found = sandbox.tg_next_cell(ctypes.byref(task), fork_first)
            if found != 1:
                posix._exit(0)
            (after_fork if task.forked else parent_after_fork)()
            source = take(task.input, task.code_bytes)
            posix.close(task.input)
            cells += 1
            seed(task.seed)
            if sandbox.tg_started() != 0:
                posix._exit(1)
            status = run_cell(source, cells)
            if sandbox.tg_cell_done(status) != 0:
                posix._exit(1)

    gc.collect()
    gc.freeze()
    failed = sandbox.tg_ready()
    if failed:
        sys.exit("the template has threads, which a fork would lose: errno %d" % -failed)
    begin_fork()
    if sandbox.tg_serve(ctypes.byref(task)) != 1:
        posix._exit(0)
    after_fork()
    become(os.getcwd())
    if task.session:
        os.close(task.input)
        run_session(sandbox_forks)
    source = take(task.input, task.code_bytes)
    files = take(task.input, task.files_bytes)
    posix.close(task.input)
    write_files(files)
    seed(task.seed)
    if sandbox.tg_started() != 0:
        posix._exit(1)
    run_program(source)


_template()
