import bisect
values = [1, 3, 3, 5, 8]
print(bisect.bisect_left(values, 3), bisect.bisect_right(values, 3))
bisect.insort(values, 4)
print(values, 'FDCBA'[bisect.bisect([60, 70, 80, 90], 85)])
