// Two threads in turn send numbered pieces through a stream, without waiting, to one that looks whether they
// come whole and in order. The last line says "intact", or what was corrupted.
#include "intact.h"

#include <poll.h>
#include <string.h>

enum { PIECES = 300, PIECE = 120, TURN = 5 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t went_on = PTHREAD_COND_INITIALIZER;
static int next;

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
    pthread_t other;
    if (!start()) return 1;
    access("/hostile", F_OK);
    if (pthread_create(&other, 0, sends, &out)) return 1;
    sends(0);
    pthread_join(other, 0);
    finish((long)PIECES * PIECE);
}
