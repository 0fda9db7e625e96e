// Threads that only compute must not starve those that wait; many more threads than processors.
#include "hammer.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

static atomic_int stop, turns, spinning;
static void *spin(void *unused)
{
    (void)unused;
    atomic_fetch_add(&spinning, 1);
    unsigned long x = 1;
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) x = x * 2862933555777941757ul + 3037000493ul;
    return (void *)x;
}
static void *sleeper(void *unused)
{
    (void)unused;
    for (int i = 0; i < 5; i++) { usleep(2000); atomic_fetch_add(&turns, 1); }
    return NULL;
}
static void *yielder(void *unused)
{
    (void)unused;
    for (int i = 0; i < 20; i++) sched_yield();
    atomic_fetch_add(&turns, 5);
    return NULL;
}

int main(int argc, char **argv)
{
    for (int r = rounds(argc, argv); r > 0; r--) {
        pthread_t spinners[20], others[40];
        stop = turns = spinning = 0;
        for (int i = 0; i < 20; i++) CHECK(pthread_create(&spinners[i], NULL, spin, NULL) == 0);
        for (int i = 0; i < 40; i++) CHECK(pthread_create(&others[i], NULL, i % 4 ? sleeper : yielder, NULL) == 0);
        for (int i = 0; i < 40; i++) pthread_join(others[i], NULL);
        CHECK(turns == 200);
        while (spinning < 20) usleep(1000);
        stop = 1;
        for (int i = 0; i < 20; i++) pthread_join(spinners[i], NULL);
    }
    puts("ok");
    return 0;
}
