/* Nanoseconds per operation: `ops NAME [THREADS [FOLDER]]`.
 *
 * Each thread repeats the operation; what is printed is wall time over all operations, best of five
 * stretches of at least 30 ms. Built with -DINLINED, getppid is the instruction in this program's
 * own text instead of libc's; with -DTICKS, what is printed is how many ticks of the time stamp counter one
 * operation takes, the median of many that are timed one by one on one processor. Files lie in FOLDER
 * (/dev/shm, unless given). */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MAX_THREADS = 64, STRETCHES = 5, LARGEST = 1 << 20 };
static const double STRETCH_NS = 30e6;
static const char *folder = "/dev/shm";

static void must(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(1);
    }
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

/* What one thread works with. */
struct state {
    int a, b;
    char *buffer;
};

static long call_getppid(void)
{
#ifdef INLINED
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(SYS_getppid) : "rcx", "r11", "memory");
    return result;
#else
    return getppid();
#endif
}

static void no_setup(struct state *s) { (void)s; }

static void file_setup(struct state *s)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/ops-XXXXXX", folder);
    s->a = mkstemp(path);
    must(s->a >= 0, path);
    unlink(path);
    must(pwrite(s->a, s->buffer, LARGEST, 0) == LARGEST, "fill the file");
}

static void null_setup(struct state *s)
{
    s->a = open("/dev/null", O_RDWR);
    must(s->a >= 0, "/dev/null");
}

static void eventfd_setup(struct state *s)
{
    s->a = eventfd(0, 0);
    must(s->a >= 0, "eventfd");
}

static void pipe_setup(struct state *s)
{
    int ends[2];
    must(pipe(ends) == 0, "pipe");
    s->a = ends[0];
    s->b = ends[1];
}

static void socketpair_setup(struct state *s)
{
    int ends[2];
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair");
    s->a = ends[0];
    s->b = ends[1];
}

static void getppid_op(struct state *s) { (void)s; call_getppid(); }
static void clock_op(struct state *s) { (void)s; now(); }
static void lseek_op(struct state *s) { lseek(s->a, 0, SEEK_SET); }
static void fstat_op(struct state *s) { struct stat st; fstat(s->a, &st); }
static void null_op(struct state *s) { must(write(s->a, s->buffer, 32) == 32, "write"); }
static void pread_32_op(struct state *s) { must(pread(s->a, s->buffer, 32, 0) == 32, "pread"); }
static void pwrite_32_op(struct state *s) { must(pwrite(s->a, s->buffer, 32, 0) == 32, "pwrite"); }

/* Writes that have nothing to do with each other, and a log, which begins anew when it is long. */
static void scattered_op(struct state *s)
{
    static _Thread_local unsigned x = 1;
    x = x * 1664525 + 1013904223;
    must(pwrite(s->a, s->buffer, 32, (x >> 8) % (LARGEST - 32)) == 32, "pwrite");
}

static void log_op(struct state *s)
{
    static _Thread_local long written;
    if (written > LARGEST) {
        must(lseek(s->a, 0, SEEK_SET) == 0, "lseek");
        written = 0;
    }
    must(write(s->a, s->buffer, 32) == 32, "write");
    written += 32;
}

static void pread_64k_op(struct state *s) { must(pread(s->a, s->buffer, 65536, 0) == 65536, "pread"); }
static void pwrite_64k_op(struct state *s) { must(pwrite(s->a, s->buffer, 65536, 0) == 65536, "pwrite"); }
static void pread_1m_op(struct state *s) { must(pread(s->a, s->buffer, LARGEST, 0) == LARGEST, "pread"); }
static void pwrite_1m_op(struct state *s) { must(pwrite(s->a, s->buffer, LARGEST, 0) == LARGEST, "pwrite"); }

static void eventfd_op(struct state *s)
{
    uint64_t value = 1;
    must(write(s->a, &value, 8) == 8 && read(s->a, &value, 8) == 8 && value == 1, "eventfd");
}

static void through_op(struct state *s)
{
    must(write(s->b, s->buffer, 32) == 32 && read(s->a, s->buffer, 32) == 32, "write and read");
}

static void *nothing(void *argument) { return argument; }

static void create_op(struct state *s)
{
    pthread_t thread;
    (void)s;
    must(pthread_create(&thread, NULL, nothing, NULL) == 0, "pthread_create");
    pthread_join(thread, NULL);
}

/* Two threads that take turns: one operation is there and back. */
static int there[2], back[2];

static void *echo(void *argument)
{
    char byte;
    while (read(there[0], &byte, 1) == 1)
        must(write(back[1], &byte, 1) == 1, "echo");
    return argument;
}

static void pipes_setup(struct state *s)
{
    pthread_t thread;
    (void)s;
    must(pipe(there) == 0 && pipe(back) == 0, "pipe");
    must(pthread_create(&thread, NULL, echo, NULL) == 0, "pthread_create");
}

static void pipes_op(struct state *s)
{
    must(write(there[1], s->buffer, 1) == 1 && read(back[0], s->buffer, 1) == 1, "turn");
}

static uint32_t turn;

static void take_turn(uint32_t mine, uint32_t other)
{
    uint32_t seen;
    while ((seen = __atomic_load_n(&turn, __ATOMIC_ACQUIRE)) != mine)
        syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    __atomic_store_n(&turn, other, __ATOMIC_RELEASE);
    syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *futex_echo(void *argument)
{
    for (;;)
        take_turn(1, 0);
    return argument;
}

static void futex_setup(struct state *s)
{
    pthread_t thread;
    (void)s;
    must(pthread_create(&thread, NULL, futex_echo, NULL) == 0, "pthread_create");
}

/* The other thread answers between this operation and the next one. */
static void futex_op(struct state *s) { (void)s; take_turn(0, 1); }

static void *yielding(void *argument)
{
    for (;;)
        sched_yield();
    return argument;
}

static void yield_setup(struct state *s)
{
    pthread_t thread;
    (void)s;
    must(pthread_create(&thread, NULL, yielding, NULL) == 0, "pthread_create");
}

static void yield_op(struct state *s) { (void)s; sched_yield(); }

static const struct op {
    const char *name;
    void (*setup)(struct state *);
    void (*run)(struct state *);
} ops[] = {
    {"getppid", no_setup, getppid_op},
    {"clock_gettime", no_setup, clock_op},
    {"lseek", file_setup, lseek_op},
    {"fstat", file_setup, fstat_op},
    {"write-null", null_setup, null_op},
    {"pread-32", file_setup, pread_32_op},
    {"pwrite-32", file_setup, pwrite_32_op},
    {"pwrite-32-scattered", file_setup, scattered_op},
    {"write-log", file_setup, log_op},
    {"pread-64k", file_setup, pread_64k_op},
    {"pwrite-64k", file_setup, pwrite_64k_op},
    {"pread-1m", file_setup, pread_1m_op},
    {"pwrite-1m", file_setup, pwrite_1m_op},
    {"eventfd", eventfd_setup, eventfd_op},
    {"pipe", pipe_setup, through_op},
    {"socketpair", socketpair_setup, through_op},
    {"pipe-ping-pong", pipes_setup, pipes_op},
    {"futex-ping-pong", futex_setup, futex_op},
    {"thread-create-join", no_setup, create_op},
    {"yield", yield_setup, yield_op},
};

static const struct op *op;
static pthread_barrier_t barrier;
static long repeats;
static int done;

static void *worker(void *argument)
{
    struct state s = {-1, -1, NULL};
    s.buffer = calloc(1, LARGEST);
    must(s.buffer != NULL, "calloc");
    op->setup(&s);
    for (;;) {
        pthread_barrier_wait(&barrier);
        if (done)
            return argument;
        for (long i = 0; i < repeats; i++)
            op->run(&s);
        pthread_barrier_wait(&barrier);
    }
}

static double stretch(long count)
{
    repeats = count;
    /* Before the barrier: the others may be done by the time that this thread runs again. */
    double start = now();
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return now() - start;
}

#ifdef TICKS
static uint64_t ticks(void)
{
    uint64_t now;
    __asm__ volatile("lfence; rdtsc; shl $32, %%rdx; or %%rdx, %%rax; lfence" : "=a"(now) : : "rdx", "memory");
    return now;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The median of what an operation takes, or nothing. */
static uint64_t median(void (*run)(struct state *), struct state *s)
{
    enum { TIMES = 20001 };
    static uint64_t took[TIMES];
    for (int i = 0; i < TIMES; i++) {
        uint64_t start = ticks();
        run(s);
        took[i] = ticks() - start;
    }
    qsort(took, TIMES, sizeof *took, by_size);
    return took[TIMES / 2];
}

static void one_by_one(void)
{
    struct state s = {-1, -1, calloc(1, LARGEST)};
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    must(s.buffer != NULL && sched_setaffinity(0, sizeof one, &one) == 0, "sched_setaffinity");
    op->setup(&s);
    printf("%ld\n", (long)(median(op->run, &s) - median(no_setup, &s)));
}
#endif

int main(int argc, char **argv)
{
    int threads = argc > 2 ? atoi(argv[2]) : 1;
    if (argc > 3)
        folder = argv[3];
    for (size_t i = 0; argc > 1 && i < sizeof ops / sizeof *ops; i++)
        if (strcmp(argv[1], ops[i].name) == 0)
            op = &ops[i];
    if (op == NULL || threads < 1 || threads > MAX_THREADS) {
        fprintf(stderr, "usage: ops NAME [THREADS (1..64) [FOLDER]]\n");
        return 2;
    }
#ifdef TICKS
    one_by_one();
    return 0;
#endif
    pthread_barrier_init(&barrier, NULL, threads + 1);
    for (int i = 0; i < threads; i++) {
        pthread_t thread;
        must(pthread_create(&thread, NULL, worker, NULL) == 0, "pthread_create");
    }
    long count = 1;
    while (stretch(count) < STRETCH_NS)
        count *= 2;
    double best = 1e18;
    for (int i = 0; i < STRETCHES; i++) {
        double each = stretch(count) / count / threads;
        if (each < best)
            best = each;
    }
    printf("%.2f\n", best);
    return 0;
}
