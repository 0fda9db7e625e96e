// Pipes with a name: who waits for whom, what is told of the other side, what a name does.
#include "tap.h"
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/mman.h>

static int events_(int fd)
{
    struct pollfd p = {fd, POLLIN | POLLOUT, 0};
    poll(&p, 1, 0);
    return p.revents;
}

GROUP(without_waiting)
{
    char b[10];
    EQ(mkfifo("p", 0600), 0);
    FAILS(open("p", O_WRONLY | O_NONBLOCK), ENXIO);
    int r = GOOD(open("p", O_RDONLY | O_NONBLOCK));
    EQ(events_(r), 0); // that nobody has come yet is not told
    EQ(read(r, b, 10), 0);
    int w = GOOD(open("p", O_WRONLY | O_NONBLOCK));
    EQ(events_(w), POLLOUT);
    FAILS(read(r, b, 10), EAGAIN);
    EQ(write(w, "abc", 3), 3);
    EQ(events_(r), POLLIN);
    close(w);
    EQ(events_(r), POLLIN | POLLHUP);
    EQ(read(r, b, 10), 3);
    EQ(events_(r), POLLHUP);
    EQ(read(r, b, 10), 0);
    w = GOOD(open("p", O_WRONLY));
    EQ(events_(r), 0);
    int again = GOOD(open("p", O_RDONLY));
    EQ(write(w, "xy", 2), 2);
    EQ(read(again, b, 10), 2);
    close(r);
    close(again);
    EQ(events_(w), POLLOUT | POLLERR);
    signal(SIGPIPE, SIG_IGN);
    FAILS(write(w, "z", 1), EPIPE);
    close(w);
}

GROUP(both_ways)
{
    char b[10];
    EQ(mkfifo("p", 0600), 0);
    int both = GOOD(open("p", O_RDWR));
    EQ(events_(both), POLLOUT);
    EQ(write(both, "abc", 3), 3);
    EQ(events_(both), POLLIN | POLLOUT);
    int r = GOOD(open("p", O_RDONLY));
    EQ(read(r, b, 2), 2);
    close(r);
    EQ(read(both, b, 10), 1);
    EQ(write(both, "lost", 4), 4);
    close(both);
    r = GOOD(open("p", O_RDONLY | O_NONBLOCK));
    EQ(read(r, b, 10), 0); // what was in it went with the last end
    EQ(events_(r), 0);
    close(r);
}

static sem_t next_;

static void *writes_(void *name)
{
    for (int i = 0; i < 200; i++) {
        sem_wait(&next_);
        int w = open(name, O_WRONLY);
        if (w < 0 || write(w, &i, sizeof i) != sizeof i) return "bad";
        close(w);
    }
    return NULL;
}

// A writer that is gone before the reader runs again was there all the same.
GROUP(waiting)
{
    EQ(mkfifo("p", 0600), 0);
    pthread_t t;
    void *bad;
    sem_init(&next_, 0, 0);
    pthread_create(&t, NULL, writes_, "p");
    int wrong = 0, value;
    for (int i = 0; i < 200; i++) {
        sem_post(&next_);
        int r = open("p", O_RDONLY);
        wrong += read(r, &value, sizeof value) != sizeof value || value != i;
        wrong += read(r, &value, sizeof value) != 0;
        close(r);
    }
    EQ(wrong, 0);
    EQ(pthread_join(t, &bad), 0);
    EQ(bad == NULL, 1);
}

static void *opens_late_(void *unused)
{
    (void)unused;
    usleep(20000);
    int r = open("p", O_RDONLY);
    char b[4];
    return (void *)(long)read(r, b, 4);
}

GROUP(a_writer_waits)
{
    EQ(mkfifo("p", 0600), 0);
    pthread_t t;
    void *count;
    pthread_create(&t, NULL, opens_late_, NULL);
    int w = GOOD(open("p", O_WRONLY));
    EQ(write(w, "abcd", 4), 4);
    EQ(pthread_join(t, &count), 0);
    EQ((long)count, 4);
}

static void nothing_(int unused) { (void)unused; }

GROUP(a_signal_ends_the_wait)
{
    EQ(mkfifo("p", 0600), 0);
    struct sigaction a = {.sa_handler = nothing_};
    sigaction(SIGALRM, &a, NULL);
    timer_t timer;
    struct itimerspec when = {.it_value.tv_nsec = 20000000};
    EQ(timer_create(CLOCK_MONOTONIC, NULL, &timer), 0);
    for (int mode = O_RDONLY; mode <= O_WRONLY; mode++) {
        EQ(timer_settime(timer, 0, &when, NULL), 0);
        FAILS(open("p", mode), EINTR);
    }
    FAILS(open("p", O_WRONLY | O_NONBLOCK), ENXIO); // the one that gave up reads no more
}

GROUP(names)
{
    struct stat s, t;
    char b[100] = "", path[50];
    EQ(mkfifo("p", 0640), 0);
    FAILS(mkfifo("p", 0640), EEXIST);
    EQ(stat("p", &s), 0);
    EQ(s.st_mode, S_IFIFO | 0640);
    EQ(s.st_size, 0);
    EQ(link("p", "q"), 0);
    EQ(symlink("q", "l"), 0);
    int r = GOOD(open("l", O_RDONLY | O_NONBLOCK)), w = GOOD(open("p", O_WRONLY | O_TRUNC));
    EQ(fstat(r, &t), 0);
    EQ(s.st_ino == t.st_ino && s.st_dev == t.st_dev, 1);
    EQ(t.st_nlink, 2);
    EQ(write(w, "abc", 3), 3);
    sprintf(path, "/proc/self/fd/%d", w);
    EQ(readlink(path, b, sizeof b) > 0, 1);
    TEXT(b + strlen(b) - 2, "/p");
    memset(b, 0, sizeof b);
    EQ(rename("p", "o"), 0);
    EQ(unlink("q"), 0);
    EQ(read(r, b, 10), 3);
    EQ(fchmod(r, 0600), 0);
    EQ(stat("o", &s), 0);
    EQ(s.st_mode, S_IFIFO | 0600);
    int again = GOOD(open(path, O_WRONLY | O_NONBLOCK));
    EQ(write(again, "de", 2), 2);
    EQ(read(r, b, 10), 2);
    FAILS(lseek(r, 0, SEEK_SET), ESPIPE);
    FAILS(pread(r, b, 1, 0), ESPIPE);
    FAILS(read(w, b, 1), EBADF);
    FAILS(write(r, b, 1), EBADF);
    FAILS(ftruncate(w, 0), EINVAL);
    FAILS(truncate("o", 0), EINVAL);
    FAILS(fallocate(w, 0, 0, 10), ESPIPE);
    EQ(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, r, 0) == MAP_FAILED && errno == ENODEV, 1);
    FAILS(open("o", O_RDONLY | O_DIRECTORY), ENOTDIR);
    FAILS(open("o", O_CREAT | O_EXCL | O_WRONLY, 0600), EEXIST);
    int at = GOOD(open("o", O_PATH));
    FAILS(read(at, b, 1), EBADF);
    EQ(unlink("o"), 0);
    EQ(write(w, "left", 4), 4);
    EQ(read(r, b, 10), 4);
    FAILS(open("o", O_RDONLY | O_NONBLOCK), ENOENT);
}

GROUP(epoll)
{
    EQ(mkfifo("p", 0600), 0);
    int r = GOOD(open("p", O_RDONLY | O_NONBLOCK)), set = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN | EPOLLET};
    EQ(epoll_ctl(set, EPOLL_CTL_ADD, r, &e), 0);
    EQ(epoll_wait(set, &e, 1, 0), 0);
    int w = GOOD(open("p", O_WRONLY));
    EQ(write(w, "a", 1), 1);
    EQ(epoll_wait(set, &e, 1, 1000), 1);
    EQ(e.events, EPOLLIN);
    EQ(epoll_wait(set, &e, 1, 0), 0);
    close(w);
    EQ(epoll_wait(set, &e, 1, 1000), 1);
    EQ(e.events, EPOLLIN | EPOLLHUP);
}
