import ast, importlib, inspect, operator, sys, types
tree = ast.parse('1 + 2 * x')
print(type(tree.body[0].value).__name__, eval(compile('1 + 2 * x', '<e>', 'eval'), {'x': 5}))
scope = {}
exec('def f(n):\n  return n * 2', scope)
print(scope['f'](21), inspect.signature(scope['f']), operator.itemgetter(1)('abc'))
with open('mine.py', 'w') as file: file.write('value = 7\ndef twice(): return value * 2\n')
sys.path.insert(0, '.')
import mine
print(mine.twice(), importlib.import_module('mine') is mine, types.SimpleNamespace(a=1))
