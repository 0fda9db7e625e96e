// Pipes: packets, sizes, readiness, splice and its family, threads at both ends.
#include "tap.h"
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

static char pipes_big_[256 << 10];

static int readable_(int fd)
{
    struct pollfd p = {fd, POLLIN | POLLOUT, 0};
    poll(&p, 1, 0);
    return p.revents;
}

static int pending_(int fd)
{
    int n = -1;
    ioctl(fd, FIONREAD, &n);
    return n;
}

GROUP(packets)
{
    int p[2];
    char b[8192];
    EQ(pipe2(p, O_DIRECT | O_NONBLOCK), 0);
    EQ(fcntl(p[1], F_GETFL) & O_DIRECT, O_DIRECT);
    EQ(write(p[1], "one", 3), 3);
    EQ(write(p[1], "three", 5), 5);
    EQ(write(p[1], "", 0), 0);
    EQ(pending_(p[0]), 8);
    EQ(read(p[0], b, sizeof b), 3);
    EQ(read(p[0], b, 2), 2);
    SAME(b, "th", 2);
    FAILS(read(p[0], b, sizeof b), EAGAIN);
    // What is longer than a page becomes several packets.
    EQ(write(p[1], pipes_big_, 6000), 6000);
    EQ(read(p[0], b, sizeof b), 4096);
    EQ(read(p[0], b, sizeof b), 6000 - 4096);
    // Each packet takes a page, however short.
    int n = 0;
    while (write(p[1], "x", 1) == 1) n++;
    EQ(n, 16);
    EQ(readable_(p[1]), 0);
    EQ(read(p[0], b, 1), 1);
    EQ(readable_(p[1]), POLLOUT);
    // The flag may be taken away: bytes, then, and packets that are still there.
    EQ(fcntl(p[1], F_SETFL, O_NONBLOCK), 0);
    EQ(write(p[1], "yz", 2), 2);
    for (int i = 0; i < 15; i++) read(p[0], b, 1);
    EQ(read(p[0], b, 1), 1);
    EQ(b[0], 'y');
    EQ(read(p[0], b, 5), 1);
    EQ(b[0], 'z');
    close(p[0]);
    close(p[1]);
}

GROUP(sizes)
{
    int p[2];
    EQ(pipe2(p, O_NONBLOCK), 0);
    EQ(fcntl(p[0], F_GETPIPE_SZ), 65536);
    EQ(fcntl(p[1], F_SETPIPE_SZ, 5000), 8192);
    EQ(fcntl(p[0], F_GETPIPE_SZ), 8192);
    EQ(write(p[1], pipes_big_, 100000), 8192);
    FAILS(write(p[1], "x", 1), EAGAIN);
    FAILS(fcntl(p[1], F_SETPIPE_SZ, 4096), EBUSY);
    EQ(fcntl(p[1], F_SETPIPE_SZ, 131072), 131072);
    EQ(write(p[1], pipes_big_, 200000), 131072 - 8192);
    EQ(pending_(p[0]), 131072);
    EQ(pending_(p[1]), 131072);
    EQ(fcntl(p[0], F_SETPIPE_SZ, 0x80000001u), -1);
    long all = 0;
    for (long n; (n = read(p[0], pipes_big_, 50000)) > 0;) all += n;
    EQ(all, 131072);
    EQ(fcntl(p[0], F_SETPIPE_SZ, 0), 4096);
    FAILS(fcntl(0, F_GETPIPE_SZ + 1000), EINVAL);
    // A write of at most PIPE_BUF is all or nothing.
    EQ(write(p[1], pipes_big_, 4000), 4000);
    FAILS(write(p[1], pipes_big_, 200), EAGAIN);
    EQ(pending_(p[0]), 4000);
    close(p[0]);
    close(p[1]);
}

static volatile sig_atomic_t pipes_signals_;
static void on_pipe_(int s) { pipes_signals_++; }

GROUP(ends)
{
    int p[2];
    char b[10];
    EQ(pipe(p), 0);
    EQ(readable_(p[0]), 0);
    EQ(readable_(p[1]), POLLOUT);
    FAILS(read(p[1], b, 1), EBADF);
    FAILS(write(p[0], b, 1), EBADF);
    FAILS(pread(p[0], b, 1, 0), ESPIPE);
    FAILS(pwrite(p[1], b, 1, 0), ESPIPE);
    FAILS(lseek(p[0], 0, SEEK_CUR), ESPIPE);
    FAILS(ftruncate(p[1], 0), EINVAL);
    FAILS(fsync(p[1]), EINVAL);
    FAILS(write(p[1], BAD, 5), EFAULT);
    EQ(write(p[1], "abc", 3), 3);
    FAILS(read(p[0], BAD, 3), EFAULT);
    EQ(readable_(p[0]), POLLIN);
    // A second writer keeps it open.
    int w = dup(p[1]);
    close(p[1]);
    EQ(read(p[0], b, 10), 3);
    EQ(readable_(p[0]), 0);
    EQ(write(w, "d", 1), 1);
    close(w);
    EQ(readable_(p[0]), POLLIN | POLLHUP);
    EQ(read(p[0], b, 10), 1);
    EQ(readable_(p[0]), POLLHUP);
    EQ(read(p[0], b, 10), 0);
    EQ(read(p[0], b, 10), 0);
    close(p[0]);
    // Without readers.
    EQ(pipe(p), 0);
    close(p[0]);
    EQ(readable_(p[1]), POLLOUT | POLLERR);
    signal(SIGPIPE, on_pipe_);
    FAILS(write(p[1], "x", 1), EPIPE);
    EQ(pipes_signals_, 1);
    struct iovec v = {"x", 1};
    FAILS(writev(p[1], &v, 1), EPIPE);
    EQ(pipes_signals_, 2);
    EQ(write(p[1], "", 0), 0);
    signal(SIGPIPE, SIG_IGN);
    FAILS(write(p[1], "x", 1), EPIPE);
    EQ(pipes_signals_, 2);
    close(p[1]);
}

GROUP(names)
{
    int p[2];
    char path[64], text[64], b[10];
    struct stat s, t;
    EQ(pipe2(p, O_CLOEXEC), 0);
    EQ(fcntl(p[0], F_GETFD), FD_CLOEXEC);
    EQ(fcntl(p[0], F_GETFL) & O_ACCMODE, O_RDONLY);
    EQ(fcntl(p[1], F_GETFL) & O_ACCMODE, O_WRONLY);
    EQ(fstat(p[0], &s), 0);
    EQ(fstat(p[1], &t), 0);
    OK(S_ISFIFO(s.st_mode));
    EQ(s.st_mode & 07777, 0600);
    EQ(s.st_uid, geteuid());
    EQ(s.st_size, 0);
    EQ(s.st_blksize, 4096);
    EQ(s.st_ino, t.st_ino);
    snprintf(path, sizeof path, "/proc/self/fd/%d", p[0]);
    long n = GOOD(readlink(path, text, sizeof text - 1));
    text[n] = 0;
    char expected[64];
    snprintf(expected, sizeof expected, "pipe:[%lu]", (unsigned long)s.st_ino);
    OK(strcmp(text, expected) == 0);
    // The name opens it anew, for either direction.
    int w = GOOD(open(path, O_WRONLY | O_NONBLOCK));
    EQ(fcntl(w, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    EQ(fcntl(p[0], F_GETFL) & O_NONBLOCK, 0);
    EQ(write(w, "again", 5), 5);
    close(p[1]);
    EQ(read(p[0], b, 10), 5);
    close(w);
    EQ(read(p[0], b, 10), 0);
    close(p[0]);
}

GROUP(splicing)
{
    int p[2], q[2];
    char b[100];
    char path[] = "pipes-splice-XXXXXX";
    int f = GOOD(mkstemp(path));
    unlink(path);
    EQ(pipe(p), 0);
    EQ(pipe2(q, O_NONBLOCK), 0);
    EQ(write(f, "0123456789", 10), 10);
    // From a file into a pipe, at an offset and at the position.
    loff_t at = 4;
    EQ(splice(f, &at, p[1], NULL, 3, 0), 3);
    EQ(at, 7);
    EQ(lseek(f, 0, SEEK_CUR), 10);
    lseek(f, 0, SEEK_SET);
    EQ(splice(f, NULL, p[1], NULL, 4, 0), 4);
    EQ(lseek(f, 0, SEEK_CUR), 4);
    EQ(read(p[0], b, 100), 7);
    SAME(b, "4560123", 7);
    at = 100;
    EQ(splice(f, &at, p[1], NULL, 4, 0), 0);
    // From pipe to pipe; tee leaves the data.
    EQ(write(p[1], "pipe", 4), 4);
    EQ(tee(p[0], q[1], 100, 0), 4);
    EQ(splice(p[0], NULL, q[1], NULL, 2, 0), 2);
    EQ(read(p[0], b, 100), 2);
    SAME(b, "pe", 2);
    EQ(read(q[0], b, 100), 6);
    SAME(b, "pipepi", 6);
    // From a pipe into a file.
    EQ(write(p[1], "xyz", 3), 3);
    at = 1;
    EQ(splice(p[0], NULL, f, &at, 3, 0), 3);
    EQ(at, 4);
    EQ(pread(f, b, 10, 0), 10);
    SAME(b, "0xyz456789", 10);
    // vmsplice both ways.
    struct iovec v[2] = {{"vm", 2}, {"splice", 6}};
    EQ(vmsplice(p[1], v, 2, 0), 8);
    struct iovec out = {b, 100};
    EQ(vmsplice(p[0], &out, 1, 0), 8);
    SAME(b, "vmsplice", 8);
    FAILS(vmsplice(f, v, 2, 0), EBADF);
    // sendfile into a pipe, and into a device.
    at = 0;
    EQ(sendfile(p[1], f, &at, 4), 4);
    EQ(at, 4);
    EQ(read(p[0], b, 100), 4);
    SAME(b, "0xyz", 4);
    int null = open("/dev/null", O_WRONLY);
    lseek(f, 2, SEEK_SET);
    EQ(sendfile(null, f, NULL, 100), 8);
    EQ(lseek(f, 0, SEEK_CUR), 10);
    FAILS(sendfile(f, p[0], NULL, 1), EINVAL);
    // What is refused.
    at = 0;
    FAILS(splice(p[0], &at, f, NULL, 1, 0), ESPIPE);
    FAILS(splice(f, NULL, p[1], &at, 1, 0), ESPIPE);
    FAILS(splice(f, NULL, f, &at, 1, 0), EINVAL);
    FAILS(splice(p[0], NULL, p[1], NULL, 1, 0), EINVAL);
    FAILS(splice(p[1], NULL, q[1], NULL, 1, 0), EBADF);
    FAILS(splice(p[0], NULL, q[1], NULL, 1, 0x100), EINVAL);
    FAILS(tee(p[0], f, 1, 0), EINVAL);
    FAILS(tee(p[0], p[1], 1, 0), EINVAL);
    FAILS(splice(p[0], NULL, f, NULL, 1, SPLICE_F_NONBLOCK), EAGAIN);
    FAILS(tee(p[0], q[1], 1, SPLICE_F_NONBLOCK), EAGAIN);
    FAILS(splice(q[0], NULL, f, NULL, 1, 0), EAGAIN);
    while (write(q[1], pipes_big_, 4096) > 0) {}
    lseek(f, 0, SEEK_SET);
    FAILS(splice(f, NULL, q[1], NULL, 1, 0), EAGAIN);
    EQ(lseek(f, 0, SEEK_CUR), 0);
    int g = open(".", O_TMPFILE | O_RDWR | O_APPEND, 0600);
    if (g >= 0) {
        write(p[1], "x", 1);
        FAILS(splice(p[0], NULL, g, NULL, 1, 0), EINVAL);
        read(p[0], b, 1);
    } else {
        FAILS(splice(p[0], NULL, -1, NULL, 1, 0), EBADF);
    }
    close(p[1]);
    EQ(splice(p[0], NULL, f, NULL, 1, 0), 0);
    EQ(splice(p[0], NULL, f, NULL, 1, SPLICE_F_NONBLOCK), 0);
    EQ(tee(p[0], q[1], 1, SPLICE_F_NONBLOCK), -1);
    close(f);
    close(null);
    close(p[0]);
    close(q[0]);
    close(q[1]);
}

static int event_(int e, uint32_t *events)
{
    struct epoll_event got[4];
    int n = epoll_wait(e, got, 4, 0);
    *events = n > 0 ? got[0].events : 0;
    return n;
}

GROUP(epoll_modes)
{
    int p[2], e = GOOD(epoll_create1(0));
    char b[10];
    uint32_t events;
    EQ(pipe2(p, O_NONBLOCK), 0);
    struct epoll_event in = {.events = EPOLLIN}, edge = {.events = EPOLLIN | EPOLLET},
                       once = {.events = EPOLLIN | EPOLLONESHOT}, out = {.events = EPOLLOUT | EPOLLET};
    EQ(epoll_ctl(e, EPOLL_CTL_ADD, p[0], &in), 0);
    EQ(event_(e, &events), 0);
    write(p[1], "ab", 2);
    EQ(event_(e, &events), 1);
    EQ(events, EPOLLIN);
    EQ(event_(e, &events), 1);
    read(p[0], b, 2);
    EQ(event_(e, &events), 0);
    // Edges: each write is one.
    EQ(epoll_ctl(e, EPOLL_CTL_MOD, p[0], &edge), 0);
    write(p[1], "a", 1);
    EQ(event_(e, &events), 1);
    EQ(event_(e, &events), 0);
    write(p[1], "b", 1);
    EQ(event_(e, &events), 1);
    EQ(event_(e, &events), 0);
    // Once, until armed anew.
    EQ(epoll_ctl(e, EPOLL_CTL_MOD, p[0], &once), 0);
    EQ(event_(e, &events), 1);
    write(p[1], "c", 1);
    EQ(event_(e, &events), 0);
    EQ(epoll_ctl(e, EPOLL_CTL_MOD, p[0], &once), 0);
    EQ(event_(e, &events), 1);
    EQ(epoll_ctl(e, EPOLL_CTL_DEL, p[0], NULL), 0);
    // The writing end.
    EQ(epoll_ctl(e, EPOLL_CTL_ADD, p[1], &out), 0);
    EQ(event_(e, &events), 1);
    EQ(events, EPOLLOUT);
    EQ(event_(e, &events), 0);
    while (write(p[1], pipes_big_, 4096) > 0) {}
    EQ(event_(e, &events), 0);
    while (read(p[0], pipes_big_, 65536) > 0) {}
    EQ(event_(e, &events), 1);
    EQ(events, EPOLLOUT);
    close(p[0]);
    EQ(event_(e, &events), 1);
    EQ(events, EPOLLOUT | EPOLLERR);
    close(p[1]);
    EQ(event_(e, &events), 0);
    close(e);
}

static void *write_later_(void *fd)
{
    usleep(20000);
    write((int)(long)fd, "x", 1);
    return NULL;
}

static void *close_later_(void *fd)
{
    usleep(20000);
    close((int)(long)fd);
    return NULL;
}

static void with_(void *(*act)(void *), int fd, pthread_t *t) { pthread_create(t, NULL, act, (void *)(long)fd); }

GROUP(waiting)
{
    int p[2], e = epoll_create1(0);
    char b[10];
    pthread_t t;
    EQ(pipe(p), 0);
    with_(write_later_, p[1], &t);
    EQ(read(p[0], b, 10), 1);
    pthread_join(t, NULL);
    // poll and select together with a descriptor of the host and an event counter.
    int counter = eventfd(0, 0), timer = open("/proc/self/mounts", O_RDONLY);
    with_(write_later_, p[1], &t);
    struct pollfd fds[3] = {{counter, POLLIN, 0}, {p[0], POLLIN, 0}, {timer, POLLPRI, 0}};
    EQ(poll(fds, 2, 5000), 1);
    EQ(fds[1].revents, POLLIN);
    pthread_join(t, NULL);
    read(p[0], b, 1);
    with_(write_later_, p[1], &t);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(p[0], &set);
    FD_SET(counter, &set);
    struct timeval five = {5, 0};
    EQ(select(FD_SETSIZE, &set, NULL, NULL, &five), 1);
    OK(FD_ISSET(p[0], &set) && !FD_ISSET(counter, &set));
    pthread_join(t, NULL);
    read(p[0], b, 1);
    struct epoll_event in = {.events = EPOLLIN}, got;
    epoll_ctl(e, EPOLL_CTL_ADD, p[0], &in);
    with_(write_later_, p[1], &t);
    EQ(epoll_wait(e, &got, 1, 5000), 1);
    pthread_join(t, NULL);
    read(p[0], b, 1);
    struct timespec soon = {0, 10000000};
    fds[1].events = POLLIN;
    EQ(ppoll(fds + 1, 1, &soon, NULL), 0);
    // The end of the writer ends the wait of the reader, and the other way round.
    with_(close_later_, p[1], &t);
    EQ(read(p[0], b, 10), 0);
    pthread_join(t, NULL);
    EQ(epoll_wait(e, &got, 1, 0), 1);
    EQ(got.events, EPOLLHUP);
    close(p[0]);
    EQ(pipe(p), 0);
    signal(SIGPIPE, SIG_IGN);
    with_(close_later_, p[0], &t);
    EQ(write(p[1], pipes_big_, 200000), 65536);
    pthread_join(t, NULL);
    FAILS(write(p[1], "x", 1), EPIPE);
    close(p[1]);
    close(counter);
    close(timer);
    close(e);
}

static void on_alarm_(int s) {}

GROUP(interrupted)
{
    int p[2];
    char b[10];
    EQ(pipe(p), 0);
    struct sigaction a = {.sa_handler = on_alarm_};
    sigaction(SIGALRM, &a, NULL);
    struct timespec t;
    ualarm(20000, 0);
    FAILS(read(p[0], b, 1), EINTR);
    ualarm(20000, 0);
    EQ(write(p[1], pipes_big_, 70000), 65536);
    ualarm(20000, 0);
    FAILS(write(p[1], b, 1), EINTR);
    struct pollfd f = {p[1], POLLOUT, 0};
    ualarm(20000, 0);
    FAILS(poll(&f, 1, 5000), EINTR);
    (void)t;
    close(p[0]);
    close(p[1]);
}

enum { RECORDS = 3000, WRITERS = 4 };
static int pipes_shared_[2];

static void *write_records_(void *who)
{
    char record[100];
    memset(record, 'a' + (int)(long)who, sizeof record);
    for (int i = 0; i < RECORDS; i++) write(pipes_shared_[1], record, sizeof record);
    return NULL;
}

// Records of several threads are not torn.
GROUP(atomic_writes)
{
    pthread_t t[WRITERS];
    char b[100];
    int counts[WRITERS] = {0}, torn = 0;
    EQ(pipe(pipes_shared_), 0);
    for (long i = 0; i < WRITERS; i++) pthread_create(&t[i], NULL, write_records_, (void *)i);
    for (int i = 0; i < RECORDS * WRITERS; i++) {
        for (int n = 0; n < 100;) n += read(pipes_shared_[0], b + n, 100 - n);
        for (int k = 1; k < 100; k++) torn += b[k] != b[0];
        counts[b[0] - 'a']++;
    }
    EQ(torn, 0);
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(t[i], NULL);
        EQ(counts[i], RECORDS);
    }
    EQ(pending_(pipes_shared_[0]), 0);
}

static int pipes_echo_[4];

static void *echo_(void *unused)
{
    char b[4096];
    for (long n; (n = read(pipes_echo_[0], b, sizeof b)) > 0;) write(pipes_echo_[3], b, n);
    close(pipes_echo_[3]);
    return NULL;
}

GROUP(ping_pong)
{
    pthread_t t;
    int wrong = 0;
    EQ(pipe(pipes_echo_), 0);
    EQ(pipe(pipes_echo_ + 2), 0);
    pthread_create(&t, NULL, echo_, NULL);
    for (int i = 0; i < 20000; i++) {
        int back = -1;
        write(pipes_echo_[1], &i, sizeof i);
        wrong += read(pipes_echo_[2], &back, sizeof back) != sizeof back || back != i;
    }
    EQ(wrong, 0);
    close(pipes_echo_[1]);
    char b;
    EQ(read(pipes_echo_[2], &b, 1), 0);
    pthread_join(t, NULL);
}

// More than there are enclave threads: all of them wait in open(2), and main must go on.
enum { FIFOS = 24 };

static char pipes_name_[FIFOS][16];

static void *opens_(void *name)
{
    char b[8];
    int fd = open(name, O_RDONLY);
    long n = read(fd, b, sizeof b);
    close(fd);
    return (void *)n;
}

GROUP(fifos_wait_for_the_other_end)
{
    pthread_t t[FIFOS];
    long wrong = 0;
    for (int i = 0; i < FIFOS; i++) {
        sprintf(pipes_name_[i], "fifo%d", i);
        wrong += mkfifo(pipes_name_[i], 0600);
        pthread_create(&t[i], NULL, opens_, pipes_name_[i]);
    }
    FAILS(open("fifo-missing", O_RDONLY), ENOENT);
    for (int i = FIFOS - 1; i >= 0; i--) {
        // Opens as soon as the reader waits; the other threads do not keep it from waiting.
        int fd = open(pipes_name_[i], O_WRONLY);
        wrong += write(fd, "abc", 3) != 3;
        close(fd);
    }
    for (int i = 0; i < FIFOS; i++) {
        void *n;
        pthread_join(t[i], &n);
        wrong += n != (void *)3;
        unlink(pipes_name_[i]);
    }
    EQ(wrong, 0);
}
