// Calls that wait while other threads compute and sleep: they do all that was asked, unless a signal comes.
#include "tap.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

static volatile int stop_;
static void *compute_(void *x)
{
    for (volatile long i = 0; !stop_; i++) continue;
    return x;
}
static void *nap_(void *x)
{
    while (!stop_) usleep(200);
    return x;
}
// Threads that want the processors, until they are told to stop.
static void bustle_(pthread_t t[4])
{
    stop_ = 0;
    for (int i = 0; i < 4; i++)
        if (pthread_create(&t[i], NULL, i < 3 ? compute_ : nap_, NULL)) _exit(99);
}
static void calm_(pthread_t t[4])
{
    stop_ = 1;
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
}

static struct sockaddr_un un_ = {.sun_family = AF_UNIX, .sun_path = "blocking"};
static int listen_unix_(int backlog)
{
    int l = socket(AF_UNIX, SOCK_STREAM, 0);
    unlink("blocking");
    if (bind(l, (void *)&un_, sizeof un_) || listen(l, backlog)) _exit(98);
    return l;
}
static int listen_tcp_(struct sockaddr_in *a)
{
    socklen_t n = sizeof *a;
    int l = socket(AF_INET, SOCK_STREAM, 0);
    *a = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(l, (void *)a, n) || listen(l, 5) || getsockname(l, (void *)a, &n)) _exit(98);
    return l;
}
// What one can write to, and where that comes out: TCP, AF_UNIX, a named pipe.
static void ends_(int s[2], int kind)
{
    if (kind == 2) {
        unlink("fifo");
        if (mkfifo("fifo", 0600)) _exit(98);
        s[1] = open("fifo", O_RDWR);
        s[0] = open("fifo", O_WRONLY);
        return;
    }
    struct sockaddr_in a;
    int l = kind == 0 ? listen_tcp_(&a) : listen_unix_(5);
    s[0] = socket(kind == 0 ? AF_INET : AF_UNIX, SOCK_STREAM, 0);
    if (kind == 0 ? connect(s[0], (void *)&a, sizeof a) : connect(s[0], (void *)&un_, sizeof un_)) _exit(98);
    s[1] = accept(l, NULL, NULL);
    close(l);
}

enum { LEN = 300001, ROUNDS = 10 };
static char byte_(long at) { return (char)(at * 7 + at / 251); }
static int from_;
// Reads slowly; how many bytes are not what they should be.
static void *read_all_(void *wrong)
{
    static char t[4096];
    long at = 0;
    while (at < (long)LEN * ROUNDS) {
        ssize_t n = read(from_, t, sizeof t);
        if (n <= 0) break;
        for (ssize_t i = 0; i < n; i++) *(long *)wrong += t[i] != byte_((at + i) % LEN);
        at += n;
        if (at % 65536 < 4096) usleep(300);
    }
    *(long *)wrong += (long)LEN * ROUNDS - at;
    return NULL;
}
static ssize_t write_(int way, int fd, char *b)
{
    struct iovec v[3] = {{b, LEN / 3}, {b, 0}, {b + LEN / 3, LEN - LEN / 3}};
    struct msghdr m = {.msg_iov = v, .msg_iovlen = 3};
    switch (way) {
    case 0: return write(fd, b, LEN);
    case 1: return writev(fd, v, 3);
    case 2: return send(fd, b, LEN, 0);
    default: return sendmsg(fd, &m, 0);
    }
}
static void whole_(int kind)
{
    static char b[LEN];
    for (long i = 0; i < LEN; i++) b[i] = byte_(i);
    pthread_t busy[4], reader;
    bustle_(busy);
    for (int way = 0; way < (kind == 2 ? 2 : 4); way++) {
        int s[2], short_ = 0;
        long wrong = 0;
        ends_(s, kind);
        from_ = s[1];
        pthread_create(&reader, NULL, read_all_, &wrong);
        for (int i = 0; i < ROUNDS; i++) short_ += write_(way, s[0], b) != LEN;
        EQ(short_, 0);
        pthread_join(reader, NULL);
        EQ(wrong, 0);
        close(s[0]);
        close(s[1]);
    }
    calm_(busy);
}
GROUP(whole_tcp) { whole_(0); }
GROUP(whole_unix) { whole_(1); }
GROUP(whole_fifo) { whole_(2); }

static void *receive_all_(void *count)
{
    char t[100];
    while (*(int *)count < 200 && recv(from_, t, sizeof t, 0) == 100)
        if (++*(int *)count % 8 == 0) usleep(500);
    return NULL;
}
GROUP(messages)
{
    pthread_t busy[4], reader;
    int count = 0, s = socket(AF_UNIX, SOCK_DGRAM, 0);
    from_ = socket(AF_UNIX, SOCK_DGRAM, 0);
    unlink("blocking");
    EQ(bind(from_, (void *)&un_, sizeof un_), 0);
    EQ(connect(s, (void *)&un_, sizeof un_), 0);
    static char b[100];
    struct iovec v = {b, sizeof b};
    struct mmsghdr m[200];
    for (int i = 0; i < 200; i++) m[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}};
    bustle_(busy);
    pthread_create(&reader, NULL, receive_all_, &count);
    EQ(sendmmsg(s, m, 200, 0), 200);
    pthread_join(reader, NULL);
    EQ(count, 200);
    calm_(busy);
}

static void nothing_(int signal) { (void)signal; }
static void *write_more_(void *result)
{
    static char b[8 << 20];
    *(ssize_t *)result = write(from_, b, sizeof b);
    return NULL;
}
GROUP(signals_end_them)
{
    struct sigaction a = {.sa_handler = nothing_};
    EQ(sigaction(SIGUSR1, &a, NULL), 0);
    for (int kind = 0; kind < 3; kind++) {
        int s[2];
        ssize_t result = 0;
        pthread_t t;
        ends_(s, kind);
        from_ = s[0];
        pthread_create(&t, NULL, write_more_, &result);
        // It may not have begun yet.
        while (usleep(100000), pthread_kill(t, SIGUSR1), usleep(100000), result == 0) continue;
        pthread_join(t, NULL);
        EQ(result > 0, 1);
        EQ(result < 8 << 20, 1);
        close(s[0]);
        close(s[1]);
    }
}

static void *connect_(void *result)
{
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    *(int *)result = connect(s, (void *)&un_, sizeof un_) ? errno : 0;
    return NULL;
}
GROUP(connects)
{
    pthread_t busy[4], t[4];
    int l = listen_unix_(0), results[4];
    bustle_(busy);
    for (int i = 0; i < 4; i++) pthread_create(&t[i], NULL, connect_, &results[i]);
    usleep(50000);
    for (int i = 0; i < 4; i++) EQ(accept(l, NULL, NULL) >= 0, 1);
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
    for (int i = 0; i < 4; i++) EQ(results[i], 0);
    calm_(busy);
}

static void *open_(void *result)
{
    *(int *)result = open("fifo", O_RDONLY);
    return NULL;
}
GROUP(opens)
{
    pthread_t busy[4], t[4];
    int results[4];
    EQ(mkfifo("fifo", 0600), 0);
    bustle_(busy);
    for (int i = 0; i < 4; i++) pthread_create(&t[i], NULL, open_, &results[i]);
    usleep(50000);
    EQ(open("fifo", O_WRONLY) >= 0, 1);
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
    for (int i = 0; i < 4; i++) EQ(results[i] >= 0, 1);
    calm_(busy);
}
