// Raw futexes and pthread primitives from many threads: nothing lost, nothing doubled.
#include "hammer.h"
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long futex(void *a, int op, int v, void *t, void *a2, int v3) { return syscall(SYS_futex, a, op, v, t, a2, v3); }

static atomic_int word, gate;
static long counter;
static void lock(void)
{
    int c = 0;
    if (atomic_compare_exchange_strong(&word, &c, 1)) return;
    if (c != 2) c = atomic_exchange(&word, 2);
    while (c) {
        futex(&word, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0);
        c = atomic_exchange(&word, 2);
    }
}
static void unlock(void)
{
    if (atomic_exchange(&word, 0) == 2) futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
static void *locker(void *n)
{
    for (long i = 0; i < (long)n; i++) { lock(); counter++; unlock(); }
    return NULL;
}

static int ping, pong;
static void *ponger(void *n)
{
    for (int i = 1; i <= (long)n; i++) {
        while (__atomic_load_n(&ping, __ATOMIC_ACQUIRE) < i) futex(&ping, FUTEX_WAIT, i - 1, NULL, NULL, 0);
        __atomic_store_n(&pong, i, __ATOMIC_RELEASE);
        futex(&pong, FUTEX_WAKE, 1, NULL, NULL, 0);
    }
    return NULL;
}

static int from, to;
static atomic_int waiting, woken;
static void *requeued(void *unused)
{
    (void)unused;
    atomic_fetch_add(&waiting, 1);
    while (futex(&from, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0) && errno == EINTR) ;
    atomic_fetch_add(&woken, 1);
    return NULL;
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;
static sem_t sem;
static long items, taken, written;
static void *consumer(void *unused)
{
    (void)unused;
    for (;;) {
        pthread_mutex_lock(&mutex);
        while (items == 0) pthread_cond_wait(&cond, &mutex);
        if (items < 0) { pthread_mutex_unlock(&mutex); return NULL; }
        items--; taken++;
        pthread_mutex_unlock(&mutex);
    }
}
static void *mixed(void *n)
{
    for (long i = 0; i < (long)n; i++) {
        sem_wait(&sem); sem_post(&sem);
        if (i % 10 == 0) { pthread_rwlock_wrlock(&rw); written++; pthread_rwlock_unlock(&rw); }
        else { pthread_rwlock_rdlock(&rw); CHECK(written >= 0); pthread_rwlock_unlock(&rw); }
        if (i % 50 == 0) pthread_barrier_wait(&barrier);
    }
    return NULL;
}
static void *bits(void *mask)
{
    atomic_fetch_add(&waiting, 1);
    CHECK(futex(&gate, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, (int)(long)mask) == 0);
    return NULL;
}

int main(int argc, char **argv)
{
    enum { N = 16 };
    pthread_t t[64];
    for (int r = rounds(argc, argv); r > 0; r--) {
        counter = ping = pong = items = taken = written = 0;
        for (int i = 0; i < N; i++) pthread_create(&t[i], NULL, locker, (void *)20000L);
        for (int i = 0; i < N; i++) pthread_join(t[i], NULL);
        CHECK(counter == N * 20000L);

        pthread_create(&t[0], NULL, ponger, (void *)20000L);
        for (int i = 1; i <= 20000; i++) {
            __atomic_store_n(&ping, i, __ATOMIC_RELEASE);
            futex(&ping, FUTEX_WAKE, 1, NULL, NULL, 0);
            while (__atomic_load_n(&pong, __ATOMIC_ACQUIRE) < i) futex(&pong, FUTEX_WAIT, i - 1, NULL, NULL, 0);
        }
        pthread_join(t[0], NULL);

        waiting = woken = 0;
        for (int i = 0; i < N; i++) pthread_create(&t[i], NULL, requeued, NULL);
        while (waiting < N) usleep(1000);
        usleep(20000);
        CHECK(futex(&from, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)(long)INT_MAX, &to, 1) == -1 && errno == EAGAIN);
        CHECK(futex(&from, FUTEX_CMP_REQUEUE_PRIVATE, 2, (void *)(long)INT_MAX, &to, 0) == N);
        CHECK(futex(&from, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0) == 0);
        CHECK(futex(&to, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0) == N - 2);
        for (int i = 0; i < N; i++) pthread_join(t[i], NULL);
        CHECK(woken == N);

        waiting = 0;
        for (long i = 0; i < 4; i++) pthread_create(&t[i], NULL, bits, (void *)(1L << i));
        while (waiting < 4) usleep(1000);
        usleep(20000);
        CHECK(futex(&gate, FUTEX_WAKE_BITSET_PRIVATE, INT_MAX, NULL, NULL, 0xa) == 2);
        CHECK(futex(&gate, FUTEX_WAKE_BITSET_PRIVATE, INT_MAX, NULL, NULL, 0x5) == 2);
        for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);

        for (int i = 0; i < N; i++) pthread_create(&t[i], NULL, consumer, NULL);
        for (int i = 0; i < 20000; i++) {
            pthread_mutex_lock(&mutex); items++; pthread_cond_signal(&cond); pthread_mutex_unlock(&mutex);
        }
        for (;;) {
            pthread_mutex_lock(&mutex);
            int left = items;
            if (left == 0) items = -1;
            pthread_cond_broadcast(&cond);
            pthread_mutex_unlock(&mutex);
            if (left == 0) break;
            sched_yield();
        }
        for (int i = 0; i < N; i++) pthread_join(t[i], NULL);
        CHECK(taken == 20000);

        sem_init(&sem, 0, 3);
        pthread_barrier_init(&barrier, NULL, N);
        for (int i = 0; i < N; i++) pthread_create(&t[i], NULL, mixed, (void *)1000L);
        for (int i = 0; i < N; i++) pthread_join(t[i], NULL);
        CHECK(written == N * 100);

        struct timespec before, after, wait = {0, 20000000};
        clock_gettime(CLOCK_MONOTONIC, &before);
        int zero = 0;
        CHECK(futex(&zero, FUTEX_WAIT_PRIVATE, 0, &wait, NULL, 0) == -1 && errno == ETIMEDOUT);
        clock_gettime(CLOCK_MONOTONIC, &after);
        CHECK((after.tv_sec - before.tv_sec) * 1000000000L + after.tv_nsec - before.tv_nsec >= 20000000L);
        CHECK(futex(&zero, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0) == -1 && errno == EAGAIN);
    }
    puts("ok");
    return 0;
}
