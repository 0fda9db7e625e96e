// Streams that do not wait: what was sent comes out whole and in order, however it was sent, and whatever comes after it.
#include "tap.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

// A pair of connected sockets, of TCP or AF_UNIX; the first never waits.
static void pair_(int s[2], int tcp)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "stream"};
    struct sockaddr *a = tcp ? (void *)&in : (void *)&un;
    socklen_t n = tcp ? sizeof in : sizeof un;
    int l = socket(a->sa_family, SOCK_STREAM, 0);
    unlink("stream");
    if (bind(l, a, n) || listen(l, 10) || getsockname(l, a, &n)) _exit(98);
    s[1] = socket(a->sa_family, SOCK_STREAM, 0);
    if (connect(s[1], a, n)) _exit(98);
    s[0] = accept4(l, NULL, NULL, SOCK_NONBLOCK);
    close(l);
}

static char byte_(long at) { return (char)(at * 7 + at / 251); }
static void fill_(char *to, long at, long n) { for (long i = 0; i < n; i++) to[i] = byte_(at + i); }
// Reads until the end or until n bytes have come; how many of them are what they should be.
static long right_(int s, long at, long n)
{
    static char t[1 << 16];
    long done = 0;
    while (done < n) {
        ssize_t got = read(s, t, n - done < (long)sizeof t ? n - done : (long)sizeof t);
        if (got <= 0) break;
        for (ssize_t i = 0; i < got; i++)
            if (t[i] != byte_(at + done + i)) return -1;
        done += got;
    }
    return done;
}

// Sends n bytes of the pattern in one of several ways.
static ssize_t send_(int s, int way, long at, long n)
{
    static char t[1 << 16];
    fill_(t, at, n);
    struct iovec v[3] = {{t, n / 3}, {t + n / 3, 0}, {t + n / 3, n - n / 3}};
    struct msghdr m = {.msg_iov = v, .msg_iovlen = 3};
    switch (way % 5) {
    case 0: return write(s, t, n);
    case 1: return writev(s, v, 3);
    case 2: return send(s, t, n, MSG_NOSIGNAL);
    case 3: return sendmsg(s, &m, MSG_DONTWAIT);
    default: return sendto(s, t, n, MSG_MORE, NULL, 0);
    }
}

static void many_ways_(int tcp)
{
    int s[2];
    pair_(s, tcp);
    long at = 0, come = 0, wrong = 0;
    for (int i = 0; i < 400; i++) {
        long n = 1 + i * 37 % 900;
        if (i % 50 == 49) n = 20000;
        wrong += send_(s[0], i, at, n) != n;
        at += n;
        if (i % 16 == 15) {
            wrong += right_(s[1], come, at - come) != at - come;
            come = at;
        }
    }
    EQ(wrong, 0);
    EQ(right_(s[1], come, at - come), at - come);
    int left = -1;
    EQ(ioctl(s[1], FIONREAD, &left), 0);
    EQ(left, 0);
    close(s[0]);
    EQ(read(s[1], &left, 1), 0);
    close(s[1]);
}
GROUP(many_ways_tcp) { many_ways_(1); }
GROUP(many_ways_unix) { many_ways_(0); }

// Until nothing more goes in, and on from there; the numbers that are said are the bytes that come out.
static void until_full_(int tcp, int size)
{
    int s[2];
    pair_(s, tcp);
    if (size) EQ(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    long at = 0, come = 0, wrong = 0;
    for (int round = 0; round < 6; round++) {
        struct pollfd p = {.fd = s[0], .events = POLLOUT};
        int i = round;
        // The kernel may find room later (an ACK of TCP that was delayed): then more goes in.
        do {
            long before = at;
            ssize_t n;
            while ((n = send_(s[0], i++, at, 700 + 900 * (round % 3))) > 0) at += n;
            wrong += n == 0 || errno != EAGAIN || at == before;
        } while (!wrong && poll(&p, 1, 0) != 0);
        // Of AF_UNIX, a sender may write when three quarters are free.
        long part = round == 5 ? at - come : (at - come) * 3 / 4;
        wrong += right_(s[1], come, part) != part;
        come += part;
        wrong += poll(&p, 1, tcp || part == at - come ? 10000 : 0) < 0;
    }
    EQ(wrong, 0);
    EQ(come == at, 1);
    close(s[0]);
    close(s[1]);
}
GROUP(until_full_tcp) { until_full_(1, 0); }
GROUP(until_full_small) { until_full_(1, 8192); }
GROUP(until_full_unix) { until_full_(0, 0); }

GROUP(ends)
{
    int s[2];
    char t[64] = "";
    // Closed, shut down, and duplicated before that.
    pair_(s, 1);
    EQ(send_(s[0], 0, 0, 100), 100);
    EQ(send_(s[0], 0, 100, 100), 100);
    close(s[0]);
    EQ(right_(s[1], 0, 300), 200);
    close(s[1]);
    pair_(s, 1);
    send_(s[0], 0, 0, 100);
    EQ(send_(s[0], 1, 100, 100), 100);
    EQ(shutdown(s[0], SHUT_WR), 0);
    EQ(right_(s[1], 0, 300), 200);
    FAILS(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
    EQ(write(s[1], "back", 4), 4);
    EQ(read(s[0], t, 64), 4);
    close(s[0]);
    close(s[1]);
    pair_(s, 1);
    send_(s[0], 0, 0, 100);
    int twin = dup(s[0]);
    EQ(send_(s[0], 0, 100, 100), 100);
    close(s[0]);
    EQ(send_(twin, 0, 200, 100), 100);
    EQ(right_(s[1], 0, 300), 300);
    close(twin);
    EQ(read(s[1], t, 1), 0);
    close(s[1]);
}

GROUP(peer_is_gone)
{
    int s[2], e = -1;
    socklen_t n = sizeof e;
    char t[8];
    signal(SIGPIPE, SIG_IGN);
    for (int ask = 0; ask < 2; ask++) {
        pair_(s, 1);
        send_(s[0], 0, 0, 10);
        EQ(send_(s[0], 0, 10, 10), 10);
        struct linger l = {1, 0};
        EQ(setsockopt(s[1], SOL_SOCKET, SO_LINGER, &l, sizeof l), 0);
        close(s[1]);
        struct pollfd p = {.fd = s[0], .events = POLLIN};
        EQ(poll(&p, 1, 10000), 1);
        EQ(p.revents & POLLHUP, POLLHUP);
        if (ask) {
            EQ(getsockopt(s[0], SOL_SOCKET, SO_ERROR, &e, &n), 0);
            EQ(e, ECONNRESET);
        } else {
            FAILS(read(s[0], t, 1), ECONNRESET);
        }
        FAILS(write(s[0], "x", 1), EPIPE);
        EQ(read(s[0], t, 1), 0);
        close(s[0]);
    }
}

// What was sent fails at once, or nobody knows yet: then the option says it.
GROUP(error_is_told_late)
{
    int s[2], e = -1;
    socklen_t n = sizeof e;
    struct linger l = {1, 0};
    signal(SIGPIPE, SIG_IGN);
    for (int less = 0; less < 4; less++) {
        pair_(s, 1);
        send_(s[0], 0, 0, 10);
        EQ(setsockopt(s[1], SOL_SOCKET, SO_LINGER, &l, sizeof l), 0);
        close(s[1]);
        usleep(20000);
        e = 0, n = sizeof e - less;
        if (send_(s[0], 0, 10, 10) < 0) e = errno;
        else getsockopt(s[0], SOL_SOCKET, SO_ERROR, &e, &n);
        EQ(e, ECONNRESET);
        EQ(n, sizeof e - less);
        close(s[0]);
    }
}

GROUP(options)
{
    int s[2], on = 1, off = 0, got = -1;
    socklen_t n = sizeof got;
    pair_(s, 1);
    EQ(setsockopt(s[0], IPPROTO_TCP, TCP_CORK, &on, sizeof on), 0);
    EQ(setsockopt(s[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
    EQ(getsockopt(s[0], IPPROTO_TCP, TCP_CORK, &got, &n), 0);
    EQ(got, 1);
    EQ(getsockopt(s[0], IPPROTO_TCP, TCP_NODELAY, &got, &n), 0);
    EQ(got, 1);
    FAILS(setsockopt(s[0], IPPROTO_TCP, TCP_NODELAY, &on, 3), EINVAL);
    FAILS(setsockopt(s[0], IPPROTO_TCP, TCP_NODELAY, BAD, 4), EFAULT);
    EQ(send_(s[0], 0, 0, 50), 50);
    EQ(send_(s[0], 0, 50, 50), 50);
    EQ(setsockopt(s[0], IPPROTO_TCP, TCP_CORK, &off, sizeof off), 0);
    EQ(right_(s[1], 0, 100), 100);
    FAILS(write(s[0], BAD, 10), EFAULT);
    FAILS(send(s[0], BAD, 10, 0), EFAULT);
    EQ(write(s[0], "", 0), 0);
    int low = 4096;
    EQ(setsockopt(s[0], IPPROTO_TCP, TCP_NOTSENT_LOWAT, &low, sizeof low), 0);
    EQ(send_(s[0], 0, 100, 50), 50);
    EQ(right_(s[1], 100, 50), 50);
    close(s[0]);
    close(s[1]);
}

// A header, a file, and more, as web servers send them.
GROUP(files)
{
    int s[2];
    static char t[70000];
    pair_(s, 1);
    fill_(t, 0, sizeof t);
    int f = open("content", O_RDWR | O_CREAT | O_TRUNC, 0644);
    EQ(write(f, t, sizeof t), sizeof t);
    send_(s[0], 0, 0, 100);
    EQ(send_(s[0], 1, 100, 100), 100);
    off_t at = 200;
    EQ(sendfile(s[0], f, &at, 1000), 1000);
    EQ(at, 1200);
    EQ(lseek(f, 1200, SEEK_SET), 1200);
    EQ(sendfile(s[0], f, NULL, 300), 300);
    EQ(lseek(f, 0, SEEK_CUR), 1500);
    EQ(send_(s[0], 2, 1500, 500), 500);
    at = 2000;
    EQ(sendfile(s[0], f, &at, 40000), 40000);
    EQ(send_(s[0], 3, 42000, 100), 100);
    EQ(right_(s[1], 0, 42100), 42100);
    at = 69990;
    EQ(sendfile(s[0], f, &at, 100), 10);
    EQ(sendfile(s[0], f, &at, 100), 0);
    EQ(right_(s[1], 69990, 10), 10);
    close(f);
    close(s[0]);
    close(s[1]);
}

static pthread_mutex_t turn_ = PTHREAD_MUTEX_INITIALIZER;
static long sent_;
static int shared_;
static void *take_turns_(void *argument)
{
    (void)argument;
    for (int i = 0; i < 500; i++) {
        pthread_mutex_lock(&turn_);
        if (send_(shared_, i, sent_, 40) == 40) sent_ += 40;
        pthread_mutex_unlock(&turn_);
        if (i % 8 == 0) sched_yield();
    }
    return NULL;
}
GROUP(threads)
{
    int s[2];
    pthread_t all[4];
    pair_(s, 1);
    shared_ = s[0];
    for (int i = 0; i < 4; i++) EQ(pthread_create(&all[i], NULL, take_turns_, NULL), 0);
    EQ(right_(s[1], 0, 4 * 500 * 40), 4 * 500 * 40);
    for (int i = 0; i < 4; i++) EQ(pthread_join(all[i], NULL), 0);
    EQ(sent_, 4 * 500 * 40);
    close(s[0]);
    close(s[1]);
}

static volatile int seen_;
static void *waits_(void *argument)
{
    char t[4];
    if (read(*(int *)argument, t, 4) == 4) seen_ = 1;
    return NULL;
}
// What was sent goes out although its thread only computes, or sleeps, from there on.
GROUP(no_call_follows)
{
    for (int sleeps = 0; sleeps < 2; sleeps++) {
        int s[2];
        pthread_t thread;
        pair_(s, 1);
        send_(s[0], 0, 0, 4);
        EQ(right_(s[1], 0, 4), 4);
        seen_ = 0;
        EQ(pthread_create(&thread, NULL, waits_, &s[1]), 0);
        EQ(send_(s[0], 0, 0, 4), 4);
        if (!sleeps)
            for (long i = 0; i < 20000000000 && !seen_; i++) continue;
        EQ(pthread_join(thread, NULL), 0);
        EQ(seen_, 1);
        close(s[0]);
        close(s[1]);
    }
}

// What a thread has done is done for another that learns of it by memory alone.
static int s_[2], done_, asked_;
static int sends_(void) { return send(s_[0], "abcd", 4, 0) == 4; }
static int has_come_(void) { return recv(s_[1], (char[8]){}, 8, MSG_DONTWAIT) == 4; }
static int closes_(void) { pair_(s_, 0); return close(s_[0]) == 0; }
static int has_ended_(void) { return recv(s_[1], (char[8]){}, 8, MSG_DONTWAIT) == 0 && close(s_[1]) == 0; }
static int no_delay_;
static int sets_(void)
{
    no_delay_ = !no_delay_;
    return setsockopt(s_[0], IPPROTO_TCP, TCP_NODELAY, &no_delay_, sizeof no_delay_) == 0;
}
static int is_set_(void)
{
    int is = -1;
    socklen_t n = sizeof is;
    return getsockopt(s_[0], IPPROTO_TCP, TCP_NODELAY, &is, &n) == 0 && is == no_delay_;
}
static int opens_fifo_(void) { return close(open("fifo", O_RDONLY | O_NONBLOCK)) == 0; }
static int has_no_reader_(void) { return open("fifo", O_WRONLY | O_NONBLOCK) == -1 && errno == ENXIO; }
static int locks_(void)
{
    struct stat st;
    int fd = open("lock", O_RDWR | O_CREAT, 0600);
    return fstat(fd, &st) == 0 && flock(fd, LOCK_EX) == 0 && fstat(fd, &st) == 0 && close(fd) == 0;
}
static int is_free_(void)
{
    int fd = open("lock", O_RDWR);
    return flock(fd, LOCK_EX | LOCK_NB) == 0 && close(fd) == 0;
}
static void *asks_(void *sees)
{
    long wrong = 0;
    for (int i = 1; i <= 200; i++) {
        while (__atomic_load_n(&done_, __ATOMIC_ACQUIRE) != i) continue;
        wrong += !((int (*)(void))sees)();
        __atomic_store_n(&asked_, i, __ATOMIC_RELEASE);
    }
    return (void *)wrong;
}
static long wrong_(int (*does)(void), int (*sees)(void))
{
    long wrong = 0;
    void *others;
    pthread_t thread;
    done_ = asked_ = 0;
    if (pthread_create(&thread, NULL, asks_, sees)) return -1;
    for (int i = 1; i <= 200; i++) {
        wrong += !does();
        __atomic_store_n(&done_, i, __ATOMIC_RELEASE);
        while (__atomic_load_n(&asked_, __ATOMIC_ACQUIRE) != i) continue;
    }
    pthread_join(thread, &others);
    return wrong + (long)others;
}
GROUP(told_by_memory)
{
    pair_(s_, 0);
    EQ(wrong_(sends_, has_come_), 0);
    close(s_[0]);
    close(s_[1]);
    EQ(wrong_(closes_, has_ended_), 0);
    pair_(s_, 1);
    EQ(wrong_(sets_, is_set_), 0);
    close(s_[0]);
    close(s_[1]);
    EQ(mkfifo("fifo", 0600), 0);
    EQ(wrong_(opens_fifo_, has_no_reader_), 0);
    EQ(wrong_(locks_, is_free_), 0);
}

static void cork_(int s, int on)
{
    if (setsockopt(s, IPPROTO_TCP, TCP_CORK, &on, sizeof on)) _exit(97);
}
static int corked_(int s)
{
    int on = -1;
    socklen_t n = sizeof on;
    return getsockopt(s, IPPROTO_TCP, TCP_CORK, &on, &n) ? -1 : on;
}
// Segments with data that were sent: `tcpi_data_segs_out` of `struct tcp_info`.
static unsigned segments_(int s)
{
    unsigned info[64];
    socklen_t n = sizeof info;
    return getsockopt(s, IPPROTO_TCP, TCP_INFO, info, &n) ? 0 : info[156 / 4];
}
static int comes_(int s, int n, int within)
{
    char t[256];
    struct pollfd p = {.fd = s, .events = POLLIN};
    while (n > 0 && poll(&p, 1, within) == 1) n -= recv(s, t, n, 0);
    return n == 0;
}

// What is sent through a cork waits for more or for its end, and no longer.
GROUP(corks)
{
    int s[2], f = open("body", O_RDWR | O_CREAT | O_TRUNC, 0644), p[2];
    EQ(write(f, "body", 4), 4);
    EQ(pipe(p), 0);
    for (int sender = 0; sender < 2; sender++) {
        pair_(s, 1);
        int from = s[sender], to = s[1 - sender];
        int waits = 0, one = 0, told = 0, more = 0, spliced = 0, nothing = 0;
        // The kernel waits for 200 ms at most, which a busy machine may take for itself.
        for (int i = 0; i < 5; i++) {
            cork_(from, 1);
            if (write(from, "head", 4) != 4) break;
            waits += !comes_(to, 4, 20);
            cork_(from, 0);
            comes_(to, 4, 10000);

            unsigned before = segments_(from);
            cork_(from, 1);
            off_t at = 0;
            if (write(from, "head", 4) != 4 || sendfile(from, f, &at, 4) != 4) break;
            cork_(from, 0);
            if (!comes_(to, 8, 10000)) break;
            one += segments_(from) - before == 1;

            cork_(from, 1);
            if (corked_(from) != 1 || send(from, "head", 4, MSG_NOSIGNAL) != 4) break;
            told += !comes_(to, 4, 20);
            cork_(from, 0);
            if (corked_(from) != 0 || !comes_(to, 4, 10000)) break;

            if (send(from, "head", 4, MSG_MORE) != 4) break;
            cork_(from, 1);
            cork_(from, 0);
            more += comes_(to, 4, 100);

            cork_(from, 1);
            if (write(p[1], "pipe", 4) != 4 || splice(p[0], NULL, from, NULL, 4, 0) != 4) break;
            spliced += !comes_(to, 4, 20);
            cork_(from, 0);
            if (!comes_(to, 4, 10000)) break;

            cork_(from, 1);
            cork_(from, 0);
            nothing += write(from, "head", 4) == 4 && comes_(to, 4, 100);
        }
        EQ(waits > 0, 1);
        EQ(one > 0, 1);
        EQ(told > 0, 1);
        EQ(more > 0, 1);
        EQ(spliced > 0, 1);
        EQ(nothing > 0, 1);
        close(s[0]);
        close(s[1]);
    }
    // Whoever is accepted has the options of the one that listens.
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof in;
    int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
    cork_(l, 1);
    EQ(bind(l, (void *)&in, n) || listen(l, 1) || getsockname(l, (void *)&in, &n), 0);
    EQ(connect(c, (void *)&in, n), 0);
    EQ(corked_(accept(l, NULL, NULL)), 1);
    EQ(corked_(c), 0);
}

// A file that goes on as the pattern does, and one that may only be written to.
static int pattern_(void)
{
    static char t[1 << 20];
    int f = open("pattern", O_RDWR | O_CREAT | O_TRUNC, 0644);
    fill_(t, 0, sizeof t);
    if (write(f, t, sizeof t) != sizeof t) _exit(96);
    return f;
}

// Heads of all lengths, and bodies from files behind them.
GROUP(heads)
{
    const int heads[] = {1, 7, 8, 9, 240, 1023, 1024, 1025, 3000};
    const int bodies[] = {1, 7, 8, 43, 4096, 10240, 14335, 14336, 14337, 16384, 16385, 30000};
    int f = pattern_(), only = open("pattern", O_WRONLY), d = open(".", O_RDONLY);
    for (int waits = 0; waits < 2; waits++) {
        int s[2];
        pair_(s, 1);
        if (waits) fcntl(s[0], F_SETFL, 0);
        long at = 0, come = 0, wrong = 0;
        for (unsigned i = 0; i < 2 * sizeof heads / 4 * sizeof bodies / 4; i++) {
            int head = heads[i % 9], body = bodies[i / 9 % 12];
            // Small ones one after the other: what comes first is not read before.
            int keep = head + body < 5000 && i % 3;
            cork_(s[0], 1);
            wrong += send_(s[0], i % 3, at, head) != head;
            off_t from = at + head;
            if (i % 5 == 4) {
                lseek(f, from, SEEK_SET);
                wrong += sendfile(s[0], f, NULL, body) != body || lseek(f, 0, SEEK_CUR) != from + body;
            } else {
                wrong += sendfile(s[0], f, &from, body) != body || from != at + head + body;
            }
            at += head + body;
            if (i % 7 == 6) {
                wrong += send_(s[0], 0, at, 10) != 10;
                at += 10;
            }
            cork_(s[0], 0);
            if (keep) continue;
            wrong += right_(s[1], come, at - come) != at - come;
            come = at;
            if (at > 900000) {
                close(s[0]);
                close(s[1]);
                pair_(s, 1);
                at = come = 0;
            }
        }
        wrong += right_(s[1], come, at - come) != at - come;
        EQ(wrong, 0);
        close(s[0]);
        close(s[1]);
    }
    // Whatever cannot be sent leaves the head as it was.
    int s[2];
    pair_(s, 1);
    cork_(s[0], 1);
    EQ(send_(s[0], 0, 0, 100), 100);
    off_t at = 1 << 20;
    EQ(sendfile(s[0], f, &at, 10), 0);
    EQ(at, 1 << 20);
    at = -1;
    FAILS(sendfile(s[0], f, &at, 10), EINVAL);
    at = 0;
    FAILS(sendfile(s[0], only, &at, 10), EBADF);
    FAILS(sendfile(s[0], d, &at, 10), EINVAL);
    FAILS(sendfile(s[0], f, (off_t *)8, 10), EFAULT);
    EQ(sendfile(s[0], f, &at, 0), 0);
    EQ(right_(s[1], 0, 0), 0);
    at = 100;
    EQ(sendfile(s[0], f, &at, 50), 50);
    EQ(right_(s[1], 0, 150), 150);
    // The file's end comes within.
    EQ(ftruncate(f, 200), 0);
    EQ(send_(s[0], 0, 150, 30), 30);
    at = 180;
    EQ(sendfile(s[0], f, &at, 100), 20);
    EQ(at, 200);
    cork_(s[0], 0);
    EQ(right_(s[1], 150, 50), 50);
    // Alone, before what comes next, and at the end.
    cork_(s[0], 1);
    EQ(send_(s[0], 0, 200, 40), 40);
    cork_(s[0], 0);
    EQ(right_(s[1], 200, 40), 40);
    cork_(s[0], 1);
    EQ(send_(s[0], 0, 240, 40), 40);
    EQ(send_(s[0], 1, 280, 40), 40);
    EQ(right_(s[1], 240, 0), 0);
    EQ(shutdown(s[0], SHUT_WR), 0);
    EQ(right_(s[1], 240, 100), 80);
    close(s[0]);
    close(s[1]);
    pair_(s, 1);
    cork_(s[0], 1);
    EQ(send_(s[0], 0, 0, 40), 40);
    close(s[0]);
    EQ(right_(s[1], 0, 100), 40);
    close(s[1]);
}

// Heads and bodies until nothing more goes in: what is said to have gone in comes out.
GROUP(heads_until_full)
{
    int f = pattern_(), s[2], size = 8192;
    for (int small = 0; small < 2; small++) {
        pair_(s, 1);
        if (small) setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        // What goes in is counted modulo a period of the pattern.
        const long period = 251 * 256;
        long at = 0, come = 0, wrong = 0;
        for (int round = 0; round < 4; round++) {
            struct pollfd p = {.fd = s[0], .events = POLLOUT};
            long full = 0;
            while (full < 2 && !wrong) {
                long head = 100 + 37 * (at % 11), body = 200 + 900 * (at % 7), before = at;
                cork_(s[0], 1);
                ssize_t n = send_(s[0], 2, at % period, head);
                if (n > 0) at += n;
                wrong += n == 0 || (n < 0 && errno != EAGAIN);
                if (n == head) {
                    off_t from = at % period;
                    n = sendfile(s[0], f, &from, body);
                    if (n > 0) at += n;
                    wrong += n == 0 || (n < 0 && errno != EAGAIN) || from != (at - (n > 0 ? n : 0)) % period + (n > 0 ? n : 0);
                }
                cork_(s[0], 0);
                full = at == before ? full + 1 : 0;
            }
            long part = round == 3 ? at - come : (at - come) * 3 / 4;
            for (long n; part > 0 && !wrong; part -= n, come += n) {
                n = part < 10000 ? part : 10000;
                wrong += right_(s[1], come % period, n) != n;
            }
            wrong += poll(&p, 1, 10000) != 1;
        }
        EQ(wrong, 0);
        EQ(come == at, 1);
        close(s[0]);
        EQ(right_(s[1], 0, 1), 0);
        close(s[1]);
    }
    // Nobody is there any more.
    signal(SIGPIPE, SIG_IGN);
    pair_(s, 1);
    close(s[1]);
    int broken = 0;
    for (int i = 0; i < 1000 && !broken; i++) {
        off_t from = 0;
        cork_(s[0], 1);
        broken = write(s[0], "head", 4) < 0 || sendfile(s[0], f, &from, 10) < 0;
        broken = broken && (errno == EPIPE || errno == ECONNRESET);
        cork_(s[0], 0);
        if (i > 10) usleep(1000);
    }
    EQ(broken, 1);
    close(s[0]);
}

// Closed files are closed for whatever comes next.
GROUP(closes)
{
    int s[2], wrong = 0;
    char t[4];
    for (int i = 0; i < 3000; i++) {
        int f = open("/dev/null", O_RDONLY);
        wrong += f < 0 || close(f);
    }
    EQ(wrong, 0);
    int f = open("lock", O_RDWR | O_CREAT, 0644), g = open("lock", O_RDWR);
    EQ(flock(f, LOCK_EX | LOCK_NB), 0);
    FAILS(flock(g, LOCK_EX | LOCK_NB), EAGAIN);
    close(f);
    EQ(flock(g, LOCK_EX | LOCK_NB), 0);
    close(g);
    FAILS(close(g), EBADF);
    // One that is registered is not reported when it was closed.
    int e = epoll_create1(0);
    pair_(s, 1);
    struct epoll_event event = {.events = EPOLLIN};
    EQ(epoll_ctl(e, EPOLL_CTL_ADD, s[0], &event), 0);
    EQ(write(s[1], "data", 4), 4);
    EQ(epoll_wait(e, &event, 1, 10000), 1);
    close(s[0]);
    EQ(epoll_wait(e, &event, 1, 0), 0);
    EQ(read(s[1], t, 1) <= 0, 1);
    close(s[1]);
    close(e);
}

enum { VISITS = 50 };

// Answers, closes, and at once waits for the next; leaves when the last was answered.
static void *host_(void *listener)
{
    int l = *(int *)listener;
    for (int i = 0; i < VISITS; i++) {
        char t[16];
        int s = accept(l, NULL, NULL), n = 0;
        for (int r = 1; r > 0 && (n == 0 || t[n - 1] != '.'); n += r) r = recv(s, t + n, sizeof t - n, 0);
        send(s, t, n, MSG_NOSIGNAL);
        close(s);
    }
    close(l);
    return NULL;
}

// A visitor is told the end, although whoever told it waits for something else, or is gone.
GROUP(ends_before_waits)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof in;
    int l = socket(AF_INET, SOCK_STREAM, 0), wrong = 0;
    EQ(bind(l, (void *)&in, size), 0);
    EQ(listen(l, 10), 0);
    EQ(getsockname(l, (void *)&in, &size), 0);
    pthread_t t;
    pthread_create(&t, NULL, host_, &l);
    for (int i = 0; i < VISITS && !wrong; i++) {
        struct timeval patience = {5, 0};
        char told[16];
        int s = socket(AF_INET, SOCK_STREAM, 0), n = 0;
        setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        wrong += connect(s, (void *)&in, size) != 0;
        for (int k = 0; k < 3; k++) wrong += send(s, &"ab."[k], 1, 0) != 1;
        for (int r = 1; r > 0; n += r) {
            r = recv(s, told + n, sizeof told - n, 0);
            if (r < 0) wrong++, r = 0;
        }
        wrong += n != 3 || memcmp(told, "ab.", 3) != 0;
        close(s);
    }
    EQ(wrong, 0);
    if (!wrong) pthread_join(t, NULL);
}
