# needs: sys.version_info >= (3, 10)
def describe(value):
    match value:
        case 0 | 1: return 'small'
        case int(n) if n > 100: return f'large {n}'
        case [first, *rest]: return f'{first} and {len(rest)} more'
        case {'kind': 'point', 'x': x}: return f'point at {x}'
        case str(): return 'text'
        case _: return 'other'
print([describe(v) for v in (1, 500, [1, 2, 3], {'kind': 'point', 'x': 4}, 'a', None)])
