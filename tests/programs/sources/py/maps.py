"""mmap: anonymous, private and shared file mappings, resize, flush, madvise."""
import mmap, os
m = mmap.mmap(-1, 1 << 20); m[0:5] = b"hello"; print(m[:6], m.find(b"llo"), len(m)); m.resize(1 << 21); print(len(m), m[:5]); m.close()
with open("f", "wb+") as f:
    f.truncate(10000)
    s = mmap.mmap(f.fileno(), 0); s[100:104] = b"abcd"; s.flush(); print(os.pread(f.fileno(), 4, 100)); os.pwrite(f.fileno(), b"ZZ", 101)
    p = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY); p[0] = 255; print(os.pread(f.fileno(), 1, 0), p[0]); p.close()
    r = mmap.mmap(f.fileno(), 4096, access=mmap.ACCESS_READ, offset=4096)
    try: r[0] = 1
    except TypeError as e: print(e)
    print(sum(r[:])); r.close(); s.madvise(mmap.MADV_WILLNEED); s.move(0, 100, 4); print(s[0] in b"abcd"); s.close()
print(os.path.getsize("f"))
big = mmap.mmap(-1, 64 << 20); big[::4096] = b"x" * len(big[::4096]); print(big[::4096].count(b"x")); big.madvise(mmap.MADV_DONTNEED); print(big[0]); big.close()
a = [bytearray(1 << 16) for _ in range(500)]; print(sum(map(len, a)))
