import copy, pickle, marshal
class Thing:
    def __init__(self, parts): self.parts = parts
    def __eq__(self, other): return self.parts == other.parts
a = Thing([[1], {'k': (2, 3)}]); b, c = copy.copy(a), copy.deepcopy(a)
a.parts[0].append(9)
print(b.parts[0], c.parts[0], pickle.loads(pickle.dumps(a)) == a, marshal.loads(marshal.dumps([1, 'x'])))
