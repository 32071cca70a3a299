# needs: __import__('numpy')
import numpy as np
a = np.array([[4.0, 1, 2], [1, 3, 0], [2, 0, 5]])
x = np.linalg.solve(a, np.array([1.0, 2, 3]))
print([round(float(v), 6) for v in x], np.allclose(a @ x, [1, 2, 3]))
print(round(float(np.linalg.det(a)), 6), int(np.linalg.matrix_rank(a)))
print([round(float(v), 5) for v in np.linalg.eigvalsh(a)])
q, r = np.linalg.qr(a)
print(np.allclose(q @ r, a), np.allclose(np.linalg.inv(a) @ a, np.eye(3)))
u, s, v = np.linalg.svd(np.arange(6.0).reshape(2, 3))
print([round(float(value), 5) for value in s])
big = np.arange(250000.0).reshape(500, 500) % 7
print(int((big @ big).sum()))
