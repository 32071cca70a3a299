from dataclasses import asdict, dataclass, field, replace
@dataclass(order=True, frozen=True)
class Point:
    x: int
    y: int = 0
    tags: list = field(default_factory=list, compare=False)
a, b = Point(1, 2), Point(1, 3, ['far'])
print(a, a < b, asdict(b), replace(a, y=9))
try:
    a.x = 5
except Exception as error:
    print(type(error).__name__)
