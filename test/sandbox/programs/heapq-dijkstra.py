import heapq
graph = {'a': {'b': 7, 'c': 9, 'f': 14}, 'b': {'a': 7, 'c': 10, 'd': 15}, 'c': {'a': 9, 'b': 10, 'd': 11, 'f': 2},
         'd': {'b': 15, 'c': 11, 'e': 6}, 'e': {'d': 6, 'f': 9}, 'f': {'a': 14, 'c': 2, 'e': 9}}
distance, heap = {}, [(0, 'a')]
while heap:
    cost, node = heapq.heappop(heap)
    if node in distance: continue
    distance[node] = cost
    for other, weight in graph[node].items(): heapq.heappush(heap, (cost + weight, other))
print(sorted(distance.items()), heapq.nlargest(2, [5, 1, 9, 3]), list(heapq.merge([1, 4], [2, 3])))
