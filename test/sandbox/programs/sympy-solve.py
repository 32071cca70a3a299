# needs: __import__('sympy')
from sympy import Rational, symbols, solve, factor, expand, integrate, diff, limit, sin, oo, simplify, Matrix, series, exp
x, y = symbols('x y')
print(solve(x**2 - 5*x + 6, x), solve([x + y - 3, x - y - 1], [x, y]))
print(factor(x**4 - 1), expand((x + 1)**3))
print(integrate(x**2 * exp(x), x), integrate(1 / (1 + x**2), (x, 0, oo)))
print(diff(sin(x)**2, x), limit(sin(x) / x, x, 0))
print(simplify((x**2 - 1) / (x - 1)), Rational(1, 3) + Rational(1, 6))
print(Matrix([[1, 2], [3, 4]]).inv(), series(exp(x), x, 0, 4))
