import pprint, string, textwrap, difflib
print(textwrap.fill('the quick brown fox jumps over the lazy dog', 20), textwrap.dedent('  a\n  b'))
print(string.Template('$who likes $what').substitute(who='tim', what='kung pao'), string.ascii_lowercase[:5])
pprint.pprint({'b': list(range(30)), 'a': {'x': 'y' * 40}}, width=60)
print('{:>10}|{:<8}|{:^7}|{:08.3f}|{:,}|{:%}|{:x}'.format('r', 'l', 'c', 3.14159, 1234567, .25, 255), f'{3 + 4!r:>5}')
print('\n'.join(difflib.unified_diff(['a', 'b'], ['a', 'c'], lineterm='')))
