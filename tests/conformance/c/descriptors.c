// Pipes, eventfd, timerfd, signalfd, inotify, memfd, pidfd, and how they block.
#include "tap.h"
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/uio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

static void *writes_(void *fd)
{
    usleep(30000);
    uint64_t one = 1;
    write((int)(long)fd, &one, 8);
    return NULL;
}
static int ready_(int fd, int events)
{
    struct pollfd p = {fd, events, 0};
    poll(&p, 1, 0);
    return p.revents;
}

GROUP(pipes)
{
    int p[2];
    char b[100] = "";
    EQ(pipe(p), 0);
    EQ(write(p[1], "hello", 5), 5);
    EQ(read(p[0], b, 3), 3);
    EQ(read(p[0], b + 3, 100), 2);
    TEXT(b, "hello");
    FAILS(read(p[1], b, 1), EBADF);
    FAILS(write(p[0], b, 1), EBADF);
    FAILS(read(p[0], BAD, 0) ?: write(p[1], BAD, 5), EFAULT);
    EQ(ready_(p[0], POLLIN), 0);
    EQ(ready_(p[1], POLLOUT), POLLOUT);
    pthread_t t;
    pthread_create(&t, NULL, writes_, (void *)(long)p[1]);
    EQ(read(p[0], b, 100), 8);
    pthread_join(t, NULL);
    fcntl(p[0], F_SETFL, O_NONBLOCK);
    FAILS(read(p[0], b, 1), EAGAIN);
    fcntl(p[1], F_SETFL, O_NONBLOCK);
    char *big = calloc(1, 1 << 20);
    EQ(write(p[1], big, 1 << 20), 65536);
    FAILS(write(p[1], b, 1), EAGAIN);
    EQ(ready_(p[1], POLLOUT), 0);
    int n = 0;
    EQ(ioctl(p[0], FIONREAD, &n), 0);
    EQ(n, 65536);
    EQ(read(p[0], big, 1 << 20), 65536);
    EQ(close(p[1]), 0);
    EQ(read(p[0], b, 1), 0);
    EQ(ready_(p[0], POLLIN) & POLLHUP, POLLHUP);
    EQ(pipe(p), 0);
    close(p[0]);
    signal(SIGPIPE, SIG_IGN);
    FAILS(write(p[1], "x", 1), EPIPE);
    EQ(ready_(p[1], POLLOUT) & POLLERR, POLLERR);
    EQ(pipe2(p, O_NONBLOCK | O_CLOEXEC), 0);
    EQ(fcntl(p[0], F_GETFD), FD_CLOEXEC);
    EQ(fcntl(p[1], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    FAILS(pipe2(p, 0x1), EINVAL);
    FAILS(syscall(SYS_pipe, BAD), EFAULT);
    EQ(pipe2(p, O_DIRECT), 0);
    EQ(write(p[1], "one", 3), 3);
    EQ(write(p[1], "two", 3), 3);
    EQ(read(p[0], b, 100), 3);
}

static volatile int pipes_got_;
static void *drains_(void *fd)
{
    char b[10000];
    int n;
    while ((n = read((int)(long)fd, b, sizeof b)) > 0) pipes_got_ += n;
    return NULL;
}

GROUP(pipe_blocks)
{
    int p[2];
    pthread_t t;
    pipe(p);
    pthread_create(&t, NULL, drains_, (void *)(long)p[0]);
    char *big = calloc(1, 4 << 20);
    EQ(write(p[1], big, 4 << 20), 4 << 20);
    close(p[1]);
    pthread_join(t, NULL);
    EQ(pipes_got_, 4 << 20);
}

GROUP(fifos)
{
    char b[10];
    EQ(mkfifo("p", 0600), 0);
    FAILS(open("p", O_WRONLY | O_NONBLOCK), ENXIO);
    int r = GOOD(open("p", O_RDONLY | O_NONBLOCK)), w = GOOD(open("p", O_WRONLY));
    EQ(write(w, "fifo", 4), 4);
    EQ(read(r, b, 10), 4);
    FAILS(read(r, b, 10), EAGAIN);
    close(w);
    EQ(read(r, b, 10), 0);
}

GROUP(eventfd)
{
    uint64_t v = 0, max = ~0ull;
    int e = GOOD(eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC));
    EQ(read(e, &v, 8), 8);
    EQ(v, 3);
    FAILS(read(e, &v, 8), EAGAIN);
    v = 5;
    EQ(write(e, &v, 8), 8);
    EQ(write(e, &v, 8), 8);
    EQ(ready_(e, POLLIN | POLLOUT), POLLIN | POLLOUT);
    EQ(read(e, &v, 8), 8);
    EQ(v, 10);
    EQ(ready_(e, POLLIN | POLLOUT), POLLOUT);
    FAILS(read(e, &v, 7), EINVAL);
    FAILS(write(e, &v, 7), EINVAL);
    FAILS(write(e, &max, 8), EINVAL);
    max--;
    EQ(write(e, &max, 8), 8);
    v = 1;
    FAILS(write(e, &v, 8), EAGAIN);
    EQ(ready_(e, POLLOUT), 0);
    EQ(lseek(e, 5, SEEK_SET), 0);
    EQ(fcntl(e, F_GETFD), FD_CLOEXEC);
    int s = GOOD(eventfd(2, EFD_SEMAPHORE));
    EQ(read(s, &v, 8), 8);
    EQ(v, 1);
    EQ(read(s, &v, 8), 8);
    pthread_t t;
    pthread_create(&t, NULL, writes_, (void *)(long)s);
    EQ(read(s, &v, 8), 8);
    pthread_join(t, NULL);
    FAILS(eventfd(0, 0x8), EINVAL);
}

GROUP(timerfd)
{
    uint64_t n = 0;
    struct itimerspec it = {{0, 0}, {0, 20000000}}, got;
    int t = GOOD(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
    FAILS(read(t, &n, 8), EAGAIN);
    EQ(timerfd_settime(t, 0, &it, &got), 0);
    EQ(got.it_value.tv_nsec, 0);
    EQ(timerfd_gettime(t, &got), 0);
    OK(got.it_value.tv_nsec > 0 && got.it_value.tv_nsec <= 20000000);
    struct pollfd p = {t, POLLIN, 0};
    EQ(poll(&p, 1, 5000), 1);
    EQ(read(t, &n, 8), 8);
    EQ(n, 1);
    FAILS(read(t, &n, 8), EAGAIN);
    // One count, wherever it goes.
    uint64_t more[2] = {7, 7};
    struct iovec two[2] = {{more, 8}, {more + 1, 8}};
    EQ(timerfd_settime(t, 0, &it, NULL), 0);
    EQ(poll(&p, 1, 5000), 1);
    EQ(readv(t, two, 2), 8);
    OK(more[0] == 1 && more[1] == 7);
    FAILS(readv(t, two, 2), EAGAIN);
    it.it_interval.tv_nsec = 5000000;
    EQ(timerfd_settime(t, 0, &it, NULL), 0);
    usleep(60000);
    EQ(read(t, &n, 8), 8);
    OK(n >= 5);
    memset(&it, 0, sizeof it);
    EQ(timerfd_settime(t, 0, &it, &got), 0);
    EQ(got.it_interval.tv_nsec, 5000000);
    FAILS(read(t, &n, 8), EAGAIN);
    FAILS(read(t, &n, 4), EINVAL);
    FAILS(write(t, &n, 8), EINVAL);
    int b = GOOD(timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC));
    clock_gettime(CLOCK_REALTIME, &it.it_value);
    it.it_value.tv_sec -= 1;
    EQ(timerfd_settime(b, TFD_TIMER_ABSTIME, &it, NULL), 0);
    EQ(read(b, &n, 8), 8);
    EQ(n, 1);
    FAILS(timerfd_create(999, 0), EINVAL);
    FAILS(timerfd_create(CLOCK_MONOTONIC, 0x1), EINVAL);
    it.it_value.tv_nsec = 1000000000;
    FAILS(timerfd_settime(b, 0, &it, NULL), EINVAL);
    FAILS(timerfd_settime(b, 0, BAD, NULL), EFAULT);
    FAILS(timerfd_gettime(1, &got), EINVAL);
    FAILS(timerfd_gettime(99, &got), EBADF);
}

GROUP(signalfd)
{
    sigset_t s, none;
    struct signalfd_siginfo i;
    sigemptyset(&s);
    sigemptyset(&none);
    sigaddset(&s, SIGUSR1);
    sigprocmask(SIG_BLOCK, &s, NULL);
    int fd = GOOD(signalfd(-1, &s, SFD_NONBLOCK | SFD_CLOEXEC));
    FAILS(read(fd, &i, sizeof i), EAGAIN);
    EQ(ready_(fd, POLLIN), 0);
    kill(getpid(), SIGUSR1);
    EQ(ready_(fd, POLLIN), POLLIN);
    EQ(read(fd, &i, sizeof i), sizeof i);
    EQ(i.ssi_signo, SIGUSR1);
    EQ(i.ssi_pid == (unsigned)getpid(), 1);
    EQ(i.ssi_code, SI_USER);
    FAILS(read(fd, &i, sizeof i), EAGAIN);
    sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 55});
    EQ(read(fd, &i, sizeof i), sizeof i);
    EQ(i.ssi_int, 55);
    FAILS(read(fd, &i, 10), EINVAL);
    sigaddset(&s, SIGUSR2);
    sigprocmask(SIG_BLOCK, &s, NULL);
    EQ(signalfd(fd, &s, 0) == fd, 1);
    raise(SIGUSR2);
    EQ(read(fd, &i, sizeof i), sizeof i);
    EQ(i.ssi_signo, SIGUSR2);
    FAILS(signalfd(-1, &s, 0x1), EINVAL);
    FAILS(signalfd(0, &s, 0), EINVAL);
    FAILS(signalfd(99, &s, 0), EBADF);
}

GROUP(inotify)
{
    char b[4096] __attribute__((aligned(8)));
    mkdir("d", 0755);
    int fd = GOOD(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)), w = GOOD(inotify_add_watch(fd, "d", IN_CREATE | IN_DELETE | IN_MODIFY | IN_MOVE));
    FAILS(read(fd, b, sizeof b), EAGAIN);
    put_("d/f", "x");
    unlink("d/f");
    EQ(ready_(fd, POLLIN), POLLIN);
    FAILS(read(fd, b, 8), EINVAL);
    FAILS(pread(fd, b, sizeof b, 0), ESPIPE);
    int n = GOOD(read(fd, b, sizeof b)), kinds = 0, wrong = 0;
    for (int i = 0; i < n;) {
        struct inotify_event *e = (void *)(b + i);
        kinds |= e->mask;
        wrong |= e->wd != w || strcmp(e->name, "f") != 0;
        i += sizeof *e + e->len;
    }
    EQ(kinds, IN_CREATE | IN_MODIFY | IN_DELETE);
    EQ(wrong, 0);
    FAILS(inotify_add_watch(fd, "none", IN_CREATE), ENOENT);
    FAILS(inotify_add_watch(fd, "d", 0), EINVAL);
    FAILS(inotify_add_watch(1, "d", IN_CREATE), EINVAL);
    EQ(inotify_rm_watch(fd, w), 0);
    EQ(readv(fd, (struct iovec[]){{b, 16}, {b + 16, 100}}, 2), 16);
    EQ(((struct inotify_event *)b)->mask, IN_IGNORED);
    FAILS(inotify_rm_watch(fd, w), EINVAL);
    FAILS(inotify_init1(0x1), EINVAL);
}

GROUP(memfd)
{
    char b[10] = "";
    struct stat st;
    int fd = GOOD(syscall(SYS_memfd_create, "name", 1));
    EQ(write(fd, "memory", 6), 6);
    EQ(lseek(fd, 0, SEEK_SET), 0);
    EQ(read(fd, b, 10), 6);
    TEXT(b, "memory");
    EQ(fstat(fd, &st), 0);
    EQ(st.st_size, 6);
    EQ(S_ISREG(st.st_mode), 1);
    EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    char path[50], link[50] = "";
    sprintf(path, "/proc/self/fd/%d", fd);
    EQ(readlink(path, link, 49), 21);
    TEXT(link, "/memfd:name (deleted)");
    int again = GOOD(open(path, O_RDONLY));
    EQ(read(again, b, 3), 3);
}

static volatile sig_atomic_t signals_;
static void count_(int signal)
{
    (void)signal;
    signals_++;
}

GROUP(pidfd)
{
    int fd = GOOD(syscall(SYS_pidfd_open, getpid(), 0)), directory = GOOD(open("/proc/self", O_RDONLY | O_DIRECTORY));
    sigset_t set, pending;
    signal(SIGUSR1, count_);
    for (int i = 1; i <= 100; i++)
        if (syscall(SYS_pidfd_send_signal, fd, SIGUSR1, NULL, 0) || signals_ != i) break;
    EQ(signals_, 100);
    EQ(syscall(SYS_pidfd_send_signal, directory, SIGUSR1, NULL, 0), 0);
    EQ(signals_, 101);
    EQ(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0), 0);
    siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_QUEUE};
    EQ(syscall(SYS_pidfd_send_signal, fd, SIGUSR1, &info, 0), 0);
    EQ(signals_, 102);
    FAILS(syscall(SYS_pidfd_send_signal, fd, SIGUSR2, &info, 0), EINVAL);
    FAILS(syscall(SYS_pidfd_send_signal, fd, 65, NULL, 0), EINVAL);
    FAILS(syscall(SYS_pidfd_send_signal, fd, SIGUSR1, NULL, 0x8000), EINVAL);
    FAILS(syscall(SYS_pidfd_send_signal, 1, SIGUSR1, NULL, 0), EBADF);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    EQ(sigprocmask(SIG_BLOCK, &set, 0), 0);
    EQ(syscall(SYS_pidfd_send_signal, fd, SIGUSR1, NULL, 0), 0);
    EQ(sigpending(&pending), 0);
    EQ(sigismember(&pending, SIGUSR1), 1);
    FAILS(syscall(SYS_pidfd_open, -1, 0), EINVAL);
    FAILS(syscall(SYS_pidfd_open, getpid(), 0x12345), EINVAL);
}
