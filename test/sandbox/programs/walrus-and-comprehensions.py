import math
values = [1, 5, 12, 7, 30]
print([half for v in values if (half := v / 2) > 3], {k: v for k, v in zip('abc', values)}, {v % 4 for v in values})
if (n := len(values)) > 3: print(f'{n=}', *values, sep=',')
a, *middle, z = values
print(middle, [*range(3), *'xy'], {**{'a': 1}, 'b': 2}, [[i * j for j in range(3)] for i in range(3)])
def f(a, /, b, *, c=3): return a, b, c
print(f(1, b=2), (lambda *a, **k: (a, k))(1, x=2), math.prod([2, 3, 7]), all(v > 0 for v in values))
