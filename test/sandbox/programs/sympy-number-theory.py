# needs: __import__('sympy')
from sympy import factorint, isprime, primerange, totient, divisors, gcd, nsolve, cos, symbols, sqrt, N, pi, summation
x, n, k = symbols('x n k')
print(factorint(2**32 + 1), isprime(2**61 - 1), list(primerange(90, 110)))
print(totient(360), divisors(28), gcd(462, 1071))
print(round(float(nsolve(cos(x) - x, x, 1)), 8), N(pi, 30), sqrt(50))
print(summation(k**2, (k, 1, n)).factor())
