// A thousand threads make calls of all kinds for some seconds; each checks what comes back, and all
// is counted at the end.
#include "hammer.h"
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 1000, COUNTERS = 16, DESCRIPTORS = 200, REGION = 4096 };

static struct timespec end;
static int file;
static sem_t descriptors;
static pthread_t threads[THREADS];
static pthread_barrier_t started, finished;
static struct { pthread_mutex_t lock; long value; } counters[COUNTERS];
static atomic_long added;
static atomic_int sent[THREADS];
static _Thread_local atomic_int caught;

static void on_signal(int number) { (void)number; atomic_fetch_add(&caught, 1); }

static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

static int time_is_up(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return now.tv_sec > end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec >= end.tv_nsec);
}

static void use_lock(uint32_t *seed)
{
    int at = next(seed) % COUNTERS;
    pthread_mutex_lock(&counters[at].lock);
    long value = counters[at].value;
    if (next(seed) % 16 == 0) sched_yield();
    counters[at].value = value + 1;
    pthread_mutex_unlock(&counters[at].lock);
    atomic_fetch_add(&added, 1);
}

static void use_pipe(uint32_t *seed)
{
    int ends[2];
    uint32_t out[256], in[256];
    for (int i = 0; i < 256; i++) out[i] = next(seed);
    CHECK(pipe(ends) == 0);
    CHECK(write(ends[1], out, sizeof out) == sizeof out);
    CHECK(read(ends[0], in, sizeof in) == sizeof in);
    CHECK(memcmp(in, out, sizeof in) == 0);
    CHECK(close(ends[0]) == 0 && close(ends[1]) == 0);
}

static void use_file(int index, uint32_t *seed)
{
    char out[REGION], in[REGION];
    size_t length = next(seed) % REGION + 1;
    memset(out, (int)next(seed), length);
    off_t at = (off_t)index * REGION + (off_t)(REGION - length);
    CHECK(pwrite(file, out, length, at) == (ssize_t)length);
    CHECK(pread(file, in, length, at) == (ssize_t)length);
    CHECK(memcmp(in, out, length) == 0);
}

static void use_memory(uint32_t *seed)
{
    size_t length = (next(seed) % 16 + 1) * 4096;
    unsigned char *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    unsigned char mark = (unsigned char)next(seed);
    for (size_t at = 0; at < length; at += 1024) { CHECK(memory[at] == 0); memory[at] = mark; }
    for (size_t at = 0; at < length; at += 1024) CHECK(memory[at] == mark);
    CHECK(munmap(memory, length) == 0);
}

static void use_sleep(uint32_t *seed)
{
    struct timespec time = {0, (long)(next(seed) % 2000000)};
    CHECK(nanosleep(&time, NULL) == 0 || errno == EINTR);
}

static void use_events(uint32_t *seed)
{
    int event = eventfd(0, EFD_NONBLOCK), set = epoll_create1(0);
    CHECK(event >= 0 && set >= 0);
    struct epoll_event wanted = {.events = EPOLLIN, .data.u32 = next(seed)}, seen = {0};
    CHECK(epoll_ctl(set, EPOLL_CTL_ADD, event, &wanted) == 0);
    CHECK(epoll_wait(set, &seen, 1, 0) == 0);
    uint64_t value = next(seed) + 1, back = 0;
    CHECK(write(event, &value, 8) == 8);
    CHECK(epoll_wait(set, &seen, 1, 0) == 1 && seen.data.u32 == wanted.data.u32);
    CHECK(read(event, &back, 8) == 8 && back == value);
    int ready = epoll_wait(set, &seen, 1, (int)(next(seed) % 3));
    CHECK(ready == 0 || (ready < 0 && errno == EINTR));
    CHECK(close(set) == 0 && close(event) == 0);
}

static void use_signal(uint32_t *seed)
{
    int target = next(seed) % THREADS;
    atomic_fetch_add(&sent[target], 1);
    CHECK(pthread_kill(threads[target], SIGUSR1) == 0);
}

static void *work(void *argument)
{
    int index = (int)(intptr_t)argument;
    uint32_t seed = (uint32_t)index * 2654435761u + 1;
    pthread_barrier_wait(&started);
    while (!time_is_up()) {
        int kind = next(&seed) % 8;
        int descriptor = kind >= 6;
        if (descriptor) while (sem_wait(&descriptors) != 0) CHECK(errno == EINTR);
        switch (kind) {
        case 0: case 1: use_lock(&seed); break;
        case 2: use_file(index, &seed); break;
        case 3: use_memory(&seed); break;
        case 4: use_sleep(&seed); break;
        case 5: use_signal(&seed); break;
        case 6: use_pipe(&seed); break;
        case 7: use_events(&seed); break;
        }
        if (descriptor) sem_post(&descriptors);
    }
    pthread_barrier_wait(&finished);
    // Signals that were sent have come: at least one, at most as many.
    int got = atomic_load(&caught), wanted = atomic_load(&sent[index]);
    CHECK(got <= wanted && (got > 0 || wanted == 0));
    return NULL;
}

int main(int argc, char **argv)
{
    char path[] = "hammer-XXXXXX";
    CHECK((file = mkstemp(path)) >= 0 && unlink(path) == 0);
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    CHECK(sem_init(&descriptors, 0, DESCRIPTORS) == 0);
    for (int i = 0; i < COUNTERS; i++) pthread_mutex_init(&counters[i].lock, NULL);
    pthread_barrier_init(&started, NULL, THREADS + 1);
    pthread_barrier_init(&finished, NULL, THREADS);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 128 << 10);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], &attributes, work, (void *)(intptr_t)i) == 0);
    CHECK(clock_gettime(CLOCK_MONOTONIC, &end) == 0);
    end.tv_sec += rounds(argc, argv);
    pthread_barrier_wait(&started);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    long counted = 0;
    for (int i = 0; i < COUNTERS; i++) counted += counters[i].value;
    CHECK(counted == added);
    puts("ok");
    return 0;
}
