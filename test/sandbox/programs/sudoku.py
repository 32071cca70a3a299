grid = [int(c) for c in '530070000600195000098000060800060003400803001700020006060000280000419005000080079']
def options(at):
    row, column = divmod(at, 9)
    used = {grid[9 * row + i] for i in range(9)} | {grid[9 * i + column] for i in range(9)}
    used |= {grid[9 * (row // 3 * 3 + i) + column // 3 * 3 + j] for i in range(3) for j in range(3)}
    return [n for n in range(1, 10) if n not in used]
def solve():
    empty = [(len(options(at)), at) for at in range(81) if grid[at] == 0]
    if not empty: return True
    _, at = min(empty)
    for n in options(at):
        grid[at] = n
        if solve(): return True
    grid[at] = 0
    return False
print(solve())
for row in range(9): print(*grid[9 * row:9 * row + 9])
