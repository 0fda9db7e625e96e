"""A fixed amount of interpreter work, about 0.2 s a unit natively."""
import os, hashlib
units = int(os.environ["UNITS_OF_WORK"])
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
def sieve(n):
    s = bytearray([1]) * n
    for i in range(2, int(n**.5) + 1):
        if s[i]: s[i*i::i] = bytes(len(range(i*i, n, i)))
    return sum(s) - 2
def matrix(n):
    a = [[(i * j) % 7 for j in range(n)] for i in range(n)]
    return sum(sum(x * y for x, y in zip(r, c)) for r in a for c in zip(*a))
for unit in range(units):
    words = {}
    for i in range(200000): k = f"w{(i * 7919) % 5003}"; words[k] = words.get(k, 0) + i
    print(unit, fib(22), sieve(400000), matrix(60), max(words.items(), key=lambda kv: (kv[1], kv[0])), hashlib.sha256(b"x" * (unit + 1) * 2000000).hexdigest()[:16])
