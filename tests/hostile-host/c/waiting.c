// One thread waits in a call that the host never answers; the rest of the program goes on.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int never;

static void *waits(void *argument) { return accept(never, 0, 0) >= 0 ? argument : 0; }

int main(void) {
    pthread_t thread;
    never = socket(AF_INET, SOCK_STREAM, 0);
    if (never < 0 || listen(never, 1)) return 1;
    access("/hostile", F_OK);
    if (pthread_create(&thread, 0, waits, 0)) return 1;
    for (int i = 0; i < 50; i++) nanosleep(&(struct timespec){0, 1000000}, 0);
    printf("intact\n");
    fflush(stdout);
    _exit(0);
}
