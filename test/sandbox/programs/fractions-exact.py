from fractions import Fraction
total = sum((Fraction(1, n) for n in range(1, 21)), Fraction(0))
print(total, float(total), Fraction('3.125'), Fraction(0.5).limit_denominator(10))
print(Fraction(22, 7) > Fraction(355, 113), Fraction(3, 4) ** 3, divmod(Fraction(7, 2), Fraction(2, 3)))
