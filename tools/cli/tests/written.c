// Writes fifty lines to a file, little after little, and ends, or goes on, as the argument says.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void *ends(void *unused) { _exit(0); }

int main(int argc, char **argv) {
    const char *how = argv[1];
    int file = open("file", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    if (!strcmp(how, "alarm")) alarm(100);
    for (int i = 0; i < 50; i++)
        if (write(file, "0123456789", 10) != 10) return 1;
    if (!strcmp(how, "_exit")) _exit(0);
    if (!strcmp(how, "abort")) abort();
    if (!strcmp(how, "fault")) *(volatile int *)8 = 1;
    if (!strcmp(how, "kill")) kill(getpid(), SIGKILL);
    if (!strcmp(how, "thread")) {
        pthread_t other;
        pthread_create(&other, 0, ends, 0);
        for (;;) ;
    }
    if (!strcmp(how, "alarm")) alarm(0);
    if (!strcmp(how, "alarm") || !strcmp(how, "compute")) for (;;) ;
    if (!strcmp(how, "pause")) pause();
    if (!strcmp(how, "sleep")) sleep(100);
    if (!strcmp(how, "stop")) raise(SIGSTOP);
    return 0;
}
