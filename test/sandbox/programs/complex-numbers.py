import cmath, math
z = 3 + 4j
print(abs(z), z.conjugate(), z * (1 - 2j), cmath.exp(1j * math.pi).real, cmath.phase(-1))
a, b, c = 1, 2, 5
d = cmath.sqrt(b * b - 4 * a * c)
print((-b + d) / (2 * a), (-b - d) / (2 * a), math.isclose(cmath.polar(z)[1], math.atan2(4, 3)))
