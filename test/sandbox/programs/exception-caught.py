import traceback
class Mine(Exception):
    pass
def fail(n):
    try:
        return 1 // n
    except ZeroDivisionError as error:
        raise Mine('no') from error
    finally:
        print('cleaned up')
try:
    fail(0)
except Mine as error:
    print(repr(error), repr(error.__cause__), len(traceback.extract_tb(error.__traceback__)))
for wrong in (lambda: [][1], lambda: {}['k'], lambda: int('x'), lambda: None + 1):
    try:
        wrong()
    except (LookupError, ValueError, TypeError) as error:
        print(type(error).__name__, '-', error)
