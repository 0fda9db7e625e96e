// An HTTP server of two threads, or of one, on edge-triggered epoll: `server PORT THREADS`. SIGTERM through
// a signalfd ends it.
#include "hammer.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

static int listener, signals;
static void answer(int fd)
{
    char in[8192], out[400], path[200];
    for (;;) {
        ssize_t n = recv(fd, in, sizeof in - 1, 0);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) { close(fd); return; }
        in[n] = 0;
        if (sscanf(in, "GET %199s", path) != 1) { close(fd); return; }
        size_t body = strlen(path) + 6;
        int m = snprintf(out, sizeof out, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\npath %s\n", body, path);
        CHECK(send(fd, out, m, MSG_NOSIGNAL) == m);
    }
}
static void *serve(void *unused)
{
    (void)unused;
    int ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = listener}, all[64];
    CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, listener, &e) == 0);
    e.data.fd = signals;
    CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, signals, &e) == 0);
    for (;;) {
        int n = epoll_wait(ep, all, 64, -1);
        CHECK(n >= 0 || errno == EINTR);
        for (int i = 0; i < n; i++) {
            if (all[i].data.fd == signals) return NULL;
            if (all[i].data.fd != listener) { answer(all[i].data.fd); continue; }
            int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
            if (fd < 0) { CHECK(errno == EAGAIN || errno == ECONNABORTED); continue; }
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            e = (struct epoll_event){.events = EPOLLIN | EPOLLET, .data.fd = fd};
            CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) == 0);
        }
    }
}

int main(int argc, char **argv)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    signals = signalfd(-1, &set, SFD_CLOEXEC);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(rounds(argc, argv)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK(bind(listener, (void *)&a, sizeof a) == 0 && listen(listener, 200) == 0);
    int two = argc > 2 && atoi(argv[2]) == 2;
    pthread_t t;
    if (two) pthread_create(&t, NULL, serve, NULL);
    serve(NULL);
    if (two) pthread_join(t, NULL);
    return 0;
}
