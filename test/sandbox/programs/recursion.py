import sys
sys.setrecursionlimit(20000)
def ackermann(m, n):
    return n + 1 if m == 0 else ackermann(m - 1, 1) if n == 0 else ackermann(m - 1, ackermann(m, n - 1))
def hanoi(n, a='a', b='b', c='c'):
    return 0 if n == 0 else hanoi(n - 1, a, c, b) + 1 + hanoi(n - 1, c, b, a)
def depth(n):
    return 0 if n == 0 else 1 + depth(n - 1)
print(ackermann(2, 8), hanoi(12), depth(5000))
def endless(n): return endless(n + 1)
sys.setrecursionlimit(1000)
try:
    endless(0)
except RecursionError as error:
    print(str(error)[:32])
