"""Fifty threads: locks, conditions, semaphores, queues, barriers, thread-local data, timers."""
import collections, concurrent.futures, queue, threading, time

N = 50
total, lock = 0, threading.Lock()
def add():
    global total
    for _ in range(2000):
        with lock:
            total += 1
threads = [threading.Thread(target=add, name=f"t{i}") for i in range(N)]
for t in threads: t.start()
for t in threads: t.join()
print("locked counter", total)

q, results = queue.Queue(maxsize=10), collections.Counter()
def worker():
    while (item := q.get()) is not None:
        with lock: results[item % 7] += 1
        q.task_done()
workers = [threading.Thread(target=worker) for _ in range(N)]
for w in workers: w.start()
for i in range(5000): q.put(i)
q.join()
for _ in workers: q.put(None)
for w in workers: w.join()
print("queue", sorted(results.items()))

barrier, local, seen = threading.Barrier(N), threading.local(), []
def meet(n):
    local.value = n
    for _ in range(5): barrier.wait()
    with lock: seen.append(local.value)
threads = [threading.Thread(target=meet, args=(i,)) for i in range(N)]
for t in threads: t.start()
for t in threads: t.join()
print("barrier", sum(seen), len(seen))

cond, turn, order = threading.Condition(), 0, []
def in_turn(n):
    global turn
    with cond:
        cond.wait_for(lambda: turn == n)
        order.append(n); turn += 1; cond.notify_all()
threads = [threading.Thread(target=in_turn, args=(i,)) for i in reversed(range(N))]
for t in threads: t.start()
for t in threads: t.join()
print("condition", order == list(range(N)))

event = threading.Event()
threading.Timer(0.05, event.set).start()
print("timer", event.wait(5), threading.Event().wait(0.01))
sem = threading.BoundedSemaphore(3); peak = now = 0
def limited():
    global now, peak
    with sem:
        with lock: now += 1; peak = max(peak, now)
        time.sleep(0.001)
        with lock: now -= 1
threads = [threading.Thread(target=limited) for _ in range(N)]
for t in threads: t.start()
for t in threads: t.join()
print("semaphore", 1 <= peak <= 3, now)
with concurrent.futures.ThreadPoolExecutor(N) as pool:
    print("pool", sum(pool.map(lambda n: sum(range(n)), range(500))))
threading.stack_size(256 * 1024)
def deep(n): return 0 if n == 0 else 1 + deep(n - 1)
out = []
threads = [threading.Thread(target=lambda: out.append(deep(100))) for _ in range(N)]
for t in threads: t.start()
for t in threads: t.join()
print("small stacks", set(out), threading.active_count())
