import statistics
data = [2, 4, 4, 4, 5, 5, 7, 9]
print(statistics.mean(data), statistics.median(data), statistics.mode(data), statistics.pstdev(data))
print(round(statistics.stdev(data), 6), statistics.quantiles(data, n=4), round(statistics.geometric_mean([1, 2, 4]), 6))
