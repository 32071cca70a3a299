import math
print(2 ** 521 - 1, math.factorial(60), pow(3, 10 ** 18, 10 ** 9 + 7), math.gcd(2 ** 40, 6 ** 20), math.comb(50, 25))
print(pow(7, -1, 31), math.isqrt(10 ** 40), (1 << 100).bit_length(), int('zz', 36), bin(37), hex(255), -7 // 2, -7 % 3)
print(sum(int(digit) for digit in str(2 ** 1000)), 0.1 + 0.2, round(2.5), float('1e308') * 10, (255).to_bytes(2, 'big'))
