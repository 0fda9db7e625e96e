// A stream to the process itself, what is sent through it, and one that receives it and looks whether it comes
// whole and in order.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static unsigned char byte(long at) { return at * 11 + at / 253; }

static int out, in;
static pthread_t receiver;

static void *receives(void *unused) {
    unsigned char data[1000];
    long at = 0;
    for (;;) {
        long count = read(in, data, sizeof data);
        if (count <= 0) break;
        for (long i = 0; i < count; i++)
            if (data[i] != byte(at + i)) return (void *)-1;
        at += count;
    }
    return (void *)at;
}

// Connects the stream, of which `out` never waits, and starts to receive. Whether it could.
static int start(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    in = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (void *)&address, len) || listen(listener, 1)) return 0;
    if (getsockname(listener, (void *)&address, &len) || connect(in, (void *)&address, len)) return 0;
    out = accept4(listener, 0, 0, SOCK_NONBLOCK);
    return out >= 0 && !pthread_create(&receiver, 0, receives, 0);
}

// Says whether so many bytes have come, and ends the process.
static void finish(long all) {
    close(out);
    void *come;
    pthread_join(receiver, &come);
    printf(come == (void *)all ? "intact\n" : "other data\n");
    fflush(stdout);
    _exit(0);
}
