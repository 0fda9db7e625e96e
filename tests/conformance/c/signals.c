// Handlers, masks, pending signals, alternate stacks, waiting, timers, restart of calls.
#include "tap.h"
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <ucontext.h>

static volatile sig_atomic_t hits_, last_, code_, value_, nested_, deepest_;
static volatile pid_t sender_;
static void simple_(int n) { hits_++; last_ = n; }
static void detailed_(int n, siginfo_t *i, void *c)
{
    (void)c;
    hits_++;
    last_ = n;
    code_ = i->si_code;
    sender_ = i->si_pid;
    value_ = i->si_value.sival_int;
}
static void on_(int n, void (*f)(int), int flags)
{
    struct sigaction s = {.sa_handler = f, .sa_flags = flags};
    sigaction(n, &s, NULL);
}
static void on_info_(int n, void (*f)(int, siginfo_t *, void *), int flags)
{
    struct sigaction s = {.sa_sigaction = f, .sa_flags = flags | SA_SIGINFO};
    sigaction(n, &s, NULL);
}
static sigset_t set_(int n)
{
    sigset_t s;
    sigemptyset(&s);
    if (n) sigaddset(&s, n);
    return s;
}
static pthread_t main_;
static void *later_(void *n)
{
    usleep(30000);
    if ((long)n < 0) kill(getpid(), -(long)n);
    else pthread_kill(main_, (long)n);
    return NULL;
}
// Sends a signal to this thread (or, negative, to the process) in 30 ms.
static pthread_t soon_(long n)
{
    pthread_t t;
    main_ = pthread_self();
    pthread_create(&t, NULL, later_, (void *)n);
    return t;
}

GROUP(handlers)
{
    struct sigaction s, old;
    EQ(sigaction(SIGUSR1, NULL, &old), 0);
    EQ(old.sa_handler == SIG_DFL, 1);
    on_(SIGUSR1, simple_, 0);
    EQ(raise(SIGUSR1), 0);
    EQ(hits_, 1);
    EQ(last_, SIGUSR1);
    EQ(kill(getpid(), SIGUSR1), 0);
    EQ(hits_, 2);
    EQ(sigaction(SIGUSR1, NULL, &old), 0);
    EQ(old.sa_handler == simple_, 1);
    on_info_(SIGUSR2, detailed_, 0);
    kill(getpid(), SIGUSR2);
    EQ(code_, SI_USER);
    EQ(sender_ == getpid(), 1);
    raise(SIGUSR2);
    EQ(code_, SI_TKILL);
    EQ(sigqueue(getpid(), SIGUSR2, (union sigval){.sival_int = 1234}), 0);
    EQ(code_, SI_QUEUE);
    EQ(value_, 1234);
    on_(SIGUSR1, SIG_IGN, 0);
    hits_ = 0;
    raise(SIGUSR1);
    EQ(hits_, 0);
    on_(SIGUSR1, simple_, SA_RESETHAND);
    raise(SIGUSR1);
    EQ(hits_, 1);
    sigaction(SIGUSR1, NULL, &old);
    EQ(old.sa_handler == SIG_DFL, 1);
    FAILS(sigaction(SIGKILL, &(struct sigaction){.sa_handler = simple_}, NULL), EINVAL);
    FAILS(sigaction(SIGSTOP, &(struct sigaction){.sa_handler = SIG_IGN}, NULL), EINVAL);
    FAILS(sigaction(0, NULL, &s), EINVAL);
    FAILS(sigaction(65, NULL, &s), EINVAL);
    FAILS(kill(getpid(), 65), EINVAL);
    FAILS(kill(getpid(), -1), EINVAL);
    EQ(kill(getpid(), 0), 0);
    siginfo_t none = {.si_code = SI_QUEUE};
    EQ(sigqueue(getpid(), 0, (union sigval){0}), 0);
    EQ(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), 0, &none), 0);
    FAILS(syscall(SYS_rt_sigqueueinfo, getpid(), 65, &none), EINVAL);
    FAILS(syscall(SYS_rt_sigqueueinfo, getpid(), 0, BAD), EFAULT);
    FAILS(kill(0x3fffffff, 0), ESRCH);
    FAILS(syscall(SYS_rt_sigaction, SIGUSR1, BAD, NULL, 8), EFAULT);
    FAILS(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4), EINVAL);
    raise(SIGCHLD);
    raise(SIGWINCH);
    raise(SIGURG);
    OK("ignored by default");
}

GROUP(masks)
{
    sigset_t one = set_(SIGUSR1), old, pending;
    on_(SIGUSR1, simple_, 0);
    EQ(sigprocmask(SIG_BLOCK, &one, &old), 0);
    EQ(sigismember(&old, SIGUSR1), 0);
    raise(SIGUSR1);
    raise(SIGUSR1);
    EQ(hits_, 0);
    EQ(sigpending(&pending), 0);
    EQ(sigismember(&pending, SIGUSR1), 1);
    EQ(sigismember(&pending, SIGUSR2), 0);
    EQ(sigprocmask(SIG_UNBLOCK, &one, &old), 0);
    EQ(sigismember(&old, SIGUSR1), 1);
    EQ(hits_, 1);
    sigpending(&pending);
    EQ(sigismember(&pending, SIGUSR1), 0);
    sigset_t all;
    sigfillset(&all);
    EQ(sigprocmask(SIG_SETMASK, &all, NULL), 0);
    sigprocmask(SIG_SETMASK, NULL, &old);
    EQ(sigismember(&old, SIGKILL), 0);
    EQ(sigismember(&old, SIGSTOP), 0);
    EQ(sigismember(&old, SIGTERM), 1);
    FAILS(syscall(SYS_rt_sigprocmask, 99, &one, NULL, 8), EINVAL);
    FAILS(syscall(SYS_rt_sigprocmask, SIG_BLOCK, BAD, NULL, 8), EFAULT);
    FAILS(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &one, NULL, 16), EINVAL);
    EQ(kill(getpid(), SIGUSR1), 0);
    sigprocmask(SIG_BLOCK, NULL, NULL);
    on_(SIGUSR1, SIG_IGN, 0);
    sigpending(&pending);
    NAMED("ignoring discards what is pending", sigismember(&pending, SIGUSR1) == 0);
}

static void check_mask_(int n)
{
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    nested_ = sigismember(&now, n) * 10 + sigismember(&now, SIGUSR2);
    hits_++;
}
static int depth_, raised_;
static void recurse_(int n)
{
    if (++depth_ > deepest_) deepest_ = depth_;
    if (raised_ < 5 && ++raised_ < 5) raise(n);
    depth_--;
}

GROUP(masks_in_handlers)
{
    struct sigaction s = {.sa_handler = check_mask_};
    sigaddset(&s.sa_mask, SIGUSR2);
    sigaction(SIGUSR1, &s, NULL);
    raise(SIGUSR1);
    EQ(nested_, 11);
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    EQ(sigismember(&now, SIGUSR1) + sigismember(&now, SIGUSR2), 0);
    s.sa_flags = SA_NODEFER;
    sigaction(SIGUSR1, &s, NULL);
    raise(SIGUSR1);
    EQ(nested_, 1);
    on_(SIGUSR1, recurse_, SA_NODEFER);
    raise(SIGUSR1);
    EQ(deepest_, 5);
    deepest_ = depth_ = raised_ = 0;
    on_(SIGUSR1, recurse_, 0);
    raise(SIGUSR1);
    EQ(deepest_, 1);
    EQ(raised_, 5);
}

static char *alternate_;
static volatile int there_;
static void where_(int n)
{
    (void)n;
    char here;
    stack_t now;
    there_ = &here > alternate_ && &here < alternate_ + 32768;
    sigaltstack(NULL, &now);
    nested_ = now.ss_flags;
}

GROUP(alternate_stacks)
{
    stack_t s = {0}, old;
    EQ(sigaltstack(NULL, &old), 0);
    EQ(old.ss_flags, SS_DISABLE);
    s.ss_sp = alternate_ = malloc(32768);
    s.ss_size = 32768;
    EQ(sigaltstack(&s, &old), 0);
    on_(SIGUSR1, where_, SA_ONSTACK);
    raise(SIGUSR1);
    EQ(there_, 1);
    EQ(nested_, SS_ONSTACK);
    on_(SIGUSR1, where_, 0);
    raise(SIGUSR1);
    EQ(there_, 0);
    EQ(nested_, 0);
    s.ss_size = 100;
    FAILS(syscall(SYS_sigaltstack, &s, NULL), ENOMEM);
    s.ss_size = 32768;
    s.ss_flags = 0x1234;
    FAILS(syscall(SYS_sigaltstack, &s, NULL), EINVAL);
    s.ss_flags = SS_DISABLE;
    EQ(sigaltstack(&s, NULL), 0);
    EQ(sigaltstack(NULL, &old), 0);
    EQ(old.ss_flags, SS_DISABLE);
    FAILS(syscall(SYS_sigaltstack, BAD, NULL), EFAULT);
}

GROUP(queued)
{
    sigset_t rt = set_(SIGRTMIN), old;
    sigaddset(&rt, SIGRTMIN + 1);
    sigprocmask(SIG_BLOCK, &rt, &old);
    for (int i = 0; i < 5; i++) sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = i});
    for (int i = 10; i < 13; i++) sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i});
    siginfo_t info;
    struct timespec none = {0, 0};
    for (int i = 10; i < 13; i++) {
        EQ(sigtimedwait(&rt, &info, &none) == SIGRTMIN, 1);
        EQ(info.si_value.sival_int - i, 0);
    }
    for (int i = 0; i < 5; i++) {
        EQ(sigtimedwait(&rt, &info, &none) == SIGRTMIN + 1, 1);
        EQ(info.si_value.sival_int - i, 0);
        EQ(info.si_code, SI_QUEUE);
    }
    FAILS(sigtimedwait(&rt, &info, &none), EAGAIN);
}

GROUP(waiting)
{
    sigset_t one = set_(SIGUSR1), empty = set_(0);
    siginfo_t info;
    int n;
    pthread_t t;
    sigprocmask(SIG_BLOCK, &one, NULL);
    t = soon_(-SIGUSR1);
    EQ(sigwait(&one, &n), 0);
    EQ(n, SIGUSR1);
    pthread_join(t, NULL);
    t = soon_(SIGUSR1);
    EQ(sigwaitinfo(&one, &info), SIGUSR1);
    pthread_join(t, NULL);
    struct timespec wait = {0, 20000000}, bad = {0, -1};
    long long before = now_ns_(CLOCK_MONOTONIC);
    FAILS(sigtimedwait(&one, &info, &wait), EAGAIN);
    NAMED("waited 20 ms", now_ns_(CLOCK_MONOTONIC) - before >= 20000000);
    FAILS(sigtimedwait(&one, &info, &bad), EINVAL);
    on_(SIGUSR1, simple_, 0);
    t = soon_(-SIGUSR1);
    FAILS(sigsuspend(&empty), EINTR);
    EQ(hits_, 1);
    pthread_join(t, NULL);
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    EQ(sigismember(&now, SIGUSR1), 1);
    sigprocmask(SIG_UNBLOCK, &one, NULL);
    t = soon_(SIGUSR1);
    FAILS(pause(), EINTR);
    EQ(hits_, 2);
    pthread_join(t, NULL);
    sigprocmask(SIG_BLOCK, &one, NULL);
    raise(SIGUSR1);
    FAILS(ppoll(NULL, 0, NULL, &empty), EINTR);
    EQ(hits_, 3);
}

GROUP(interruption)
{
    int p[2];
    char c;
    pthread_t t;
    pipe(p);
    on_(SIGUSR1, simple_, 0);
    t = soon_(SIGUSR1);
    FAILS(read(p[0], &c, 1), EINTR);
    pthread_join(t, NULL);
    EQ(hits_, 1);
    struct timespec left = {0}, ten = {10, 0};
    t = soon_(SIGUSR1);
    FAILS(nanosleep(&ten, &left), EINTR);
    NAMED("the rest is told", left.tv_sec == 9 && left.tv_nsec > 0);
    pthread_join(t, NULL);
    t = soon_(SIGUSR1);
    EQ(clock_nanosleep(CLOCK_MONOTONIC, 0, &ten, &left), EINTR);
    pthread_join(t, NULL);
    t = soon_(SIGUSR1);
    struct pollfd pf = {p[0], POLLIN, 0};
    FAILS(poll(&pf, 1, 10000), EINTR);
    pthread_join(t, NULL);
    t = soon_(SIGUSR1);
    int w = 0;
    FAILS(syscall(SYS_futex, &w, 0, 0, NULL, NULL, 0), EINTR);
    pthread_join(t, NULL);
    on_(SIGUSR1, simple_, SA_RESTART);
    t = soon_(SIGUSR1);
    FAILS(poll(&pf, 1, 10000), EINTR);
    pthread_join(t, NULL);
    t = soon_(SIGUSR1);
    FAILS(nanosleep(&ten, &left), EINTR);
    pthread_join(t, NULL);
    EQ(hits_, 7);
}

// A call that need not wait is not interrupted, however many signals come.
GROUP(no_interruption_without_waiting)
{
    int p[2], s[2], zero = open("/dev/zero", O_RDWR), file = open("f", O_RDWR | O_CREAT, 0600), interrupted = 0, wrong = 0;
    int event = eventfd(0, EFD_NONBLOCK), timer = timerfd_create(CLOCK_MONOTONIC, 0);
    char b[100] = "";
    struct stat st;
    uint64_t v;
    pipe(p);
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    on_(SIGALRM, simple_, 0);
    struct itimerval often = {{0, 1000}, {0, 1000}}, off = {{0, 0}, {0, 0}};
    struct itimerspec at_once = {{0, 1}, {0, 1}};
    timerfd_settime(timer, 0, &at_once, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    long long end = now_ns_(CLOCK_MONOTONIC) + 400000000LL;
#define CALL(e, want) ({ errno = 0; long r_ = (e); interrupted += r_ < 0 && errno == EINTR; wrong += r_ != (want); })
    while (now_ns_(CLOCK_MONOTONIC) < end) {
        CALL(write(p[1], b, 10), 10);
        CALL(read(p[0], b, 10), 10);
        CALL(send(s[0], b, 10, 0), 10);
        CALL(recv(s[1], b, 10, 0), 10);
        CALL(read(zero, b, 100), 100);
        CALL(pwrite(file, b, 50, 0), 50);
        CALL(pread(file, b, 50, 0), 50);
        CALL(fstat(file, &st), 0);
        CALL(stat("f", &st), 0);
        v = 1;
        CALL(write(event, &v, 8), 8);
        CALL(read(event, &v, 8), 8);
        CALL(read(timer, &v, 8), 8);
        CALL(poll(&(struct pollfd){p[1], POLLOUT, 0}, 1, 1000), 1);
        int fd = open("f", O_RDONLY);
        wrong += fd < 0;
        CALL(close(fd), 0);
    }
    setitimer(ITIMER_REAL, &off, NULL);
    EQ(interrupted, 0);
    EQ(wrong, 0);
    NAMED("many signals came", hits_ >= 20);
}

static pthread_t disturbed_;
static volatile int disturbs_;
static void *disturb_(void *unused)
{
    while (disturbs_) pthread_kill(disturbed_, SIGUSR1), usleep(50);
    return NULL;
}

// Up to 256 random bytes are read as a whole, whatever comes (random(4)).
GROUP(few_random_bytes)
{
    char b[4];
    struct iovec v[64];
    int random = open("/dev/urandom", O_RDONLY), wrong = 0;
    pthread_t t;
    for (int i = 0; i < 64; i++) v[i] = (struct iovec){b, sizeof b};
    on_(SIGUSR1, simple_, 0);
    disturbed_ = pthread_self(), disturbs_ = 1;
    EQ(pthread_create(&t, NULL, disturb_, NULL), 0);
    long long end = now_ns_(CLOCK_MONOTONIC) + 300000000LL;
    while (now_ns_(CLOCK_MONOTONIC) < end) wrong += readv(random, v, 64) != 256;
    disturbs_ = 0;
    pthread_join(t, NULL);
    EQ(wrong, 0);
    NAMED("many signals came", hits_ >= 20);
}

static int restart_pipe_[2];
static void writes_(int n)
{
    hits_ += n == SIGALRM;
    if (hits_ == 2) write(restart_pipe_[1], "r", 1);
}

GROUP(restart)
{
    char c = 0;
    pipe(restart_pipe_);
    on_(SIGALRM, writes_, SA_RESTART);
    struct itimerval twice = {{0, 20000}, {0, 20000}}, off = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &twice, NULL);
    EQ(read(restart_pipe_[0], &c, 1), 1);
    EQ(c, 'r');
    setitimer(ITIMER_REAL, &off, NULL);
    NAMED("two signals came first", hits_ >= 2);
}

GROUP(timers)
{
    struct itimerval v = {{0, 0}, {0, 30000}}, old;
    on_info_(SIGALRM, detailed_, 0);
    EQ(setitimer(ITIMER_REAL, &v, NULL), 0);
    EQ(getitimer(ITIMER_REAL, &old), 0);
    OK(old.it_value.tv_usec > 0 && old.it_value.tv_usec <= 30000);
    pause();
    EQ(last_, SIGALRM);
    EQ(code_, SI_KERNEL);
    EQ(alarm(10), 0);
    EQ(alarm(0), 10);
    FAILS(setitimer(99, &v, NULL), EINVAL);
    v.it_value.tv_usec = 2000000;
    FAILS(setitimer(ITIMER_REAL, &v, NULL), EINVAL);
    FAILS(syscall(SYS_setitimer, ITIMER_REAL, BAD, NULL), EFAULT);
    hits_ = 0;
    on_(SIGVTALRM, simple_, 0);
    on_(SIGPROF, simple_, 0);
    struct itimerval soon = {{0, 0}, {0, 20000}};
    EQ(setitimer(ITIMER_VIRTUAL, &soon, NULL), 0);
    long long end = now_ns_(CLOCK_MONOTONIC) + 5000000000LL;
    while (hits_ == 0 && now_ns_(CLOCK_MONOTONIC) < end) ;
    EQ(last_, SIGVTALRM);
    hits_ = 0;
    EQ(setitimer(ITIMER_PROF, &soon, NULL), 0);
    while (hits_ == 0 && now_ns_(CLOCK_MONOTONIC) < end) ;
    EQ(last_, SIGPROF);
    on_info_(SIGUSR1, detailed_, 0);
    timer_t t;
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 77};
    EQ(timer_create(CLOCK_MONOTONIC, &e, &t), 0);
    struct itimerspec it = {{0, 10000000}, {0, 10000000}}, got;
    hits_ = 0;
    EQ(timer_settime(t, 0, &it, NULL), 0);
    while (hits_ < 3 && now_ns_(CLOCK_MONOTONIC) < end) usleep(1000);
    NAMED("three ticks", hits_ >= 3);
    EQ(code_, SI_TIMER);
    EQ(value_, 77);
    EQ(timer_gettime(t, &got), 0);
    EQ(got.it_interval.tv_nsec, 10000000);
    OK(timer_getoverrun(t) >= 0);
    EQ(timer_delete(t), 0);
    FAILS(syscall(SYS_timer_create, 9999, &e, &t), EINVAL);
    FAILS(syscall(SYS_timer_delete, 9999), EINVAL);
    FAILS(syscall(SYS_timer_gettime, 9999, &got), EINVAL);
}

static void *blocks_all_(void *count)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    *(int *)count = 1;
    usleep(60000);
    return NULL;
}
static volatile pid_t handled_by_;
static void who_(int n) { (void)n; handled_by_ = gettid(); hits_++; }
static volatile int other_tid_;
static void *waits_(void *unused)
{
    (void)unused;
    other_tid_ = gettid();
    while (hits_ == 0) usleep(1000);
    return NULL;
}

GROUP(between_threads)
{
    pthread_t t;
    volatile int up = 0;
    on_(SIGUSR1, who_, 0);
    pthread_create(&t, NULL, blocks_all_, (void *)&up);
    while (!up) usleep(500);
    kill(getpid(), SIGUSR1);
    EQ(handled_by_ == gettid(), 1);
    pthread_join(t, NULL);
    hits_ = 0;
    pthread_create(&t, NULL, waits_, NULL);
    while (!other_tid_) usleep(500);
    EQ(pthread_kill(t, SIGUSR1), 0);
    pthread_join(t, NULL);
    EQ(handled_by_ == other_tid_, 1);
    hits_ = other_tid_ = 0;
    sigset_t one = set_(SIGUSR1);
    pthread_create(&t, NULL, waits_, NULL);
    while (!other_tid_) usleep(500);
    sigprocmask(SIG_BLOCK, &one, NULL);
    kill(getpid(), SIGUSR1);
    pthread_join(t, NULL);
    NAMED("the thread that does not block it gets it", handled_by_ == other_tid_);
}

static sigjmp_buf out_;
static void jumps_(int n) { siglongjmp(out_, n); }

GROUP(jumps)
{
    volatile int rounds = 0;
    on_(SIGUSR1, jumps_, 0);
    while (rounds < 20) {
        rounds++;
        if (sigsetjmp(out_, 1) == 0) {
            raise(SIGUSR1);
            OK(!"reached");
        }
    }
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    EQ(sigismember(&now, SIGUSR1), 0);
#ifdef __GLIBC__
    ucontext_t here, *volatile back = &here;
    volatile int times = 0;
    getcontext(&here);
    if (times++ < 3) setcontext(back);
    EQ(times, 4);
#endif
}

GROUP(registers_survive)
{
    on_(SIGUSR1, simple_, 0);
    long pid = getpid(), result;
    unsigned long bad;
    __asm__ volatile(
        "mov $0x11, %%rbx\n mov $0x22, %%r12\n mov $0x33, %%r13\n mov $0x44, %%r14\n mov $0x55, %%r15\n"
        "mov $0x66, %%r8\n mov $0x77, %%r9\n mov $0x88, %%r10\n movq %%rbx, %%xmm3\n movq %%r15, %%xmm12\n"
        "movq $0x99, -8(%%rsp)\n movq $0xaa, -120(%%rsp)\n"
        "mov $62, %%eax\n syscall\n xor %%edx, %%edx\n"
        "cmp $0x11, %%rbx\n setne %%cl\n or %%cl, %%dl\n cmp $0x22, %%r12\n setne %%cl\n or %%cl, %%dl\n"
        "cmp $0x33, %%r13\n setne %%cl\n or %%cl, %%dl\n cmp $0x44, %%r14\n setne %%cl\n or %%cl, %%dl\n"
        "cmp $0x55, %%r15\n setne %%cl\n or %%cl, %%dl\n cmp $0x66, %%r8\n setne %%cl\n or %%cl, %%dl\n"
        "cmp $0x77, %%r9\n setne %%cl\n or %%cl, %%dl\n cmp $0x88, %%r10\n setne %%cl\n or %%cl, %%dl\n"
        "movq %%xmm3, %%rsi\n cmp $0x11, %%rsi\n setne %%cl\n or %%cl, %%dl\n"
        "movq %%xmm12, %%rsi\n cmp $0x55, %%rsi\n setne %%cl\n or %%cl, %%dl\n"
        "cmpq $0x99, -8(%%rsp)\n setne %%cl\n or %%cl, %%dl\n cmpq $0xaa, -120(%%rsp)\n setne %%cl\n or %%cl, %%dl\n"
        : "=a"(result), "=&d"(bad), "+D"(pid)
        : "S"((long)SIGUSR1)
        : "rbx", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm3", "xmm12", "memory", "cc");
    EQ(result, 0);
    EQ(bad, 0);
    EQ(hits_, 1);
}

