from functools import cmp_to_key, lru_cache, partial, reduce, singledispatch, total_ordering, wraps
@lru_cache(maxsize=None)
def fibonacci(n): return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)
print(fibonacci(200), fibonacci.cache_info().misses, reduce(lambda a, b: a * b, range(1, 11)), partial(pow, 2)(10))
@singledispatch
def show(value): return 'something'
@show.register(int)
def _(value): return 'an integer'
def loud(f):
    @wraps(f)
    def inner(*a): return f(*a).upper()
    return inner
@loud
def greet(name): return 'hello ' + name
print(show(1), show('x'), greet('you'), greet.__name__, sorted([3, 1, 2], key=cmp_to_key(lambda a, b: b - a)))
