try:
    name = input('name? ')
except EOFError as error:
    print('\nEOFError:', error)
import sys
print(repr(sys.stdin.read()))
