from enum import Enum, Flag, IntEnum, auto, unique
from typing import Callable, Dict, Generic, List, NamedTuple, Optional, TypeVar, Union, get_type_hints
@unique
class Colour(Enum):
    RED = auto(); GREEN = auto()
class Bits(Flag):
    A = 1; B = 2
class Level(IntEnum):
    LOW = 1; HIGH = 2
print(Colour.RED.name, Colour(2).name, [c.value for c in Colour], (Bits.A | Bits.B).value, Level.HIGH > Level.LOW)
T = TypeVar('T')
class Box(Generic[T]):
    def __init__(self, item: T) -> None: self.item = item
class Row(NamedTuple):
    a: int
    b: str = 'x'
def f(a: int, b: str = '') -> bool: return True
print(Box[int](3).item, Row(1), get_type_hints(f))
