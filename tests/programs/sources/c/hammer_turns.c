// Threads that take turns and yield while it is another's: with more of them than processors, whoever
// has the turn gets a processor only if the others give theirs away.
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 8 };

static atomic_long turn;
static long turns;

static void *take_turns(void *self) {
    for (long mine = (long)self; mine < turns; mine += THREADS) {
        while (atomic_load(&turn) != mine) {
            sched_yield();
        }
        atomic_store(&turn, mine + 1);
    }
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t threads[THREADS];
    turns = (argc > 1 ? atol(argv[1]) : 1) * 10000L * THREADS;
    for (long i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, take_turns, (void *)i)) {
            return 1;
        }
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    puts(atomic_load(&turn) == turns ? "ok" : "not ok");
    return 0;
}
