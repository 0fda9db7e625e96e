// Two threads in turn send numbered pieces through a stream, without waiting, to one that looks whether they
// come whole and in order. The last line says "intact", or what was corrupted.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIECES = 300, PIECE = 120, TURN = 5 };

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

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t went_on = PTHREAD_COND_INITIALIZER;
static int next, out;

static void send_piece(long number) {
    unsigned char piece[PIECE];
    for (int j = 0; j < PIECE; j++) piece[j] = byte(number * PIECE + j);
    int done = 0;
    while (done < PIECE) {
        long count = send(out, piece + done, PIECE - done, MSG_NOSIGNAL);
        if (count > PIECE - done) _exit(3);
        if (count > 0) done += count;
        else if (count == 0 || poll(&(struct pollfd){out, POLLOUT, 0}, 1, 1000) != 1) _exit(4);
    }
}

// Sends the pieces of every other turn.
static void *sends(void *odd) {
    pthread_mutex_lock(&lock);
    while (next < PIECES) {
        if (next / TURN % 2 != (odd != 0)) {
            pthread_cond_wait(&went_on, &lock);
            continue;
        }
        int i = next;
        // Whose turn it is needs no lock.
        pthread_mutex_unlock(&lock);
        send_piece(i);
        if (i % 7 == 0) close(dup(0));
        if (i % 50 == 49) usleep(1000);
        pthread_mutex_lock(&lock);
        next = i + 1;
        if (next % TURN == 0) pthread_cond_broadcast(&went_on);
    }
    pthread_mutex_unlock(&lock);
    return 0;
}

int main(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), in = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (void *)&address, len) || listen(listener, 1)) return 1;
    if (getsockname(listener, (void *)&address, &len) || connect(in, (void *)&address, len)) return 1;
    out = accept4(listener, 0, 0, SOCK_NONBLOCK);
    pthread_t receiver, other;
    if (out < 0 || pthread_create(&receiver, 0, receives, &in)) return 1;
    access("/hostile", F_OK);
    if (pthread_create(&other, 0, sends, &out)) return 1;
    sends(0);
    pthread_join(other, 0);
    close(out);
    void *come;
    pthread_join(receiver, &come);
    printf(come == (void *)((long)PIECES * PIECE) ? "intact\n" : "other data\n");
    fflush(stdout);
    _exit(0);
}
