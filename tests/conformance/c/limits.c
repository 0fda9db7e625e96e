// What happens at the limits of resources: getrlimit(2).
#include "tap.h"
#include <pthread.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include <sys/uio.h>

static volatile sig_atomic_t told_;
static void tell_(int signal) { told_++; }

static int soft_(int resource, rlim_t value)
{
    struct rlimit l;
    if (getrlimit(resource, &l)) return -1;
    l.rlim_cur = value == RLIM_INFINITY ? l.rlim_max : value;
    return setrlimit(resource, &l);
}

GROUP(file_size)
{
    char b[5000] = "";
    struct iovec v[2] = {{b, 3000}, {b, 3000}};
    struct stat s;
    signal(SIGXFSZ, tell_);
    int source = open("source", O_RDWR | O_CREAT, 0600), p[2];
    EQ(write(source, b, 5000), 5000);
    int fd = open("limited", O_RDWR | O_CREAT, 0600);
    EQ(soft_(RLIMIT_FSIZE, 4096), 0);
    EQ(write(fd, b, 4000), 4000);
    EQ(write(fd, b, 4000), 96);
    EQ(told_, 0);
    FAILS(write(fd, b, 1), EFBIG);
    EQ(told_, 1);
    FAILS(pwrite(fd, b, 1, 4096), EFBIG);
    EQ(told_, 2);
    EQ(pwrite(fd, b, 2, 4095), 1);
    EQ(pwritev(fd, v, 2, 0), 4096);
    EQ(told_, 2);
    FAILS(pwritev(fd, v, 2, 9999), EFBIG);
    EQ(told_, 3);
    FAILS(ftruncate(fd, 4097), EFBIG);
    EQ(told_, 4);
    FAILS(truncate("limited", 4097), EFBIG);
    EQ(told_, 5);
    EQ(posix_fallocate(fd, 4096, 1), EFBIG);
    EQ(told_, 6);
    EQ(write(fd, b, 0), 0);
    int end = open("limited", O_WRONLY | O_APPEND);
    FAILS(write(end, b, 1), EFBIG);
    EQ(ftruncate(fd, 4090), 0);
    EQ(write(end, b, 10), 6);
    EQ(fstat(fd, &s), 0);
    EQ(s.st_size, 4096);
    // What is longer already may become shorter, and be written where it is short.
    EQ(ftruncate(source, 4500), 0);
    EQ(pwrite(source, b, 10, 10), 10);
    FAILS(pwrite(source, b, 10, 4200), EFBIG);
    // Pipes have no size.
    EQ(soft_(RLIMIT_FSIZE, 1), 0);
    EQ(pipe(p), 0);
    EQ(write(p[1], b, 4096), 4096);
    // Memory is a file.
    int memory = syscall(SYS_memfd_create, "limited", 0);
    FAILS(ftruncate(memory, 4096), EFBIG);
    EQ(soft_(RLIMIT_FSIZE, RLIM_INFINITY), 0);
    EQ(pwrite(fd, b, 1, 5000), 1);
    unlink("limited");
    unlink("source");
}

static void *thread_(void *argument) { return argument; }

GROUP(file_size_of_threads)
{
    // What makes a thread, or memory, is no matter of files. (Nothing is printed meanwhile.)
    signal(SIGXFSZ, tell_);
    pthread_t threads[20];
    const size_t len = 64 << 20;
    int limited = soft_(RLIMIT_FSIZE, 1), made = 0;
    for (int i = 0; i < 20; i++) made += pthread_create(&threads[i], NULL, thread_, NULL) == 0;
    for (int i = 0; i < made; i++) pthread_join(threads[i], NULL);
    char *m = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m != MAP_FAILED) memset(m, 1, len);
    soft_(RLIMIT_FSIZE, RLIM_INFINITY);
    EQ(limited, 0);
    EQ(made, 20);
    EQ(m != MAP_FAILED && m[len - 1] == 1, 1);
    EQ(told_, 0);
}

#define MAP(len, prot, flags) mmap(NULL, len, prot, flags | MAP_ANONYMOUS, -1, 0)
#define RW (PROT_READ | PROT_WRITE)

GROUP(data)
{
    const size_t MiB = 1 << 20;
    EQ(soft_(RLIMIT_DATA, 32 * MiB), 0);
    OK(MAP(64 * MiB, RW, MAP_PRIVATE) == MAP_FAILED && errno == ENOMEM);
    OK(MAP(64 * MiB, PROT_NONE, MAP_PRIVATE) != MAP_FAILED);
    OK(MAP(64 * MiB, RW, MAP_SHARED) != MAP_FAILED);
    char *still = MAP(64 * MiB, PROT_READ, MAP_PRIVATE);
    OK(still != MAP_FAILED);
    FAILS(mprotect(still, 64 * MiB, RW), ENOMEM);
    EQ(mprotect(still, 4096, RW), 0);
    char *start = sbrk(0);
    FAILS((long)sbrk(64 * MiB), ENOMEM);
    OK(sbrk(0) == start);
    char *some = MAP(16 * MiB, RW, MAP_PRIVATE);
    OK(some != MAP_FAILED);
    OK(MAP(24 * MiB, RW, MAP_PRIVATE) == MAP_FAILED && errno == ENOMEM);
    OK(mremap(some, 16 * MiB, 48 * MiB, MREMAP_MAYMOVE) == MAP_FAILED && errno == ENOMEM);
    EQ(munmap(some, 16 * MiB), 0);
    some = MAP(24 * MiB, RW, MAP_PRIVATE);
    OK(some != MAP_FAILED);
    // In its own place it takes nothing more.
    OK(mmap(some, 24 * MiB, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == some);
    EQ(soft_(RLIMIT_DATA, RLIM_INFINITY), 0);
    OK(MAP(64 * MiB, RW, MAP_PRIVATE) != MAP_FAILED);
    EQ(mprotect(still, 64 * MiB, RW), 0);
}

GROUP(address_space)
{
    const size_t MiB = 1 << 20;
    char *kept = MAP(4 * MiB, RW, MAP_PRIVATE);
    EQ(soft_(RLIMIT_AS, 256 * MiB), 0);
    OK(MAP(300 * MiB, PROT_NONE, MAP_PRIVATE) == MAP_FAILED && errno == ENOMEM);
    OK(MAP(300 * MiB, RW, MAP_SHARED) == MAP_FAILED && errno == ENOMEM);
    OK(mremap(kept, 4 * MiB, 300 * MiB, MREMAP_MAYMOVE) == MAP_FAILED && errno == ENOMEM);
    FAILS((long)sbrk(300 * MiB), ENOMEM);
    EQ(soft_(RLIMIT_AS, 4096), 0);
    OK(MAP(4096, RW, MAP_PRIVATE) == MAP_FAILED && errno == ENOMEM);
    OK(mmap(kept, 4096, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED);
    EQ(munmap(kept, 4 * MiB), 0);
    EQ(soft_(RLIMIT_AS, RLIM_INFINITY), 0);
    OK(MAP(300 * MiB, RW, MAP_PRIVATE) != MAP_FAILED);
}

static char alternate_[65536];
static sigjmp_buf back_;
static void overflow_(int signal) { told_++; siglongjmp(*(sigjmp_buf *)&back_, 1); }

static int deeper_(long left)
{
    volatile char room[16384];
    room[0] = left;
    return left > 0 ? deeper_(left - sizeof room) + room[0] : 0;
}

GROUP(stack)
{
    struct sigaction action = {.sa_handler = overflow_, .sa_flags = SA_ONSTACK};
    stack_t stack = {.ss_sp = alternate_, .ss_size = sizeof alternate_};
    EQ(sigaltstack(&stack, NULL), 0);
    EQ(sigaction(SIGSEGV, &action, NULL), 0);
    if (!sigsetjmp(back_, 1)) deeper_(1 << 20);
    EQ(told_, 0);
    EQ(soft_(RLIMIT_STACK, 1 << 20), 0);
    if (!sigsetjmp(back_, 1)) deeper_(512 << 10);
    EQ(told_, 0);
    if (!sigsetjmp(back_, 1)) deeper_(4 << 20);
    EQ(told_, 1);
}

GROUP(stack_grows)
{
    struct sigaction action = {.sa_handler = overflow_, .sa_flags = SA_ONSTACK};
    stack_t stack = {.ss_sp = alternate_, .ss_size = sizeof alternate_};
    EQ(sigaltstack(&stack, NULL), 0);
    EQ(sigaction(SIGSEGV, &action, NULL), 0);
    struct rlimit l;
    EQ(getrlimit(RLIMIT_STACK, &l), 0);
    l.rlim_cur = 64 << 20;
    EQ(setrlimit(RLIMIT_STACK, &l), 0);
    if (!sigsetjmp(back_, 1)) deeper_(48 << 20);
    EQ(told_, 0);
    if (!sigsetjmp(back_, 1)) deeper_(80 << 20);
    EQ(told_, 1);
    // What is below a mapping that grows down is not there until it is touched.
    char *m = MAP(4 << 20, PROT_NONE, MAP_PRIVATE);
    EQ(munmap(m, 4 << 20), 0);
    char *g = mmap(m + (3 << 20), 4096, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
    OK(g == m + (3 << 20));
    g[-65536] = 5;
    EQ(g[-65536], 5);
    EQ(g[-1], 0);
    EQ(told_, 1);
}

static void burn_(long long ns)
{
    struct timespec t;
    do
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    while (t.tv_sec * 1000000000LL + t.tv_nsec < ns && told_ == 0);
}

GROUP(processor_time)
{
    struct rlimit l, m;
    signal(SIGXCPU, tell_);
    EQ(getrlimit(RLIMIT_CPU, &l), 0);
    long long used = now_ns_(CLOCK_PROCESS_CPUTIME_ID);
    OK(used < 900000000);
    EQ(soft_(RLIMIT_CPU, 1), 0);
    EQ(getrlimit(RLIMIT_CPU, &m), 0);
    EQ(m.rlim_cur, 1);
    burn_(500000000);
    EQ(told_, 0);
    burn_(20000000000);
    EQ(told_, 1);
    // It is told once a second: the limit moves on.
    EQ(getrlimit(RLIMIT_CPU, &m), 0);
    EQ(m.rlim_cur, 2);
    EQ(m.rlim_max == l.rlim_max, 1);
    EQ(setrlimit(RLIMIT_CPU, &l), 0);
}

GROUP(signals)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    EQ(soft_(RLIMIT_SIGPENDING, 5), 0);
    struct rlimit l;
    EQ(getrlimit(RLIMIT_SIGPENDING, &l), 0);
    EQ(l.rlim_cur, 5);
    int sent = 0;
    while (sent < 100 && sigqueue(getpid(), SIGRTMIN, (union sigval){sent}) == 0) sent++;
    OK(errno == EAGAIN && sent <= 5);
    struct timespec none = {0};
    int got = 0;
    while (sigtimedwait(&set, NULL, &none) == SIGRTMIN) got++;
    EQ(got, sent);
}
