import time
begin = time.monotonic(); time.sleep(.1)
print(.09 < time.monotonic() - begin < 5, time.perf_counter() > 0, time.process_time() >= 0, time.thread_time() >= 0)
print(time.strftime('%Y-%m-%d', time.gmtime(0)), time.time() > 1.5e9, time.get_clock_info('monotonic').monotonic)
import timeit
print(timeit.timeit('1 + 1', number=1000) < 5)
