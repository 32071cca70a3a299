def longest(a, b):
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a, 1):
        for j, y in enumerate(b, 1): table[i][j] = table[i - 1][j - 1] + 1 if x == y else max(table[i - 1][j], table[i][j - 1])
    return table[-1][-1]
def change(total, coins):
    ways = [1] + [0] * total
    for coin in coins:
        for n in range(coin, total + 1): ways[n] += ways[n - coin]
    return ways[total]
def knapsack(items, room):
    best = [0] * (room + 1)
    for weight, value in items:
        for w in range(room, weight - 1, -1): best[w] = max(best[w], best[w - weight] + value)
    return best[room]
print(longest('ACCGGTCGAGTGCGCGGAAGCCGGCCGAA', 'GTCGTTCGGAATGCCGTTGCTCTGTAAA'), change(200, [1, 2, 5, 10, 20, 50, 100, 200]))
print(knapsack([(12, 4), (2, 2), (1, 1), (4, 10), (1, 2)], 15))
