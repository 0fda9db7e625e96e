// Little that is written to a file may leave the enclave later, with more: nobody may notice.
#include "tap.h"
#include <pthread.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

enum { LARGE = 1 << 16 };

// What the file is to hold.
static char model[2 * LARGE];
static long size, position;

// How often the file was not what it is to be.
static int wrong;

static void must_(int good) { wrong += !good; }

// The same numbers on every run.
static unsigned long seed;

static unsigned random_(unsigned below)
{
    seed = seed * 6364136223846793005UL + 1442695040888963407UL;
    return (unsigned)(seed >> 33) % below;
}

static void fill_(char *bytes, long n)
{
    for (long i = 0; i < n; i++) bytes[i] = (char)random_(256);
}

static void note_(const char *bytes, long n, long at)
{
    memcpy(model + at, bytes, (size_t)n);
    if (at + n > size) size = at + n;
}

// Whether an open file holds what it is to hold, by a way to read it.
static int holds_(int fd, int way)
{
    static char b[2 * LARGE];
    struct stat s;
    if (fstat(fd, &s) || s.st_size != size) return 0;
    if (way == 0) {
        if (pread(fd, b, sizeof b, 0) != size) return 0;
    } else if (way == 1) {
        char *m = size ? mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0) : b;
        if (m == MAP_FAILED) return 0;
        memcpy(b, m, (size_t)size);
        if (size) munmap(m, (size_t)size);
    } else {
        int other = open("f", O_RDONLY);
        long n = read(other, b, sizeof b);
        close(other);
        if (n != size) return 0;
    }
    return memcmp(b, model, (size_t)size) == 0;
}

static void write_(int fd, int how)
{
    static char b[9000];
    long n = random_(8) == 0 ? random_(sizeof b) + 1 : random_(200) + 1;
    long at = random_(4) == 0 ? random_(LARGE) : how;
    fill_(b, n);
    if (how < 0) {
        must_(write(fd, b, (size_t)n) == n);
        note_(b, n, position);
        position += n;
    } else {
        must_(pwrite(fd, b, (size_t)n, at) == n);
        note_(b, n, at);
    }
}

// Runs of writes, at the position or at offsets, between other calls about the file.
static void run_(int fd, int other)
{
    switch (random_(12)) {
    case 0:
        position = random_(LARGE);
        must_(lseek(fd, position, SEEK_SET) == position);
        break;
    case 1:
        must_(lseek(fd, 0, SEEK_CUR) == position);
        break;
    case 2:
        size = random_(LARGE);
        memset(model + size, 0, sizeof model - (size_t)size);
        must_(ftruncate(fd, size) == 0);
        break;
    case 3:
        must_(fsync(fd) == 0);
        break;
    case 4:
        must_(holds_(other, 0));
        break;
    case 5:
        must_(holds_(fd, 1));
        break;
    case 6:
        must_(holds_(fd, 2));
        break;
    case 7: {
        char b[300];
        struct iovec v[3] = {{b, 100}, {b + 150, 0}, {b + 200, 100}};
        fill_(b, sizeof b);
        for (int i = 0; i < 20; i++) {
            must_(writev(fd, v, 3) == 200);
            note_(b, 100, position);
            note_(b + 200, 100, position + 100);
            position += 200;
        }
        break;
    }
    case 8: {
        char b[100];
        long n = random_(100);
        must_(pread(fd, b, sizeof b, n) == (n >= size ? 0 : size - n < 100 ? size - n : 100));
        must_(n >= size || memcmp(b, model + n, (size_t)(size - n < 100 ? size - n : 100)) == 0);
        break;
    }
    default: {
        int how = random_(2) ? -1 : (int)random_(LARGE - 10000);
        for (unsigned n = random_(60); n; n--) {
            write_(fd, how);
            if (how >= 0 && random_(2)) how += 100;
            if (position > LARGE) position = 0, must_(lseek(fd, 0, SEEK_SET) == 0);
        }
    }
    }
}

GROUP(any_order)
{
    for (seed = 1; seed <= 5; seed++) {
        size = position = wrong = 0;
        memset(model, 0, sizeof model);
        int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0644), other = open("f", O_RDONLY);
        unsigned long first = seed;
        for (int i = 0; i < 600; i++) run_(fd, other);
        NAMED("the file is as it was written", wrong == 0);
        close(fd);
        NAMED("also when it is closed", holds_(other, 0));
        close(other);
        seed = first;
    }
}

GROUP(appended)
{
    int one = GOOD(open("f", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644));
    int two = GOOD(open("f", O_RDWR | O_APPEND));
    char line[16];
    size = wrong = 0;
    for (int i = 0; i < 3000; i++) {
        int n = snprintf(line, sizeof line, "%d\n", i);
        // Linux appends whatever the offset.
        int fd = i / 40 % 2 ? one : two;
        must_(i % 3 ? write(fd, line, (size_t)n) == n : pwrite(fd, line, (size_t)n, 0) == n);
        note_(line, n, size);
    }
    NAMED("lines stand in the order in which they were appended", wrong == 0 && holds_(two, 0));
    EQ(fcntl(one, F_SETFL, 0), 0);
    for (int i = 0; i < 50; i++) must_(pwrite(one, "x", 1, i) == 1), note_("x", 1, i);
    NAMED("without O_APPEND, at the offset", wrong == 0 && holds_(two, 0));
    close(one);
    close(two);
}

GROUP(shared_position)
{
    int fd = GOOD(open("f", O_RDWR | O_CREAT | O_TRUNC, 0644)), twin = dup(fd), other = open("f", O_RDWR);
    size = position = wrong = 0;
    char b[64];
    for (int i = 0; i < 2000; i++) {
        fill_(b, 64);
        int through = i % 50 < 45 ? fd : i % 50 < 48 ? twin : other;
        long n = random_(64) + 1;
        if (through == other) {
            must_(pwrite(other, b, (size_t)n, position) == n);
            note_(b, n, position);
            continue;
        }
        must_(write(through, b, (size_t)n) == n);
        note_(b, n, position);
        position += n;
        if (position > LARGE) position = 0, must_(lseek(twin, 0, SEEK_SET) == 0);
    }
    NAMED("descriptors of one open file go on where the other was", wrong == 0 && holds_(fd, 0));
    EQ(dup2(other, fd), fd);
    NAMED("what was written is there when its descriptor is another's", holds_(other, 0));
    EQ(lseek(twin, 0, SEEK_CUR) == position, 1);
    close(fd);
    close(twin);
    close(other);
}

GROUP(sent_on)
{
    int fd = GOOD(open("f", O_RDWR | O_CREAT | O_TRUNC, 0644)), to = GOOD(open("g", O_RDWR | O_CREAT | O_TRUNC, 0644));
    char b[100], c[1000];
    size = wrong = 0;
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < 10; i++) {
            fill_(b, 100);
            must_(pwrite(fd, b, 100, i * 100) == 100);
            note_(b, 100, i * 100);
        }
        off_t at = 0, start = 0;
        if (round % 2) must_(sendfile(to, fd, &at, 1000) == 1000);
        else must_(copy_file_range(fd, &at, to, &start, 1000, 0) == 1000);
        must_(pread(to, c, 1000, round % 2 ? lseek(to, 0, SEEK_CUR) - 1000 : 0) == 1000);
        must_(memcmp(c, model, 1000) == 0);
    }
    NAMED("what was written is sent on", wrong == 0);
    EQ(rename("f", "h"), 0);
    for (int i = 0; i < 20; i++) must_(pwrite(fd, "y", 1, i) == 1);
    struct stat s;
    EQ(stat("h", &s), 0);
    int other = GOOD(open("h", O_RDONLY));
    must_(read(other, c, 20) == 20 && memcmp(c, "yyyyyyyyyyyyyyyyyyyy", 20) == 0);
    NAMED("also under another name", wrong == 0 && s.st_size == 1000);
    close(fd);
    close(to);
    close(other);
}

GROUP(mapped)
{
    int fd = GOOD(open("f", O_RDWR | O_CREAT | O_TRUNC, 0644));
    EQ(ftruncate(fd, 16384), 0);
    volatile char *m = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    wrong = 0;
    char b[8];
    for (int i = 0; i < 4000; i++) {
        fill_(b, 8);
        long at = random_(16376);
        must_(pwrite(fd, b, 8, at) == 8);
        if (i % 16 == 15) {
            must_(memcmp((char *)m + at, b, 8) == 0);
            m[at] ^= 1;
            must_(pread(fd, b, 1, at) == 1 && b[0] == m[at]);
        }
    }
    NAMED("a mapping shows what was written, and write(2) what was stored", wrong == 0);
    munmap((char *)m, 16384);
    // The buffer is the mapping of the same place.
    m = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    for (int i = 0; i < 100; i++) must_(pwrite(fd, (char *)m, 64, i * 32) == 64);
    NAMED("what is written may come from there", wrong == 0);
    munmap((char *)m, 16384);
    close(fd);
}

static int file;
enum { ROUNDS = 1000, BURST = 12 };
// Rounds that were written, and that were seen.
static long written, seen;

static void await_(long *of, long round)
{
    while (__atomic_load_n(of, __ATOMIC_ACQUIRE) < round) sched_yield();
}

static void *watches_(void *bad)
{
    for (long round = 1; round <= ROUNDS; round++) {
        long b = 0;
        await_(&written, round);
        // What another thread says is written is there.
        if (pread(file, &b, sizeof b, round % 100 * 8) != sizeof b || b != round * BURST) ++*(int *)bad;
        __atomic_store_n(&seen, round, __ATOMIC_RELEASE);
    }
    return NULL;
}

GROUP(told_by_memory)
{
    file = GOOD(open("f", O_RDWR | O_CREAT | O_TRUNC, 0644));
    pthread_t other;
    int bad = 0;
    wrong = 0;
    written = seen = 0;
    pthread_create(&other, NULL, watches_, &bad);
    for (long round = 1; round <= ROUNDS; round++) {
        for (long i = 1; i <= BURST; i++) {
            long number = (round - 1) * BURST + i;
            must_(pwrite(file, &number, 8, round % 100 * 8) == 8);
        }
        __atomic_store_n(&written, round, __ATOMIC_RELEASE);
        await_(&seen, round);
    }
    pthread_join(other, NULL);
    NAMED("a thread that knows of a write sees it", bad == 0 && wrong == 0);
    close(file);
}

static void *adds_(void *which)
{
    char line[24];
    for (int i = 0; i < 3000; i++) {
        int n = snprintf(line, sizeof line, "%c%06d.\n", *(char *)which, i);
        if (write(file, line, (size_t)n) != n) wrong++;
    }
    return NULL;
}

GROUP(two_threads)
{
    file = GOOD(open("f", O_RDWR | O_CREAT | O_TRUNC, 0644));
    pthread_t threads[3];
    wrong = 0;
    for (int i = 0; i < 3; i++) pthread_create(&threads[i], NULL, adds_, &"abc"[i]);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    int next[3] = {0};
    static char all[3 * 3000 * 9 + 1];
    EQ(pread(file, all, sizeof all, 0), 3 * 3000 * 9);
    for (char *line = all; line < all + 3 * 3000 * 9; line += 9) {
        unsigned which = (unsigned)(line[0] - 'a');
        if (which > 2 || line[8] != '\n' || atoi(line + 1) != next[which]++) wrong++;
    }
    NAMED("lines of threads are whole, and each thread's in order", wrong == 0);
    close(file);
    unlink("f");
}

static volatile int too_large;

static void noted_(int sig) { too_large += sig == SIGXFSZ; }

GROUP(lets_go)
{
    int null = GOOD(open("/dev/null", O_RDWR));
    wrong = 0;
    for (int i = 0; i < 20; i++) {
        int fd = open("f", O_RDWR | O_CREAT, 0644), other = open("f", O_RDWR);
        must_(flock(fd, LOCK_EX) == 0 && flock(other, LOCK_EX | LOCK_NB) == -1);
        for (int j = 0; j < 10; j++) must_(write(fd, "0123456789", 10) == 10);
        if (i % 2) dup2(null, fd);
        else syscall(SYS_close_range, fd, fd, 0);
        must_(flock(other, LOCK_EX | LOCK_NB) == 0);
        close(other);
        if (i % 2) close(fd);
    }
    NAMED("the lock of a file that is closed by other calls is free", wrong == 0);
    close(null);
}

// What is copied first has to be read by a call, while what was written before is about to be made.
GROUP(before_much)
{
    enum { MUCH = 1 << 20 };
    int log = GOOD(open("log", O_WRONLY | O_CREAT | O_TRUNC, 0644)), in = GOOD(open("in", O_RDWR | O_CREAT | O_TRUNC, 0644));
    int out = GOOD(open("out", O_RDWR | O_CREAT | O_TRUNC, 0644));
    EQ(ftruncate(in, MUCH), 0);
    EQ(pwrite(out, "x", 1, 0), 1);
    wrong = 0;
    for (int i = 0; i < 10; i++) {
        char *m = mmap(NULL, MUCH, PROT_READ, i % 2 ? MAP_SHARED : MAP_PRIVATE, in, 0);
        for (int j = 0; j < 20; j++) must_(write(log, "0123456789", 10) == 10);
        must_(pwrite(out, m, MUCH, 0) == MUCH);
        munmap(m, MUCH);
    }
    NAMED("all of it is written", wrong == 0 && lseek(log, 0, SEEK_END) == 2000 && lseek(out, 0, SEEK_END) == MUCH);
    close(log);
    close(in);
    close(out);
}

// Writes that fail say so at once.
GROUP(failing)
{
    char b[64] = "";
    wrong = 0;
    int fd = GOOD(open("f", O_RDWR | O_CREAT | O_TRUNC, 0644));
    for (int i = 0; i < 20; i++) must_(write(fd, b, 64) == 64);
    FAILS(write(fd, BAD, 64), EFAULT);
    EQ(write(fd, BAD, 0), 0);
    FAILS(pwrite(fd, b, 64, -1), EINVAL);
    for (int i = 0; i < 20; i++) must_(write(fd, b, 64) == 64);
    struct rlimit old, limit;
    getrlimit(RLIMIT_FSIZE, &old);
    limit = (struct rlimit){40 * 64 + 10, old.rlim_max};
    signal(SIGXFSZ, noted_);
    EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    EQ(write(fd, b, 64), 10);
    FAILS(write(fd, b, 64), EFBIG);
    EQ(too_large, 1);
    EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
    EQ(lseek(fd, 0, SEEK_END), 40 * 64 + 10);
    close(fd);
    fd = GOOD(open("f", O_RDONLY));
    for (int i = 0; i < 6; i++) FAILS(write(fd, b, 1), EBADF);
    close(fd);
    // Each write to a file of /proc has an answer of its own.
    fd = GOOD(open("/proc/self/comm", O_WRONLY));
    for (int i = 0; i < 20; i++) must_(write(fd, i % 2 ? "one" : "two", 3) == 3);
    close(fd);
    NAMED("all others were made", wrong == 0);
}

// A device is no file: it says at once that it is full.
GROUP(full)
{
    int fd = GOOD(open("/dev/full", O_WRONLY));
    wrong = 0;
    for (int i = 0; i < 20; i++) wrong += write(fd, "x", 1) != -1 || errno != ENOSPC;
    NAMED("/dev/full is full", wrong == 0);
    close(fd);
}
