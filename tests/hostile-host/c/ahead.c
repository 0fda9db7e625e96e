// Receives numbered bytes from four streams when epoll reports them, and reads a file that is opened again
// and again, and one that stays open. The last line says "intact", or what was corrupted.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STREAMS = 4, PIECES = 60, PIECE = 120 };

static int in[STREAMS], out[STREAMS];

// The same in each stream: the host may tell the one what has come to another.
static unsigned char byte(long at) { return at % PIECE * 11; }

static void *sends(void *unused) {
    unsigned char piece[PIECE];
    for (int i = 0; i < PIECE; i++) piece[i] = byte(i);
    for (int i = 0; i < PIECES; i++) {
        for (int s = 0; s < STREAMS; s++)
            if (write(out[s], piece, PIECE) != PIECE) _exit(4);
        usleep(500);
    }
    for (int s = 0; s < STREAMS; s++) shutdown(out[s], SHUT_WR);
    return unused;
}

static void opens(void) {
    unsigned char text[200];
    struct stat status;
    int file = open("ahead", O_RDONLY);
    if (file < 0) _exit(4);
    fstat(file, &status);
    long count = pread(file, text, sizeof text, 0);
    if (count > (long)sizeof text) _exit(3);
    close(file);
}

static void reads(int file) {
    unsigned char text[9] = {[8] = 77};
    if (pread(file, text, 8, 0) > 8 || text[8] != 77) _exit(3);
}

int main(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), set = epoll_create1(0);
    if (bind(listener, (void *)&address, len) || listen(listener, STREAMS)) return 1;
    if (getsockname(listener, (void *)&address, &len)) return 1;
    for (int i = 0; i < STREAMS; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        out[i] = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(out[i], (void *)&address, len)) return 1;
        in[i] = accept4(listener, 0, 0, SOCK_NONBLOCK);
        if (epoll_ctl(set, EPOLL_CTL_ADD, in[i], &event)) return 1;
    }
    int file = open("ahead", O_RDWR | O_CREAT, 0644);
    if (file < 0 || write(file, "text", 4) != 4) return 1;
    struct stat status;
    if (fstat(file, &status) || status.st_size < 4) return 1;
    pthread_t sender;
    access("/hostile", F_OK);
    if (pthread_create(&sender, 0, sends, 0)) return 1;
    long come[STREAMS] = {0};
    int left = STREAMS;
    while (left > 0) {
        struct epoll_event events[STREAMS];
        int count = epoll_wait(set, events, STREAMS, 1000);
        if (count > STREAMS) _exit(3);
        for (int i = 0; i < count; i++) {
            int s = events[i].data.u32;
            unsigned char data[200], guard = data[150] = 77;
            long got = read(in[s], data, 150);
            if (got > 150 || data[150] != guard) _exit(3);
            for (long k = 0; k < got; k++)
                if (data[k] != byte(come[s] + k)) { printf("other data\n"); fflush(stdout); _exit(0); }
            if (got > 0) come[s] += got;
            else if (got == 0) left--, epoll_ctl(set, EPOLL_CTL_DEL, in[s], 0);
            else if (errno != EAGAIN) _exit(4);
            reads(file);
        }
        opens();
    }
    pthread_join(sender, 0);
    printf("%s\n", come[0] + come[1] + come[2] + come[3] == STREAMS * PIECES * PIECE ? "intact" : "other data");
    fflush(stdout);
    _exit(0);
}
