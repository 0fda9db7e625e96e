// Sends numbered pieces through a stream, without waiting, to a thread that looks whether they come whole
// and in order. The last line says "intact", or what was corrupted.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIECES = 300, PIECE = 120 };

static unsigned char byte(long at) { return at * 11 + at / 253; }

static void *receives(void *argument) {
    unsigned char data[1000];
    long at = 0;
    for (;;) {
        long count = read(*(int *)argument, data, sizeof data);
        if (count <= 0) break;
        for (long i = 0; i < count; i++)
            if (data[i] != byte(at + i)) return (void *)-1;
        at += count;
    }
    return (void *)at;
}

int main(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), in = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (void *)&address, len) || listen(listener, 1)) return 1;
    if (getsockname(listener, (void *)&address, &len) || connect(in, (void *)&address, len)) return 1;
    int out = accept4(listener, 0, 0, SOCK_NONBLOCK);
    pthread_t thread;
    if (out < 0 || pthread_create(&thread, 0, receives, &in)) return 1;
    access("/hostile", F_OK);
    unsigned char piece[PIECE];
    long at = 0;
    for (int i = 0; i < PIECES; i++) {
        for (int j = 0; j < PIECE; j++) piece[j] = byte(at + j);
        int done = 0;
        while (done < PIECE) {
            long count = send(out, piece + done, PIECE - done, MSG_NOSIGNAL);
            if (count > PIECE - done) return 3;
            if (count > 0) done += count;
            else if (count == 0 || poll(&(struct pollfd){out, POLLOUT, 0}, 1, 1000) != 1) return 4;
        }
        at += PIECE;
        if (i % 7 == 0) close(dup(0));
        if (i % 50 == 49) usleep(1000);
    }
    close(out);
    void *come;
    pthread_join(thread, &come);
    printf(come == (void *)at ? "intact\n" : "other data\n");
    fflush(stdout);
    _exit(0);
}
