// Connects to the port given, and sends so many answers through a corked stream as the second argument says: a
// head, and a body from a file. Waits as servers do until there is room for more.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

enum { BODY = 10 << 10 };

static int out;

static void cork(int on) { setsockopt(out, IPPROTO_TCP, TCP_CORK, &on, sizeof on); }

int main(int argc, char **argv) {
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int file = open("body", O_RDONLY);
    out = socket(AF_INET, SOCK_STREAM, 0);
    if (file < 0 || connect(out, (void *)&peer, sizeof peer)) return 1;
    fcntl(out, F_SETFL, O_NONBLOCK);
    for (int answers = atoi(argv[2]); answers > 0; answers--) {
        off_t offset = 0;
        if (poll(&(struct pollfd){out, POLLOUT, 0}, 1, 10000) != 1) return 2;
        cork(1);
        if (send(out, "head", 4, MSG_NOSIGNAL) != 4) return 3;
        if (sendfile(out, file, &offset, BODY) != BODY) return 4;
        cork(0);
    }
}
