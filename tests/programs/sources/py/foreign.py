"""ctypes: libc calls, callbacks, structures, errno, function pointers in writable memory."""
import ctypes, ctypes.util, os
c = ctypes.CDLL(None, use_errno=True)
print(c.strlen(b"hello"), c.abs(-5), c.toupper(ord("a")))
m = ctypes.CDLL("libm.so.6"); m.pow.restype = ctypes.c_double; m.pow.argtypes = [ctypes.c_double] * 2
print(m.pow(2, 0.5))
CMP = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
a = (ctypes.c_int * 1000)(*[(i * 7919) % 1009 for i in range(1000)])
c.qsort(a, len(a), ctypes.sizeof(ctypes.c_int), CMP(lambda x, y: x[0] - y[0]))
print(list(a) == sorted(a), a[0], a[999])
print(c.open(b"/nonexistent", 0), ctypes.get_errno())
class Timespec(ctypes.Structure): _fields_ = [("s", ctypes.c_long), ("ns", ctypes.c_long)]
t = Timespec(); print(c.clock_gettime(1, ctypes.byref(t)), t.s >= 0, 0 <= t.ns < 10**9)
print(c.syscall(39) == os.getpid(), c.getpid() == os.getpid())
b = ctypes.create_string_buffer(64); c.snprintf(b, 64, b"%d %s %.2f", 42, b"str", ctypes.c_double(1.5)); print(b.value)
print(ctypes.util.find_library is not None, ctypes.sizeof(ctypes.c_void_p))
