// What has come is seen before it is asked for, and files are read when they are opened: nobody may notice.
#include "tap.h"
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { STREAMS = 12 };

// Connections of TCP: what is written to out[i] comes to in[i], which never waits.
static int in[STREAMS], out[STREAMS];
static long sent[STREAMS], come[STREAMS];

static void connect_all_(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int l = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(l, (void *)&a, n) || listen(l, STREAMS) || getsockname(l, (void *)&a, &n)) _exit(98);
    for (int i = 0; i < STREAMS; i++) {
        out[i] = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(out[i], (void *)&a, n)) _exit(98);
        in[i] = accept4(l, NULL, NULL, SOCK_NONBLOCK);
        sent[i] = come[i] = 0;
    }
    close(l);
}

static void close_all_(void)
{
    for (int i = 0; i < STREAMS; i++) close(in[i]), close(out[i]);
}

static int watch_all_(unsigned events)
{
    int e = epoll_create1(0);
    for (int i = 0; i < STREAMS; i++) {
        struct epoll_event event = {.events = events, .data.u32 = (unsigned)i};
        if (epoll_ctl(e, EPOLL_CTL_ADD, in[i], &event)) _exit(98);
    }
    return e;
}

static char byte_(int i, long at) { return (char)(at * 7 + at / 251 + i); }

static void send_(int i, long n)
{
    static __thread char t[1 << 16];
    for (long k = 0; k < n; k++) t[k] = byte_(i, sent[i] + k);
    if (send(out[i], t, (size_t)n, MSG_NOSIGNAL) != n) _exit(97);
    sent[i] += n;
}

// Whether n bytes that came through a stream are what comes next.
static int next_(int i, const char *t, ssize_t n, long at)
{
    for (ssize_t k = 0; k < n; k++)
        if (t[k] != byte_(i, at + k)) return 0;
    return 1;
}

// Receives once, in one of several ways; -1 if what came was not what comes next.
static ssize_t receive_(int i, int way, size_t n)
{
    static _Thread_local char t[1 << 16];
    struct iovec v[3] = {{t, n / 3}, {t + n / 3, 0}, {t + n / 3, n - n / 3}};
    struct msghdr m = {.msg_iov = v, .msg_iovlen = 3};
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    ssize_t got = 0;
    switch (way % 6) {
    case 0: got = read(in[i], t, n); break;
    case 1: got = readv(in[i], v, 3); break;
    case 2: got = recv(in[i], t, n, 0); break;
    case 3: got = recvmsg(in[i], &m, 0); break;
    case 4: got = recvfrom(in[i], t, n, MSG_DONTWAIT, (void *)&a, &len); break;
    case 5:
        // Looked at first: it must be the same.
        got = recv(in[i], t, n, MSG_PEEK);
        if (got > 0 && !next_(i, t, got, come[i])) return -1;
        got = recv(in[i], t, n, 0);
        break;
    }
    if (got > 0 && !next_(i, t, got, come[i])) return -1;
    if (got > 0) come[i] += got;
    return got < 0 ? 0 : got;
}

static int all_came_(void)
{
    for (int i = 0; i < STREAMS; i++)
        if (sent[i] != come[i]) return 0;
    return 1;
}

static const long SIZES[] = {1, 40, 4095, 4096, 4097, 100, 9000, 7};

GROUP(level_triggered)
{
    connect_all_();
    int e = watch_all_(EPOLLIN), wrong = 0;
    struct epoll_event events[STREAMS];
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < STREAMS; i++)
            if ((i + round) % 3) send_(i, SIZES[(i + round) % 8]);
        int count;
        // What is left is reported again.
        while ((count = epoll_wait(e, events, STREAMS, 0)) > 0)
            for (int k = 0; k < count; k++) {
                int i = (int)events[k].data.u32;
                wrong += receive_(i, round + i, round % 2 ? 1000 : 20000) <= 0;
            }
    }
    // What is reported is there, and comes in order.
    EQ(wrong, 0);
    // All of it comes.
    EQ(all_came_(), 1);
    close(e);
    close_all_();
}

// What was seen of a stream with one report is not all that there is with the next one: who takes a short answer for
// all of it is told of nothing more.
GROUP(edges_that_are_left)
{
    connect_all_();
    int e = watch_all_(EPOLLIN | EPOLLET), good = 0;
    struct epoll_event event;
    static char t[1 << 16];
    for (int round = 0; round < 60; round++) {
        int reports = 2 + round % 5;
        for (int i = 0; i < reports; i++) {
            send_(0, SIZES[(i + round) % 8]);
            good += epoll_wait(e, &event, 1, 1000) == 1;
            // Now and then a little of it is received.
            if (round % 3 == 1 && i == 0) come[0] += next_(0, t, read(in[0], t, 1), come[0]);
        }
        ssize_t got = recv(in[0], t, sizeof t, 0);
        good -= reports;
        good += got > 0 && next_(0, t, got, come[0]) && come[0] + got == sent[0];
        come[0] += got;
    }
    EQ(good, 60);
    close(e);
    close_all_();
}

GROUP(edge_triggered)
{
    connect_all_();
    int e = watch_all_(EPOLLIN | EPOLLET | EPOLLRDHUP), short_ = 0;
    struct epoll_event events[STREAMS];
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < STREAMS; i++)
            if ((i + round) % 3) send_(i, SIZES[(i + round) % 8]);
        int count = epoll_wait(e, events, STREAMS, 1000);
        for (int k = 0; k < count; k++) {
            int i = (int)events[k].data.u32;
            // More may come while it is received: less than there is room for means that it was all.
            if (round % 2) send_(i, 10);
            ssize_t got;
            do got = receive_(i, round + i, 20000);
            while (got == 20000);
            short_ += got < 0;
        }
    }
    for (int count; (count = epoll_wait(e, events, STREAMS, 0)) > 0;)
        for (int k = 0; k < count; k++)
            while (receive_((int)events[k].data.u32, 0, 20000) > 0) {}
    // What comes is what was sent.
    EQ(short_, 0);
    // Nothing is left behind that is not reported.
    EQ(all_came_(), 1);
    close(e);
    close_all_();
}

GROUP(asked_in_other_ways)
{
    connect_all_();
    int e = watch_all_(EPOLLIN), known = 0, ready = 0, taken = 0, empty = 0;
    struct epoll_event events[STREAMS];
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < STREAMS; i++) send_(i, 100);
        int count = epoll_wait(e, events, STREAMS, 1000);
        for (int k = 0; k < count; k++) {
            int i = (int)events[k].data.u32, left = 0;
            receive_(i, 0, 60);
            // The kernel has lost what was received, and nothing else.
            ioctl(in[i], FIONREAD, &left);
            known += left == sent[i] - come[i];
            receive_(i, 2, 4000);
            struct pollfd p = {.fd = in[i], .events = POLLIN};
            ready += poll(&p, 1, 0) == (come[i] < sent[i]);
            // What is sent now comes next, though nobody has reported it.
            send_(i, 50);
            taken += receive_(i, 0, 4000) == 50;
            char c;
            empty += recv(in[i], &c, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN;
        }
    }
    // FIONREAD says what is left.
    EQ(known, 50 * STREAMS);
    // Poll reports nothing that was received.
    EQ(ready, 50 * STREAMS);
    // What was sent by the process itself is there.
    EQ(taken, 50 * STREAMS);
    // Then there is nothing.
    EQ(empty, 50 * STREAMS);
    close(e);
    close_all_();
}

static int set_;
static volatile int ended_;
static long wrong_;

// Serves what is reported to it, once each time.
static void *serve_(void *way)
{
    struct epoll_event events[3];
    while (!ended_) {
        int count = epoll_wait(set_, events, 3, 10);
        for (int k = 0; k < count; k++) {
            int i = (int)events[k].data.u32;
            ssize_t got;
            while ((got = receive_(i, (int)(long)way + i, 300)) > 0) {}
            if (got < 0) __atomic_add_fetch(&wrong_, 1, __ATOMIC_SEQ_CST);
            struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.u32 = (unsigned)i};
            epoll_ctl(set_, EPOLL_CTL_MOD, in[i], &event);
        }
    }
    return NULL;
}

GROUP(threads)
{
    connect_all_();
    set_ = watch_all_(EPOLLIN | EPOLLONESHOT);
    wrong_ = ended_ = 0;
    pthread_t servers[3];
    for (long t = 0; t < 3; t++) pthread_create(&servers[t], NULL, serve_, (void *)t);
    for (int round = 0; round < 300; round++)
        for (int i = 0; i < STREAMS; i++) send_(i, 1 + (i * 31 + round * 17) % 700);
    for (int waits = 0; !all_came_() && waits < 5000; waits++) usleep(1000);
    ended_ = 1;
    for (int t = 0; t < 3; t++) pthread_join(servers[t], NULL);
    // Each stream comes in order, whoever receives.
    EQ(wrong_, 0);
    // All of it comes.
    EQ(all_came_(), 1);
    close(set_);
    close_all_();
}

GROUP(ends)
{
    connect_all_();
    int e = watch_all_(EPOLLIN | EPOLLRDHUP), right = 0, end = 0, reset = 0;
    struct epoll_event events[STREAMS];
    char t[100];
    for (int i = 0; i < STREAMS; i++) send_(i, 30);
    int count = epoll_wait(e, events, STREAMS, 1000);
    for (int i = 0; i < STREAMS; i++) {
        struct linger now = {1, 0};
        // Half of them end well, after some more.
        if (i % 2) send_(i, 20), shutdown(out[i], SHUT_WR);
        else setsockopt(out[i], SOL_SOCKET, SO_LINGER, &now, sizeof now), close(out[i]);
    }
    for (int i = 0; i < STREAMS; i++) {
        ssize_t got;
        while ((got = recv(in[i], t, sizeof t, 0)) > 0) {
            right += next_(i, t, got, come[i]);
            come[i] += got;
        }
        if (i % 2) end += got == 0 && come[i] == 50;
        else reset += got == -1 && errno == ECONNRESET;
    }
    // All are reported.
    EQ(count, STREAMS);
    // What came before the end comes.
    EQ(right >= STREAMS / 2, 1);
    // Then the end.
    EQ(end, STREAMS / 2);
    // An error is told.
    EQ(reset, STREAMS / 2);
    close(e);
    close_all_();
}

static void write_(int f, const char *text)
{
    if (pwrite(f, text, strlen(text), 0) != (ssize_t)strlen(text) || ftruncate(f, (off_t)strlen(text))) _exit(96);
}

// Opens a file, and reads it in one of several ways.
static int shows_(const char *path, int way, const char *text)
{
    char t[64] = "";
    off_t at = 0;
    struct stat s = {0};
    int f = open(path, O_RDONLY | (way % 2 ? O_NONBLOCK : 0)), good, s_[2];
    good = fstat(f, &s) == 0 && s.st_size == (off_t)strlen(text);
    switch (way % 4) {
    case 0: pread(f, t, sizeof t, 0); break;
    case 1: pread(f, t, strlen(text), 0); break;
    case 2: read(f, t, sizeof t); break;
    case 3:
        socketpair(AF_UNIX, SOCK_STREAM, 0, s_);
        sendfile(s_[0], f, &at, strlen(text));
        read(s_[1], t, sizeof t);
        close(s_[0]), close(s_[1]);
        break;
    }
    close(f);
    return good && strcmp(t, text) == 0;
}

GROUP(files_that_change)
{
    int f = open("ahead", O_RDWR | O_CREAT | O_TRUNC, 0644), good = 0;
    char text[32];
    for (int i = 0; i < 200; i++) {
        snprintf(text, sizeof text, "%0*d", 1 + i % 20, i);
        write_(f, text);
        good += shows_("ahead", i, text);
    }
    // A file shows what was written before it was opened.
    EQ(good, 200);
    good = 0;
    for (int i = 0; i < 100; i++) {
        char t[32] = "";
        struct stat s = {0};
        write_(f, "before");
        int o = open("ahead", O_RDONLY);
        snprintf(text, sizeof text, "after %d", i);
        write_(f, text);
        if (i % 2) good += fstat(o, &s) == 0 && s.st_size == (off_t)strlen(text);
        else good += pread(o, t, sizeof t, 0) == (ssize_t)strlen(text) && !strcmp(t, text);
        close(o);
    }
    // And what is written after that.
    EQ(good, 100);
    good = 0;
    static char much[128 << 10];
    memset(much, 'x', sizeof much);
    for (int i = 0; i < 50; i++) {
        char t[8] = "";
        write_(f, "before");
        int o = open("ahead", O_RDONLY);
        pwrite(f, much, sizeof much, 0);
        good += pread(o, t, 6, 0) == 6 && !strcmp(t, "xxxxxx");
        close(o);
    }
    // Also if that is much.
    EQ(good, 50);
    good = 0;
    char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
    for (int i = 0; i < 100; i++) {
        char t[8] = "";
        int o = open("ahead", O_RDONLY);
        map[0] = (char)('a' + i % 26);
        good += pread(o, t, 1, 0) == 1 && t[0] == map[0];
        close(o);
    }
    // And what is written through memory.
    EQ(good, 100);
    munmap(map, 4096);
    close(f);
}

GROUP(files_that_are_replaced)
{
    int good = 0;
    for (int i = 0; i < 20; i++) {
        int f = open("ahead", O_RDWR | O_CREAT | O_TRUNC, 0644);
        write_(f, "text");
        close(f);
        good += shows_("ahead", 0, "text") && shows_("ahead", 1, "text");
        unlink("ahead");
        good += open("ahead", O_RDONLY) == -1 && errno == ENOENT;
        mkdir("ahead", 0755);
        int d = open("ahead", O_RDONLY);
        struct stat s;
        good += fstat(d, &s) == 0 && S_ISDIR(s.st_mode);
        char c;
        good += pread(d, &c, 1, 0) == -1 && errno == EISDIR;
        close(d);
        rmdir("ahead");
    }
    // What takes the place of a file is what is opened.
    EQ(good, 80);
    int f = open("ahead", O_RDWR | O_CREAT | O_TRUNC, 0644);
    write_(f, "text");
    close(f);
    for (int i = 0; i < 3; i++) shows_("ahead", 0, "text");
    int o = open("ahead", O_RDONLY);
    // no flag is set that was not asked for.
    EQ(fcntl(o, F_GETFL) & O_NONBLOCK, 0);
    char t[8] = "";
    // The position is at the start.
    EQ(read(o, t, 2) == 2 && read(o, t + 2, 8) == 2 && !strcmp(t, "text"), 1);
    close(o);
}

// One thread's streams, and the file that it opens whenever something has come for one of them.
struct part { int first, count, good; char path[16], other[16]; };

// Changes the file in one of several ways; `text` is what it shows then.
static void change_(struct part *p, int how, int f, char *map, char *text)
{
    static __thread int number;
    size_t n = strlen(text);
    number++;
    switch (how) {
    case 1:
        snprintf(text, 32, "%0*d", 1 + number % 20, number);
        write_(f, text);
        break;
    case 2:
        // Little by little: what is written may wait.
        for (size_t i = 0; i < n; i++) pwrite(f, &"abcdefghijklmnop"[(i + (size_t)number) % 16], 1, (off_t)i);
        for (size_t i = 0; i < n; i++) text[i] = "abcdefghijklmnop"[(i + (size_t)number) % 16];
        break;
    case 3: map[0] = text[0] = (char)('A' + number % 26); break;
    case 4: {
        int o = open(p->other, O_RDWR | O_CREAT | O_TRUNC, 0644);
        snprintf(text, 32, "other %d", number);
        write_(o, text);
        close(o);
        // Another file: what changes is not the one that is mapped.
        rename(p->other, p->path);
        break;
    }
    }
}

static void *advance_(void *part)
{
    struct part *p = part;
    struct epoll_event events[5];
    int e = epoll_create1(0), last = p->first + p->count;
    for (int i = p->first; i < last; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (unsigned)i};
        epoll_ctl(e, EPOLL_CTL_ADD, in[i], &event);
    }
    for (int round = 0; round < 60; round++) {
        char text[32] = "what is there", t[100];
        int f = open(p->path, O_RDWR | O_CREAT | O_TRUNC, 0644), left = p->count;
        write_(f, text);
        char *map = round % 5 == 3 ? mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0) : NULL;
        for (int i = p->first; i < last; i++) send_(i, 40);
        while (left > 0) {
            int count = epoll_wait(e, events, 5, 1000);
            if (count <= 0) break;
            for (int k = 0; k < count; k++, left--) {
                int i = (int)events[k].data.u32;
                p->good += next_(i, t, recv(in[i], t, sizeof t, 0), come[i]);
                come[i] += 40;
                // Some are opened as they were when epoll reported, others were changed since.
                if (k % 2) change_(p, round % 5, f, map, text);
                p->good += shows_(p->path, round % 3 ? 0 : k, text);
            }
        }
        if (map) munmap(map, 4096);
        close(f);
    }
    unlink(p->path);
    close(e);
    return NULL;
}

// Whether a file shows a text from some offset on, in one of several ways that change nothing.
static int reads_(int f, const char *text, int way)
{
    static int ends[2];
    if (!ends[1] && pipe(ends)) _exit(96);
    off_t at = way % 3, from = at;
    size_t n = strlen(text) - (size_t)at, len = (size_t[]){1, 3, 100, 8192}[way % 4];
    char t[8192];
    ssize_t got = way % 5 == 4 ? sendfile(ends[1], f, &from, len) : pread(f, t, len, at);
    if (way % 5 == 4 && (from != at + got || read(ends[0], t, sizeof t) != got)) return 0;
    return got == (ssize_t)(len < n ? len : n) && !memcmp(t, text + at, (size_t)got);
}

static void *write_early_(void *f) { return write_(*(int *)f, "early"), NULL; }

GROUP(files_that_stay_open)
{
    struct part p = {.path = "stay"};
    int f = open(p.path, O_RDWR | O_CREAT | O_TRUNC, 0644), good = 0;
    char text[32] = "0123456789";
    write_(f, text);
    int o = open(p.path, O_RDONLY), other = open("stay-", O_RDWR | O_CREAT | O_TRUNC, 0644);
    write_(other, "something else");
    char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
    struct stat s;
    EQ(fstat(o, &s) == 0 && s.st_size == 10, 1);
    for (int i = 0; i < 400; i++) {
        good += reads_(o, text, i) && reads_(o, text, i + i % 2) && reads_(o, text, i + 3);
        good += i % 8 || reads_(other, "something else", i);
        good += reads_(o, text, i);
        change_(&p, i % 4, f, map, text);
        if (strlen(text) < 4) write_(f, strcpy(text, "short"));
        good += reads_(o, text, i);
    }
    // What is read again is what is in the file, whoever has changed it.
    EQ(good, 4 * 400);
    good = 0;
    write_(f, "text");
    for (int i = 0; i < 200; i++) {
        char c = (char)('a' + i % 26), t[4];
        good += pread(o, t, 4, 0) == 4;
        // It may wait, but not for who reads.
        good += pwrite(f, &c, 1, i % 4) == 1 && pread(o, t, 4, 0) == 4 && t[i % 4] == c;
    }
    EQ(good, 2 * 200);
    good = 0;
    for (int i = 0; i < 50; i++) {
        pthread_t thread;
        write_(f, "late");
        good += reads_(o, "late", i);
        pthread_create(&thread, NULL, write_early_, &f);
        pthread_join(thread, NULL);
        good += reads_(o, "early", i);
        int d = dup(o);
        close(o);
        o = open("stay-", O_RDONLY);
        // Another file with the same number.
        good += reads_(d, "early", i) && reads_(o, "something else", i);
        dup2(d, o), close(d);
        good += reads_(o, "early", i) && ftruncate(f, 3) == 0 && reads_(o, "ear", i);
    }
    EQ(good, 4 * 50);
    // Nothing is behind the end.
    char t[4];
    EQ(pread(o, t, 4, 3) + pread(o, t, 4, 3) + pread(o, t, 4, 100) + pread(o, t, 0, 0), 0);
    write_(f, "more");
    // Nor is that remembered.
    EQ(pread(o, t, 4, 3), 1);
    munmap(map, 4096);
    close(f), close(o), close(other), unlink("stay"), unlink("stay-");
}

GROUP(files_opened_in_advance)
{
    connect_all_();
    struct part all = {.count = STREAMS, .path = "advance", .other = "advance-"}, parts[3];
    advance_(&all);
    // Each stream comes in order, and a file shows what was in it when it was opened.
    EQ(all.good, 60 * STREAMS * 2);
    pthread_t threads[3];
    for (int t = 0; t < 3; t++) {
        parts[t] = (struct part){.first = t * 4, .count = 4};
        snprintf(parts[t].path, sizeof parts[t].path, "advance%d", t);
        snprintf(parts[t].other, sizeof parts[t].other, "advance-%d", t);
        pthread_create(&threads[t], NULL, advance_, &parts[t]);
    }
    for (int t = 0; t < 3; t++) {
        pthread_join(threads[t], NULL);
        // The same for threads that do so at the same time.
        EQ(parts[t].good, 60 * 4 * 2);
    }
    close_all_();
}

GROUP(files_that_follow_others)
{
    connect_all_();
    int e = watch_all_(EPOLLIN), good = 0;
    char path[16], text[16], t[100];
    struct epoll_event events[STREAMS];
    for (int i = 0; i < 5; i++) {
        snprintf(path, sizeof path, "follow%d", i), snprintf(text, sizeof text, "file %d", i);
        int f = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
        write_(f, text);
        close(f);
    }
    int free = open(".", O_RDONLY);
    close(free);
    for (int round = 0, next = 0; round < 100; round++) {
        for (int i = 0; i < STREAMS; i++) send_(i, 40);
        int count = epoll_wait(e, events, STREAMS, 1000);
        for (int k = 0; k < count; k++) {
            int i = (int)events[k].data.u32;
            ssize_t got = recv(in[i], t, sizeof t, 0);
            good -= !next_(i, t, got, come[i]);
            come[i] += got;
            // One after the other, now and then another one; one that is not there; two names that differ little.
            next = round % 3 && k % 4 == 3 ? (next + 3) % 5 : (next + 1) % 5;
            snprintf(path, sizeof path, k % 7 == 6 ? "follow%d " : "follow%d", next);
            snprintf(text, sizeof text, "file %d", next);
            good += k % 7 == 6 ? open(path, O_RDONLY) == -1 && errno == ENOENT : shows_(path, k % 2 * 4, text);
        }
        good += STREAMS - count;
        for (int i = 0; i < STREAMS; i++) {
            ssize_t got = recv(in[i], t, sizeof t, 0);
            if (got > 0) come[i] += got;
        }
    }
    // Who asks for a file gets that one.
    EQ(good, 100 * STREAMS);
    for (int i = 0; i < 5; i++) snprintf(path, sizeof path, "follow%d", i), unlink(path);
    // And gets the descriptor that is free.
    int f = open(".", O_RDONLY);
    EQ(f, free);
    close(f), close(e);
    close_all_();
}
