class Base:
    registry = []
    def __init_subclass__(cls, **kw): super().__init_subclass__(**kw); Base.registry.append(cls.__name__)
    def who(self): return 'base'
class Left(Base):
    def who(self): return 'left>' + super().who()
class Right(Base):
    def who(self): return 'right>' + super().who()
class Both(Left, Right):
    __slots__ = ('x',)
    def __getattr__(self, name): return name * 2
    def __call__(self, n): return n + 1
    def __len__(self): return 3
    def __getitem__(self, i): return i * i
class Meta(type):
    def __new__(m, name, bases, body): return super().__new__(m, name, bases, {**body, 'made': name.lower()})
class Thing(metaclass=Meta):
    @classmethod
    def build(cls): return cls()
    @staticmethod
    def two(): return 2
    @property
    def half(self): return self.two() / 2
b = Both()
print(b.who(), [c.__name__ for c in Both.__mro__], Base.registry, b.zip, b(1), len(b), b[5], Thing.build().half, Thing.made)
