// Connects to the port given by the second argument, or listens there, and does something as often as the third
// says, without waiting but for room or for what comes.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BODY = 10 << 10 };

static int out, file;

static void cork(int on) { setsockopt(out, IPPROTO_TCP, TCP_CORK, &on, sizeof on); }

static void wait_for_room(void) {
    if (poll(&(struct pollfd){out, POLLOUT, 0}, 1, 10000) != 1) _exit(2);
}

// Sends answers through a corked stream: a head, and a body from a file.
static void heads(int count) {
    while (count-- > 0) {
        off_t offset = 0;
        wait_for_room();
        cork(1);
        if (send(out, "head", 4, MSG_NOSIGNAL) != 4) _exit(3);
        if (sendfile(out, file, &offset, BODY) != BODY) _exit(4);
        cork(0);
    }
}

// Sends the start of a file that stays open, again and again.
static void again(int count) {
    char body[100];
    for (int i = 0; i < count; i++) {
        if (i % 20 == 0) wait_for_room();
        if (pread(file, body, sizeof body, 0) != sizeof body) _exit(3);
        if (send(out, body, sizeof body, MSG_NOSIGNAL) != sizeof body) _exit(4);
    }
}

// Answers each byte, and is told of the first one three times before it looks at it.
static void answers(int count) {
    int set = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    if (epoll_ctl(set, EPOLL_CTL_ADD, out, &event)) _exit(2);
    for (int i = 0; i < 2; i++)
        if (epoll_wait(set, &event, 1, 10000) != 1) _exit(3);
    while (count-- > 0) {
        char bytes[100];
        if (epoll_wait(set, &event, 1, 10000) != 1) _exit(4);
        if (recv(out, bytes, sizeof bytes, 0) != 1 || send(out, bytes, 1, MSG_NOSIGNAL) != 1) _exit(5);
    }
}

// Answers each byte of a connection that it accepts, and receives until there is nothing more.
static void drains(int count, struct sockaddr_in *own) {
    int daemon = socket(AF_UNIX, SOCK_STREAM, 0), listener = socket(AF_INET, SOCK_STREAM, 0), set = epoll_create1(0);
    struct sockaddr_un nobody = {AF_UNIX, "./nobody"};
    struct epoll_event event = {.events = EPOLLIN};
    if (connect(daemon, (void *)&nobody, sizeof nobody) == 0) _exit(2);
    if (bind(listener, (void *)own, sizeof *own) || listen(listener, 1)) _exit(3);
    out = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (out < 0 || epoll_ctl(set, EPOLL_CTL_ADD, out, &event)) _exit(4);
    while (count > 0) {
        char bytes[100];
        ssize_t got;
        if (epoll_wait(set, &event, 1, 10000) != 1) _exit(5);
        while ((got = recv(out, bytes, sizeof bytes, 0)) > 0) {
            if (send(out, bytes, got, MSG_NOSIGNAL) != got) _exit(6);
            count -= got;
        }
    }
}

int main(int argc, char **argv) {
    const char *what = argv[1];
    int count = atoi(argv[3]);
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
    struct stat status;
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (!strcmp(what, "drains")) return drains(count, &peer), 0;
    file = open("body", O_RDONLY);
    out = socket(AF_INET, SOCK_STREAM, 0);
    if (fstat(file, &status) || connect(out, (void *)&peer, sizeof peer)) return 1;
    fcntl(out, F_SETFL, O_NONBLOCK);
    if (!strcmp(what, "heads")) heads(count);
    if (!strcmp(what, "again")) again(count);
    if (!strcmp(what, "answers")) answers(count);
}
