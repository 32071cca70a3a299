values = [1, 2, 3]
assert sum(values) == 6
print('first holds')
assert sum(values) == 7, 'the sum is %d' % sum(values)
