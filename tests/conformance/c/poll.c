// poll, select and epoll over every kind of descriptor.
#include "tap.h"
#include <sys/time.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

static void *writes_(void *fd)
{
    usleep(30000);
    write((int)(long)fd, "12345678", 8);
    return NULL;
}
static pthread_t soon_(int fd)
{
    pthread_t t;
    pthread_create(&t, NULL, writes_, (void *)(long)fd);
    return t;
}

GROUP(poll)
{
    int p[2], file = open("f", O_RDWR | O_CREAT, 0600);
    char c;
    pipe(p);
    struct pollfd f[4] = {{p[0], POLLIN, 9}, {p[1], POLLOUT, 9}, {-1, POLLIN, 9}, {99, POLLIN, 9}};
    EQ(poll(f, 2, 0), 1);
    EQ(f[0].revents, 0);
    EQ(f[1].revents, POLLOUT);
    EQ(poll(f, 4, 0), 2);
    EQ(f[2].revents, 0);
    EQ(f[3].revents, POLLNVAL);
    f[1].fd = file;
    f[1].events = POLLIN | POLLOUT;
    EQ(poll(f, 2, -1), 1);
    EQ(f[1].revents, POLLIN | POLLOUT);
    long long before = now_ns_(CLOCK_MONOTONIC);
    EQ(poll(f, 1, 30), 0);
    NAMED("waited 30 ms", now_ns_(CLOCK_MONOTONIC) - before >= 30000000);
    pthread_t t = soon_(p[1]);
    EQ(poll(f, 1, 10000), 1);
    EQ(f[0].revents, POLLIN);
    pthread_join(t, NULL);
    read(p[0], &c, 1);
    EQ(poll(NULL, 0, 1), 0);
    FAILS(poll(BAD, 1, 0), EFAULT);
    FAILS(syscall(SYS_poll, f, 1 << 30, 0), EINVAL);
    struct timespec bad = {0, -1}, zero = {0, 0};
    FAILS(ppoll(f, 1, &bad, NULL), EINVAL);
    EQ(ppoll(f, 1, &zero, NULL), 1);
    int s[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    f[0] = (struct pollfd){s[0], POLLIN | POLLOUT | POLLRDHUP, 0};
    EQ(poll(f, 1, 0), 1);
    EQ(f[0].revents, POLLOUT);
    shutdown(s[1], SHUT_WR);
    EQ(poll(f, 1, 0), 1);
    EQ(f[0].revents, POLLIN | POLLOUT | POLLRDHUP);
    close(s[1]);
    EQ(poll(f, 1, 0), 1);
    EQ(f[0].revents, POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
}

GROUP(select)
{
    int p[2];
    pipe(p);
    fd_set r, w, e;
    struct timeval tv = {0, 0};
    FD_ZERO(&r);
    FD_ZERO(&w);
    FD_ZERO(&e);
    FD_SET(p[0], &r);
    FD_SET(p[1], &w);
    FD_SET(p[0], &e);
    EQ(select(p[1] + 1, &r, &w, &e, &tv), 1);
    EQ(FD_ISSET(p[0], &r) != 0, 0);
    EQ(FD_ISSET(p[1], &w) != 0, 1);
    write(p[1], "x", 1);
    FD_SET(p[0], &r);
    EQ(select(p[1] + 1, &r, &w, NULL, NULL), 2);
    tv = (struct timeval){0, 20000};
    long long before = now_ns_(CLOCK_MONOTONIC);
    EQ(select(0, NULL, NULL, NULL, &tv), 0);
    NAMED("waited 20 ms", now_ns_(CLOCK_MONOTONIC) - before >= 20000000);
    tv = (struct timeval){0, 1000};
    EQ(syscall(SYS_select, 0, NULL, NULL, NULL, &tv), 0);
    EQ(tv.tv_usec, 0);
    FAILS(select(-1, NULL, NULL, NULL, NULL), EINVAL);
    FD_ZERO(&r);
    FD_SET(p[1] + 1, &r);
    FAILS(select(p[1] + 2, &r, NULL, NULL, &tv), EBADF);
    tv.tv_sec = -1;
    FAILS(select(0, NULL, NULL, NULL, &tv), EINVAL);
    struct timespec ts = {0, 1000000};
    FD_ZERO(&r);
    FD_SET(p[0], &r);
    EQ(pselect(p[0] + 1, &r, NULL, NULL, &ts, NULL), 1);
    EQ(ts.tv_nsec, 1000000);
}

GROUP(epoll)
{
    int p[2], ep = GOOD(epoll_create1(EPOLL_CLOEXEC));
    char c[100];
    pipe(p);
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = 0x123456789abcull}, got[10];
    EQ(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e), 0);
    FAILS(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e), EEXIST);
    EQ(epoll_wait(ep, got, 10, 0), 0);
    write(p[1], "x", 1);
    EQ(epoll_wait(ep, got, 10, -1), 1);
    EQ(got[0].events, EPOLLIN);
    EQ(got[0].data.u64, 0x123456789abcull);
    EQ(epoll_wait(ep, got, 10, 0), 1);
    e.events = EPOLLIN | EPOLLET;
    EQ(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &e), 0);
    EQ(epoll_wait(ep, got, 10, 0), 1);
    EQ(epoll_wait(ep, got, 10, 0), 0);
    write(p[1], "y", 1);
    EQ(epoll_wait(ep, got, 10, 0), 1);
    EQ(epoll_wait(ep, got, 10, 0), 0);
    e.events = EPOLLIN | EPOLLONESHOT;
    epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &e);
    EQ(epoll_wait(ep, got, 10, 0), 1);
    write(p[1], "z", 1);
    EQ(epoll_wait(ep, got, 10, 0), 0);
    epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &e);
    EQ(epoll_wait(ep, got, 10, 0), 1);
    EQ(epoll_ctl(ep, EPOLL_CTL_DEL, p[0], NULL), 0);
    FAILS(epoll_ctl(ep, EPOLL_CTL_DEL, p[0], NULL), ENOENT);
    FAILS(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &e), ENOENT);
    FAILS(epoll_ctl(ep, EPOLL_CTL_ADD, 99, &e), EBADF);
    FAILS(epoll_ctl(99, EPOLL_CTL_ADD, p[0], &e), EBADF);
    FAILS(epoll_ctl(p[0], EPOLL_CTL_ADD, p[1], &e), EINVAL);
    FAILS(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &e), EINVAL);
    FAILS(epoll_ctl(ep, 99, p[0], &e), EINVAL);
    FAILS(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], BAD), EFAULT);
    int file = open("f", O_RDWR | O_CREAT, 0600);
    FAILS(epoll_ctl(ep, EPOLL_CTL_ADD, file, &e), EPERM);
    FAILS(epoll_wait(ep, got, 0, 0), EINVAL);
    FAILS(epoll_wait(ep, got, -1, 0), EINVAL);
    FAILS(epoll_wait(p[0], got, 10, 0), EINVAL);
    FAILS(epoll_wait(99, got, 10, 0), EBADF);
    FAILS(syscall(SYS_epoll_create, 0), EINVAL);
    FAILS(epoll_create1(0x1), EINVAL);
    read(p[0], c, 100);
    e.events = EPOLLIN;
    epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e);
    long long before = now_ns_(CLOCK_MONOTONIC);
    EQ(epoll_wait(ep, got, 10, 30), 0);
    NAMED("waited 30 ms", now_ns_(CLOCK_MONOTONIC) - before >= 30000000);
    pthread_t t = soon_(p[1]);
    EQ(epoll_wait(ep, got, 10, 10000), 1);
    pthread_join(t, NULL);
    close(p[1]);
    EQ(epoll_wait(ep, got, 10, 0), 1);
    EQ(got[0].events, EPOLLIN | EPOLLHUP);
    close(p[0]);
    EQ(epoll_wait(ep, got, 10, 0), 0);
}

GROUP(epoll_of_many_kinds)
{
    int ep = epoll_create1(0), s[2], ev = eventfd(0, EFD_NONBLOCK), tm = timerfd_create(CLOCK_MONOTONIC, 0), inner = epoll_create1(0), p[2];
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s);
    pipe(p);
    struct epoll_event e = {.events = EPOLLIN}, got[10];
    int fds[] = {s[0], ev, tm, inner};
    for (int i = 0; i < 4; i++) {
        e.data.fd = fds[i];
        EQ(epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &e), 0);
    }
    EQ(epoll_ctl(inner, EPOLL_CTL_ADD, p[0], &e), 0);
    EQ(epoll_wait(ep, got, 10, 0), 0);
    uint64_t one = 1;
    write(ev, &one, 8);
    EQ(epoll_wait(ep, got, 10, 5000), 1);
    EQ(got[0].data.fd == ev, 1);
    write(s[1], "x", 1);
    EQ(epoll_wait(ep, got, 10, 0), 2);
    write(p[1], "x", 1);
    EQ(epoll_wait(ep, got, 10, 0), 3);
    struct itimerspec it = {{0, 0}, {0, 1000000}};
    timerfd_settime(tm, 0, &it, NULL);
    usleep(10000);
    EQ(epoll_wait(ep, got, 10, 0), 4);
    EQ(epoll_wait(ep, got, 2, 0), 2);
    sigset_t set;
    sigemptyset(&set);
    EQ(epoll_pwait(ep, got, 10, 0, &set), 4);
    struct timespec zero = {0, 0};
    EQ(syscall(SYS_epoll_pwait2, ep, got, 10, &zero, NULL, 0), 4);
    struct pollfd pf = {ep, POLLIN, 0};
    EQ(poll(&pf, 1, 0), 1);
    e.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP;
    epoll_ctl(ep, EPOLL_CTL_MOD, s[0], &e);
    shutdown(s[1], SHUT_WR);
    int n = epoll_wait(ep, got, 10, 0), mask = 0;
    for (int i = 0; i < n; i++) if (got[i].data.fd == inner || got[i].data.fd == e.data.fd) mask |= got[i].events;
    EQ(mask, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
}

static int shared_ep_, waiters_woken_;
static void *waits_(void *unused)
{
    struct epoll_event e;
    if (epoll_wait(shared_ep_, &e, 1, 5000) == 1) __sync_fetch_and_add(&waiters_woken_, 1);
    return unused;
}

GROUP(epoll_from_threads)
{
    pthread_t t[4];
    int p[2];
    pipe(p);
    shared_ep_ = epoll_create1(0);
    for (int i = 0; i < 4; i++) pthread_create(&t[i], NULL, waits_, NULL);
    usleep(20000);
    struct epoll_event e = {.events = EPOLLIN};
    EQ(epoll_ctl(shared_ep_, EPOLL_CTL_ADD, p[0], &e), 0);
    write(p[1], "x", 1);
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
    EQ(waiters_woken_, 4);
}

enum { WAITERS = 12, ROUNDS = 40 };
static int waited_[WAITERS][2], listener_;
static atomic_int waiting_;

static int connected_(int pair[2])
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof in;
    int l = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(l, (void *)&in, len) || listen(l, 1) || getsockname(l, (void *)&in, &len)) return -1;
    pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(pair[0], (void *)&in, len)) return -1;
    pair[1] = accept(l, NULL, NULL);
    close(l);
    int at_once = 1; // no waiting for acknowledgements
    for (int i = 0; i < 2; i++) setsockopt(pair[i], IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
    return pair[1] < 0 ? -1 : 0;
}

static void *answers_(void *which)
{
    int fd = waited_[(long)which][1];
    char c;
    for (int i = 0; i < ROUNDS; i++) {
        struct pollfd p = {fd, POLLIN | POLLRDHUP, 0};
        if (poll(&p, 1, (long)which % 2 ? -1 : 10000) != 1 || p.revents != POLLIN) return "no poll";
        if (recv(fd, &c, 1, MSG_DONTWAIT) != 1) return "no data";
        if ((long)which % 3 == 0 && recv(fd, &c, 1, 0) != 1) return "no more data"; // a second one comes later
        if (send(fd, &c, 1, 0) != 1) return "no answer";
    }
    return NULL;
}

// More threads wait for descriptors than could each block a processor.
GROUP(many_threads)
{
    pthread_t t[WAITERS];
    void *bad;
    int wrong = 0;
    for (int i = 0; i < WAITERS; i++) wrong += connected_(waited_[i]) != 0;
    EQ(wrong, 0);
    for (long i = 0; i < WAITERS; i++) pthread_create(&t[i], NULL, answers_, (void *)i);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < WAITERS; i++) wrong += send(waited_[i][0], "x", 1, 0) != 1;
        if (round % 8 == 0) usleep(2000);
        for (int i = 0; i < WAITERS; i += 3) wrong += send(waited_[i][0], "y", 1, 0) != 1;
        for (int i = 0; i < WAITERS; i++) {
            char c = 0;
            wrong += recv(waited_[i][0], &c, 1, 0) != 1 || c != (i % 3 ? 'x' : 'y');
        }
    }
    EQ(wrong, 0);
    for (int i = 0; i < WAITERS; i++) {
        pthread_join(t[i], &bad);
        wrong += bad != NULL;
    }
    EQ(wrong, 0);
}

static void nothing_(int unused) { (void)unused; }

static void *waits_in_(void *how)
{
    int fd = waited_[0][1];
    struct pollfd p = {fd, POLLIN, 0};
    char c;
    waiting_++;
    switch ((long)how) {
    case 0: return (void *)(long)poll(&p, 1, 30);             // its time is over
    case 1: return (void *)(long)(poll(&p, 1, -1) < 0 ? errno : 0); // a signal ends it
    case 2: return (void *)(long)(recv(fd, &c, 1, 0) < 0 ? errno : 0);
    case 3: return (void *)(long)(accept(listener_, NULL, NULL) < 0 ? errno : 0);
    default: return (void *)(long)(poll(&p, 1, 10000) == 1 ? p.revents : -1); // the same for two
    }
}

GROUP(waits_of_threads_end)
{
    enum { N = 7 };
    pthread_t t[N];
    void *result[N];
    struct sigaction act = {.sa_handler = nothing_};
    struct timeval limit = {.tv_usec = 20000};
    char c;
    sigaction(SIGUSR1, &act, NULL);
    EQ(connected_(waited_[0]), 0);
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    EQ(listen(listener_, 1), 0);
    for (long i = 0; i < N; i++) pthread_create(&t[i], NULL, waits_in_, (void *)i);
    while (waiting_ < N) usleep(1000);
    usleep(50000);
    for (int i = 1; i <= 3; i++) pthread_kill(t[i], SIGUSR1);
    for (int i = 0; i <= 3; i++) pthread_join(t[i], &result[i]);
    EQ((long)result[0], 0);
    for (int i = 1; i <= 3; i++) EQ((long)result[i], EINTR);
    EQ(send(waited_[0][0], "z", 1, 0), 1);
    for (int i = 4; i < N; i++) {
        pthread_join(t[i], &result[i]);
        EQ((long)result[i], POLLIN);
    }
    EQ(recv(waited_[0][1], &c, 1, 0), 1);
    EQ(setsockopt(waited_[0][1], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    pthread_create(&t[0], NULL, waits_in_, (void *)2L);
    pthread_create(&t[1], NULL, waits_in_, (void *)4L);
    pthread_join(t[0], &result[0]);
    EQ((long)result[0], EAGAIN);
    shutdown(waited_[0][0], SHUT_WR);
    pthread_join(t[1], &result[1]);
    EQ((long)result[1], POLLIN);
}
