// io_setup, io_submit, io_getevents and their kin, as libaio calls them.
#include "tap.h"
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>

typedef unsigned long aio_context_t;
enum { IOCB_CMD_PREAD, IOCB_CMD_PWRITE, IOCB_CMD_FSYNC, IOCB_CMD_FDSYNC, IOCB_CMD_NOOP = 6, IOCB_CMD_PREADV, IOCB_CMD_PWRITEV };
enum { IOCB_FLAG_RESFD = 1, IOCB_FLAG_IOPRIO = 2 };
struct iocb {
    uint64_t aio_data;
    uint32_t aio_key;
    int aio_rw_flags;
    uint16_t aio_lio_opcode;
    int16_t aio_reqprio;
    uint32_t aio_fildes;
    uint64_t aio_buf, aio_nbytes;
    int64_t aio_offset;
    uint64_t aio_reserved2;
    uint32_t aio_flags, aio_resfd;
};
struct io_event { uint64_t data, obj; int64_t res, res2; };

static long io_setup(unsigned events, aio_context_t *context) { return syscall(SYS_io_setup, events, context); }
static long io_destroy(aio_context_t context) { return syscall(SYS_io_destroy, context); }
static long io_submit(aio_context_t context, long count, struct iocb **list) { return syscall(SYS_io_submit, context, count, list); }
static long io_cancel(aio_context_t context, struct iocb *request, struct io_event *event) { return syscall(SYS_io_cancel, context, request, event); }
static long io_getevents(aio_context_t context, long least, long most, struct io_event *events, struct timespec *timeout)
{
    return syscall(SYS_io_getevents, context, least, most, events, timeout);
}

struct mask { const void *set; size_t size; };
static long io_pgetevents(aio_context_t context, long least, long most, struct io_event *events, struct timespec *timeout, struct mask *mask)
{
    return syscall(333, context, least, most, events, timeout, mask);
}

static struct iocb request(int op, int fd, const void *buffer, size_t len, long long offset)
{
    return (struct iocb){.aio_lio_opcode = op, .aio_fildes = fd, .aio_buf = (uintptr_t)buffer,
        .aio_nbytes = len, .aio_offset = offset, .aio_data = 0x1122334455667788};
}

static long submit(aio_context_t context, struct iocb *one) { return io_submit(context, 1, &one); }

// The result of a request that is submitted and collected, or what refuses it.
static long outcome(aio_context_t context, struct iocb one)
{
    struct iocb *list[] = {&one};
    struct io_event event = {0};
    if (io_submit(context, 1, list) != 1) return -100000 - errno;
    if (io_getevents(context, 1, 1, &event, NULL) != 1) return -200000;
    if (event.obj != (uintptr_t)&one || event.data != one.aio_data || event.res2 != 0) return -300000;
    return event.res;
}
#define REFUSED(errno) (-100000 - (errno))

static aio_context_t made(unsigned events)
{
    aio_context_t context = 0;
    return io_setup(events, &context) ? 0 : context;
}

static struct timespec none = {0, 0}, soon = {0, 20000000};

GROUP(setup)
{
    aio_context_t context = 0, other = 1;
    FAILS(io_setup(0, &context), EINVAL);
    FAILS(io_setup(1, &other), EINVAL);
    FAILS(io_setup(1, BAD), EFAULT);
    FAILS(io_setup(1, NULL), EFAULT);
    FAILS(io_setup(70000, &context), EAGAIN);
    FAILS(io_setup(1 << 23, &context), EINVAL);
    FAILS(io_setup(1u << 31, &context), EAGAIN);
    EQ(context, 0);
    EQ(io_setup(10, &context), 0);
    OK(context != 0);
    FAILS(io_setup(10, &context), EINVAL);
    other = 0;
    EQ(io_setup(1, &other), 0);
    OK(other != context);
    // Its address can be looked at, as libaio does.
    OK(*(volatile unsigned *)context < 1000);
    // Made, but nowhere to tell.
    aio_context_t *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    FAILS(io_setup(1, page), EFAULT);
    EQ(io_destroy(other), 0);
    FAILS(io_destroy(other), EINVAL);
    FAILS(io_destroy(0), EINVAL);
    FAILS(io_destroy((uintptr_t)page), EINVAL);
    EQ(*page, 0);
    struct io_event event;
    struct iocb *list[1];
    FAILS(io_getevents(other, 0, 1, &event, &none), EINVAL);
    FAILS(io_submit(other, 0, list), EINVAL);
    unsigned char here;
    FAILS(mincore((void *)other, 4096, &here), ENOMEM);
    EQ(mincore((void *)context, 4096, &here), 0);
    EQ(io_destroy(context), 0);
    int bad = 0;
    for (int i = 0; i < 70; i++) {
        context = made(1000);
        bad += context == 0 || io_destroy(context) != 0;
    }
    NAMED("what a context takes is given back", bad == 0);
}

GROUP(read_write)
{
    aio_context_t context = made(16);
    int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0644);
    char b[100] = "";
    EQ(outcome(context, request(IOCB_CMD_PWRITE, fd, "0123456789", 10, 0)), 10);
    EQ(outcome(context, request(IOCB_CMD_PREAD, fd, b, 4, 3)), 4);
    SAME(b, "3456", 4);
    EQ(outcome(context, request(IOCB_CMD_PREAD, fd, b, 100, 8)), 2);
    EQ(outcome(context, request(IOCB_CMD_PREAD, fd, b, 100, 10)), 0);
    EQ(outcome(context, request(IOCB_CMD_PREAD, fd, b, 0, 0)), 0);
    EQ(lseek(fd, 0, SEEK_CUR), 0);
    struct iovec out[3] = {{"ab", 2}, {NULL, 0}, {"cdef", 4}}, in[2] = {{b, 3}, {b + 50, 20}};
    EQ(outcome(context, request(IOCB_CMD_PWRITEV, fd, out, 3, 5)), 6);
    EQ(outcome(context, request(IOCB_CMD_PREADV, fd, in, 2, 4)), 7);
    SAME(b, "4ab", 3);
    SAME(b + 50, "cdef", 4);
    EQ(outcome(context, request(IOCB_CMD_PREADV, fd, in, 0, 0)), 0);
    EQ(outcome(context, request(IOCB_CMD_PWRITE, fd, "far", 3, 10000)), 3);
    EQ(lseek(fd, 0, SEEK_END), 10003);
    EQ(outcome(context, request(IOCB_CMD_FSYNC, fd, NULL, 0, 0)), 0);
    EQ(outcome(context, request(IOCB_CMD_FDSYNC, fd, NULL, 0, 0)), 0);
    // Much, and where nothing is mapped.
    size_t much = 3 << 20;
    char *big = malloc(much), *back = malloc(much);
    for (size_t i = 0; i < much; i++) big[i] = (char)(i * 7 + i / 4096);
    EQ(outcome(context, request(IOCB_CMD_PWRITE, fd, big, much, 123)), much);
    EQ(outcome(context, request(IOCB_CMD_PREAD, fd, back, much, 123)), much);
    SAME(big, back, much);
    EQ(outcome(context, request(IOCB_CMD_PREAD, fd, BAD, 5, 0)), -EFAULT);
    EQ(outcome(context, request(IOCB_CMD_PWRITE, fd, BAD, 5, 0)), -EFAULT);
    // Flags of preadv2.
    struct iocb one = request(IOCB_CMD_PWRITE, fd, "end", 3, 0);
    one.aio_rw_flags = RWF_APPEND;
    EQ(outcome(context, one), 3);
    EQ(lseek(fd, 0, SEEK_END), much + 126);
    one = request(IOCB_CMD_PWRITE, fd, "safe", 4, 0);
    one.aio_rw_flags = 0x2; // RWF_DSYNC
    EQ(outcome(context, one), 4);
    one.aio_rw_flags = 0x1; // RWF_HIPRI
    EQ(outcome(context, one), 4);
    one.aio_rw_flags = 1 << 30;
    EQ(outcome(context, one), REFUSED(EOPNOTSUPP));
    close(fd);
    fd = open("f", O_RDWR | O_APPEND);
    EQ(outcome(context, request(IOCB_CMD_PWRITE, fd, "x", 1, 0)), 1);
    EQ(lseek(fd, 0, SEEK_END), much + 127);
    close(fd);
    int zero = open("/dev/zero", O_RDWR);
    memset(b, 1, sizeof b);
    EQ(outcome(context, request(IOCB_CMD_PREAD, zero, b, 10, 0)), 10);
    SAME(b, "\0\0\0\0\0\0\0\0\0\0\1", 11);
    close(zero);
    EQ(io_destroy(context), 0);
}

GROUP(streams)
{
    // What has no offsets is read and written as it comes.
    aio_context_t context = made(16);
    int p[2], s[2];
    char b[100] = "";
    pipe(p);
    EQ(outcome(context, request(IOCB_CMD_PWRITE, p[1], "hello", 5, 77)), 5);
    EQ(outcome(context, request(IOCB_CMD_PREAD, p[0], b, 3, 99)), 3);
    EQ(outcome(context, request(IOCB_CMD_PREAD, p[0], b + 3, 10, 0)), 2);
    SAME(b, "hello", 5);
    fcntl(p[0], F_SETFL, O_NONBLOCK);
    EQ(outcome(context, request(IOCB_CMD_PREAD, p[0], b, 3, 0)), -EAGAIN);
    EQ(outcome(context, request(IOCB_CMD_FSYNC, p[0], NULL, 0, 0)), REFUSED(EINVAL));
    signal(SIGPIPE, SIG_IGN);
    close(p[0]);
    EQ(outcome(context, request(IOCB_CMD_PWRITE, p[1], "hello", 5, 0)), -EPIPE);
    close(p[1]);
    EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
    EQ(outcome(context, request(IOCB_CMD_PWRITE, s[1], "hello", 5, 0)), 5);
    EQ(outcome(context, request(IOCB_CMD_PREAD, s[0], b, 10, 0)), 5);
    close(s[0]);
    close(s[1]);
    EQ(io_destroy(context), 0);
}

static volatile int caught;
static void catch(int signal) { caught = signal; }

GROUP(signals)
{
    aio_context_t context = made(16);
    int p[2];
    pipe(p);
    close(p[0]);
    signal(SIGPIPE, catch);
    EQ(outcome(context, request(IOCB_CMD_PWRITE, p[1], "hello", 5, 0)), -EPIPE);
    EQ(caught, SIGPIPE);
    close(p[1]);
    EQ(io_destroy(context), 0);
}

GROUP(too_large)
{
    aio_context_t context = made(16);
    signal(SIGXFSZ, catch);
    int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0644);
    struct rlimit limit = {1000, RLIM_INFINITY};
    EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    EQ(outcome(context, request(IOCB_CMD_PWRITE, fd, "hello", 5, 996)), 4);
    EQ(outcome(context, request(IOCB_CMD_PWRITE, fd, "hello", 5, 1000)), -EFBIG);
    EQ(caught, SIGXFSZ);
    limit.rlim_cur = RLIM_INFINITY;
    setrlimit(RLIMIT_FSIZE, &limit);
    close(fd);
    EQ(io_destroy(context), 0);
}

GROUP(refused)
{
    aio_context_t context = made(16);
    int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0644);
    char b[10];
    struct iocb good = request(IOCB_CMD_PWRITE, fd, "x", 1, 0), one = good;
    struct iocb *list[4] = {&good, &one, &good, &good};
    FAILS(io_submit(context, -1, list), EINVAL);
    FAILS(io_submit(0, 1, list), EINVAL);
    FAILS(io_submit(context + 4096, 1, list), EINVAL);
    FAILS(io_submit(context, 1, BAD), EFAULT);
    FAILS(submit(context, BAD), EFAULT);
    FAILS(submit(context, NULL), EFAULT);
    EQ(io_submit(context, 0, BAD), 0);
    one.aio_reserved2 = 1;
    FAILS(submit(context, &one), EINVAL);
    // Those before it are submitted.
    EQ(io_submit(context, 4, list), 1);
    list[1] = BAD;
    EQ(io_submit(context, 4, list), 1);
    struct io_event events[4];
    EQ(io_getevents(context, 0, 4, events, NULL), 2);
    one = request(IOCB_CMD_PWRITE, fd, "x", -1, 0);
    FAILS(submit(context, &one), EINVAL);
    one = request(IOCB_CMD_PWRITE, 99, "x", 1, 0);
    FAILS(submit(context, &one), EBADF);
    one.aio_lio_opcode = 99;
    FAILS(submit(context, &one), EBADF);
    one = request(99, fd, "x", 1, 0);
    FAILS(submit(context, &one), EINVAL);
    one = request(IOCB_CMD_NOOP, fd, NULL, 0, 0);
    FAILS(submit(context, &one), EINVAL);
    one = request(4, fd, NULL, 0, 0);
    FAILS(submit(context, &one), EINVAL);
    EQ(outcome(context, request(IOCB_CMD_PWRITE, fd, "x", 1, -1)), REFUSED(EINVAL));
    EQ(outcome(context, request(IOCB_CMD_PREAD, fd, b, 1, LLONG_MAX)), REFUSED(EINVAL));
    EQ(outcome(context, request(IOCB_CMD_PREAD, fd, (void *)-5, 1, 0)), REFUSED(EFAULT));
    EQ(outcome(context, request(IOCB_CMD_PREADV, fd, b, 1025, 0)), REFUSED(EINVAL));
    EQ(outcome(context, request(IOCB_CMD_PREADV, fd, BAD, 2, 0)), REFUSED(EFAULT));
    EQ(outcome(context, request(IOCB_CMD_FSYNC, fd, NULL, 0, 1)), REFUSED(EINVAL));
    EQ(outcome(context, request(IOCB_CMD_FDSYNC, fd, b, 0, 0)), REFUSED(EINVAL));
    close(fd);
    fd = open("f", O_RDONLY);
    EQ(outcome(context, request(IOCB_CMD_PWRITE, fd, "x", 1, 0)), REFUSED(EBADF));
    close(fd);
    fd = open("f", O_WRONLY);
    EQ(outcome(context, request(IOCB_CMD_PREAD, fd, b, 1, 0)), REFUSED(EBADF));
    close(fd);
    fd = open("f", O_PATH);
    EQ(outcome(context, request(IOCB_CMD_PREAD, fd, b, 1, 0)), REFUSED(EBADF));
    close(fd);
    fd = open(".", O_RDONLY);
    EQ(outcome(context, request(IOCB_CMD_PREAD, fd, b, 1, 0)), REFUSED(EINVAL));
    close(fd);
    // Priorities: class and level.
    fd = open("f", O_RDONLY);
    one = request(IOCB_CMD_PREAD, fd, b, 1, 0);
    one.aio_flags = IOCB_FLAG_IOPRIO;
    int priorities[] = {0, 2 << 13 | 4, 3 << 13, 1, 4 << 13};
    long outcomes[] = {1, 1, 1, REFUSED(EINVAL), REFUSED(EINVAL)};
    for (int i = 0; i < 5; i++) {
        one.aio_reqprio = priorities[i];
        EQ(outcome(context, one), outcomes[i]);
    }
    one.aio_flags = 1 << 20;
    EQ(outcome(context, one), 1);
    // A key is written.
    struct iocb *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *page = request(IOCB_CMD_PREAD, fd, b, 1, 0);
    page->aio_key = 77;
    FAILS(io_cancel(context, page, events), EINVAL);
    EQ(submit(context, page), 1);
    EQ(page->aio_key, 0);
    FAILS(io_cancel(context, page, events), EINVAL);
    FAILS(io_cancel(0, page, events), EINVAL);
    FAILS(io_cancel(context, BAD, events), EFAULT);
    EQ(io_getevents(context, 1, 1, events, NULL), 1);
    mprotect(page, 4096, PROT_READ);
    FAILS(submit(context, page), EFAULT);
    EQ(io_getevents(context, 0, 1, events, NULL), 0);
    EQ(io_destroy(context), 0);
}

GROUP(order)
{
    aio_context_t context = made(100);
    int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0644);
    struct iocb requests[100], *list[100];
    struct io_event events[100];
    char b[100];
    for (int i = 0; i < 100; i++) {
        b[i] = (char)i;
        requests[i] = request(IOCB_CMD_PWRITE, fd, b + i, 1, i);
        requests[i].aio_data = i;
        list[i] = requests + i;
    }
    EQ(io_submit(context, 100, list), 100);
    EQ(io_getevents(context, 10, 30, events, NULL), 30);
    EQ(io_getevents(context, 0, 100, events + 30, NULL), 70);
    int bad = 0;
    for (int i = 0; i < 100; i++)
        bad += events[i].data != (unsigned)i || events[i].obj != (uintptr_t)list[i] || events[i].res != 1;
    EQ(bad, 0);
    char back[100];
    EQ(pread(fd, back, 100, 0), 100);
    SAME(back, b, 100);
    // What nobody collects is limited.
    long all = 0, got;
    while (all < 100000 && (got = io_submit(context, 100, list)) > 0) all += got;
    NAMED("no more than that is kept", got == -1 && errno == EAGAIN);
    OK(all >= 100 && all < 1000);
    EQ(io_getevents(context, 100, 100, events, NULL), 100);
    OK(io_submit(context, 100, list) > 50);
    EQ(io_destroy(context), 0);
}

GROUP(collect)
{
    aio_context_t context = made(16);
    int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0644);
    struct iocb one = request(IOCB_CMD_PWRITE, fd, "x", 1, 0), *list[] = {&one, &one, &one};
    struct io_event *events = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    FAILS(io_getevents(context, -1, 1, events, NULL), EINVAL);
    FAILS(io_getevents(context, 2, 1, events, NULL), EINVAL);
    FAILS(io_getevents(context, 0, -1, events, NULL), EINVAL);
    FAILS(io_getevents(context, 0, 1, events, BAD), EFAULT);
    FAILS(io_getevents(0, 0, 1, events, BAD), EFAULT);
    FAILS(io_getevents(0, 0, 1, events, NULL), EINVAL);
    EQ(io_getevents(context, 0, 1, events, NULL), 0);
    EQ(io_getevents(context, 0, 1, BAD, NULL), 0);
    EQ(io_getevents(context, 0, 0, events, NULL), 0);
    EQ(io_getevents(context, 1, 1, events, &none), 0);
    long long before = now_ns_(CLOCK_MONOTONIC);
    EQ(io_getevents(context, 1, 1, events, &soon), 0);
    OK(now_ns_(CLOCK_MONOTONIC) - before >= 20000000);
    // Linux does not look closely at times.
    struct timespec odd[] = {{0, 2000000000}, {1, -980000000}};
    EQ(io_getevents(context, 1, 1, events, odd + 1), 0);
    EQ(io_submit(context, 3, list), 3);
    EQ(io_getevents(context, 1, 1, events, odd), 1);
    before = now_ns_(CLOCK_MONOTONIC);
    // All that is there, after waiting for more.
    EQ(io_getevents(context, 3, 9, events, &soon), 2);
    OK(now_ns_(CLOCK_MONOTONIC) - before >= 20000000);
    // What cannot be given is not lost.
    EQ(io_submit(context, 3, list), 3);
    FAILS(io_getevents(context, 1, 9, BAD, NULL), EFAULT);
    mprotect((char *)events + 4096, 4096, PROT_NONE);
    FAILS(io_getevents(context, 1, 9, events + 127, NULL), EFAULT);
    EQ(io_getevents(context, 1, 1, events + 127, NULL), 1);
    EQ(io_getevents(context, 1, 9, events, NULL), 2);
    EQ(events[1].res, 1);
    // With a mask.
    FAILS(io_pgetevents(context, 0, 1, events, NULL, BAD), EFAULT);
    EQ(io_pgetevents(context, 1, 1, events, &soon, NULL), 0);
    unsigned long blocked = 1ul << (SIGUSR1 - 1), nothing = 0, now;
    struct mask mask = {&nothing, 8}, wrong = {&nothing, 4}, bad = {BAD, 8}, empty = {NULL, 0};
    FAILS(io_pgetevents(context, 0, 1, events, NULL, &wrong), EINVAL);
    FAILS(io_pgetevents(context, 0, 1, events, NULL, &bad), EFAULT);
    EQ(io_pgetevents(context, 0, 1, events, NULL, &empty), 0);
    caught = 0;
    signal(SIGUSR1, catch);
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, &blocked, NULL, 8);
    raise(SIGUSR1);
    EQ(io_pgetevents(context, 1, 1, events, &soon, NULL), 0);
    EQ(caught, 0);
    FAILS(io_pgetevents(context, 1, 1, events, NULL, &mask), EINTR);
    EQ(caught, SIGUSR1);
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &now, 8);
    EQ(now & blocked, blocked);
    EQ(io_submit(context, 1, list), 1);
    EQ(io_pgetevents(context, 1, 1, events, NULL, &mask), 1);
    syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &blocked, NULL, 8);
    EQ(io_destroy(context), 0);
}

GROUP(eventfds)
{
    aio_context_t context = made(16);
    int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0644), event = eventfd(0, EFD_NONBLOCK);
    struct iocb one = request(IOCB_CMD_PWRITE, fd, "x", 1, 0), *list[] = {&one, &one, &one};
    struct io_event events[8];
    one.aio_flags = IOCB_FLAG_RESFD;
    one.aio_resfd = 99;
    FAILS(submit(context, &one), EBADF);
    one.aio_resfd = fd;
    FAILS(submit(context, &one), EINVAL);
    one.aio_resfd = event;
    one.aio_fildes = 99;
    FAILS(submit(context, &one), EBADF);
    one.aio_fildes = fd;
    struct pollfd p = {event, POLLIN, 0};
    EQ(poll(&p, 1, 0), 0);
    EQ(io_submit(context, 3, list), 3);
    EQ(poll(&p, 1, 1000), 1);
    uint64_t count = 0;
    EQ(read(event, &count, 8), 8);
    EQ(count, 3);
    EQ(io_getevents(context, 3, 8, events, NULL), 3);
    // Also for what fails, but not for what is refused.
    one.aio_buf = (uintptr_t)BAD;
    EQ(submit(context, &one), 1);
    one.aio_reserved2 = 1;
    FAILS(submit(context, &one), EINVAL);
    EQ(read(event, &count, 8), 8);
    EQ(count, 1);
    EQ(io_getevents(context, 1, 8, events, NULL), 1);
    EQ(events[0].res, -EFAULT);
    // As nginx waits: by edge, with the eventfd in a set.
    int set = epoll_create1(0);
    struct epoll_event wanted = {EPOLLIN | EPOLLET, {.u32 = 5}}, got;
    EQ(epoll_ctl(set, EPOLL_CTL_ADD, event, &wanted), 0);
    one = request(IOCB_CMD_PWRITE, fd, "x", 1, 0);
    one.aio_flags = IOCB_FLAG_RESFD;
    one.aio_resfd = event;
    for (int i = 0; i < 2; i++) {
        EQ(epoll_wait(set, &got, 1, 0), 0);
        EQ(io_submit(context, 3, list), 3);
        EQ(epoll_wait(set, &got, 1, 1000), 1);
    }
    EQ(read(event, &count, 8), 8);
    EQ(count, 6);
    // A full counter takes one more.
    one = request(IOCB_CMD_PREAD, fd, &count, 0, 0);
    one.aio_flags = IOCB_FLAG_RESFD;
    one.aio_resfd = event;
    uint64_t most = UINT64_MAX - 1;
    EQ(write(event, &most, 8), 8);
    EQ(submit(context, &one), 1);
    p.events = POLLIN | POLLOUT;
    EQ(poll(&p, 1, 0), 1);
    EQ(p.revents, POLLIN | POLLERR);
    EQ(submit(context, &one), 1);
    EQ(read(event, &count, 8), 8);
    OK(count == UINT64_MAX);
    EQ(io_destroy(context), 0);
}

static aio_context_t shared;
static int file_, pipe_[2];
static pthread_t first;

static void *submits(void *unused)
{
    static struct iocb requests[5];
    for (int i = 0; i < 5; i++) {
        usleep(5000);
        requests[i] = request(IOCB_CMD_PWRITE, file_, "x", 1, i);
        submit(shared, requests + i);
    }
    return unused;
}
static void *destroys(void *unused)
{
    usleep(100000);
    io_destroy(shared);
    return unused;
}
// Again and again: the first time may be before the wait.
static volatile int enough;
static void *kills(void *unused)
{
    while (usleep(20000), !enough) pthread_kill(first, SIGUSR1);
    return unused;
}
static void killed(pthread_t *t)
{
    enough = 0;
    pthread_create(t, NULL, kills, NULL);
}
static void no_longer(pthread_t t)
{
    enough = 1;
    pthread_join(t, NULL);
}
static struct iocb reading;
static void *reads_pipe(void *result)
{
    static char b[10];
    struct iocb one = request(IOCB_CMD_PREAD, pipe_[0], b, 10, 0);
    one.aio_key = 77; // until it is executed
    reading = one;
    *(long *)result = submit(shared, &reading);
    return NULL;
}
static volatile int written;
static void *writes_pipe(void *unused)
{
    usleep(20000);
    written = 1;
    write(pipe_[1], "late", 4);
    return unused;
}

GROUP(waits)
{
    struct io_event events[16];
    pthread_t t;
    file_ = open("f", O_RDWR | O_CREAT | O_TRUNC, 0644);
    first = pthread_self();
    shared = made(16);
    pthread_create(&t, NULL, submits, NULL);
    EQ(io_getevents(shared, 5, 16, events, NULL), 5);
    pthread_join(t, NULL);
    struct timespec later = {5, 0};
    pthread_create(&t, NULL, submits, NULL);
    EQ(io_getevents(shared, 1, 1, events, &later), 1);
    EQ(io_getevents(shared, 4, 4, events, &later), 4);
    pthread_join(t, NULL);
    // A signal ends a wait; what was collected is not lost.
    struct sigaction action = {.sa_handler = catch, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    killed(&t);
    FAILS(io_getevents(shared, 1, 16, events, NULL), EINTR);
    no_longer(t);
    EQ(caught, SIGUSR1);
    // What is less than nothing is for ever.
    struct timespec less = {0, -5};
    killed(&t);
    FAILS(io_getevents(shared, 1, 16, events, &less), EINTR);
    no_longer(t);
    struct iocb one = request(IOCB_CMD_PWRITE, file_, "x", 1, 0);
    EQ(submit(shared, &one), 1);
    killed(&t);
    EQ(io_getevents(shared, 2, 16, events, &later), 1);
    no_longer(t);
    EQ(io_getevents(shared, 1, 16, events, &soon), 0);
    // One that is ignored does not, nor does it make the wait longer.
    signal(SIGUSR1, SIG_IGN);
    killed(&t);
    struct timespec some = {0, 60000000};
    long long before = now_ns_(CLOCK_MONOTONIC);
    EQ(io_getevents(shared, 1, 16, events, &some), 0);
    long long took = now_ns_(CLOCK_MONOTONIC) - before;
    OK(took >= 60000000 && took < 3000000000);
    no_longer(t);
    // A request that has to wait is waited for by whoever submits it.
    pipe(pipe_);
    long result = 0;
    pthread_create(&t, NULL, writes_pipe, NULL);
    reads_pipe(&result);
    EQ(result, 1);
    EQ(io_getevents(shared, 1, 16, events, NULL), 1);
    EQ(events[0].res, 4);
    pthread_join(t, NULL);
    // After a signal it is not made again.
    sigaction(SIGUSR1, &action, NULL);
    killed(&t);
    reads_pipe(&result);
    no_longer(t);
    EQ(result, 1);
    EQ(io_getevents(shared, 1, 16, events, NULL), 1);
    EQ(events[0].res, -EINTR);
    // The end of a context ends waits for it.
    pthread_create(&t, NULL, destroys, NULL);
    FAILS(io_getevents(shared, 1, 16, events, NULL), EINVAL);
    pthread_join(t, NULL);
    shared = made(16);
    EQ(submit(shared, &one), 1);
    pthread_create(&t, NULL, destroys, NULL);
    EQ(io_getevents(shared, 2, 16, events, NULL), 1);
    pthread_join(t, NULL);
    FAILS(io_getevents(shared, 1, 16, events, NULL), EINVAL);
}

GROUP(destroyed_while_running)
{
    // It is waited for until nothing uses the buffers.
    for (int i = 0; i < 3; i++) {
        pthread_t reader, writer;
        long result = 0;
        pipe(pipe_);
        shared = made(16);
        aio_context_t context = shared;
        written = 0;
        reading.aio_key = 77;
        pthread_create(&reader, NULL, reads_pipe, &result);
        while (*(volatile uint32_t *)&reading.aio_key == 77) usleep(1000);
        pthread_create(&writer, NULL, writes_pipe, NULL);
        EQ(io_destroy(context), 0);
        EQ(written, 1);
        pthread_join(reader, NULL);
        pthread_join(writer, NULL);
        EQ(result, 1);
        char b;
        fcntl(pipe_[0], F_SETFL, O_NONBLOCK);
        FAILS(read(pipe_[0], &b, 1), EAGAIN);
        close(pipe_[0]);
        close(pipe_[1]);
    }
}

enum { THREADS = 4, ROUNDS = 300, DEPTH = 8 };
static int submitted, collected, wrong;

static void *works(void *argument)
{
    long self = (long)argument;
    char b[DEPTH][64], back[64];
    struct iocb requests[DEPTH], *list[DEPTH];
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < DEPTH; i++) {
            memset(b[i], (int)(self * 50 + i + round), 64);
            requests[i] = request(IOCB_CMD_PWRITE, file_, b[i], 64, (self * DEPTH + i) * 64);
            list[i] = requests + i;
        }
        int done = 0;
        while (done < DEPTH) {
            long got = io_submit(shared, DEPTH - done, list + done);
            if (got < 0 && errno != EAGAIN) return NULL;
            if (got < 0) usleep(100);
            else done += (int)got;
        }
        __atomic_add_fetch(&submitted, DEPTH, __ATOMIC_SEQ_CST);
        for (int i = 0; i < DEPTH; i++) {
            pread(file_, back, 64, (self * DEPTH + i) * 64);
            if (memcmp(back, b[i], 64)) __atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST);
        }
    }
    return NULL;
}
static void *collects(void *unused)
{
    struct io_event events[5];
    long got;
    while ((got = io_getevents(shared, 1, 5, events, NULL)) > 0) {
        for (int i = 0; i < got; i++)
            if (events[i].res != 64) __atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST);
        __atomic_add_fetch(&collected, got, __ATOMIC_SEQ_CST);
    }
    return (void *)(long)errno;
}

GROUP(threads)
{
    pthread_t t[THREADS], c[2];
    file_ = open("f", O_RDWR | O_CREAT | O_TRUNC, 0644);
    shared = made(16);
    for (int i = 0; i < 2; i++) pthread_create(c + i, NULL, collects, NULL);
    for (long i = 0; i < THREADS; i++) pthread_create(t + i, NULL, works, (void *)i);
    for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
    EQ(submitted, THREADS * ROUNDS * DEPTH);
    for (int i = 0; i < 5000 && __atomic_load_n(&collected, __ATOMIC_SEQ_CST) < submitted; i++) usleep(1000);
    EQ(collected, submitted);
    EQ(wrong, 0);
    EQ(io_destroy(shared), 0);
    for (int i = 0; i < 2; i++) {
        void *result;
        pthread_join(c[i], &result);
        EQ((long)result, EINVAL);
    }
    // Contexts that end while others use them.
    int bad = 0;
    for (int i = 0; i < 30; i++) {
        shared = made(16);
        for (int k = 0; k < 2; k++) pthread_create(c + k, NULL, collects, NULL);
        for (long k = 0; k < 2; k++) pthread_create(t + k, NULL, works, (void *)k);
        usleep(1000);
        bad += io_destroy(shared) != 0;
        for (int k = 0; k < 2; k++) pthread_join(c[k], NULL), pthread_join(t[k], NULL);
    }
    EQ(bad, 0);
    unlink("f");
}
