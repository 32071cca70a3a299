import queue, threading
lock, total = threading.Lock(), 0
def work(n):
    global total
    for _ in range(1000):
        with lock:
            total += n
threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
for t in threads: t.start()
for t in threads: t.join()
print(total, threading.active_count())
inbox, done = queue.Queue(), []
def consume():
    while True:
        item = inbox.get()
        if item is None: return
        done.append(item ** 2)
consumer = threading.Thread(target=consume); consumer.start()
for i in range(5): inbox.put(i)
inbox.put(None); consumer.join()
print(done)
event = threading.Event()
threading.Timer(0.02, event.set).start()
print(event.wait(5), threading.local() is not None)
