import atexit, sys
atexit.register(print, 'last')
atexit.register(lambda: print('first'))
class Noisy:
    def __del__(self): print('gone')
n = Noisy(); del n
print('main', file=sys.stdout)
