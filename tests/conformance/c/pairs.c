// Pairs of sockets: messages and their borders, what comes with them, ends, options, readiness.
#include "tap.h"
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static char pairs_big_[1 << 20];

static int events_(int fd)
{
    struct pollfd p = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};
    poll(&p, 1, 0);
    return p.revents;
}

static int waiting_(int fd)
{
    int n = -1;
    ioctl(fd, FIONREAD, &n);
    return n;
}

static void closes_(int *s) { close(s[0]); close(s[1]); }

GROUP(streams)
{
    int s[2];
    char b[100];
    EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
    EQ(write(s[0], "hello", 5), 5);
    EQ(send(s[0], " world", 6, 0), 6);
    EQ(waiting_(s[1]), 11);
    EQ(recv(s[1], b, 3, MSG_PEEK), 3);
    EQ(recv(s[1], b, 100, 0), 11);
    SAME(b, "hello world", 11);
    // And the other way.
    EQ(write(s[1], "back", 4), 4);
    EQ(read(s[0], b, 2), 2);
    EQ(read(s[0], b, 100), 2);
    FAILS(recv(s[0], b, 1, MSG_DONTWAIT), EAGAIN);
    EQ(read(s[0], b, 0), 0);
    FAILS(recv(s[0], b, 0, MSG_DONTWAIT), EAGAIN);
    EQ(send(s[0], b, 0, 0), 0);
    FAILS(recv(s[1], b, 1, MSG_DONTWAIT), EAGAIN);
    // MSG_TRUNC means nothing to a stream.
    write(s[0], "abcdef", 6);
    EQ(recv(s[1], b, 2, MSG_TRUNC), 2);
    EQ(recv(s[1], b, 100, MSG_WAITALL | MSG_DONTWAIT), 4);
    FAILS(lseek(s[0], 0, SEEK_CUR), ESPIPE);
    FAILS(pread(s[0], b, 1, 0), ESPIPE);
    FAILS(write(s[0], BAD, 4), EFAULT);
    write(s[0], "x", 1);
    FAILS(read(s[1], BAD, 4), EFAULT);
    EQ(read(s[1], b, 4), 1);
    closes_(s);
}

static void records_(int type)
{
    int s[2];
    char b[100];
    EQ(socketpair(AF_UNIX, type, 0, s), 0);
    EQ(send(s[0], "one", 3, 0), 3);
    EQ(send(s[0], "twotwo", 6, 0), 6);
    EQ(send(s[0], "", 0, 0), 0);
    EQ(send(s[0], "3", 1, 0), 1);
    EQ(recv(s[1], b, 100, MSG_PEEK), 3);
    EQ(recv(s[1], b, 2, 0), 2);
    EQ(recv(s[1], b, 2, MSG_TRUNC), 6);
    EQ(recv(s[1], b, 100, 0), 0);
    struct iovec v[2] = {{b, 1}, {b + 1, 10}};
    struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
    EQ(recvmsg(s[1], &m, 0), 1);
    EQ(m.msg_flags, 0);
    EQ(m.msg_namelen, 0);
    write(s[1], "0123456789abcdef", 16);
    EQ(recvmsg(s[0], &m, 0), 11);
    EQ(m.msg_flags & MSG_TRUNC, MSG_TRUNC);
    FAILS(recv(s[0], b, 1, MSG_DONTWAIT), EAGAIN);
    struct mmsghdr mm[3] = {{.msg_hdr = m}, {.msg_hdr = m}, {.msg_hdr = m}};
    EQ(sendmmsg(s[0], mm, 3, 0), 3);
    EQ(mm[2].msg_len, 11);
    EQ(recvmmsg(s[1], mm, 3, MSG_DONTWAIT, NULL), 3);
    EQ(mm[0].msg_len, 11);
    FAILS(recvmmsg(s[1], mm, 3, MSG_DONTWAIT, NULL), EAGAIN);
    FAILS(send(s[0], pairs_big_, sizeof pairs_big_, 0), EMSGSIZE);
    int n = 0;
    while (send(s[0], b, 1, MSG_DONTWAIT) == 1) n++;
    OK(n > 50 && n < 1000);
    EQ(events_(s[0]), 0);
    EQ(events_(s[1]) & POLLIN, POLLIN);
    closes_(s);
}

GROUP(datagrams) { records_(SOCK_DGRAM); }

GROUP(sequenced) { records_(SOCK_SEQPACKET); }

static volatile sig_atomic_t pairs_signals_;
static void on_pipe_(int s) { pairs_signals_++; }

GROUP(closing)
{
    int s[2], type[2] = {SOCK_STREAM, SOCK_SEQPACKET};
    char b[10];
    signal(SIGPIPE, on_pipe_);
    for (int i = 0; i < 2; i++) {
        pairs_signals_ = 0;
        socketpair(AF_UNIX, type[i], 0, s);
        EQ(events_(s[0]), POLLOUT);
        write(s[0], "x", 1);
        close(s[0]);
        EQ(events_(s[1]), POLLIN | POLLOUT | POLLHUP | POLLRDHUP);
        EQ(read(s[1], b, 10), 1);
        EQ(read(s[1], b, 10), 0);
        FAILS(write(s[1], "x", 1), EPIPE);
        // Only streams raise the signal.
        EQ(pairs_signals_, i == 0);
        FAILS(send(s[1], "x", 1, MSG_NOSIGNAL), EPIPE);
        EQ(pairs_signals_, i == 0);
        close(s[1]);
        // What was not read is told.
        socketpair(AF_UNIX, type[i], 0, s);
        write(s[0], "lost", 4);
        close(s[1]);
        EQ(events_(s[0]) & POLLERR, POLLERR);
        FAILS(read(s[0], b, 1), ECONNRESET);
        EQ(read(s[0], b, 1), 0);
        close(s[0]);
        // One direction at a time.
        socketpair(AF_UNIX, type[i], 0, s);
        EQ(shutdown(s[0], SHUT_WR), 0);
        EQ(read(s[1], b, 1), 0);
        EQ(events_(s[1]), POLLIN | POLLOUT | POLLRDHUP);
        EQ(events_(s[0]), POLLOUT);
        FAILS(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
        EQ(write(s[1], "y", 1), 1);
        EQ(read(s[0], b, 1), 1);
        EQ(shutdown(s[0], SHUT_RD), 0);
        FAILS(send(s[1], "x", 1, MSG_NOSIGNAL), EPIPE);
        EQ(events_(s[0]), POLLIN | POLLOUT | POLLHUP | POLLRDHUP);
        FAILS(shutdown(s[0], 7), EINVAL);
        closes_(s);
    }
    socketpair(AF_UNIX, SOCK_DGRAM, 0, s);
    close(s[0]);
    FAILS(recv(s[1], b, 1, MSG_DONTWAIT), EAGAIN);
    FAILS(send(s[1], "x", 1, 0), ECONNREFUSED);
    FAILS(send(s[1], "x", 1, 0), ENOTCONN);
    close(s[1]);
    socketpair(AF_UNIX, SOCK_DGRAM, 0, s);
    EQ(shutdown(s[0], SHUT_RD), 0);
    EQ(recv(s[0], b, 1, 0), 0);
    FAILS(send(s[1], "x", 1, MSG_NOSIGNAL), EPIPE);
    EQ(send(s[0], "x", 1, 0), 1);
    EQ(recv(s[1], b, 1, 0), 1);
    closes_(s);
}

GROUP(names)
{
    int s[2];
    struct sockaddr_un a = {0}, far = {.sun_family = AF_UNIX, .sun_path = "nowhere"};
    socklen_t n = sizeof a;
    char b[10], text[64], path[64], expected[64];
    struct stat st;
    EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, s), 0);
    EQ(fcntl(s[0], F_GETFD), FD_CLOEXEC);
    EQ(fcntl(s[0], F_GETFL), O_RDWR | O_NONBLOCK);
    EQ(getsockname(s[0], (void *)&a, &n), 0);
    EQ(n, 2);
    EQ(a.sun_family, AF_UNIX);
    n = sizeof a;
    EQ(getpeername(s[0], (void *)&a, &n), 0);
    EQ(n, 2);
    write(s[0], "x", 1);
    n = sizeof a;
    EQ(recvfrom(s[1], b, 10, 0, (void *)&a, &n), 1);
    EQ(n, 0);
    FAILS(sendto(s[0], "x", 1, 0, (void *)&far, sizeof far), EISCONN);
    FAILS(listen(s[0], 1), EINVAL);
    FAILS(accept(s[0], NULL, NULL), EINVAL);
    EQ(fstat(s[0], &st), 0);
    OK(S_ISSOCK(st.st_mode));
    EQ(st.st_size, 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", s[0]);
    long len = GOOD(readlink(path, text, sizeof text - 1));
    text[len] = 0;
    snprintf(expected, sizeof expected, "socket:[%lu]", (unsigned long)st.st_ino);
    OK(strcmp(text, expected) == 0);
    FAILS(open(path, O_RDWR), ENXIO);
    closes_(s);
    FAILS(socketpair(AF_UNIX, 77, 0, s), EINVAL);
    FAILS(socketpair(AF_UNIX, SOCK_STREAM, 9, s), EPROTONOSUPPORT);
}

static int get_(int s, int name)
{
    int v = -1;
    socklen_t n = sizeof v;
    return getsockopt(s, SOL_SOCKET, name, &v, &n) == 0 ? v : -1;
}

GROUP(options)
{
    int s[2], v = 20000;
    EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, s), 0);
    EQ(get_(s[0], SO_TYPE), SOCK_DGRAM);
    EQ(get_(s[0], SO_DOMAIN), AF_UNIX);
    EQ(get_(s[0], SO_PROTOCOL), 0);
    EQ(get_(s[0], SO_ERROR), 0);
    EQ(get_(s[0], SO_ACCEPTCONN), 0);
    EQ(get_(s[0], SO_SNDBUF), 212992);
    EQ(get_(s[0], SO_RCVBUF), 212992);
    EQ(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &v, sizeof v), 0);
    EQ(get_(s[0], SO_SNDBUF), 40000);
    EQ(setsockopt(s[0], SOL_SOCKET, SO_RCVBUF, &v, sizeof v), 0);
    EQ(get_(s[0], SO_RCVBUF), 40000);
    v = 1;
    EQ(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &v, sizeof v), 0);
    EQ(get_(s[0], SO_SNDBUF), 4608);
    FAILS(send(s[0], pairs_big_, 5000, 0), EMSGSIZE);
    EQ(get_(s[0], SO_PASSCRED), 0);
    EQ(setsockopt(s[0], SOL_SOCKET, SO_PASSCRED, &v, sizeof v), 0);
    EQ(get_(s[0], SO_PASSCRED), 1);
    EQ(setsockopt(s[0], SOL_SOCKET, SO_KEEPALIVE, &v, sizeof v), 0);
    FAILS(setsockopt(s[0], SOL_SOCKET, 9999, &v, sizeof v), ENOPROTOOPT);
    FAILS(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &v, 1), EINVAL);
    FAILS(setsockopt(s[0], 6, 1, &v, sizeof v), EOPNOTSUPP);
    struct { int pid, uid, gid; } cred;
    socklen_t n = sizeof cred;
    EQ(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &cred, &n), 0);
    EQ(n, 12);
    OK(cred.pid == getpid() && cred.uid == (int)geteuid() && cred.gid == (int)getegid());
    struct timeval t = {0, 30000}, got;
    char b[10];
    EQ(setsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t), 0);
    n = sizeof got;
    EQ(getsockopt(s[1], SOL_SOCKET, SO_RCVTIMEO, &got, &n), 0);
    OK(got.tv_sec == 0 && got.tv_usec >= 30000 && got.tv_usec < 40000);
    long long before = now_ns_(CLOCK_MONOTONIC);
    FAILS(recv(s[1], b, 1, 0), EAGAIN);
    NAMED("waited about 30 ms", now_ns_(CLOCK_MONOTONIC) - before >= 25000000);
    closes_(s);
}

// Sends bytes with descriptors.
static long sends_fds_(int s, const char *text, const int *fds, int n)
{
    char control[CMSG_SPACE(sizeof(int) * 8)] = {0};
    struct iovec v = {(void *)text, strlen(text)};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(sizeof(int) * n)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * n);
    memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
    return sendmsg(s, &m, 0);
}

// Receives at most `len` bytes; returns the bytes, and the number of descriptors in `fds`.
static long gets_fds_(int s, char *b, size_t len, int flags, int room, int *fds, int *n, int *reply)
{
    char control[CMSG_SPACE(sizeof(int) * 8)] = {0};
    struct iovec v = {b, len};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room ? CMSG_SPACE(sizeof(int) * room) : 0};
    long got = recvmsg(s, &m, flags);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *n = 0;
    if (got >= 0 && c && c->cmsg_type == SCM_RIGHTS) {
        *n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds, CMSG_DATA(c), *n * sizeof(int));
    }
    *reply = m.msg_flags;
    return got;
}

GROUP(descriptors)
{
    int s[2], p[2], fds[8], n, reply;
    char b[100];
    EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
    EQ(pipe(p), 0);
    // A message with descriptors ends what is received together, and gives them once.
    EQ(send(s[0], "ab", 2, 0), 2);
    EQ(sends_fds_(s[0], "cdef", (int[]){p[0], p[1]}, 2), 4);
    EQ(send(s[0], "gh", 2, 0), 2);
    EQ(gets_fds_(s[1], b, 4, MSG_PEEK, 4, fds, &n, &reply), 4);
    EQ(n, 2);
    close(fds[0]);
    close(fds[1]);
    EQ(gets_fds_(s[1], b, 4, 0, 4, fds, &n, &reply), 4);
    EQ(n, 2);
    SAME(b, "abcd", 4);
    EQ(write(fds[1], "through", 7), 7);
    EQ(read(p[0], b, 100), 7);
    close(fds[0]);
    close(fds[1]);
    EQ(gets_fds_(s[1], b, 100, 0, 4, fds, &n, &reply), 4);
    EQ(n, 0);
    SAME(b, "efgh", 4);
    // Too little room.
    EQ(sends_fds_(s[0], "x", (int[]){p[0], p[1], 1}, 3), 1);
    EQ(gets_fds_(s[1], b, 100, MSG_CMSG_CLOEXEC, 2, fds, &n, &reply), 1);
    EQ(n, 2);
    EQ(reply & MSG_CTRUNC, MSG_CTRUNC);
    EQ(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
    close(fds[0]);
    close(fds[1]);
    EQ(sends_fds_(s[0], "y", (int[]){p[0]}, 1), 1);
    EQ(gets_fds_(s[1], b, 100, 0, 0, fds, &n, &reply), 1);
    EQ(reply & MSG_CTRUNC, MSG_CTRUNC);
    // What is under way keeps a pipe open, until it is thrown away.
    EQ(sends_fds_(s[0], "z", (int[]){p[1]}, 1), 1);
    close(p[1]);
    struct pollfd f = {p[0], POLLIN, 0};
    EQ(poll(&f, 1, 0), 0);
    closes_(s);
    EQ(poll(&f, 1, 0), 1);
    EQ(f.revents, POLLHUP);
    close(p[0]);
    EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s), 0);
    FAILS(sends_fds_(s[0], "x", (int[]){99}, 1), EBADF);
    closes_(s);
}

GROUP(credentials)
{
    int s[2], on = 1;
    char b[10], control[200];
    struct { int pid, uid, gid; } cred;
    EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
    EQ(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
    EQ(send(s[0], "c", 1, 0), 1);
    struct iovec v = {b, 10};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    EQ(recvmsg(s[1], &m, 0), 1);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    OK(c && c->cmsg_type == SCM_CREDENTIALS && c->cmsg_len == CMSG_LEN(12));
    memcpy(&cred, CMSG_DATA(c), sizeof cred);
    OK(cred.pid == getpid() && cred.uid == (int)getuid() && cred.gid == (int)getgid());
    EQ(m.msg_controllen, CMSG_SPACE(12));
    // Said by the sender itself.
    struct iovec w = {"d", 1};
    struct msghdr o = {.msg_iov = &w, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(12)};
    c = CMSG_FIRSTHDR(&o);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_CREDENTIALS;
    c->cmsg_len = CMSG_LEN(12);
    memcpy(CMSG_DATA(c), &cred, sizeof cred);
    EQ(sendmsg(s[0], &o, 0), 1);
    c->cmsg_len = CMSG_LEN(8);
    FAILS(sendmsg(s[0], &o, 0), EINVAL);
    m.msg_controllen = 0;
    EQ(recvmsg(s[1], &m, 0), 1);
    EQ(m.msg_flags & MSG_CTRUNC, MSG_CTRUNC);
    closes_(s);
}

static void *pours_(void *fd)
{
    char *big = malloc(4 << 20);
    for (int i = 0; i < 4 << 20; i++) big[i] = i * 31 + (i >> 13);
    long n = write((int)(long)fd, big, 4 << 20);
    shutdown((int)(long)fd, SHUT_WR);
    free(big);
    return (void *)n;
}

GROUP(much)
{
    int s[2];
    pthread_t t;
    void *sent;
    EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
    pthread_create(&t, NULL, pours_, (void *)(long)s[0]);
    char *b = malloc(1 << 20);
    long at = 0, wrong = 0;
    for (long n; (n = recv(s[1], b, 1 << 20, at < 2 << 20 ? MSG_WAITALL : 0)) > 0; at += n)
        for (long i = 0; i < n; i++) wrong += b[i] != (char)((at + i) * 31 + ((at + i) >> 13));
    pthread_join(t, &sent);
    EQ(at, 4 << 20);
    EQ((long)sent, 4 << 20);
    EQ(wrong, 0);
    free(b);
    closes_(s);
}

static void *answers_(void *fd)
{
    char b[64];
    int s = (int)(long)fd;
    for (long n; (n = recv(s, b, sizeof b, 0)) > 0;) send(s, b, n, MSG_NOSIGNAL);
    close(s);
    return NULL;
}

static void on_alarm_(int s) {}

GROUP(waiting)
{
    int s[2], e = epoll_create1(0), wrong = 0;
    char b[10];
    pthread_t t;
    struct epoll_event in = {.events = EPOLLIN | EPOLLET | EPOLLRDHUP}, got;
    EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s), 0);
    pthread_create(&t, NULL, answers_, (void *)(long)s[1]);
    for (int i = 0; i < 5000; i++) {
        int back = -1;
        send(s[0], &i, sizeof i, 0);
        wrong += recv(s[0], &back, sizeof back, 0) != sizeof back || back != i;
    }
    EQ(wrong, 0);
    EQ(epoll_ctl(e, EPOLL_CTL_ADD, s[0], &in), 0);
    for (int i = 0; i < 1000; i++) {
        send(s[0], "x", 1, 0);
        wrong += epoll_wait(e, &got, 1, 5000) != 1 || recv(s[0], b, 1, 0) != 1;
    }
    EQ(wrong, 0);
    struct sigaction a = {.sa_handler = on_alarm_};
    sigaction(SIGALRM, &a, NULL);
    ualarm(20000, 0);
    FAILS(recv(s[0], b, 1, 0), EINTR);
    shutdown(s[0], SHUT_WR);
    pthread_join(t, NULL);
    EQ(epoll_wait(e, &got, 1, 5000), 1);
    EQ(got.events & (EPOLLIN | EPOLLRDHUP), EPOLLIN | EPOLLRDHUP);
    close(s[0]);
    close(e);
}
