# Run once by the interpreter that is to run the programs: prints what a sandbox must let it read, and which of the modules named
# in the arguments it has, as JSON.
import importlib
import json
import os
import site
import sys
import sysconfig


def main():
    modules = []
    for name in sys.argv[1:]:
        try:
            importlib.import_module(name)
            modules.append(name)
        except Exception:
            pass  # a broken package is as good as none
    import ctypes
    import ssl  # noqa: F401  (so that its libraries are among those mapped)

    ctypes.pythonapi.PyOS_AfterFork_Child
    paths = set()
    for key in ("stdlib", "platstdlib", "purelib", "platlib"):
        paths.add(sysconfig.get_path(key))
    paths.update(site.getsitepackages())
    for entry in sys.path:
        if entry.endswith(".zip") or os.path.isdir(entry):
            paths.add(entry)
    paths.add(sys.executable)
    for prefix in {sys.prefix, sys.base_prefix}:
        paths.add(os.path.join(prefix, "pyvenv.cfg"))
    with open("/proc/self/maps") as maps:
        for line in maps:
            name = line.rstrip("\n").split(None, 5)[5:]
            if name and name[0].startswith("/") and ".so" in name[0]:
                paths.add(name[0])
    print(
        json.dumps(
            {
                "version": ".".join(str(part) for part in sys.version_info[:3]),
                "executable": sys.executable,
                "prefixes": sorted({sys.prefix, sys.base_prefix}),
                "paths": sorted(path for path in paths if path and os.path.exists(path)),
                "modules": modules,
            }
        )
    )


if sys.version_info < (3, 8):
    sys.exit("Python 3.8 or newer is needed, this is %d.%d" % sys.version_info[:2])
main()
