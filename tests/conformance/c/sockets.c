// Sockets: TCP, UDP, unix of every type, options, messages with control data, non-blocking, shutdown, errors.
#include "tap.h"
#include <arpa/inet.h>
#include <linux/net_tstamp.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>

static struct sockaddr_in local_(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}
static int listener_(struct sockaddr_in *a)
{
    socklen_t n = sizeof *a;
    int s = socket(AF_INET, SOCK_STREAM, 0);
    *a = local_(0);
    if (bind(s, (void *)a, n) || listen(s, 10) || getsockname(s, (void *)a, &n)) return -1;
    return s;
}
static void pair_(int s[2])
{
    struct sockaddr_in a;
    int l = listener_(&a);
    s[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(s[0], (void *)&a, sizeof a)) s[0] = -1;
    s[1] = accept(l, NULL, NULL);
    close(l);
}

GROUP(tcp)
{
    struct sockaddr_in a, b, c;
    socklen_t n = sizeof b;
    char t[100] = "";
    int l = GOOD(listener_(&a)), s = GOOD(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP));
    EQ(fcntl(s, F_GETFD), FD_CLOEXEC);
    EQ(connect(s, (void *)&a, sizeof a), 0);
    int p = GOOD(accept4(l, (void *)&b, &n, SOCK_CLOEXEC));
    EQ(n, sizeof b);
    EQ(fcntl(p, F_GETFD), FD_CLOEXEC);
    n = sizeof c;
    EQ(getsockname(s, (void *)&c, &n), 0);
    EQ(memcmp(&b, &c, 8), 0);
    EQ(getpeername(s, (void *)&c, &n), 0);
    EQ(memcmp(&a, &c, 8), 0);
    EQ(send(s, "hello", 5, 0), 5);
    EQ(recv(p, t, 3, MSG_PEEK), 3);
    EQ(recv(p, t, 100, 0), 5);
    TEXT(t, "hello");
    FAILS(recv(p, t, 100, MSG_DONTWAIT), EAGAIN);
    EQ(write(p, "answer", 6), 6);
    EQ(recv(s, t, 4, MSG_WAITALL), 4);
    int waiting = 0;
    EQ(ioctl(s, FIONREAD, &waiting), 0);
    EQ(waiting, 2);
    EQ(read(s, t, 100), 2);
    EQ(shutdown(s, SHUT_WR), 0);
    EQ(recv(p, t, 10, 0), 0);
    FAILS(send(s, "x", 1, MSG_NOSIGNAL), EPIPE);
    EQ(send(p, "still", 5, 0), 5);
    EQ(recv(s, t, 10, 0), 5);
    EQ(close(p), 0);
    EQ(recv(s, t, 10, 0), 0);
    FAILS(connect(s, (void *)&a, sizeof a), EISCONN);
    FAILS(shutdown(s, 99), EINVAL);
    FAILS(send(99, "x", 1, 0), EBADF);
    FAILS(send(1, "x", 1, 0), ENOTSOCK);
    FAILS(listen(1, 1), ENOTSOCK);
    FAILS(accept(s, NULL, NULL), EINVAL);
}

GROUP(errors)
{
    struct sockaddr_in a, closed = local_(1);
    socklen_t n = sizeof a;
    int l = listener_(&a), s = socket(AF_INET, SOCK_STREAM, 0);
    FAILS(connect(s, (void *)&closed, sizeof closed), ECONNREFUSED);
    FAILS(getpeername(s, (void *)&closed, &n), ENOTCONN);
    s = socket(AF_INET, SOCK_STREAM, 0);
    FAILS(bind(s, (void *)&a, sizeof a), EADDRINUSE);
    FAILS(bind(s, (void *)&a, 4), EINVAL);
    FAILS(bind(s, BAD, sizeof a), EFAULT);
    struct sockaddr_in far = a;
    far.sin_addr.s_addr = inet_addr("192.0.2.1");
    far.sin_port = 0;
    FAILS(bind(s, (void *)&far, sizeof far), EADDRNOTAVAIL);
    FAILS(recv(s, &a, 1, 0), ENOTCONN);
    FAILS(send(s, &a, 1, MSG_NOSIGNAL), EPIPE);
    FAILS(shutdown(s, SHUT_RDWR), ENOTCONN);
    FAILS(socket(999, SOCK_STREAM, 0), EAFNOSUPPORT);
    FAILS(socket(AF_INET, 99, 0), EINVAL);
    FAILS(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
    FAILS(socketpair(AF_INET, SOCK_STREAM, 0, (int[2]){0}), EOPNOTSUPP);
    FAILS(syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, BAD), EFAULT);
    fcntl(l, F_SETFL, O_NONBLOCK);
    FAILS(accept(l, NULL, NULL), EAGAIN);
    FAILS(syscall(SYS_accept4, l, NULL, NULL, 1), EINVAL);
    FAILS(setsockopt(s, SOL_SOCKET, 9999, &n, sizeof n), ENOPROTOOPT);
    FAILS(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &n, 1), EINVAL);
    FAILS(getsockopt(s, SOL_SOCKET, 9999, &a, &n), ENOPROTOOPT);
    FAILS(setsockopt(1, SOL_SOCKET, SO_REUSEADDR, &n, sizeof n), ENOTSOCK);
}

GROUP(options)
{
    int s = socket(AF_INET, SOCK_STREAM, 0), v = 1;
    socklen_t n = sizeof v;
    EQ(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &v, sizeof v), 0);
    EQ(setsockopt(s, SOL_SOCKET, SO_REUSEPORT, &v, sizeof v), 0);
    EQ(setsockopt(s, SOL_SOCKET, SO_KEEPALIVE, &v, sizeof v), 0);
    EQ(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &v, sizeof v), 0);
    v = 0;
    EQ(getsockopt(s, IPPROTO_TCP, TCP_NODELAY, &v, &n), 0);
    EQ(v != 0, 1);
    EQ(getsockopt(s, SOL_SOCKET, SO_TYPE, &v, &n), 0);
    EQ(v, SOCK_STREAM);
    EQ(getsockopt(s, SOL_SOCKET, SO_DOMAIN, &v, &n), 0);
    EQ(v, AF_INET);
    EQ(getsockopt(s, SOL_SOCKET, SO_ERROR, &v, &n), 0);
    EQ(v, 0);
    EQ(getsockopt(s, SOL_SOCKET, SO_ACCEPTCONN, &v, &n), 0);
    EQ(v, 0);
    v = 100000;
    EQ(setsockopt(s, SOL_SOCKET, SO_SNDBUF, &v, sizeof v), 0);
    EQ(getsockopt(s, SOL_SOCKET, SO_SNDBUF, &v, &n), 0);
    EQ(v, 200000);
    struct linger lg = {1, 5}, got;
    n = sizeof got;
    EQ(setsockopt(s, SOL_SOCKET, SO_LINGER, &lg, sizeof lg), 0);
    EQ(getsockopt(s, SOL_SOCKET, SO_LINGER, &got, &n), 0);
    EQ(got.l_linger, 5);
    struct timeval tv = {0, 30000};
    int p[2];
    char c;
    pair_(p);
    EQ(setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv), 0);
    long long before = now_ns_(CLOCK_MONOTONIC);
    FAILS(recv(p[0], &c, 1, 0), EAGAIN);
    NAMED("waited about 30 ms", now_ns_(CLOCK_MONOTONIC) - before >= 25000000);
    struct tcp_info info;
    n = sizeof info;
    EQ(getsockopt(p[0], IPPROTO_TCP, TCP_INFO, &info, &n), 0);
    EQ(info.tcpi_state, 1);
    int cork = 1;
    EQ(setsockopt(p[0], IPPROTO_TCP, TCP_CORK, &cork, sizeof cork), 0);
}

GROUP(nonblocking_connect)
{
    struct sockaddr_in a;
    int l = listener_(&a), s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), e = 9;
    socklen_t n = sizeof e;
    int r = connect(s, (void *)&a, sizeof a);
    OK(r == 0 || errno == EINPROGRESS);
    struct pollfd p = {s, POLLOUT, 0};
    EQ(poll(&p, 1, 5000), 1);
    EQ(getsockopt(s, SOL_SOCKET, SO_ERROR, &e, &n), 0);
    EQ(e, 0);
    FAILS(connect(s, (void *)&a, sizeof a) ?: connect(s, (void *)&a, sizeof a), EISCONN);
    GOOD(accept(l, NULL, NULL));
    s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in closed = local_(1);
    r = connect(s, (void *)&closed, sizeof closed);
    OK(r == -1 && (errno == EINPROGRESS || errno == ECONNREFUSED));
    if (errno == EINPROGRESS) {
        p.fd = s;
        poll(&p, 1, 5000);
        getsockopt(s, SOL_SOCKET, SO_ERROR, &e, &n);
    } else {
        e = errno;
    }
    EQ(e, ECONNREFUSED);
}

GROUP(udp)
{
    struct sockaddr_in a = local_(0), b = local_(0), from;
    socklen_t n = sizeof a;
    char t[100];
    int s = GOOD(socket(AF_INET, SOCK_DGRAM, 0)), r = GOOD(socket(AF_INET, SOCK_DGRAM, 0));
    bind(s, (void *)&a, n);
    bind(r, (void *)&b, n);
    getsockname(s, (void *)&a, &n);
    getsockname(r, (void *)&b, &n);
    EQ(sendto(s, "datagram", 8, 0, (void *)&b, n), 8);
    EQ(recvfrom(r, t, 100, 0, (void *)&from, &n), 8);
    EQ(memcmp(&from, &a, 8), 0);
    EQ(sendto(s, "truncated", 9, 0, (void *)&b, n), 9);
    EQ(recv(r, t, 4, MSG_TRUNC), 9);
    EQ(sendto(s, "", 0, 0, (void *)&b, n), 0);
    EQ(recv(r, t, 4, 0), 0);
    FAILS(send(s, "x", 1, 0), EDESTADDRREQ);
    EQ(connect(s, (void *)&b, n), 0);
    EQ(send(s, "connected", 9, 0), 9);
    struct iovec v[2] = {{t, 4}, {t + 50, 50}};
    struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = v, .msg_iovlen = 2};
    EQ(recvmsg(r, &m, 0), 9);
    EQ(m.msg_namelen, sizeof from);
    EQ(m.msg_flags, 0);
    SAME(t + 50, "ected", 5);
    send(s, "0123456789", 10, 0);
    m.msg_iovlen = 1;
    EQ(recvmsg(r, &m, 0), 4);
    EQ(m.msg_flags, MSG_TRUNC);
    char *big = calloc(1, 70000);
    FAILS(send(s, big, 70000, 0), EMSGSIZE);
#ifdef __GLIBC__
    struct mmsghdr mm[3] = {{{.msg_iov = &(struct iovec){"one", 3}, .msg_iovlen = 1}}, {{.msg_iov = &(struct iovec){"three", 5}, .msg_iovlen = 1}}}, in[3];
    EQ(sendmmsg(s, mm, 2, 0), 2);
    EQ(mm[1].msg_len, 5);
    char x[3][20];
    struct iovec iv[3];
    memset(in, 0, sizeof in);
    for (int i = 0; i < 3; i++) {
        iv[i] = (struct iovec){x[i], 20};
        in[i].msg_hdr.msg_iov = &iv[i];
        in[i].msg_hdr.msg_iovlen = 1;
    }
    EQ(recvmmsg(r, in, 3, MSG_DONTWAIT, NULL), 2);
    EQ(in[0].msg_len, 3);
    SAME(x[1], "three", 5);
#endif
}

GROUP(unix_stream)
{
    struct sockaddr_un a = {AF_UNIX, "sock"}, got = {0};
    socklen_t n = sizeof got;
    char t[100] = "";
    int l = GOOD(socket(AF_UNIX, SOCK_STREAM, 0)), s = GOOD(socket(AF_UNIX, SOCK_STREAM, 0));
    FAILS(connect(s, (void *)&a, sizeof a), ENOENT);
    EQ(bind(l, (void *)&a, sizeof a), 0);
    FAILS(connect(s, (void *)&a, sizeof a), ECONNREFUSED);
    EQ(listen(l, 5), 0);
    EQ(connect(s, (void *)&a, sizeof a), 0);
    int p = GOOD(accept(l, (void *)&got, &n));
    EQ(n, 2);
    n = sizeof got;
    EQ(getpeername(s, (void *)&got, &n), 0);
    TEXT(got.sun_path, "sock");
    EQ(n, 7);
    struct ucred { int pid, uid, gid; } cred;
    n = sizeof cred;
    EQ(getsockopt(p, SOL_SOCKET, SO_PEERCRED, &cred, &n), 0);
    EQ(cred.uid == (int)getuid() && cred.pid > 0, 1);
    EQ(write(s, "through", 7), 7);
    EQ(read(p, t, 100), 7);
    TEXT(t, "through");
    int other = socket(AF_UNIX, SOCK_STREAM, 0);
    FAILS(bind(other, (void *)&a, sizeof a), EADDRINUSE);
    struct stat st;
    EQ(stat("sock", &st), 0);
    EQ(S_ISSOCK(st.st_mode), 1);
    FAILS(open("sock", O_RDWR), ENXIO);
    EQ(unlink("sock"), 0);
    struct sockaddr_un ab = {AF_UNIX, "\0scone-conformance"};
    n = sprintf(ab.sun_path + 1, "conformance-%d", getpid()) + 3;
    EQ(bind(other, (void *)&ab, n), 0);
    EQ(listen(other, 1), 0);
    s = socket(AF_UNIX, SOCK_STREAM, 0);
    EQ(connect(s, (void *)&ab, n), 0);
    int sp[2];
    EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, sp), 0);
    send(sp[0], "one", 3, 0);
    send(sp[0], "two", 3, 0);
    EQ(recv(sp[1], t, 100, 0), 3);
    EQ(recv(sp[1], t, 100, 0), 3);
    FAILS(recv(sp[1], t, 100, 0), EAGAIN);
    EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, sp), 0);
    EQ(send(sp[0], "d", 1, 0), 1);
    EQ(recv(sp[1], t, 100, 0), 1);
}

static int send_fds_(int s, const int *fds, int n)
{
    char control[CMSG_SPACE(sizeof(int) * 8)] = {0};
    struct iovec v = {"fds", 3};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(sizeof(int) * n)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * n);
    memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
    return sendmsg(s, &m, 0);
}

GROUP(passing_descriptors)
{
    int s[2], p[2], fds[3];
    char t[10], control[200];
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    pipe(p);
    int file = open("f", O_RDWR | O_CREAT, 0600);
    write(file, "file", 4);
    EQ(send_fds_(s[0], (int[]){p[1], file}, 2), 3);
    struct iovec v = {t, 10};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    EQ(recvmsg(s[1], &m, MSG_CMSG_CLOEXEC), 3);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    OK(c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS);
    EQ(c->cmsg_len, CMSG_LEN(8));
    memcpy(fds, CMSG_DATA(c), 8);
    OK(fds[0] != p[1] && fds[1] != file);
    EQ(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
    EQ(write(fds[0], "passed", 6), 6);
    EQ(read(p[0], t, 10), 6);
    EQ(lseek(fds[1], 0, SEEK_CUR), 4);
    EQ(pread(fds[1], t, 4, 0), 4);
    SAME(t, "file", 4);
    EQ(send_fds_(s[0], (int[]){p[0]}, 1), 3);
    m.msg_controllen = 0;
    m.msg_control = NULL;
    EQ(recvmsg(s[1], &m, 0), 3);
    EQ(m.msg_flags & MSG_CTRUNC, MSG_CTRUNC);
    FAILS(send_fds_(s[0], (int[]){99}, 1), EBADF);
    int on = 1;
    setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
    send(s[0], "c", 1, 0);
    m.msg_control = control;
    m.msg_controllen = sizeof control;
    EQ(recvmsg(s[1], &m, 0), 1);
    c = CMSG_FIRSTHDR(&m);
    OK(c != NULL && c->cmsg_type == SCM_CREDENTIALS);
    struct { int pid, uid, gid; } cred;
    memcpy(&cred, CMSG_DATA(c), sizeof cred);
    EQ(cred.pid == getpid() && cred.uid == (int)getuid(), 1);
}

static void *sends_(void *fd)
{
    char *big = malloc(8 << 20);
    for (int i = 0; i < 8 << 20; i++) big[i] = i * 31 + (i >> 13);
    // Both wait until all is sent.
    if (write((int)(long)fd, big, 4 << 20) != 4 << 20) return (void *)1;
    if (send((int)(long)fd, big + (4 << 20), 4 << 20, 0) != 4 << 20) return (void *)1;
    shutdown((int)(long)fd, SHUT_WR);
    return NULL;
}

GROUP(much_data)
{
    int s[2], wrong = 0, at = 0;
    static char b[70000];
    pthread_t t;
    void *r;
    pair_(s);
    pthread_create(&t, NULL, sends_, (void *)(long)s[0]);
    for (ssize_t n; (n = read(s[1], b, sizeof b)) > 0; at += n)
        for (int i = 0; i < n; i++) wrong += b[i] != (char)((at + i) * 31 + ((at + i) >> 13));
    pthread_join(t, &r);
    EQ(r, 0);
    EQ(at, 8 << 20);
    EQ(wrong, 0);
    char *full = calloc(1, 64 << 20);
    fcntl(s[1], F_SETFL, O_NONBLOCK);
    ssize_t n = write(s[1], full, 64 << 20);
    NAMED("a part is taken", n > 0 && n < 64 << 20);
    FAILS(send(s[1], full, 64 << 20, 0) > 0 ? -1 : send(s[1], full, 1 << 20, MSG_DONTWAIT), EAGAIN);
}

static void *accepts_(void *l)
{
    int p = accept((int)(long)l, NULL, NULL);
    char c = 0;
    recv(p, &c, 1, 0);
    send(p, &c, 1, 0);
    return NULL;
}

GROUP(blocking_in_threads)
{
    struct sockaddr_in a;
    int l = listener_(&a), s[8], good = 1;
    char c;
    pthread_t t[8];
    for (int i = 0; i < 8; i++) pthread_create(&t[i], NULL, accepts_, (void *)(long)l);
    usleep(10000);
    for (int i = 0; i < 8; i++) {
        s[i] = socket(AF_INET, SOCK_STREAM, 0);
        good &= connect(s[i], (void *)&a, sizeof a) == 0;
    }
    for (int i = 0; i < 8; i++) good &= send(s[i], &(char){'a' + i}, 1, 0) == 1;
    for (int i = 0; i < 8; i++) good &= recv(s[i], &c, 1, 0) == 1 && c == 'a' + i;
    for (int i = 0; i < 8; i++) pthread_join(t[i], NULL);
    NAMED("eight blocked threads are all served", good);
}

GROUP(netlink)
{
    int s = GOOD(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0));
    struct { unsigned short family, pad; unsigned pid, groups; } a = {AF_NETLINK};
    EQ(bind(s, (void *)&a, sizeof a), 0);
}

// What a request of an interface does not fill stays as it was.
GROUP(interfaces)
{
    static const struct { unsigned long request; int filled; } all[] = {
        {SIOCGIFFLAGS, 2}, {SIOCGIFADDR, 16}, {SIOCGIFNETMASK, 16}, {SIOCGIFMETRIC, 4}, {SIOCGIFMTU, 4},
        {SIOCGIFHWADDR, 16}, {SIOCGIFINDEX, 4}, {SIOCGIFTXQLEN, 4}, {SIOCGIFMAP, 21}};
    int s = GOOD(socket(AF_INET, SOCK_DGRAM, 0)), good = 1;
    struct ifreq r;
    char *rest = (char *)&r + IFNAMSIZ, as_it_was[24], zeros[24] = "";
    memset(as_it_was, 0x5a, sizeof as_it_was);
    for (int i = 0; i < 9; i++) {
        memset(&r, 0x5a, sizeof r);
        strcpy(r.ifr_name, "lo");
        EQ(ioctl(s, all[i].request, &r), 0);
        TEXT(r.ifr_name, "lo");
        good &= memcmp(rest + all[i].filled, as_it_was, 24 - all[i].filled) == 0;
        if (all[i].request == SIOCGIFADDR) EQ(((struct sockaddr_in *)rest)->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
        if (all[i].request == SIOCGIFMTU) OK(r.ifr_mtu > 1000 && r.ifr_mtu < 1000000);
        if (all[i].request == SIOCGIFFLAGS) EQ(r.ifr_flags & IFF_LOOPBACK, IFF_LOOPBACK);
        if (all[i].request == SIOCGIFMAP) SAME(rest, zeros, 21);
    }
    NAMED("what is not filled is left alone", good);
    memset(&r, 0x5a, sizeof r);
    r.ifr_ifindex = if_nametoindex("lo");
    EQ(ioctl(s, SIOCGIFNAME, &r), 0);
    TEXT(r.ifr_name, "lo");
    r.ifr_ifindex = 1 << 30;
    FAILS(ioctl(s, SIOCGIFNAME, &r), ENODEV);
    strcpy(r.ifr_name, "none");
    FAILS(ioctl(s, SIOCGIFFLAGS, &r), ENODEV);
    FAILS(ioctl(s, SIOCGIFFLAGS, BAD), EFAULT);
    FAILS(ioctl(s, SIOCSIFMTU, &r), ENODEV);
    FAILS(ioctl(s, SIOCSIFMTU, BAD), EFAULT);
    struct ifreq some[4];
    struct ifconf c = {.ifc_len = 0};
    EQ(ioctl(s, SIOCGIFCONF, &c), 0);
    OK(c.ifc_len >= (int)sizeof r && c.ifc_len % sizeof r == 0);
    // What is no whole one is not filled.
    c = (struct ifconf){.ifc_len = sizeof r + 39, .ifc_req = some};
    memset(some, 0x5a, sizeof some);
    EQ(ioctl(s, SIOCGIFCONF, &c), 0);
    EQ(c.ifc_len, sizeof r);
    TEXT(some[0].ifr_name, "lo");
    EQ(some[1].ifr_name[0], 0x5a);
}

// An address of IPv6 is set with a structure of its own. Only who administers networks may.
GROUP(ipv6_addresses)
{
    struct { struct in6_addr address; uint32_t prefix; int index; } r = {.prefix = 128, .index = if_nametoindex("lo")};
    struct sockaddr_in6 a = {.sin6_family = AF_INET6};
    int s = GOOD(socket(AF_INET6, SOCK_DGRAM, 0));
    // It has zeros in it.
    inet_pton(AF_INET6, "fd5c::", &r.address);
    int part[2] = {htonl(getpid()), htonl(time(NULL))};
    memcpy(r.address.s6_addr + 8, part, 8);
    a.sin6_addr = r.address;
    if (ioctl(s, SIOCSIFADDR, &r) == 0) {
        // The kernel takes a moment until it may be used.
        int bound = -1;
        for (int i = 0; i < 2000 && (bound = bind(s, (void *)&a, sizeof a)); i++) usleep(1000);
        if (bound) report_(0, __LINE__, "the address is there", "errno %d", errno);
        if (ioctl(s, SIOCDIFADDR, &r)) report_(0, __LINE__, "it can be deleted", "errno %d", errno);
        if (ioctl(s, SIOCSIFADDR, BAD) == 0 || errno != EFAULT) report_(0, __LINE__, "it must be there", "errno %d", errno);
    } else if (errno != EPERM && errno != EACCES) {
        report_(0, __LINE__, "an address can be set", "errno %d", errno);
    }
}

// What MSG_TRUNC means depends on the protocol, and on what is received.
GROUP(cut_off)
{
    int s[2], what = SOF_TIMESTAMPING_TX_ACK | SOF_TIMESTAMPING_SOFTWARE;
    char t[101] = "";
    pair_(s);
    EQ(setsockopt(s[0], SOL_SOCKET, SO_TIMESTAMPING, &what, sizeof what), 0);
    EQ(send(s[0], "abcdefgh", 8, 0), 8);
    struct pollfd p = {s[0], 0, 0};
    EQ(poll(&p, 1, 5000), 1);
    struct iovec v = {t, 100};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    // With the heads of the protocols in front.
    int n = GOOD(recvmsg(s[0], &m, MSG_ERRQUEUE | MSG_TRUNC | MSG_DONTWAIT)) ?: 0;
    EQ(m.msg_flags & MSG_ERRQUEUE, MSG_ERRQUEUE);
    OK(n >= 8 && n < 100 && memcmp(t + n - 8, "abcdefgh", 8) == 0);
    strcpy(t, "as it was");
    EQ(recv(s[1], t, 5, MSG_TRUNC), 5);
    TEXT(t, "as it was");
    // Multipath TCP, where there is any.
    struct sockaddr_in a = local_(0);
    socklen_t len = sizeof a;
    int l = socket(AF_INET, SOCK_STREAM, 262), c = socket(AF_INET, SOCK_STREAM, 262);
    if (l < 0) return;
    bind(l, (void *)&a, len), listen(l, 1), getsockname(l, (void *)&a, &len);
    EQ(connect(c, (void *)&a, len), 0);
    int d = GOOD(accept(l, NULL, NULL));
    EQ(send(c, "dropped, kept", 13, 0), 13);
    EQ(recv(d, t, 9, MSG_TRUNC | MSG_WAITALL), 9);
    TEXT(t, "as it was");
    EQ(recv(d, t, 100, 0), 4);
    SAME(t, "kept", 4);
}

// Where nothing is.
static unused_ void *unmapped_(void)
{
    void *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(page, 4096);
    return page;
}

// What comes before a message that is none is sent and received.
GROUP(half_of_many)
{
#ifdef __GLIBC__
    struct sockaddr_in a = local_(0);
    socklen_t n = sizeof a;
    char t[20];
    int s = GOOD(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    bind(s, (void *)&a, n), getsockname(s, (void *)&a, &n), connect(s, (void *)&a, n);
    struct iovec v = {"one", 3}, in = {t, sizeof t}, big = {NULL, 0};
    struct mmsghdr out[3] = {{{.msg_iov = &v, .msg_iovlen = 1}}, {{.msg_iov = BAD, .msg_iovlen = 1}}, {{.msg_iov = &big, .msg_iovlen = 1}}};
    EQ(sendmmsg(s, out, 3, 0), 1);
    EQ(out[0].msg_len, 3);
    FAILS(sendmmsg(s, out + 1, 2, 0), EFAULT);
    struct mmsghdr got[2] = {{{.msg_iov = &in, .msg_iovlen = 1}}, {{.msg_iov = BAD, .msg_iovlen = 1}}};
    EQ(recvmmsg(s, got, 2, 0, NULL), 1);
    EQ(got[0].msg_len, 3);
    SAME(t, "one", 3);
    FAILS(recvmmsg(s, got + 1, 1, 0, NULL), EFAULT);
    // Nor is what comes before data that is none lost.
    struct iovec wrong = {unmapped_(), 3};
    out[1].msg_hdr.msg_iov = &wrong;
    EQ(sendmmsg(s, out, 3, 0), 1);
    FAILS(sendmmsg(s, out + 1, 2, 0), EFAULT);
    EQ(send(s, "two", 3, 0), 3);
    fcntl(s, F_SETFL, 0);
    got[1].msg_hdr.msg_iov = &wrong;
    EQ(recvmmsg(s, got, 2, 0, NULL), 1);
    SAME(t, "one", 3);
    close(s);
#endif
}

// Descriptors in messages behind one that cannot be received do not stay open.
GROUP(nobody_gets_them)
{
#ifdef __GLIBC__
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    socklen_t n = sizeof a;
    int to = GOOD(socket(AF_UNIX, SOCK_DGRAM, 0)), from = GOOD(socket(AF_UNIX, SOCK_DGRAM, 0)), passed[2][2];
    EQ(bind(to, (void *)&a, sizeof(sa_family_t)), 0);
    getsockname(to, (void *)&a, &n), connect(from, (void *)&a, n);
    char t[20], control[CMSG_SPACE(sizeof(int))] = "", room[3][64];
    struct iovec v = {"one", 3}, in = {t, sizeof t}, wrong = {unmapped_(), 3};
    EQ(send(from, "one", 3, 0), 3);
    for (int i = 0; i < 2; i++) {
        pair_(passed[i]);
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        *c = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(c), &passed[i][0], sizeof(int));
        EQ(sendmsg(from, &m, 0), 3);
        close(passed[i][0]);
    }
    struct mmsghdr got[3];
    for (int i = 0; i < 3; i++)
        got[i] = (struct mmsghdr){{.msg_iov = i == 1 ? &wrong : &in, .msg_iovlen = 1, .msg_control = room[i], .msg_controllen = 64}};
    EQ(recvmmsg(to, got, 3, 0, NULL), 1);
    SAME(t, "one", 3);
    close(to);
    for (int i = 0; i < 2; i++) {
        EQ(poll(&(struct pollfd){passed[i][1], POLLIN, 0}, 1, 5000), 1);
        EQ(read(passed[i][1], t, 1), 0);
    }
#endif
}

static volatile int ticks_;
static void tick_(int signal) { ticks_++; }

// A call with a timeout is not made again after a handler: it would never end.
GROUP(timeouts_and_handlers)
{
    struct itimerval every = {{0, 20000}, {0, 20000}}, none = {0};
    struct timeval long_ = {60, 0};
    int p[2], file = open("much", O_RDWR | O_CREAT, 0600);
    EQ(pipe(p), 0);
    EQ(ftruncate(file, 1 << 20), 0);
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = tick_, .sa_flags = SA_RESTART}, NULL);
    for (int inside = 0; inside < 2; inside++) {
        int s[2];
        char c, *much = calloc(1, 1 << 24);
        inside ? (void)socketpair(AF_UNIX, SOCK_STREAM, 0, s) : pair_(s);
        EQ(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &long_, sizeof long_), 0);
        EQ(setitimer(ITIMER_REAL, &every, NULL), 0);
        FAILS(recv(s[0], &c, 1, 0), EINTR);
        FAILS(read(s[0], &c, 1), EINTR);
        struct iovec one = {&c, 1}, all = {much, 1 << 24};
        FAILS(preadv2(s[0], &one, 1, -1, 0), EINTR);
        FAILS(splice(s[0], NULL, p[1], NULL, 1, 0), EINTR);
        // The other direction has no timeout.
        OK(send(s[0], "x", 1, 0) == 1 && read(s[1], &c, 1) == 1);
        fcntl(s[0], F_SETFL, O_NONBLOCK);
        while (send(s[0], much, 1 << 24, 0) > 0) continue;
        fcntl(s[0], F_SETFL, 0);
        EQ(setsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &long_, sizeof long_), 0);
        FAILS(send(s[0], much, 1 << 24, 0), EINTR);
        FAILS(pwritev2(s[0], &all, 1, -1, 0), EINTR);
        // There may be room for a little more.
        while (sendfile(s[0], file, &(off_t){0}, 1 << 20) > 0) continue;
        NAMED("it ends with EINTR", errno == EINTR);
        while (write(p[1], "x", 1) == 1 && splice(p[0], NULL, s[0], NULL, 1, 0) == 1) continue;
        NAMED("it ends with EINTR", errno == EINTR);
        EQ(read(p[0], &c, 1), 1);
        EQ(setitimer(ITIMER_REAL, &none, NULL), 0);
        free(much);
    }
    // No setting at all is none.
    EQ(setitimer(ITIMER_REAL, &every, NULL), 0);
    struct itimerval was;
    EQ(syscall(SYS_setitimer, ITIMER_REAL, NULL, &was), 0);
    EQ(was.it_interval.tv_usec, 20000);
    EQ(getitimer(ITIMER_REAL, &was), 0);
    OK(was.it_interval.tv_usec == 0 && was.it_value.tv_usec == 0);
}
