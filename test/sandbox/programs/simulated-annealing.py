import math, random
random.seed(1)
cities = [(random.random(), random.random()) for _ in range(12)]
def length(order): return sum(math.dist(cities[a], cities[b]) for a, b in zip(order, order[1:] + order[:1]))
order = list(range(12)); best = length(order); heat = 1.0
while heat > 1e-3:
    i, j = sorted((int(random.random() * 12), int(random.random() * 12)))
    other = order[:i] + order[i:j + 1][::-1] + order[j + 1:]
    change = length(other) - length(order)
    if change < 0 or random.random() < math.exp(-change / heat): order = other
    best = min(best, length(order)); heat *= .999
print(round(best, 6), sorted(order) == list(range(12)))
