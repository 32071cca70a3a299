n = 200000
sieve = bytearray([1]) * (n + 1)
sieve[0:2] = b'\0\0'
for i in range(2, int(n ** .5) + 1):
    if sieve[i]: sieve[i * i::i] = bytes(len(range(i * i, n + 1, i)))
primes = [i for i, flag in enumerate(sieve) if flag]
print(len(primes), primes[-1], sum(primes[:1000]), [p for p in primes if str(p) == str(p)[::-1]][-1])
