def outer():
    inner([1, 2])
def inner(values):
    return values[5]
print('before')
outer()
