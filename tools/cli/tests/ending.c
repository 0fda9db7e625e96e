// Connects to the port given, and sends answers through a corked stream: a head, and a body from a file. Ends
// as soon as so many heads have been sent as the second argument says.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

static int out, file;
static atomic_int heads;

static void cork(int on) { setsockopt(out, IPPROTO_TCP, TCP_CORK, &on, sizeof on); }

static void *sends(void *unused) {
    for (;;) {
        off_t offset = 0;
        cork(1);
        if (send(out, "head", 4, MSG_NOSIGNAL) != 4) _exit(3);
        heads++;
        if (sendfile(out, file, &offset, 4) != 4) _exit(4);
        cork(0);
    }
}

int main(int argc, char **argv) {
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    file = open("body", O_RDONLY);
    out = socket(AF_INET, SOCK_STREAM, 0);
    pthread_t sender;
    if (file < 0 || connect(out, (void *)&peer, sizeof peer)) return 1;
    fcntl(out, F_SETFL, O_NONBLOCK);
    if (pthread_create(&sender, 0, sends, 0)) return 2;
    while (heads < atoi(argv[2])) ;
    _exit(0);
}
