from concurrent.futures import ThreadPoolExecutor, as_completed
with ThreadPoolExecutor(4) as pool:
    print(list(pool.map(lambda n: n ** 3, range(6))))
    futures = {pool.submit(pow, 2, n): n for n in (10, 20, 30)}
    print(sorted(f.result() for f in as_completed(futures)))
    bad = pool.submit(int, 'x')
    print(type(bad.exception()).__name__)
