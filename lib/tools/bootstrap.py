# First code of every call, run in the fresh child in a namespace of its own: reads the program from the private
# channel (fd 3), says "S" (started) on it, runs the program as __main__ under the name script.py and, when it fails,
# says "M" (memory) if that was why and prints the traceback. Not a boundary: the program may do anything to it.
# Invariants: nothing of this file is visible in the program's namespace; a program that runs out of memory still
# gets its traceback, because its data and a spare block are released first.


def _run():
    import posix as os  # built in: the os module itself is left to the programs that want it
    import sys

    os.set_inheritable(3, False)
    chunks = []
    while True:
        chunk = os.read(3, 1 << 20)
        if not chunk:
            break
        chunks.append(chunk)
    source = b"".join(chunks)
    chunks = chunk = None

    class Source:
        """Loader of __main__: lets tracebacks and inspect show lines of a program that is in no file."""

        @staticmethod
        def get_source(name):
            return source.decode("utf-8", "replace")

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

    sys.meta_path.append(LazySite)
    import _sitebuiltins
    import builtins

    builtins.exit = _sitebuiltins.Quitter("exit", "Ctrl-D (i.e. EOF)")
    builtins.quit = _sitebuiltins.Quitter("quit", "Ctrl-D (i.e. EOF)")
    builtins.help = _sitebuiltins._Helper()

    namespace = sys.modules["__main__"].__dict__
    kept = {"__name__": "__main__", "__builtins__": __builtins__, "__loader__": Source, "__doc__": None}
    namespace.clear()
    namespace.update(kept)
    sys.argv[:] = ["script.py"]
    if sys.path and sys.path[0] == "":  # before Python 3.11 there is no -P
        del sys.path[0]
    # A program that is stopped by its deadline has then shown the lines it printed before.
    sys.stdout.reconfigure(line_buffering=True)
    spare = [bytes(2 << 20)]  # mapped, never touched: costs address space only

    def say(word):
        try:
            os.write(3, word)
        except OSError:
            pass  # the program closed the channel: the exit status still tells success from failure

    say(b"S")
    try:
        exec(compile(source, "script.py", "exec", 0, True), namespace)
    except SystemExit:
        raise
    except BaseException as error:
        frames = error.__traceback__.tb_next
        spare.clear()
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == 12):  # ENOMEM
            frame = frames
            while frame is not None:
                frame.tb_frame.clear()
                frame = frame.tb_next
            namespace.clear()
            namespace.update(kept)
            say(b"M")
        import traceback

        try:
            sys.stdout.flush()
        finally:
            traceback.print_exception(type(error), error, frames, file=sys.__stderr__)
            sys.exit(1)


_run()
