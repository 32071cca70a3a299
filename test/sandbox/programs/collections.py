from collections import Counter, OrderedDict, ChainMap, defaultdict, deque, namedtuple
print(Counter('mississippi').most_common(2), Counter(a=3) - Counter(a=1))
groups = defaultdict(list)
for word in 'one two three four'.split(): groups[len(word)].append(word)
print(dict(groups), deque([1, 2, 3], maxlen=2), list(ChainMap({'a': 1}, {'a': 2, 'b': 3}).items()))
Point = namedtuple('Point', 'x y')
print(Point(1, 2)._replace(y=5), list(OrderedDict(b=1, a=2)))
d = deque(range(5)); d.rotate(2); print(list(d))
