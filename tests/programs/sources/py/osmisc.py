"""What the operating system says about the process, where it is the same in both worlds."""
import os, platform, resource, sys, time, random, locale, pwd, grp, uuid, select, struct
print(os.getcwd().endswith("run"), os.getuid(), os.geteuid(), os.getgroups() == os.getgroups(), os.getpid() > 0, os.getppid() > 0)
print(platform.machine(), platform.system(), sys.version_info[:2], platform.libc_ver()[0], sys.byteorder, os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK"))
print(os.cpu_count(), len(os.sched_getaffinity(0)), os.get_terminal_size.__name__)
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 10, resource.getrlimit(resource.RLIMIT_STACK)[0] != 0)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1])); fds = []
try:
    while True: fds.append(os.open("/dev/null", os.O_RDONLY))
except OSError as e: print(e.errno, 50 < len(fds) < 64)
for f in fds: os.close(f)
u = resource.getrusage(resource.RUSAGE_SELF); print(u.ru_maxrss > 1000, u.ru_utime >= 0); print(os.times().elapsed > 0, time.process_time() > 0, time.thread_time() >= 0)
print(abs(time.time() - time.clock_gettime(time.CLOCK_REALTIME)) < 1, time.get_clock_info("monotonic").resolution, time.clock_getres(time.CLOCK_MONOTONIC))
m = [time.monotonic_ns() for _ in range(10000)]; print(m == sorted(m)); t = time.monotonic(); time.sleep(0.05); print(0.05 <= time.monotonic() - t < 1)
print(pwd.getpwuid(0).pw_name, grp.getgrgid(0).gr_name, len(os.urandom(1000)), os.getrandom(3) != b"", len(str(uuid.uuid4()))); random.seed(7); print(random.random(), random.sample(range(1000), 5))
print(os.uname().sysname, os.uname().machine, os.getenv("LANG"), sorted(k for k in os.environ if not k.startswith("SCONE") and k not in ("HOME", "PWD", "LC_CTYPE")))
print(sys.argv, sys.flags.optimize, sys.maxsize, sys.getfilesystemencoding(), locale.setlocale(locale.LC_ALL, ""))
print(os.statvfs("/").f_bsize > 0, os.path.ismount("/proc"), os.nice(0), os.getpriority(os.PRIO_PROCESS, 0)); os.sched_yield()
print(open("/proc/self/stat").read().split()[0] == str(os.getpid()), "python3" in open("/proc/self/comm").read(), open("/proc/self/cmdline").read().split("\0")[0])
print(sorted(os.listdir("/proc/self/fd"), key=int)[:3], os.readlink("/proc/self/exe"), "VmRSS" in open("/proc/self/status").read(), "MemTotal" in open("/proc/meminfo").read())
print(any("[stack]" in l for l in open("/proc/self/maps")), any("libc.so.6" in l for l in open("/proc/self/maps")), os.path.exists("/proc/cpuinfo"), len(os.getloadavg()))
print(os.getsid(0) > 0, os.getpgrp() > 0, os.ctermid(), os.pathconf("/", "PC_NAME_MAX"), os.fpathconf(0, "PC_PIPE_BUF"), os.cpu_count() == os.sysconf("SC_NPROCESSORS_ONLN"))
