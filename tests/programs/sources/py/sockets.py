"""Sockets of several families, descriptor passing, select, poll and epoll."""
import array, os, select, socket, struct, threading
a, b = socket.socketpair(); a.sendall(b"pair"); print(b.recv(10))
r, w = os.pipe(); socket.send_fds(a, [b"fd"], [w]); msg, fds, flags, _ = socket.recv_fds(b, 10, 4); os.write(fds[0], b"passed"); print(msg, os.read(r, 10))
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
    x, y = socket.socketpair(socket.AF_UNIX, kind); x.send(b"one"); x.send(b"two"); print(kind.name, y.recv(100))
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("127.0.0.1", 0)); v = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); v.bind(("127.0.0.1", 0))
v.sendto(b"datagram", u.getsockname()); print(u.recvfrom(100)[0]); v.connect(u.getsockname()); print(v.send(b""), u.recv(1), v.getpeername() == u.getsockname())
s = socket.create_server(("127.0.0.1", 0)); c = socket.create_connection(s.getsockname()); p, who = s.accept(); print(who == c.getsockname())
data = os.urandom(3_000_000); got = bytearray()
t = threading.Thread(target=lambda: (c.sendall(data), c.shutdown(socket.SHUT_WR))); t.start()
while chunk := p.recv(65536): got += chunk
t.join(); print(got == data)
c.close(); p.close(); c = socket.create_connection(s.getsockname()); p, _ = s.accept()
with open("f", "wb") as f: f.write(data)
f = open("f", "rb"); t = threading.Thread(target=lambda: print("sendfile", c.sendfile(f))); t.start(); n = 0
while n < len(data): n += len(p.recv(1 << 20))
t.join(); f.close(); os.remove("f")
c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1); print(c.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), c.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE), c.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
c.setblocking(False)
try: c.recv(1)
except BlockingIOError as e: print(e.errno)
c.settimeout(0.05)
try: c.recv(1)
except TimeoutError: print("timeout")
print(select.select([c], [c], [], 0.01)[1] == [c]); p.send(b"!"); print(select.select([c], [], [], 5)[0] == [c])
po = select.poll(); po.register(c, select.POLLIN | select.POLLOUT); print(sorted(e for _, e in po.poll(1000)))
ep = select.epoll(); ep.register(c, select.EPOLLIN | select.EPOLLET); print(len(ep.poll(5)), len(ep.poll(0.01))); p.send(b"?"); print(len(ep.poll(5))); ep.modify(c, 0); ep.unregister(c)
p.close(); c.setblocking(True); print(c.recv(10), c.recv(10)); c.close()
try: socket.create_connection(("127.0.0.1", 1), 2)
except ConnectionRefusedError as e: print(e.errno)
us = socket.socket(socket.AF_UNIX); us.bind("sock"); us.listen(); uc = socket.socket(socket.AF_UNIX); uc.connect("sock"); up, _ = us.accept()
cred = up.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12); print(struct.unpack("3i", cred)[1:] == (os.getuid(), os.getgid())); os.remove("sock")
ab = socket.socket(socket.AF_UNIX); ab.bind(b"\0abstract-%d" % os.getpid()); ab.listen(); ac = socket.socket(socket.AF_UNIX); ac.connect(ab.getsockname()); print("abstract")
if socket.has_ipv6:
    try:
        six = socket.create_server(("::1", 0), family=socket.AF_INET6); c6 = socket.create_connection(six.getsockname()[:2]); print("six")
    except OSError as e: print("no ipv6")
print(socket.getaddrinfo("localhost", 80, socket.AF_INET, socket.SOCK_STREAM), socket.inet_ntoa(b"\1\2\3\4"))
