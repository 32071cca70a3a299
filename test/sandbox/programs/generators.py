def primes():
    found = []
    n = 2
    while True:
        if all(n % p for p in found if p * p <= n):
            found.append(n)
            yield n
        n += 1
def averager():
    total, count, value = 0.0, 0, None
    while True:
        value = yield (total / count if count else None)
        total, count = total + value, count + 1
source = primes()
print([next(source) for _ in range(12)])
average = averager()
next(average)
print(average.send(10), average.send(20))
def tree(node):
    if node:
        yield from tree(node[1]); yield node[0]; yield from tree(node[2])
print(list(tree((4, (2, (1, None, None), (3, None, None)), (6, None, None)))), sum(n * n for n in range(10)))
