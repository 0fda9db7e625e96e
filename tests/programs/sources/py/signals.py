"""Signals of one process: handlers, masks, timers, sigwait, wakeup descriptors, EINTR retry."""
import errno, os, signal, socket, threading, time
hits = []
signal.signal(signal.SIGUSR1, lambda s, f: hits.append(s)); os.kill(os.getpid(), signal.SIGUSR1); print(hits)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1}); os.kill(os.getpid(), signal.SIGUSR1); print(len(hits), signal.sigpending())
print(signal.sigwait({signal.SIGUSR1})); signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1}); print(len(hits))
signal.signal(signal.SIGALRM, lambda s, f: hits.append("alarm")); signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
t = time.monotonic(); time.sleep(0.2); print(0.19 < time.monotonic() - t < 1, hits.count("alarm") >= 2); signal.setitimer(signal.ITIMER_REAL, 0)
class Stop(Exception): pass
def stop(s, f): raise Stop
signal.signal(signal.SIGALRM, stop); r, w = os.pipe(); signal.setitimer(signal.ITIMER_REAL, 0.05)
try: os.read(r, 1)
except Stop: print("read interrupted")
signal.signal(signal.SIGALRM, lambda s, f: os.write(w, b"x")); signal.setitimer(signal.ITIMER_REAL, 0.05); print("restarted", os.read(r, 1))
a, b = socket.socketpair(); b.setblocking(False); signal.set_wakeup_fd(b.fileno()); os.kill(os.getpid(), signal.SIGUSR1); print(a.recv(1)); signal.set_wakeup_fd(-1)
print(signal.sigtimedwait({signal.SIGUSR2}, 0.01))
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR2)).start(); i = signal.sigwaitinfo({signal.SIGUSR2}); print(i.si_signo == signal.SIGUSR2, i.si_pid == os.getpid())
t = threading.Thread(target=time.sleep, args=(0.3,)); t.start(); signal.pthread_kill(t.ident, signal.SIGUSR1); t.join(); print(hits[-1])
signal.signal(signal.SIGVTALRM, lambda s, f: hits.append("v")); signal.setitimer(signal.ITIMER_VIRTUAL, 0.02)
end = time.monotonic() + 5
while hits[-1] != "v" and time.monotonic() < end: pass
print(hits[-1]); print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
