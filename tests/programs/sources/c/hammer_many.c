// Ten thousand threads at once: each waits, is woken with all others, and counts itself.
#include "hammer.h"
#include <pthread.h>
#include <unistd.h>

enum { THREADS = 10000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all_wait = PTHREAD_COND_INITIALIZER, go = PTHREAD_COND_INITIALIZER;
static int waiting, round_now;
static long sum;

static void *work(void *argument)
{
    volatile long own = (long)argument;
    pthread_mutex_lock(&lock);
    int round = round_now;
    if (++waiting == THREADS) pthread_cond_signal(&all_wait);
    while (round == round_now) pthread_cond_wait(&go, &lock);
    sum += own;
    pthread_mutex_unlock(&lock);
    return (void *)own;
}

int main(int argc, char **argv)
{
    static pthread_t threads[THREADS];
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 10);
    for (int r = rounds(argc, argv); r > 0; r--) {
        sum = waiting = 0;
        for (long i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], &attributes, work, (void *)i) == 0);
        pthread_mutex_lock(&lock);
        while (waiting < THREADS) pthread_cond_wait(&all_wait, &lock);
        round_now++;
        pthread_cond_broadcast(&go);
        pthread_mutex_unlock(&lock);
        for (long i = 0; i < THREADS; i++) {
            void *result;
            CHECK(pthread_join(threads[i], &result) == 0 && result == (void *)i);
        }
        CHECK(sum == (long)THREADS * (THREADS - 1) / 2);
    }
    puts("ok");
    return 0;
}
