// Identity, limits, names, randomness, prctl, and numbers that Linux does not have.
#include "tap.h"
#include <grp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <linux/capability.h>

GROUP(identity)
{
    gid_t g[100];
    OK(getpid() > 0);
    EQ(getpid() == syscall(SYS_getpid), 1);
    OK(getppid() >= 0);
    EQ(getuid() == geteuid(), 1);
    EQ(getgid() == getegid(), 1);
    OK(getgroups(100, g) >= 0);
    FAILS(syscall(SYS_getgroups, -1, g), EINVAL);
    uid_t r, e, s;
    EQ(getresuid(&r, &e, &s), 0);
    EQ(r == getuid() && e == r && s == r, 1);
    EQ(getresgid(&r, &e, &s), 0);
    EQ(setuid(getuid()), 0);
    EQ(setgid(getgid()), 0);
    EQ(setresuid(-1, -1, -1), 0);
    EQ(setreuid(-1, getuid()), 0);
    OK(getpgrp() >= 0);
    OK(getsid(0) >= 0);
    EQ(getpgid(0) == getpgrp(), 1);
    FAILS(getpgid(0x3fffffff), ESRCH);
    OK(syscall(SYS_setfsuid, -1) >= 0);
}

GROUP(limits)
{
    struct rlimit l, m;
    EQ(getrlimit(RLIMIT_NOFILE, &l), 0);
    OK(l.rlim_cur > 3 && l.rlim_cur <= l.rlim_max);
    m = (struct rlimit){20, l.rlim_max};
    EQ(setrlimit(RLIMIT_NOFILE, &m), 0);
    EQ(getrlimit(RLIMIT_NOFILE, &m), 0);
    EQ(m.rlim_cur, 20);
    int n = 0, fd;
    while ((fd = open("/dev/null", O_RDONLY)) >= 0) n = fd;
    EQ(n, 19);
    FAILS(open("/dev/null", O_RDONLY), EMFILE);
    FAILS(dup(0), EMFILE);
    int p[2];
    FAILS(pipe(p), EMFILE);
    FAILS(socket(1, 1, 0), EMFILE);
    FAILS(dup2(0, 20), EBADF);
    FAILS(fcntl(0, F_DUPFD, 20), EINVAL);
    EQ(setrlimit(RLIMIT_NOFILE, &l), 0);
    EQ(open("/dev/null", O_RDONLY), 20);
    EQ(prlimit(0, RLIMIT_STACK, NULL, &m), 0);
    OK(m.rlim_cur > 0);
    FAILS(getrlimit(99, &m), EINVAL);
    m = (struct rlimit){10, 5};
    FAILS(setrlimit(RLIMIT_NOFILE, &m), EINVAL);
    FAILS(syscall(SYS_getrlimit, RLIMIT_NOFILE, BAD), EFAULT);
    m = (struct rlimit){100, 100};
    EQ(getrlimit(RLIMIT_FSIZE, &l), 0);
    signal(SIGXFSZ, SIG_IGN);
    m = (struct rlimit){1000, l.rlim_max};
    EQ(setrlimit(RLIMIT_FSIZE, &m), 0);
    fd = open("f", O_RDWR | O_CREAT, 0600);
    char b[900] = "";
    EQ(write(fd, b, 900), 900);
    EQ(write(fd, b, 900), 100);
    FAILS(write(fd, b, 900), EFBIG);
    FAILS(ftruncate(fd, 5000), EFBIG);
    setrlimit(RLIMIT_FSIZE, &l);
    int nice = getpriority(PRIO_PROCESS, 0); /* whoever runs the tests may have been nice */
    EQ(setpriority(PRIO_PROCESS, 0, nice), 0);
    EQ(getpriority(PRIO_PROCESS, 0), nice);
    FAILS(getpriority(99, 0), EINVAL);
}

GROUP(names)
{
    struct utsname u;
    char host[65] = "";
    EQ(uname(&u), 0);
    TEXT(u.sysname, "Linux");
    TEXT(u.machine, "x86_64");
    OK(atoi(u.release) >= 3);
    EQ(gethostname(host, 65), 0);
    EQ(strcmp(host, u.nodename), 0);
    FAILS(syscall(SYS_uname, BAD), EFAULT);
    struct sysinfo s;
    EQ(sysinfo(&s), 0);
    OK(s.totalram > 0 && s.mem_unit > 0 && s.uptime > 0 && s.procs > 0);
    EQ(getpagesize(), 4096);
}

GROUP(randomness)
{
    unsigned char a[64] = {0}, b[64] = {0}, zero[64] = {0};
    EQ(getrandom(a, 64, 0), 64);
    EQ(getrandom(b, 64, GRND_NONBLOCK), 64);
    OK(memcmp(a, b, 64) != 0 && memcmp(a, zero, 64) != 0);
    EQ(getentropy(a, 64), 0);
    EQ(getrandom(a, 0, 0), 0);
    FAILS(getrandom(a, 64, 0x100), EINVAL);
    FAILS(syscall(SYS_getrandom, BAD, 64, 0), EFAULT);
    char *big = malloc(1 << 20);
    EQ(getrandom(big, 1 << 20, 0), 1 << 20);
    // What is there is filled.
    char *end = mmap(NULL, 1 << 14, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EQ(munmap(end + (1 << 13), 1 << 13), 0);
    EQ(getrandom(end, 1 << 14, 0), 1 << 13);
    for (int i = 0; i < 2; i++) {
        int fd = open(i ? "/dev/zero" : "/dev/urandom", O_RDONLY);
        EQ(read(fd, end, 1 << 14), 1 << 13);
        FAILS(read(fd, end + (1 << 13), 1), EFAULT);
        EQ(read(fd, end + 100, 1 << 14), (1 << 13) - 100);
        close(fd);
    }
    EQ(end[0] | end[(1 << 13) - 1], 0);
    int fd = open("/dev/urandom", O_RDONLY);
    EQ(read(fd, a, 64), 64);
    OK(memcmp(a, b, 64) != 0);
}

GROUP(prctl)
{
    char name[17] = "";
    EQ(prctl(PR_SET_NAME, "conform"), 0);
    EQ(prctl(PR_GET_NAME, name), 0);
    TEXT(name, "conform");
    EQ(prctl(PR_GET_DUMPABLE), 1);
    EQ(prctl(PR_SET_DUMPABLE, 0), 0);
    EQ(prctl(PR_GET_DUMPABLE), 0);
    EQ(prctl(PR_SET_DUMPABLE, 1), 0);
    EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
    int n = 9;
    EQ(prctl(PR_SET_PDEATHSIG, SIGUSR1), 0);
    EQ(prctl(PR_GET_PDEATHSIG, &n), 0);
    EQ(n, SIGUSR1);
    EQ(prctl(PR_GET_SECCOMP), 0);
    OK(prctl(PR_GET_TIMERSLACK) > 0);
    OK(prctl(PR_CAPBSET_READ, 0) >= 0);
    FAILS(prctl(9999, 0, 0, 0, 0), EINVAL);
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[2];
    EQ(syscall(SYS_capget, &h, d), 0);
}

GROUP(no_children)
{
    int status;
    FAILS(wait(&status), ECHILD);
    FAILS(waitpid(-1, &status, WNOHANG), ECHILD);
    siginfo_t i;
    FAILS(waitid(P_ALL, 0, &i, WEXITED), ECHILD);
    FAILS(waitid(P_ALL, 0, &i, 0), EINVAL);
    char *none[] = {"x", NULL};
    FAILS(execve("/nonexistent", none, NULL), ENOENT);
    put_("plain", "x");
    FAILS(execve("plain", none, NULL), EACCES);
    FAILS(execve(BAD, none, NULL), EFAULT);
}

GROUP(numbers_that_do_not_exist)
{
    FAILS(syscall(1000), ENOSYS);
    FAILS(syscall(9999), ENOSYS);
    FAILS(syscall(-1), ENOSYS);
    FAILS(syscall(174), ENOSYS);
    FAILS(syscall(SYS_membarrier, 99, 0), EINVAL);
    OK(syscall(SYS_membarrier, 0, 0) >= 0);
}

GROUP(environment)
{
    extern char **environ;
    int n = 0;
    while (environ[n]) n++;
    OK(n >= 1);
    EQ(setenv("ADDED", "x", 1), 0);
    TEXT(getenv("ADDED"), "x");
    EQ((uintptr_t)__builtin_frame_address(0) % 16, 0);
}
