// A pseudo-terminal pair within the process: modes, sizes, line discipline.
#include "tap.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

static int open_pair_(int *slave)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) || unlockpt(master)) return -1;
    *slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    return master;
}

GROUP(modes)
{
    int s, m = GOOD(open_pair_(&s));
    struct termios t, u;
    struct winsize w = {.ws_row = 40, .ws_col = 120}, x = {0};
    EQ(isatty(s), 1);
    EQ(isatty(m), 1);
    EQ(tcgetattr(s, &t), 0);
    EQ((t.c_lflag & (ICANON | ECHO)) == (ICANON | ECHO), 1);
    u = t;
    cfmakeraw(&u);
    EQ(tcsetattr(s, TCSANOW, &u), 0);
    EQ(tcgetattr(s, &t), 0);
    EQ(t.c_lflag & (ICANON | ECHO), 0);
    EQ(ioctl(m, TIOCSWINSZ, &w), 0);
    EQ(ioctl(s, TIOCGWINSZ, &x), 0);
    EQ(x.ws_row, 40);
    EQ(x.ws_col, 120);
    int n = -1;
    EQ(ioctl(m, TIOCGPTN, &n), 0);
    OK(n >= 0);
    EQ(tcflush(s, TCIOFLUSH), 0);
    OK(ttyname(s) != NULL && strncmp(ttyname(s), "/dev/pts/", 9) == 0);
    FAILS(ioctl(s, TCGETS, BAD), EFAULT);
    FAILS(ioctl(s, 0x12345678, 0), ENOTTY);
}

GROUP(lines)
{
    int s, m = GOOD(open_pair_(&s)), n = 0;
    char b[100] = "";
    EQ(write(m, "typed\n", 6), 6);
    EQ(read(s, b, 100), 6);
    SAME(b, "typed\n", 6);
    EQ(read(m, b, 100), 7);
    SAME(b, "typed\r\n", 7);
    EQ(write(s, "out\n", 4), 4);
    EQ(read(m, b, 100), 5);
    SAME(b, "out\r\n", 5);
    write(m, "ab\x7f" "c\n", 5);
    EQ(read(s, b, 100), 3);
    SAME(b, "ac\n", 3);
    write(m, "\x04", 1);
    EQ(read(s, b, 100), 0);
    struct termios t;
    tcgetattr(s, &t);
    t.c_lflag &= ~(ICANON | ECHO);
    t.c_cc[VMIN] = 1;
    t.c_cc[VTIME] = 0;
    tcsetattr(s, TCSAFLUSH, &t);
    write(m, "x", 1);
    EQ(read(s, b, 100), 1);
    write(m, "yz", 2);
    struct pollfd p = {s, POLLIN, 0};
    EQ(poll(&p, 1, 5000), 1);
    EQ(p.revents, POLLIN);
    EQ(ioctl(s, FIONREAD, &n), 0);
    EQ(n, 2);
    fcntl(s, F_SETFL, O_NONBLOCK);
    EQ(read(s, b, 100), 2);
    FAILS(read(s, b, 100), EAGAIN);
    close(m);
    EQ(read(s, b, 100), 0);
    FAILS(write(s, "x", 1), EIO);
}

GROUP(not_terminals)
{
    struct winsize w;
    int fd = open("/dev/null", O_RDWR), p[2];
    pipe(p);
    FAILS(ioctl(fd, TIOCGWINSZ, &w), ENOTTY);
    FAILS(ioctl(p[0], TCGETS, malloc(100)), ENOTTY);
    EQ(isatty(fd), 0);
    EQ(isatty(99), 0);
}
