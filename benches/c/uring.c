/* What a call to the host costs by each way that a host has: `uring WAY OPERATION DEPTH [FOLDER]`
 * prints nanoseconds of wall time and of processor time (all threads of this process, the kernel's
 * polling thread among them) for each operation, in the fastest of many
 * short stretches: in the others a thread may have lost its processor to somebody else.
 *
 * The main thread stands for a thread of an enclave, with DEPTH threads of the program on it: it
 * keeps DEPTH operations under way, and looks for their results. No enclave takes part.
 *
 *   direct   it makes the calls itself
 *   sud      the same with Syscall User Dispatch switched on, as for threads of the emulator
 *   sqpoll   io_uring, whose kernel thread polls for entries
 *   batched  a helper thread takes requests from a queue, and submits all it finds by one
 *            io_uring_enter
 *   handed   a helper thread takes requests from a queue, and makes the calls itself; what would
 *            have to wait goes to threads of a pool: what rings of the enclave do
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_DEPTH = 64, STRETCHES = 40, QUEUE = 256, ENTRIES = 256, ROOM = 65536, POOL = MOST_DEPTH };
static const double STRETCH_NS = 2e6;
static const char *folder;

static void must(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(1);
    }
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static cpu_set_t all;
static int first = -1;

/* Keeps the calling thread on, or off, the first processor that the process may use. */
static void place(int on_first)
{
    cpu_set_t set = all;
    if (on_first) {
        CPU_ZERO(&set);
        CPU_SET(first, &set);
    } else if (CPU_COUNT(&set) > 1) {
        CPU_CLR(first, &set);
    }
    must(sched_setaffinity(0, sizeof set, &set) == 0, "sched_setaffinity");
}

/* The time that all threads of this process have run. The clock of the process will not do: it
 * counts what runs on other processors by ticks. */
static double threads_ns(void)
{
    DIR *tasks = opendir("/proc/self/task");
    must(tasks != NULL, "/proc/self/task");
    double sum = 0;
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        /* CPUCLOCK_SCHED of one thread, see clock_getcpuclockid(3). */
        int tid = atoi(task->d_name);
        struct timespec t;
        if (tid > 0 && clock_gettime((clockid_t)(~(unsigned)tid << 3 | 6), &t) == 0)
            sum += t.tv_sec * 1e9 + t.tv_nsec;
    }
    closedir(tasks);
    return sum;
}

/* A processor that is not the first, if there is one. */
static int another(void)
{
    int cpu = first + 1;
    while (cpu < CPU_SETSIZE && !CPU_ISSET(cpu, &all))
        cpu++;
    return cpu < CPU_SETSIZE ? cpu : first;
}

/* A call, as a request of the enclave has it. */
enum { PENDING, DONE };
struct request {
    long number, args[6];
    long result;
    uint32_t state;
} __attribute__((aligned(128)));

/* One of the program's threads: what it works with, and which call of the operation is next. */
struct slot {
    struct request request;
    int a, b, step;
    char *out, *in;
};

static struct slot slots[MOST_DEPTH];
static int depth;

static void call(struct slot *s, long number, long a, long b, long c, long d, long e)
{
    s->request.number = number;
    long args[6] = {a, b, c, d, e, 0};
    memcpy(s->request.args, args, sizeof args);
}

/* ---- operations: each prepares call number `step`, or says that there is none ---- */

static void no_setup(void) {}

static void file_in(const char *where)
{
    for (int i = 0; i < depth; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/uring-XXXXXX", where);
        slots[i].a = mkstemp(path);
        must(slots[i].a >= 0, path);
        unlink(path);
        must(pwrite(slots[i].a, slots[i].out, ROOM, 0) == ROOM, "fill the file");
    }
}

static void tmpfs_setup(void) { file_in("/dev/shm"); }
static void disk_setup(void) { file_in(folder); }

/* A connected pair of TCP sockets of loopback. */
static void tcp_pair(int *a, int *b)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    must(bind(listener, (struct sockaddr *)&address, len) == 0 && listen(listener, 1) == 0, "listen");
    must(getsockname(listener, (struct sockaddr *)&address, &len) == 0, "getsockname");
    *a = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(connect(*a, (struct sockaddr *)&address, len) == 0, "connect");
    *b = accept(listener, NULL, NULL);
    must(*b >= 0, "accept");
    close(listener);
    setsockopt(*a, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(*b, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void tcp_setup(void)
{
    for (int i = 0; i < depth; i++)
        tcp_pair(&slots[i].a, &slots[i].b);
}

/* A process whose time does not count sends back what it receives. */
static void echo_setup(void)
{
    tcp_setup();
    pid_t parent = getpid();
    if (fork() != 0) {
        for (int i = 0; i < depth; i++)
            close(slots[i].b);
        return;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(0);
    struct pollfd fds[MOST_DEPTH];
    for (int i = 0; i < depth; i++) {
        fds[i] = (struct pollfd){.fd = slots[i].b, .events = POLLIN};
        close(slots[i].a);
    }
    for (;;) {
        must(poll(fds, depth, -1) > 0, "poll");
        for (int i = 0; i < depth; i++) {
            char bytes[64];
            if (fds[i].revents == 0)
                continue;
            if (recv(fds[i].fd, bytes, sizeof bytes, 0) <= 0)
                _exit(0);
            send(fds[i].fd, bytes, sizeof bytes, MSG_NOSIGNAL);
        }
    }
}

static int pwrite_of(struct slot *s, long len)
{
    call(s, SYS_pwrite64, s->a, (long)s->out, len, 0, 0);
    return s->step < 1;
}

static int pread_of(struct slot *s, long len)
{
    call(s, SYS_pread64, s->a, (long)s->in, len, 0, 0);
    return s->step < 1;
}

/* The whole record arrives before send returns. */
static int through(struct slot *s, long len)
{
    if (s->step == 0)
        call(s, SYS_sendto, s->a, (long)s->out, len, MSG_NOSIGNAL, 0);
    else
        call(s, SYS_recvfrom, s->b, (long)s->in, len, MSG_WAITALL, 0);
    return s->step < 2;
}

static int pwrite_32(struct slot *s) { return pwrite_of(s, 32); }
static int pread_32(struct slot *s) { return pread_of(s, 32); }
static int pwrite_64k(struct slot *s) { return pwrite_of(s, 65536); }
static int pread_64k(struct slot *s) { return pread_of(s, 65536); }

/* As the enclave does it: what is to be written was just copied. */
static int copy_pwrite_64k(struct slot *s)
{
    static char source[65536];
    if (s->step == 0)
        memcpy(s->out, source, sizeof source);
    return pwrite_of(s, sizeof source);
}

static int tcp_64(struct slot *s) { return through(s, 64); }
static int tcp_16k(struct slot *s) { return through(s, 16384); }

static int ping(struct slot *s)
{
    if (s->step == 0)
        call(s, SYS_sendto, s->a, (long)s->out, 64, MSG_NOSIGNAL, 0);
    else
        call(s, SYS_recvfrom, s->a, (long)s->in, 64, 0, 0);
    return s->step < 2;
}

static int fsync_of(struct slot *s)
{
    call(s, SYS_fsync, s->a, 0, 0, 0, 0);
    return s->step < 1;
}

static int write_fsync(struct slot *s)
{
    if (s->step == 0)
        return pwrite_of(s, 4096);
    call(s, SYS_fsync, s->a, 0, 0, 0, 0);
    return s->step < 2;
}

static int open_close(struct slot *s)
{
    if (s->step == 0)
        call(s, SYS_openat, AT_FDCWD, (long)"/dev/null", O_RDONLY | O_CLOEXEC, 0, 0);
    else
        call(s, SYS_close, s->request.result, 0, 0, 0, 0);
    return s->step < 2;
}

static int statx_of(struct slot *s)
{
    call(s, SYS_statx, AT_FDCWD, (long)"/dev/shm", 0, STATX_BASIC_STATS, (long)s->in);
    return s->step < 1;
}

static const struct operation {
    const char *name;
    void (*setup)(void);
    int (*next)(struct slot *);
} operations[] = {
    {"pwrite-32", tmpfs_setup, pwrite_32},
    {"pread-32", tmpfs_setup, pread_32},
    {"pwrite-64k", tmpfs_setup, pwrite_64k},
    {"pread-64k", tmpfs_setup, pread_64k},
    {"copy-pwrite-64k", tmpfs_setup, copy_pwrite_64k},
    {"pwrite-32-disk", disk_setup, pwrite_32},
    {"pread-32-disk", disk_setup, pread_32},
    {"pread-64k-disk", disk_setup, pread_64k},
    {"tcp-64", tcp_setup, tcp_64},
    {"tcp-16k", tcp_setup, tcp_16k},
    {"ping", echo_setup, ping},
    {"fsync-tmpfs", tmpfs_setup, fsync_of},
    {"write-fsync-disk", disk_setup, write_fsync},
    {"open-close", no_setup, open_close},
    {"statx", no_setup, statx_of},
};

/* ---- the plain way ---- */

static long plain(const struct request *r)
{
    const long *a = r->args;
    long result = syscall(r->number, a[0], a[1], a[2], a[3], a[4], a[5]);
    return result < 0 ? -errno : result;
}

static void finish(struct request *r, long result)
{
    r->result = result;
    __atomic_store_n(&r->state, DONE, __ATOMIC_RELEASE);
}

/* ---- io_uring, without a library ---- */

struct ring {
    int fd;
    unsigned *sq_head, *sq_tail, *sq_mask, *sq_flags, *sq_array;
    unsigned *cq_head, *cq_tail, *cq_mask;
    struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
    unsigned tail, published;
};

static struct ring ring;

static void open_ring(unsigned flags)
{
    struct io_uring_params p = {.flags = flags, .sq_thread_idle = 1000};
    if (flags & IORING_SETUP_SQ_AFF)
        p.sq_thread_cpu = another();
    ring.fd = syscall(SYS_io_uring_setup, ENTRIES, &p);
    must(ring.fd >= 0, "io_uring_setup");
    must(p.features & IORING_FEAT_SINGLE_MMAP, "IORING_FEAT_SINGLE_MMAP");
    size_t sq = p.sq_off.array + p.sq_entries * sizeof(unsigned);
    size_t cq = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
    int prot = PROT_READ | PROT_WRITE, how = MAP_SHARED | MAP_POPULATE;
    char *rings = mmap(NULL, sq > cq ? sq : cq, prot, how, ring.fd, IORING_OFF_SQ_RING);
    size_t bytes = p.sq_entries * sizeof(struct io_uring_sqe);
    ring.sqes = mmap(NULL, bytes, prot, how, ring.fd, IORING_OFF_SQES);
    must(rings != MAP_FAILED && ring.sqes != MAP_FAILED, "mmap of a ring");
    ring.sq_head = (unsigned *)(rings + p.sq_off.head);
    ring.sq_tail = (unsigned *)(rings + p.sq_off.tail);
    ring.sq_mask = (unsigned *)(rings + p.sq_off.ring_mask);
    ring.sq_flags = (unsigned *)(rings + p.sq_off.flags);
    ring.sq_array = (unsigned *)(rings + p.sq_off.array);
    ring.cq_head = (unsigned *)(rings + p.cq_off.head);
    ring.cq_tail = (unsigned *)(rings + p.cq_off.tail);
    ring.cq_mask = (unsigned *)(rings + p.cq_off.ring_mask);
    ring.cqes = (struct io_uring_cqe *)(rings + p.cq_off.cqes);
    for (unsigned i = 0; i < p.sq_entries; i++)
        ring.sq_array[i] = i;
}

static void enter(unsigned count, unsigned least, unsigned flags)
{
    long got = syscall(SYS_io_uring_enter, ring.fd, count, least, flags, NULL, 0);
    must(got >= 0 || errno == EINTR || errno == EAGAIN, "io_uring_enter");
}

/* Puts a call into the ring, not yet for the kernel to see. */
static void put(const struct request *r)
{
    struct io_uring_sqe *sqe = &ring.sqes[ring.tail++ & *ring.sq_mask];
    const long *a = r->args;
    memset(sqe, 0, sizeof *sqe);
    sqe->fd = a[0];
    sqe->user_data = (uintptr_t)r;
    switch (r->number) {
    case SYS_pwrite64:
    case SYS_pread64:
        sqe->opcode = r->number == SYS_pwrite64 ? IORING_OP_WRITE : IORING_OP_READ;
        sqe->addr = a[1], sqe->len = a[2], sqe->off = a[3];
        break;
    case SYS_sendto:
    case SYS_recvfrom:
        sqe->opcode = r->number == SYS_sendto ? IORING_OP_SEND : IORING_OP_RECV;
        sqe->addr = a[1], sqe->len = a[2], sqe->msg_flags = a[3];
        break;
    case SYS_fsync:
        sqe->opcode = IORING_OP_FSYNC;
        break;
    case SYS_openat:
        sqe->opcode = IORING_OP_OPENAT;
        sqe->addr = a[1], sqe->open_flags = a[2], sqe->len = a[3];
        break;
    case SYS_close:
        sqe->opcode = IORING_OP_CLOSE;
        break;
    case SYS_statx:
        sqe->opcode = IORING_OP_STATX;
        sqe->addr = a[1], sqe->statx_flags = a[2], sqe->len = a[3], sqe->off = a[4];
        break;
    default:
        abort();
    }
}

static unsigned publish(void)
{
    unsigned count = ring.tail - ring.published;
    ring.published = ring.tail;
    __atomic_store_n(ring.sq_tail, ring.tail, __ATOMIC_RELEASE);
    return count;
}

/* Finishes what the kernel has completed; returns how many. */
static unsigned reap(void)
{
    unsigned head = *ring.cq_head, tail = __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE);
    unsigned count = tail - head;
    for (; head != tail; head++) {
        struct io_uring_cqe *cqe = &ring.cqes[head & *ring.cq_mask];
        finish((struct request *)(uintptr_t)cqe->user_data, cqe->res);
    }
    __atomic_store_n(ring.cq_head, head, __ATOMIC_RELEASE);
    return count;
}

/* ---- the queue to the helper thread: one producer, one consumer ---- */

static struct {
    uint64_t tail __attribute__((aligned(128)));
    struct request *entries[QUEUE] __attribute__((aligned(128)));
} queue;

static void push(struct request *r)
{
    queue.entries[queue.tail % QUEUE] = r;
    __atomic_store_n(&queue.tail, queue.tail + 1, __ATOMIC_RELEASE);
}

/* Threads that make calls which wait. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct request *jobs[QUEUE];
    unsigned first, last;
} pool = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, {NULL}, 0, 0};

static void *pool_thread(void *argument)
{
    place(0);
    for (;;) {
        pthread_mutex_lock(&pool.lock);
        while (pool.first == pool.last)
            pthread_cond_wait(&pool.work, &pool.lock);
        struct request *r = pool.jobs[pool.first++ % QUEUE];
        pthread_mutex_unlock(&pool.lock);
        finish(r, plain(r));
    }
    return argument;
}

static void hand_on(struct request *r)
{
    pthread_mutex_lock(&pool.lock);
    pool.jobs[pool.last++ % QUEUE] = r;
    pthread_mutex_unlock(&pool.lock);
    pthread_cond_signal(&pool.work);
}

static void hand(struct request *r)
{
    /* Calls that may wait, and cannot be asked not to. */
    if (r->number == SYS_fsync || r->number == SYS_openat)
        return hand_on(r);
    if (r->number == SYS_recvfrom && !(r->args[3] & MSG_WAITALL)) {
        struct request attempt = *r;
        attempt.args[3] |= MSG_DONTWAIT;
        long result = plain(&attempt);
        return result == -EAGAIN ? hand_on(r) : finish(r, result);
    }
    finish(r, plain(r));
}

static void *handing(void *argument)
{
    place(0);
    for (uint64_t head = 0;;) {
        uint64_t tail = __atomic_load_n(&queue.tail, __ATOMIC_ACQUIRE);
        if (head == tail)
            __builtin_ia32_pause();
        for (; head != tail; head++)
            hand(queue.entries[head % QUEUE]);
    }
    return argument;
}

static void *batching(void *argument)
{
    place(0);
    open_ring(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG);
    for (uint64_t head = 0;;) {
        uint64_t tail = __atomic_load_n(&queue.tail, __ATOMIC_ACQUIRE);
        for (; head != tail; head++)
            put(queue.entries[head % QUEUE]);
        unsigned count = publish();
        if (count > 0)
            enter(count, 0, 0);
        else if (__atomic_load_n(ring.sq_flags, __ATOMIC_RELAXED) & IORING_SQ_TASKRUN)
            enter(0, 0, IORING_ENTER_GETEVENTS);
        if (reap() == 0 && count == 0)
            __builtin_ia32_pause();
    }
    return argument;
}

/* ---- ways ---- */

static void start_direct(void) {}

static void start_sud(void)
{
    unsigned long low = 1UL << 46;
    must(prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, low, low, NULL) == 0, "prctl");
}

static void start_sqpoll(void)
{
    open_ring(IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF);
}

static void start_thread(void *(*run)(void *))
{
    pthread_t thread;
    must(pthread_create(&thread, NULL, run, NULL) == 0, "pthread_create");
}

static void start_batched(void) { start_thread(batching); }

static void start_handed(void)
{
    start_thread(handing);
    for (int i = 0; i < depth; i++)
        start_thread(pool_thread);
}

static void submit_direct(struct request *r) { finish(r, plain(r)); }

static void submit_sqpoll(struct request *r)
{
    put(r);
    publish();
    if (__atomic_load_n(ring.sq_flags, __ATOMIC_RELAXED) & IORING_SQ_NEED_WAKEUP)
        enter(0, 0, IORING_ENTER_SQ_WAKEUP);
}

static void look_sqpoll(void)
{
    if (reap() == 0)
        __builtin_ia32_pause();
}

static void look(void) { __builtin_ia32_pause(); }

static const struct way {
    const char *name;
    void (*start)(void);
    void (*submit)(struct request *);
    void (*look)(void);
} ways[] = {
    {"direct", start_direct, submit_direct, look},
    {"sud", start_sud, submit_direct, look},
    {"sqpoll", start_sqpoll, submit_sqpoll, look_sqpoll},
    {"batched", start_batched, push, look},
    {"handed", start_handed, push, look},
};

static const struct way *way;
static const struct operation *operation;

static void submit(struct slot *s)
{
    __atomic_store_n(&s->request.state, PENDING, __ATOMIC_RELAXED);
    way->submit(&s->request);
}

/* Makes `count` operations, `depth` at a time. */
static void make(long count)
{
    long begun = 0, finished = 0;
    for (int i = 0; i < depth; i++)
        slots[i].step = -1;
    while (finished < count) {
        int seen = 0;
        for (int i = 0; i < depth; i++) {
            struct slot *s = &slots[i];
            if (s->step >= 0) {
                if (__atomic_load_n(&s->request.state, __ATOMIC_ACQUIRE) != DONE)
                    continue;
                if (s->request.result < 0) {
                    errno = -s->request.result;
                    must(0, operation->name);
                }
                seen = 1;
                s->step++;
                if (operation->next(s)) {
                    submit(s);
                    continue;
                }
                finished++;
                s->step = -1;
            }
            if (begun < count) {
                begun++;
                s->step = 0;
                operation->next(s);
                submit(s);
                seen = 1;
            }
        }
        if (!seen)
            way->look();
    }
}

static double fastest_of_three(long count)
{
    double best = 1e18;
    for (int i = 0; i < 3; i++) {
        double start = now_ns();
        make(count);
        double took = now_ns() - start;
        if (took < best)
            best = took;
    }
    return best;
}

int main(int argc, char **argv)
{
    depth = argc > 3 ? atoi(argv[3]) : 0;
    folder = argc > 4 ? argv[4] : ".";
    for (size_t i = 0; argc > 2 && i < sizeof ways / sizeof *ways; i++)
        if (strcmp(argv[1], ways[i].name) == 0)
            way = &ways[i];
    for (size_t i = 0; argc > 2 && i < sizeof operations / sizeof *operations; i++)
        if (strcmp(argv[2], operations[i].name) == 0)
            operation = &operations[i];
    if (way == NULL || operation == NULL || depth < 1 || depth > MOST_DEPTH) {
        fprintf(stderr, "usage: uring WAY OPERATION DEPTH (1..64) [FOLDER]\n");
        return 2;
    }
    for (int i = 0; i < depth; i++) {
        slots[i].out = calloc(1, ROOM);
        slots[i].in = calloc(1, ROOM);
        must(slots[i].out != NULL && slots[i].in != NULL, "calloc");
    }
    must(sched_getaffinity(0, sizeof all, &all) == 0, "sched_getaffinity");
    for (first = 0; !CPU_ISSET(first, &all);)
        first++;
    operation->setup();
    place(1);
    way->start();
    long count = depth;
    while (fastest_of_three(count) < STRETCH_NS)
        count *= 2;
    double best = 1e18, used = 0;
    for (int i = 0; i < STRETCHES; i++) {
        double before = threads_ns(), start = now_ns();
        make(count);
        double took = now_ns() - start, ran = threads_ns() - before;
        if (took < best) {
            best = took;
            used = ran;
        }
    }
    printf("%.1f %.1f\n", best / count, used / count);
    return 0;
}
