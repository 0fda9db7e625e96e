// Sends answers through a corked stream, without waiting: a head, and a body from a file. One that receives them
// looks whether they come whole and in order. The last line says "intact", or what was corrupted.
#include "intact.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/sendfile.h>

enum { ANSWERS = 150, HEAD = 50, BODY = 70, ALL = ANSWERS * (HEAD + BODY) };

static int file;

static void cork(int on) { setsockopt(out, IPPROTO_TCP, TCP_CORK, &on, sizeof on); }

// Sends up to `end`, from memory or from the file; there is no way on after an error.
static void send_up_to(long at, long end, int from_file) {
    unsigned char data[HEAD];
    while (at < end) {
        off_t offset = at;
        for (long i = 0; i < HEAD && at + i < end; i++) data[i] = byte(at + i);
        long count = from_file ? sendfile(out, file, &offset, end - at)
                               : send(out, data, end - at, MSG_NOSIGNAL);
        if (count > end - at) _exit(3);
        if (count > 0 && from_file && offset != at + count) _exit(5);
        if (count > 0) at += count;
        else if (count == 0 || errno != EAGAIN) _exit(4);
        else if (poll(&(struct pollfd){out, POLLOUT, 0}, 1, 1000) != 1) _exit(4);
    }
}

int main(void) {
    static unsigned char contents[ALL];
    for (long i = 0; i < ALL; i++) contents[i] = byte(i);
    file = open("contents", O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (write(file, contents, ALL) != ALL) return 1;
    if (!start()) return 1;
    access("/hostile", F_OK);
    for (long i = 0, at = 0; i < ANSWERS; i++, at += HEAD + BODY) {
        cork(1);
        send_up_to(at, at + HEAD, 0);
        // Sometimes something else comes between.
        if (i % 7 == 0) close(dup(0));
        if (i % 11 == 0) usleep(1000);
        send_up_to(at + HEAD, at + HEAD + BODY, 1);
        cork(0);
    }
    finish(ALL);
}
