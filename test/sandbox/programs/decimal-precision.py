from decimal import Decimal, ROUND_HALF_UP, getcontext, localcontext
getcontext().prec = 50
print(Decimal(2).sqrt(), Decimal('0.1') + Decimal('0.2'), Decimal('2.675').quantize(Decimal('0.01'), ROUND_HALF_UP))
with localcontext() as context:
    context.prec = 10
    print(Decimal(1) / Decimal(7), (Decimal(10) ** 40 + 1).normalize())
