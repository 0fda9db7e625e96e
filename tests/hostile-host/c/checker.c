// Uses the system in all the ways that a lying host may answer, and looks at what no answer may
// change: memory beside buffers and beyond counts, its own data, the order of time.
//
// Errors and short counts are the host's to give. The last line says "intact", or what was not.
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "../../leaks/c/secret.h"

#define SIZE 512
#define FILL 0x5a
#define CANARY 0xc0ffee1234abcdef

// A buffer with something on both sides that nobody may touch.
static struct {
    uint64_t before[16];
    unsigned char data[SIZE];
    uint64_t after[16];
} guarded;

static unsigned char secret[32];
static volatile sig_atomic_t handled;

static void fail(int line, const char *what) {
    printf("corrupt: %s at line %d\n", what, line);
    fflush(stdout);
    _exit(3);
}
#define HOLDS(condition) ((condition) ? (void)0 : fail(__LINE__, #condition))

static void clear(void) {
    for (int i = 0; i < 16; i++) guarded.before[i] = guarded.after[i] = CANARY + i;
    memset(guarded.data, FILL, SIZE);
}

// After a call that may fill `asked` bytes of the buffer and says `count`.
static void within(long count, size_t asked, int line) {
    unsigned char mine[32];
    if (count > (long)asked) fail(line, "more than asked");
    for (int i = 0; i < 16; i++)
        if (guarded.before[i] != CANARY + i || guarded.after[i] != CANARY + i)
            fail(line, "memory beside the buffer");
    for (size_t i = count < 0 ? 0 : count; i < SIZE; i++)
        if (guarded.data[i] != FILL) fail(line, "memory beyond the count");
    make(mine);
    if (memcmp(mine, secret, 32)) fail(line, "the program's own data");
}
#define WITHIN(call, asked)                 \
    do {                                    \
        clear();                            \
        long count = (call);                \
        within(count, asked, __LINE__);     \
    } while (0)

// A descriptor must be one that was not in use.
static int fresh(int fd) {
    static int standard[3] = {0, 1, 2};
    for (int i = 0; i < 3; i++) HOLDS(fd != standard[i]);
    HOLDS(fd >= -1 && fd < 1 << 20);
    return fd;
}

// The result of a request that is submitted, as the system keeps it.
static long asynchronously(aio_context_t context, int operation, int fd, void *to, size_t asked, long at) {
    struct iocb one = {.aio_lio_opcode = operation, .aio_fildes = fd, .aio_buf = (uintptr_t)to,
                       .aio_nbytes = asked, .aio_offset = at}, *list[] = {&one};
    struct io_event event;
    if (syscall(SYS_io_submit, context, 1, list) != 1) return -1;
    HOLDS(syscall(SYS_io_getevents, context, 1, 1, &event, NULL) == 1);
    HOLDS(event.obj == (uintptr_t)&one);
    return event.res;
}

static void files(void) {
    char name[] = "hostile-XXXXXX";
    int file = fresh(mkstemp(name));
    struct stat status;
    struct statx more;
    unsigned char *data = guarded.data;
    struct iovec two[2] = {{data, 100}, {data + 100, 57}};
    char text[300];
    memset(text, 'x', sizeof text);
    if (write(file, text, 300) > 300) fail(__LINE__, "written more than asked");
    HOLDS(pwrite(file, text, 299, 5) <= 299);
    HOLDS(writev(file, (struct iovec[]){{text, 100}, {text + 8, 33}}, 2) <= 133);
    fstat(file, &status);
    stat(name, &status);
    statx(AT_FDCWD, name, 0, STATX_ALL, &more);
    lseek(file, 0, SEEK_SET);
    WITHIN(read(file, data, 123), 123);
    WITHIN(pread(file, data, 201, 3), 201);
    lseek(file, 0, SEEK_SET);
    WITHIN(readv(file, two, 2), 157);
    WITHIN(preadv(file, two, 2, 1), 157);
    aio_context_t context = 0;
    HOLDS(syscall(SYS_io_setup, 8, &context) == 0);
    WITHIN(asynchronously(context, IOCB_CMD_PREAD, file, data, 211, 7), 211);
    WITHIN(asynchronously(context, IOCB_CMD_PREADV, file, two, 2, 1), 157);
    HOLDS(asynchronously(context, IOCB_CMD_FDSYNC, file, 0, 0, 0) <= 0);
    HOLDS(syscall(SYS_io_destroy, context) == 0);
    // How far an offset moves on is not the host's to say.
    int null = fresh(open("/dev/null", O_WRONLY));
    off_t at = 3, to = 4096;
    long moved = sendfile(null, file, &at, 100);
    HOLDS(at == 3 + (moved > 0 ? moved : 0));
    at = 3, moved = copy_file_range(file, &at, file, &to, 100, 0);
    HOLDS(at - 3 == (moved > 0 ? moved : 0) && to - 4096 == at - 3);
    close(null);
    WITHIN(readlink("/proc/self/exe", (char *)data, 77), 77);
    WITHIN(readlink("/etc/mtab", (char *)data, 77), 77);
    WITHIN(getxattr(name, "user.none", data, 64), 64);
    setxattr(name, "user.some", "x", 1, 0);
    WITHIN(listxattr(name, (char *)data, 64), 64);
    clear();
    if (getcwd((char *)data, SIZE)) HOLDS(strlen((char *)data) < SIZE && data[0] == '/');
    if (ftruncate(file, 5000) == 0) {
        unsigned char *map = mmap(0, 8192, PROT_READ, MAP_PRIVATE, file, 0);
        if (map != MAP_FAILED) munmap(map, 8192);
    }
    int copy = fresh(dup(file));
    fcntl(copy, F_GETFL);
    struct flock lock = {.l_type = F_WRLCK};
    if (fcntl(copy, F_GETLK, &lock) == 0) HOLDS(lock.l_type == F_UNLCK || lock.l_whence == SEEK_SET && (lock.l_type == F_RDLCK || lock.l_type == F_WRLCK));
    unsigned processor, node;
    if (syscall(SYS_getcpu, &processor, &node, 0) == 0) HOLDS(processor < 8192 && node < 1024);
    close(copy);
    fsync(file);
    close(file);
    unlink(name);
    DIR *folder = opendir("/proc/self/fd/..");
    if (folder) closedir(folder);
    folder = opendir("/usr");
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        HOLDS(strlen(entry->d_name) < 256 && !strchr(entry->d_name, '/'));
    if (folder) closedir(folder);
    for (int i = 0; i < 3; i++) {
        const char *names[] = {"/proc/self/status", "/proc/cpuinfo", "/proc/meminfo"};
        int text = open(names[i], O_RDONLY);
        WITHIN(read(text, data, SIZE), SIZE);
        close(text);
    }
}

// Whole records, each with its end, are all that inotify gives.
static void noticed(int notify) {
    inotify_add_watch(notify, ".", IN_CREATE);
    close(open("noticed", O_CREAT | O_WRONLY, 0600));
    unlink("noticed");
    clear();
    long count = read(notify, guarded.data, 256);
    within(count, 256, __LINE__);
    for (long at = 0; at < count;) {
        struct inotify_event head;
        HOLDS(at + (long)sizeof head <= count);
        memcpy(&head, guarded.data + at, sizeof head);
        at += sizeof head;
        HOLDS(head.len <= count - at && (head.len == 0 || guarded.data[at + head.len - 1] == 0));
        at += head.len;
    }
}

// A timer tells how often it has expired, at least once, or nothing: also where somebody has set the clock back.
static void expired(int timer) {
    uint64_t count;
    clear();
    long size = read(timer, guarded.data, 8);
    within(size, 8, __LINE__);
    memcpy(&count, guarded.data, 8);
    HOLDS(size <= 0 || size == 8 && count > 0);
}

// A socket to accept from, which waits a second at most: the host may say that somebody has connected
// when nobody has.
static int listening(int family, int type) {
    int listener = fresh(socket(family, type, 0));
    struct timeval second = {.tv_sec = 1};
    setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
    return listener;
}

// Two connected sockets. Unlike those of socketpair(2), they are the host's.
static int connected(int family, int type, int pair[2]) {
    struct sockaddr_storage address = {.ss_family = family};
    socklen_t len = sizeof(struct sockaddr_in);
    if (family == AF_UNIX) {
        // An abstract name, which the host chooses.
        len = sizeof(sa_family_t);
    } else {
        ((struct sockaddr_in *)&address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    int listener = listening(family, type);
    pair[0] = fresh(socket(family, type, 0));
    pair[1] = -1;
    if (bind(listener, (void *)&address, len) == 0 && listen(listener, 1) == 0) {
        len = sizeof address;
        if (getsockname(listener, (void *)&address, &len) == 0 &&
            connect(pair[0], (void *)&address, len) == 0)
            pair[1] = fresh(accept4(listener, 0, 0, SOCK_NONBLOCK));
    }
    close(listener);
    HOLDS(pair[1] == -1 || pair[0] != pair[1]);
    if (pair[1] == -1) close(pair[0]);
    return pair[1] == -1;
}

static void messages(void) {
    int pair[2];
    unsigned char *data = guarded.data;
    if (connected(AF_UNIX, SOCK_SEQPACKET, pair)) return;
    // Descriptors as control data: what comes back is what somebody else could have made.
    int passed[2] = {fresh(socket(AF_INET, SOCK_DGRAM, 0)), fresh(inotify_init1(IN_NONBLOCK))};
    char control[CMSG_SPACE(sizeof passed)] = {0};
    struct iovec part = {"message", 7};
    struct msghdr out = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
                         .msg_controllen = sizeof control};
    struct cmsghdr *head = CMSG_FIRSTHDR(&out);
    *head = (struct cmsghdr){CMSG_LEN(sizeof passed), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(head), passed, sizeof passed);
    HOLDS(sendmsg(pair[0], &out, 0) <= 7);
    struct {
        uint64_t before;
        char control[64];
        uint64_t after;
    } room = {CANARY, {0}, CANARY};
    struct sockaddr_un from;
    struct iovec in = {data, 100};
    struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &in,
                             .msg_iovlen = 1, .msg_control = room.control, .msg_controllen = 64};
    clear();
    long count = recvmsg(pair[1], &message, 0);
    within(count, 100, __LINE__);
    HOLDS(room.before == CANARY && room.after == CANARY);
    if (count >= 0) {
        HOLDS(message.msg_controllen <= 64 && message.msg_namelen <= 128);
        for (struct cmsghdr *at = CMSG_FIRSTHDR(&message); at; at = CMSG_NXTHDR(&message, at))
            if (at->cmsg_type == SCM_RIGHTS && at->cmsg_len >= CMSG_LEN(sizeof passed)) {
                int got[2];
                memcpy(got, CMSG_DATA(at), sizeof got);
                struct sockaddr_in own;
                socklen_t len = sizeof own;
                getsockname(fresh(got[0]), (void *)&own, &len);
                HOLDS(len <= sizeof own);
                noticed(fresh(got[1]));
                close(got[0]), close(got[1]);
            }
    }
    struct mmsghdr some[3];
    for (int i = 0; i < 3; i++) {
        some[i] = (struct mmsghdr){{.msg_iov = &part, .msg_iovlen = 1}, 0};
    }
    HOLDS(sendmmsg(pair[0], some, 3, 0) <= 3);
    struct iovec ins[3] = {{data, 50}, {data + 50, 50}, {data + 100, 50}};
    for (int i = 0; i < 3; i++) some[i].msg_hdr = (struct msghdr){.msg_iov = &ins[i], .msg_iovlen = 1};
    clear();
    int got = recvmmsg(pair[1], some, 3, MSG_DONTWAIT, 0);
    HOLDS(got <= 3);
    for (int i = 0; i < got; i++) HOLDS(some[i].msg_len <= 50);
    within(150, 150, __LINE__);
    HOLDS(send(pair[0], "again", 5, 0) <= 5);
    WITHIN(recv(pair[1], data, 40, 0), 40);
    close(passed[0]), close(passed[1]);
    close(pair[0]);
    close(pair[1]);
}

static void network(void) {
    struct {
        struct sockaddr_in address;
        uint64_t after;
    } own = {{.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, CANARY}, other = own;
    socklen_t len = sizeof own.address, other_len = sizeof other.address;
    int listener = listening(AF_INET, SOCK_STREAM);
    int client = fresh(socket(AF_INET, SOCK_STREAM, 0));
    int one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (void *)&own.address, len) || listen(listener, 4) ||
        getsockname(listener, (void *)&own.address, &len) ||
        connect(client, (void *)&own.address, sizeof own.address))
        goto out;
    int served = fresh(accept4(listener, (void *)&other.address, &other_len, SOCK_NONBLOCK));
    HOLDS(other.after == CANARY && other_len <= 128);
    getpeername(client, (void *)&other.address, &other_len);
    HOLDS(other.after == CANARY && own.after == CANARY && other_len <= 128);
    socklen_t room = sizeof one;
    if (getsockopt(served, SOL_SOCKET, SO_ERROR, &one, &room) == 0) HOLDS(room == sizeof one);
    // Nobody else learns what was where an option goes.
    static unsigned char wide[16384];
    make(wide + 12288);
    room = sizeof wide;
    getsockopt(served, IPPROTO_IP, IP_OPTIONS, wide, &room);
    HOLDS(room <= sizeof wide);
    HOLDS(send(client, "hello", 5, 0) <= 5);
    WITHIN(recv(served, guarded.data, 99, 0), 99);
    HOLDS(send(client, "dropped", 7, 0) <= 7);
    clear();
    HOLDS(recv(served, guarded.data, 30, MSG_TRUNC) <= 30);
    within(0, 0, __LINE__);
    shutdown(client, SHUT_WR);
    close(served);
out:
    close(client);
    close(listener);
    int datagrams = fresh(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    own.address.sin_port = 0;
    len = sizeof own.address;
    if (bind(datagrams, (void *)&own.address, len) == 0 &&
        getsockname(datagrams, (void *)&own.address, &len) == 0) {
        sendto(datagrams, "to myself", 9, 0, (void *)&own.address, sizeof own.address);
        other_len = sizeof other.address;
        WITHIN(recvfrom(datagrams, guarded.data, 64, 0, (void *)&other.address, &other_len), 64);
        HOLDS(other.after == CANARY && other_len <= 128);
        sendto(datagrams, "cut off", 7, 0, (void *)&own.address, sizeof own.address);
        clear();
        if (recv(datagrams, guarded.data, 4, MSG_TRUNC) >= 4) HOLDS(memcmp(guarded.data, "ZZZZ", 4) != 0);
        within(4, 4, __LINE__);
    }
    struct ifreq interface = {.ifr_name = "lo"};
    make((unsigned char *)&interface + 8);
    ioctl(datagrams, SIOCGIFFLAGS, &interface);
    interface = (struct ifreq){.ifr_ifindex = 1};
    if (ioctl(datagrams, SIOCGIFNAME, &interface) == 0) HOLDS(memchr(interface.ifr_name, 0, IFNAMSIZ));
    struct ifreq all[4];
    struct ifconf list = {.ifc_len = sizeof all, .ifc_req = all};
    if (ioctl(datagrams, SIOCGIFCONF, &list) == 0) {
        HOLDS(list.ifc_len >= 0 && list.ifc_len <= (int)sizeof all && list.ifc_len % sizeof *all == 0);
        for (unsigned i = 0; i < list.ifc_len / sizeof *all; i++) HOLDS(memchr(all[i].ifr_name, 0, IFNAMSIZ));
    }
    // No error waits.
    WITHIN(recv(datagrams, guarded.data, 4, MSG_ERRQUEUE | MSG_TRUNC), 4);
    close(datagrams);
}

static void events(void) {
    int ends[2], inside[2];
    // Wherever pipes and pairs are, they are two.
    if (pipe(inside) == 0) {
        fresh(inside[0]), fresh(inside[1]);
        HOLDS(inside[0] != inside[1]);
        close(inside[0]), close(inside[1]);
    }
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, inside) == 0) {
        HOLDS(fresh(inside[0]) != fresh(inside[1]));
        close(inside[0]), close(inside[1]);
    }
    if (connected(AF_INET, SOCK_STREAM, ends)) return;
    int epoll = fresh(epoll_create1(0));
    struct epoll_event event = {EPOLLIN, {.u64 = 77}}, found[4];
    epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event);
    HOLDS(write(ends[1], "x", 1) <= 1);
    int count = epoll_wait(epoll, found, 4, 20);
    HOLDS(count <= 4);
    for (int i = 0; i < count; i++)
        HOLDS(found[i].data.u64 == 77 && !(found[i].events & ~(EPOLLIN | EPOLLERR | EPOLLHUP)));
    // What is reported once is not reported again.
    event = (struct epoll_event){EPOLLIN | EPOLLONESHOT, {.u64 = 78}};
    if (count >= 0 && epoll_ctl(epoll, EPOLL_CTL_MOD, ends[0], &event) == 0 &&
        epoll_wait(epoll, found, 4, 20) == 1)
        HOLDS(epoll_wait(epoll, found, 4, 5) <= 0);
    struct pollfd polled[2] = {{ends[0], POLLIN, 0}, {ends[1], POLLOUT, 0}};
    HOLDS(poll(polled, 2, 20) <= 2);
    for (int i = 0; i < 2; i++)
        HOLDS(!(polled[i].revents & ~(polled[i].events | POLLERR | POLLHUP)));
    fd_set set;
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    HOLDS(select(ends[0] + 1, &set, 0, 0, &(struct timeval){0, 20000}) <= 1);
    WITHIN(read(ends[0], guarded.data, 30), 30);
    // Nothing comes: it takes longer than anybody looks for the end of a call.
    for (int i = 0; i < 2; i++)
        HOLDS(poll((struct pollfd[]){{ends[0], POLLIN, 0}, {ends[1], POLLIN, 0}}, 2, 3) <= 2);
    int timer = fresh(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
    // What is only filled is not shown to the host.
    struct itimerspec before;
    make((unsigned char *)&before);
    timerfd_settime(timer, 0, &(struct itimerspec){{0, 0}, {0, 1}}, &before);
    expired(timer);
    int counter = fresh(eventfd(3, EFD_NONBLOCK));
    uint64_t value = 0;
    HOLDS(read(counter, &value, 8) != 8 || value == 3);
    int notify = fresh(inotify_init1(IN_NONBLOCK));
    noticed(notify);
    int all[] = {ends[0], ends[1], epoll, timer, counter, notify};
    for (int i = 0; i < 6; i++) close(all[i]);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long shared;
static atomic_long total;

static void *thread(void *argument) {
    int *ends = argument;
    char byte;
    for (int i = 0; i < 50; i++) {
        pthread_mutex_lock(&mutex);
        shared++;
        pthread_mutex_unlock(&mutex);
        atomic_fetch_add(&total, 1);
        // Waits outside for a short while.
        if (i % 16 == 0) poll(&(struct pollfd){ends[0], POLLIN, 0}, 1, 1);
    }
    HOLDS(read(ends[0], &byte, 1) <= 1);
    return 0;
}

static void threads(void) {
    int ends[2];
    pthread_t all[3];
    if (connected(AF_INET, SOCK_STREAM, ends)) return;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    shared = 0;
    atomic_store(&total, 0);
    for (int i = 0; i < 3; i++) HOLDS(pthread_create(&all[i], 0, thread, ends) == 0);
    HOLDS(write(ends[1], "abc", 3) <= 3);
    for (int i = 0; i < 3; i++) pthread_join(all[i], 0);
    HOLDS(shared == 150 && atomic_load(&total) == 150);
    close(ends[0]);
    close(ends[1]);
}

static void on_signal(int number) { handled += number; }

static uint64_t now(clockid_t clock) {
    struct timespec time = {0, 0};
    clock_gettime(clock, &time);
    HOLDS(time.tv_nsec >= 0 && time.tv_nsec < 1000000000);
    return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static void inside(void) {
    static uint64_t last, last_coarse;
    for (int i = 0; i < 100; i++) {
        uint64_t time = now(CLOCK_MONOTONIC), coarse = now(CLOCK_MONOTONIC_COARSE);
        HOLDS(time >= last && coarse >= last_coarse);
        last = time, last_coarse = coarse;
    }
    now(CLOCK_REALTIME);
    nanosleep(&(struct timespec){0, 200000}, 0);
    raise(SIGUSR1);
    int timer = fresh(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
    timerfd_settime(timer, 0, &(struct itimerspec){{0, 0}, {0, 1}}, NULL);
    expired(timer);
    close(timer);
    struct rlimit limit;
    struct rusage usage;
    struct sysinfo info;
    getrlimit(RLIMIT_NOFILE, &limit);
    getrusage(RUSAGE_SELF, &usage);
    sysinfo(&info);
    struct utsname names;
    if (uname(&names) == 0) HOLDS(strlen(names.machine) < sizeof names.machine);
    unsigned eax = 7, ebx, ecx = 0, edx;
    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    // Arithmetic that depends on MXCSR, the x87 control word and the direction flag.
    volatile double third = 1.0 / 3, denormal = 1e-308 / 1e10;
    volatile long double wide = 1.0L / 3;
    HOLDS(third == 0x1.5555555555555p-2 && denormal > 0 && wide != (long double)third);
    char text[64] = "0123456789abcdef0123456789abcdef";
    char *from = text, *to = text + 40;
    size_t half = 16;
    __asm__ volatile("rep movsb" : "+c"(half), "+S"(from), "+D"(to) : : "memory");
    HOLDS(memcmp(text + 40, "0123456789abcdef", 16) == 0);
    unsigned char *map = mmap(0, 1 << 18, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    HOLDS(map != MAP_FAILED);
    for (int i = 0; i < 1 << 18; i += 4096) {
        HOLDS(map[i] == 0 && map[i + 4095] == 0);
        make(map + i);
    }
    for (int i = 0; i < 1 << 18; i += 4096) HOLDS(memcmp(map + i, secret, 32) == 0);
    HOLDS(munmap(map, 1 << 18) == 0);
}

// What requests do not use is not shown to the host, where nothing is written over it before the end.
static void unused(void) {
    int datagrams = fresh(socket(AF_INET, SOCK_DGRAM, 0)), parent = fresh(syscall(SYS_pidfd_open, getppid(), 0));
    struct ifreq interface = {.ifr_name = "none"};
    make((unsigned char *)&interface + 8);
    ioctl(datagrams, SIOCSIFFLAGS, &interface);
    siginfo_t information = {.si_code = SI_QUEUE};
    make((unsigned char *)&information + 64);
    syscall(SYS_rt_sigqueueinfo, getppid(), 0, &information);
    syscall(SYS_pidfd_send_signal, parent, 0, &information, 0);
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 10;
    make(secret);
    signal(SIGUSR1, on_signal);
    signal(SIGPIPE, SIG_IGN);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, 0);
    // From here on the host may lie.
    access("/hostile", F_OK);
    for (int i = 0; i < rounds; i++) {
        inside();
        files();
        messages();
        network();
        events();
        threads();
    }
    unused();
    // The host may send signals of its own.
    HOLDS(handled >= rounds * SIGUSR1);
    printf("intact\n");
    return fflush(stdout) == 0 ? 0 : 4;
}
