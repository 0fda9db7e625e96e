// Descriptors of many kinds in one wait: what lives inside and what the host knows.
#include "tap.h"
#include <linux/filter.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>

static int registered(int set, int fd, unsigned events, unsigned long long data)
{
    struct epoll_event e = {.events = events, .data.u64 = data};
    return epoll_ctl(set, EPOLL_CTL_ADD, fd, &e);
}

static int modified(int set, int fd, unsigned events, unsigned long long data)
{
    struct epoll_event e = {.events = events, .data.u64 = data};
    return epoll_ctl(set, EPOLL_CTL_MOD, fd, &e);
}

static long long taken(int fd)
{
    unsigned long long value = 0;
    return read(fd, &value, 8) == 8 ? (long long)value : -1;
}

static int given(int fd, unsigned long long value)
{
    return write(fd, &value, 8) == 8;
}

GROUP(mixed_sets)
{
    int set = GOOD(epoll_create1(EPOLL_CLOEXEC)), inside = GOOD(eventfd(0, EFD_NONBLOCK)), pair[2];
    struct epoll_event e[8];
    EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    EQ(registered(set, inside, EPOLLIN, 0x1111222233334444), 0);
    EQ(epoll_wait(set, e, 8, 0), 0);
    EQ(epoll_wait(set, e, 8, 20), 0);
    EQ(registered(set, pair[0], EPOLLIN, ~0ull), 0);
    FAILS(registered(set, inside, EPOLLIN, 1), EEXIST);
    EQ(epoll_wait(set, e, 8, 20), 0);
    OK(given(inside, 5));
    EQ(epoll_wait(set, e, 8, -1), 1);
    OK(e[0].data.u64 == 0x1111222233334444 && e[0].events == EPOLLIN);
    EQ(write(pair[1], "x", 1), 1);
    EQ(epoll_wait(set, e, 8, -1), 2);
    EQ(epoll_wait(set, e, 1, -1), 1);
    EQ(taken(inside), 5);
    EQ(epoll_wait(set, e, 8, -1), 1);
    OK(e[0].data.u64 == ~0ull && e[0].events == EPOLLIN);
    EQ(epoll_ctl(set, EPOLL_CTL_DEL, inside, NULL), 0);
    FAILS(epoll_ctl(set, EPOLL_CTL_DEL, inside, NULL), ENOENT);
    FAILS(modified(set, inside, EPOLLIN, 0), ENOENT);
    OK(given(inside, 1));
    EQ(read(pair[0], e, 8), 1);
    EQ(epoll_wait(set, e, 8, 0), 0);
    close(set), close(inside), close(pair[0]), close(pair[1]);
}

GROUP(edges_and_single_shots)
{
    int set = GOOD(epoll_create1(0)), inside = GOOD(eventfd(0, EFD_NONBLOCK));
    struct epoll_event e[4];
    EQ(registered(set, inside, EPOLLIN | EPOLLET, 1), 0);
    OK(given(inside, 1));
    EQ(epoll_wait(set, e, 4, -1), 1);
    EQ(epoll_wait(set, e, 4, 0), 0);
    OK(given(inside, 1));
    EQ(epoll_wait(set, e, 4, -1), 1);
    EQ(taken(inside), 2);
    EQ(modified(set, inside, EPOLLIN | EPOLLONESHOT, 2), 0);
    EQ(epoll_wait(set, e, 4, 0), 0);
    OK(given(inside, 1));
    EQ(epoll_wait(set, e, 4, -1), 1);
    EQ(e[0].data.u64, 2);
    OK(given(inside, 1));
    EQ(epoll_wait(set, e, 4, 20), 0);
    EQ(modified(set, inside, EPOLLIN | EPOLLONESHOT, 3), 0);
    EQ(epoll_wait(set, e, 4, -1), 1);
    EQ(e[0].data.u64, 3);
    EQ(modified(set, inside, EPOLLIN | EPOLLOUT, 4), 0);
    EQ(epoll_wait(set, e, 4, -1), 1);
    EQ(e[0].events, EPOLLIN | EPOLLOUT);
    EQ(close(inside), 0);
    EQ(epoll_wait(set, e, 4, 0), 0);
    close(set);
}

GROUP(duplicates_and_closing)
{
    int set = GOOD(epoll_create1(0)), pair[2];
    struct epoll_event e[4];
    EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    int twin = GOOD(dup(pair[0]));
    EQ(registered(set, pair[0], EPOLLIN, 1), 0);
    EQ(registered(set, twin, EPOLLIN, 2), 0);
    EQ(write(pair[1], "x", 1), 1);
    EQ(epoll_wait(set, e, 4, -1), 2);
    EQ(e[0].data.u64 + e[1].data.u64, 3);
    EQ(epoll_ctl(set, EPOLL_CTL_DEL, twin, NULL), 0);
    EQ(epoll_wait(set, e, 4, -1), 1);
    EQ(e[0].data.u64, 1);
    EQ(close(pair[0]), 0);
    // The twin keeps the file open, and with it the registration.
    EQ(epoll_wait(set, e, 4, 0), 1);
    EQ(close(twin), 0);
    EQ(epoll_wait(set, e, 4, 0), 0);
    EQ(read(pair[1], e, 1), -1);
    OK(errno == ECONNRESET);
    // Closed without being taken out of the set: the other side sees the end at once.
    int ends[2];
    EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    twin = GOOD(dup(ends[0]));
    EQ(registered(set, ends[0], EPOLLIN, 1), 0);
    EQ(registered(set, twin, EPOLLIN, 2), 0);
    EQ(close(twin), 0);
    EQ(write(ends[1], "x", 1), 1);
    EQ(epoll_wait(set, e, 4, -1), 2);
    EQ(read(ends[0], e, 1), 1);
    EQ(close(ends[0]), 0);
    EQ(epoll_wait(set, e, 4, 0), 0);
    EQ(read(ends[1], e, 1), 0);
    EQ(close(ends[1]), 0);
    // The same numbers again, for other files.
    for (int i = 0; i < 300; i++) {
        int a = eventfd(1, EFD_NONBLOCK), b[2];
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, b) || registered(set, a, EPOLLIN, i)
            || registered(set, b[0], EPOLLIN, i) || epoll_wait(set, e, 4, 0) != 1
            || e[0].data.u64 != (unsigned)i || close(a) || close(b[0]) || close(b[1]))
            EQ(i, -1);
    }
    EQ(epoll_wait(set, e, 4, 0), 0);
    close(set), close(pair[1]);
}

GROUP(nested_sets)
{
    int outer = GOOD(epoll_create1(0)), inner = GOOD(epoll_create1(0));
    int inside = GOOD(eventfd(0, EFD_NONBLOCK)), pair[2];
    struct epoll_event e[4];
    EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    EQ(registered(inner, inside, EPOLLIN, 1), 0);
    EQ(registered(inner, pair[0], EPOLLIN, 2), 0);
    EQ(registered(outer, inner, EPOLLIN, 3), 0);
    FAILS(registered(inner, inner, EPOLLIN, 4), EINVAL);
    FAILS(registered(inner, outer, EPOLLIN, 4), ELOOP);
    EQ(epoll_wait(outer, e, 4, 0), 0);
    OK(given(inside, 1));
    OK(epoll_wait(outer, e, 4, -1) >= 1);
    EQ(e[0].data.u64, 3);
    struct pollfd p = {.fd = outer, .events = POLLIN};
    EQ(poll(&p, 1, 0), 1);
    EQ(taken(inside), 1);
    EQ(epoll_wait(inner, e, 4, 0), 0);
    EQ(write(pair[1], "x", 1), 1);
    OK(epoll_wait(outer, e, 4, -1) >= 1);
    EQ(epoll_wait(inner, e, 4, -1), 1);
    EQ(e[0].data.u64, 2);
    close(outer), close(inner), close(inside), close(pair[0]), close(pair[1]);
}

static int ping, pong;

static void *answer(void *turns)
{
    for (long i = 0; i < (long)turns; i++) {
        struct pollfd p = {.fd = ping, .events = POLLIN};
        if (poll(&p, 1, -1) != 1 || taken(ping) < 0 || !given(pong, 1)) return "broken";
    }
    return NULL;
}

// A waiter that also waits for the host must be woken by what happens inside.
GROUP(woken_from_inside)
{
    pthread_t other;
    void *result;
    int set = GOOD(epoll_create1(0)), turns = 500, good = 0, pair[2];
    struct epoll_event e[4];
    ping = GOOD(eventfd(0, EFD_NONBLOCK)), pong = GOOD(eventfd(0, EFD_NONBLOCK));
    EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    EQ(registered(set, pong, EPOLLIN, 1), 0);
    EQ(registered(set, pair[0], EPOLLIN, 2), 0);
    EQ(pthread_create(&other, NULL, answer, (void *)(long)(3 * turns)), 0);
    for (int i = 0; i < turns; i++)
        good += given(ping, 1) && epoll_wait(set, e, 4, -1) == 1 && e[0].data.u64 == 1 && taken(pong) == 1;
    EQ(good, turns);
    for (int i = good = 0; i < turns; i++) {
        struct pollfd p[2] = {{.fd = pair[0], .events = POLLIN}, {.fd = pong, .events = POLLIN}};
        good += given(ping, 1) && poll(p, 2, -1) == 1 && p[1].revents == POLLIN && taken(pong) == 1;
    }
    EQ(good, turns);
    for (int i = good = 0; i < turns; i++) {
        fd_set in;
        FD_ZERO(&in);
        FD_SET(pair[0], &in);
        FD_SET(pong, &in);
        int last = pair[0] > pong ? pair[0] : pong;
        good += given(ping, 1) && select(last + 1, &in, NULL, NULL, NULL) == 1 && FD_ISSET(pong, &in) && taken(pong) == 1;
    }
    EQ(good, turns);
    pthread_join(other, &result);
    OK(result == NULL);
    close(set), close(ping), close(pong), close(pair[0]), close(pair[1]);
}

static int shared_set, shared_event, consumed;

static void *consume(void *unused)
{
    (void)unused;
    struct epoll_event e;
    for (;;) {
        if (epoll_wait(shared_set, &e, 1, -1) != 1) return "broken";
        if (e.data.u64 == 2) return NULL;
        if (taken(shared_event) == 1) __atomic_add_fetch(&consumed, 1, __ATOMIC_SEQ_CST);
    }
}

GROUP(many_waiters)
{
    pthread_t threads[6];
    void *result;
    int good = 0;
    shared_set = GOOD(epoll_create1(0)), shared_event = GOOD(eventfd(0, EFD_NONBLOCK | EFD_SEMAPHORE));
    int end[2];
    EQ(pipe(end), 0);
    EQ(registered(shared_set, shared_event, EPOLLIN, 1), 0);
    EQ(registered(shared_set, end[0], EPOLLIN, 2), 0);
    for (int i = 0; i < 6; i++) good += pthread_create(&threads[i], NULL, consume, NULL) == 0;
    EQ(good, 6);
    for (int i = 0; i < 1000; i++) given(shared_event, 1);
    for (int i = 0; i < 500 && __atomic_load_n(&consumed, __ATOMIC_SEQ_CST) < 1000; i++) usleep(10000);
    EQ(consumed, 1000);
    EQ(write(end[1], "x", 1), 1);
    for (int i = good = 0; i < 6; i++) good += pthread_join(threads[i], &result) == 0 && !result;
    EQ(good, 6);
    close(shared_set), close(shared_event), close(end[0]), close(end[1]);
}

static volatile int caught;
static void on_signal(int signal) { caught = signal; }

GROUP(signals_while_waiting)
{
    sigset_t usr, none;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct timespec second = {1, 0};
    sigemptyset(&none), sigemptyset(&usr), sigaddset(&usr, SIGUSR1);
    EQ(sigaction(SIGUSR1, &action, NULL), 0);
    EQ(sigprocmask(SIG_BLOCK, &usr, NULL), 0);
    EQ(raise(SIGUSR1), 0);
    EQ(caught, 0);
    int inside = GOOD(eventfd(0, EFD_NONBLOCK)), set = GOOD(epoll_create1(0));
    struct pollfd p = {.fd = inside, .events = POLLIN};
    struct epoll_event e;
    EQ(registered(set, inside, EPOLLIN, 1), 0);
    FAILS(ppoll(&p, 1, &second, &none), EINTR);
    EQ(caught, SIGUSR1);
    caught = 0;
    EQ(raise(SIGUSR1), 0);
    FAILS(epoll_pwait(set, &e, 1, -1, &none), EINTR);
    EQ(caught, SIGUSR1);
    caught = 0;
    EQ(raise(SIGUSR1), 0);
    FAILS(pselect(0, NULL, NULL, NULL, &second, &none), EINTR);
    EQ(caught, SIGUSR1);
    // What is ready comes before what is pending.
    caught = 0;
    EQ(raise(SIGUSR1), 0);
    OK(given(inside, 1));
    EQ(ppoll(&p, 1, NULL, &none), 1);
    EQ(epoll_pwait(set, &e, 1, -1, &none), 1);
    int signals = GOOD(signalfd(-1, &usr, SFD_NONBLOCK));
    struct signalfd_siginfo info;
    if (!caught) EQ(read(signals, &info, sizeof info), sizeof info);
    EQ(registered(set, signals, EPOLLIN, 2), 0);
    EQ(taken(inside), 1);
    EQ(epoll_wait(set, &e, 1, 0), 0);
    EQ(raise(SIGUSR1), 0);
    EQ(epoll_wait(set, &e, 1, -1), 1);
    EQ(e.data.u64, 2);
    EQ(read(signals, &info, sizeof info), sizeof info);
    EQ(info.ssi_signo, SIGUSR1);
    EQ(info.ssi_pid, getpid());
    FAILS(read(signals, &info, sizeof info), EAGAIN);
    EQ(epoll_wait(set, &e, 1, 0), 0);
    close(signals), close(set), close(inside);
}

GROUP(times_of_waits)
{
    int inside = GOOD(eventfd(0, 0)), set = GOOD(epoll_create1(0)), timer = GOOD(timerfd_create(CLOCK_MONOTONIC, 0));
    struct pollfd p[2] = {{.fd = inside, .events = POLLIN}, {.fd = timer, .events = POLLIN}};
    struct epoll_event e;
    EQ(registered(set, inside, EPOLLIN, 1), 0);
    long long before = now_ns_(CLOCK_MONOTONIC);
    EQ(poll(p, 1, 30), 0);
    EQ(epoll_wait(set, &e, 1, 30), 0);
    EQ(poll(p, 2, 30), 0);
    EQ(poll(NULL, 0, 30), 0);
    long long passed = now_ns_(CLOCK_MONOTONIC) - before;
    OK(passed >= 120000000 && passed < 5000000000);
    EQ(registered(set, timer, EPOLLIN, 2), 0);
    struct itimerspec time = {.it_value.tv_nsec = 20000000};
    EQ(timerfd_settime(timer, 0, &time, NULL), 0);
    EQ(epoll_wait(set, &e, 1, 5000), 1);
    EQ(e.data.u64, 2);
    EQ(poll(p, 2, -1), 1);
    EQ(p[1].revents, POLLIN);
    EQ(taken(timer), 1);
    struct timespec left = {5, 0};
    EQ(timerfd_settime(timer, 0, &time, NULL), 0);
    EQ(ppoll(p, 2, &left, NULL), 1);
    close(inside), close(set), close(timer);
}

GROUP(batches_of_messages)
{
    int pair[2];
    char in[4][16] = {{0}}, out[4][16] = {"one", "two", "three", "four"};
    struct mmsghdr m[4] = {0};
    struct iovec v[4];
    struct timespec timeout = {1, 0};
    EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
    for (int i = 0; i < 4; i++) {
        v[i] = (struct iovec){out[i], 16};
        m[i].msg_hdr = (struct msghdr){.msg_iov = &v[i], .msg_iovlen = 1};
    }
    EQ(sendmmsg(pair[0], m, 4, 0), 4);
    EQ(m[3].msg_len, 16);
    for (int i = 0; i < 4; i++) v[i] = (struct iovec){in[i], 16};
    EQ(recvmmsg(pair[1], m, 3, 0, NULL), 3);
    EQ(recvmmsg(pair[1], m + 3, 1, MSG_DONTWAIT, &timeout), 1);
    SAME(in, out, sizeof in);
    FAILS(recvmmsg(pair[1], m, 4, MSG_DONTWAIT, NULL), EAGAIN);
    EQ(send(pair[0], "x", 1, 0), 1);
    EQ(recvmmsg(pair[1], m, 4, MSG_WAITFORONE, NULL), 1);
    close(pair[0]), close(pair[1]);
}

GROUP(credentials_and_filters)
{
    int pair[2], on = 1;
    union { struct cmsghdr header; char bytes[CMSG_SPACE(sizeof(struct ucred))]; } control;
    char byte = 'x';
    struct iovec v = {&byte, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
    EQ(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
    EQ(send(pair[0], "x", 1, 0), 1);
    EQ(recvmsg(pair[1], &m, 0), 1);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    OK(c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS);
    struct ucred got = {0}, me = {getpid(), getuid(), getgid()};
    if (c) memcpy(&got, CMSG_DATA(c), sizeof got);
    SAME(&got, &me, sizeof me);
    EQ(sendmsg(pair[0], &m, 0), 1);
    EQ(recvmsg(pair[1], &m, 0), 1);
    EQ(m.msg_flags, 0);
    // Accepts nothing that is shorter than two bytes.
    struct sock_filter code[] = {{BPF_LD | BPF_W | BPF_LEN, 0, 0, 0}, {BPF_JMP | BPF_JGE | BPF_K, 0, 1, 2},
        {BPF_RET | BPF_K, 0, 0, 100}, {BPF_RET | BPF_K, 0, 0, 0}};
    struct sock_fprog program = {4, code};
    int udp = GOOD(socket(AF_INET, SOCK_DGRAM, 0));
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    char in[8];
    EQ(bind(udp, (void *)&a, n), 0);
    EQ(getsockname(udp, (void *)&a, &n), 0);
    EQ(setsockopt(udp, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0);
    // UDP's filter sees the header, eight bytes: nothing is dropped yet.
    EQ(sendto(udp, "a", 1, 0, (void *)&a, n), 1);
    EQ(recv(udp, in, 8, 0), 1);
    code[1].k = 10;
    EQ(setsockopt(udp, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0);
    EQ(sendto(udp, "a", 1, 0, (void *)&a, n), 1);
    EQ(sendto(udp, "ab", 2, 0, (void *)&a, n), 2);
    EQ(recv(udp, in, 8, 0), 2);
    EQ(setsockopt(udp, SOL_SOCKET, SO_DETACH_FILTER, &on, sizeof on), 0);
    FAILS(setsockopt(udp, SOL_SOCKET, SO_ATTACH_FILTER, BAD, sizeof program), EFAULT);
    close(udp), close(pair[0]), close(pair[1]);
}
