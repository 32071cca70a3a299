from itertools import accumulate, chain, combinations, count, cycle, groupby, islice, permutations, product, takewhile
print(list(combinations('abcd', 2))[:3], len(list(permutations(range(6)))))
print(list(accumulate([1, 2, 3, 4], lambda a, b: a * b)), [''.join(p) for p in product('ab', repeat=2)])
print([(key, len(list(group))) for key, group in groupby('aaabbc')])
print(list(islice(count(5, 3), 4)), list(islice(cycle('xy'), 5)), list(chain('ab', [1])))
print(list(takewhile(lambda n: n < 20, (n * n for n in count()))))
