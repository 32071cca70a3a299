# needs: __import__('numpy')
import numpy as np
a = np.arange(12).reshape(3, 4)
print(a.T.tolist(), a.sum(axis=0).tolist(), a[a % 2 == 0].tolist())
print(np.cumsum(a).tolist()[-1], int(np.argmax(a)), np.unique([3, 1, 3, 2]).tolist())
print(np.polyfit([0, 1, 2], [1, 3, 7], 2).round(6).tolist())
print(np.fft.fft([1, 0, 0, 0]).real.tolist())
rng = np.random.RandomState(7)
print(rng.randint(0, 100, 5).tolist(), round(float(rng.rand()), 6))
print(np.einsum('ij,kj->ik', a, a).tolist())
try:
    np.zeros(3) + np.zeros(4)
except ValueError as error:
    print('ValueError:', error)
