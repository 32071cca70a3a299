import random
random.seed(42)
print([round(random.random(), 8) for _ in range(3)], random.getrandbits(64), [random.randint(1, 6) for _ in range(8)])
own = random.Random(7)
cards = list(range(10)); own.shuffle(cards)
print(cards, own.choice('abc'), own.sample(range(100), 3), round(own.gauss(0, 1), 6))
