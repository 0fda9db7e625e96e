// Threads made and ended by the thousand: joined, detached, cancelled, with stacks of many sizes.
#include "hammer.h"
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <unistd.h>

static atomic_int destroyed, cleaned;
static pthread_key_t key;
static sem_t done;
static void destroy(void *v) { (void)v; atomic_fetch_add(&destroyed, 1); }
static void *shortly(void *n)
{
    pthread_setspecific(key, n);
    volatile char stack[3000];
    memset((void *)stack, (int)(long)n, sizeof stack);
    return (void *)((long)n * 2 + (stack[2999] != (char)(long)n));
}
static void *detached(void *n) { (void)n; sem_post(&done); return NULL; }
static void clean(void *n) { (void)n; atomic_fetch_add(&cleaned, 1); }
static void *cancelled(void *n)
{
    pthread_cleanup_push(clean, n);
    for (;;) pause();
    pthread_cleanup_pop(0);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_key_create(&key, destroy);
    sem_init(&done, 0, 0);
    for (int r = rounds(argc, argv); r > 0; r--) {
        destroyed = cleaned = 0;
        for (long i = 1; i <= 1000; i++) {
            pthread_t t[4];
            for (int k = 0; k < 4; k++) CHECK(pthread_create(&t[k], NULL, shortly, (void *)i) == 0);
            for (int k = 0; k < 4; k++) {
                void *v;
                CHECK(pthread_join(t[k], &v) == 0 && (long)v == i * 2);
            }
        }
        CHECK(destroyed == 4000);
        pthread_attr_t attr;
        pthread_attr_init(&attr);
        pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        for (int i = 0; i < 500; i++) {
            pthread_t t;
            pthread_attr_setstacksize(&attr, PTHREAD_STACK_MIN + 65536 + (i % 8) * 65536);
            CHECK(pthread_create(&t, &attr, detached, NULL) == 0);
            if (i % 50 == 49) for (int k = 0; k < 50; k++) sem_wait(&done);
        }
        for (int i = 0; i < 50; i++) {
            pthread_t t;
            void *v;
            CHECK(pthread_create(&t, NULL, cancelled, NULL) == 0);
            if (i % 2) usleep(500);
            CHECK(pthread_cancel(t) == 0 && pthread_join(t, &v) == 0 && v == PTHREAD_CANCELED);
        }
        pthread_t many[300];
        for (long i = 0; i < 300; i++) CHECK(pthread_create(&many[i], NULL, shortly, (void *)i) == 0);
        for (int i = 0; i < 300; i++) pthread_join(many[i], NULL);
    }
    CHECK(cleaned <= 50);
    puts("ok");
    return 0;
}
