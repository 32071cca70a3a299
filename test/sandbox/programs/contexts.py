from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
import io
@contextmanager
def section(name):
    print('<' + name)
    try:
        yield name.upper()
    finally:
        print(name + '>')
with section('a') as a, section('b'): print(a)
with suppress(KeyError): {}['x']
out = io.StringIO()
with redirect_stdout(out): print('hidden')
with ExitStack() as stack:
    for name in 'xy': stack.enter_context(section(name))
print(repr(out.getvalue()))
