// clone, futex, robust lists, thread ids, FS base, scheduling calls, thread exit.
#include "tap.h"
#include <asm/prctl.h>
#include <linux/futex.h>
#include <linux/sockios.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

static long futex_(void *a, int op, int v, const void *t, void *a2, int v3) { return syscall(SYS_futex, a, op, v, t, a2, v3); }
static atomic_int word_, count_;
static void *wait_(void *mask)
{
    atomic_fetch_add(&count_, 1);
    long r = mask ? futex_(&word_, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, (long)mask) : futex_(&word_, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    return (void *)r;
}
static void settle_(int n)
{
    while (count_ < n) usleep(500);
    usleep(30000);
}

GROUP(futex_errors)
{
    int w = 5;
    struct timespec soon = {0, 1000000}, bad = {0, 1000000000}, negative = {-1, 0};
    FAILS(futex_(&w, FUTEX_WAIT, 4, NULL, NULL, 0), EAGAIN);
    FAILS(futex_(&w, FUTEX_WAIT_PRIVATE, 4, NULL, NULL, 0), EAGAIN);
    FAILS(futex_(&w, FUTEX_WAIT, 5, &soon, NULL, 0), ETIMEDOUT);
    FAILS(futex_(&w, FUTEX_WAIT, 5, &bad, NULL, 0), EINVAL);
    FAILS(futex_(&w, FUTEX_WAIT, 5, &negative, NULL, 0), EINVAL);
    FAILS(futex_((char *)&w + 1, FUTEX_WAIT, 5, &soon, NULL, 0), EINVAL);
    FAILS(futex_((char *)&w + 1, FUTEX_WAKE, 1, NULL, NULL, 0), EINVAL);
    FAILS(futex_(BAD, FUTEX_WAIT, 5, NULL, NULL, 0), EFAULT);
    FAILS(futex_(NULL, FUTEX_WAIT, 0, NULL, NULL, 0), EFAULT);
    FAILS(futex_(&w, FUTEX_WAIT, 5, BAD, NULL, 0), EFAULT);
    FAILS(futex_(&w, FUTEX_WAIT_BITSET, 5, &soon, NULL, 0), EINVAL);
    FAILS(futex_(&w, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0), EINVAL);
    FAILS(futex_(&w, 99, 1, NULL, NULL, 0), ENOSYS);
    EQ(futex_(&w, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
    struct timespec abs;
    clock_gettime(CLOCK_MONOTONIC, &abs);
    FAILS(futex_(&w, FUTEX_WAIT_BITSET, 5, &abs, NULL, FUTEX_BITSET_MATCH_ANY), ETIMEDOUT);
    clock_gettime(CLOCK_REALTIME, &abs);
    FAILS(futex_(&w, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 5, &abs, NULL, FUTEX_BITSET_MATCH_ANY), ETIMEDOUT);
    long long before = now_ns_(CLOCK_MONOTONIC);
    clock_gettime(CLOCK_MONOTONIC, &abs);
    abs.tv_sec += (abs.tv_nsec += 30000000) >= 1000000000;
    abs.tv_nsec %= 1000000000;
    FAILS(futex_(&w, FUTEX_WAIT_BITSET_PRIVATE, 5, &abs, NULL, FUTEX_BITSET_MATCH_ANY), ETIMEDOUT);
    NAMED("waits until the time given", now_ns_(CLOCK_MONOTONIC) - before >= 30000000);
}

GROUP(futex_wake)
{
    pthread_t t[8];
    void *r;
    for (int i = 0; i < 8; i++) pthread_create(&t[i], NULL, wait_, NULL);
    settle_(8);
    EQ(futex_(&word_, FUTEX_WAKE_PRIVATE, 3, NULL, NULL, 0), 3);
    EQ(futex_(&word_, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0), 5);
    EQ(futex_(&word_, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0), 0);
    for (int i = 0; i < 8; i++) {
        pthread_join(t[i], &r);
        EQ(r, 0);
    }
    count_ = 0;
    for (long i = 0; i < 4; i++) pthread_create(&t[i], NULL, wait_, (void *)(1L << i));
    settle_(4);
    EQ(futex_(&word_, FUTEX_WAKE_BITSET_PRIVATE, INT_MAX, NULL, NULL, 16), 0);
    EQ(futex_(&word_, FUTEX_WAKE_BITSET_PRIVATE, INT_MAX, NULL, NULL, 6), 2);
    EQ(futex_(&word_, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0), 2);
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
}

GROUP(futex_requeue)
{
    pthread_t t[6];
    int other = 0, unused;
    for (int i = 0; i < 6; i++) pthread_create(&t[i], NULL, wait_, NULL);
    settle_(6);
    FAILS(futex_(&word_, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)1, &other, 7), EAGAIN);
    EQ(futex_(&word_, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)2, &other, 0), 3);
    EQ(futex_(&other, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0), 2);
    EQ(futex_(&word_, FUTEX_REQUEUE_PRIVATE, 0, (void *)10, &other, 0), 3);
    EQ(futex_(&word_, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0), 0);
    EQ(futex_(&other, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &word_, FUTEX_OP(FUTEX_OP_ADD, 5, FUTEX_OP_CMP_GT, 0)), 1);
    EQ(word_, 5);
    EQ(futex_(&other, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0), 2);
    for (int i = 0; i < 6; i++) pthread_join(t[i], NULL);
    (void)unused;
}

static pthread_mutex_t robust_;
static void *dies_holding_(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&robust_);
    return NULL;
}

GROUP(robust_lists)
{
    pthread_mutexattr_t a;
    pthread_t t;
    pthread_mutexattr_init(&a);
    EQ(pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST), 0);
    pthread_mutex_init(&robust_, &a);
    pthread_create(&t, NULL, dies_holding_, NULL);
    pthread_join(t, NULL);
    EQ(pthread_mutex_lock(&robust_), EOWNERDEAD);
    EQ(pthread_mutex_consistent(&robust_), 0);
    EQ(pthread_mutex_unlock(&robust_), 0);
    EQ(pthread_mutex_lock(&robust_), 0);
    EQ(pthread_mutex_unlock(&robust_), 0);
    void *head;
    size_t size;
    EQ(syscall(SYS_get_robust_list, 0, &head, &size), 0);
    EQ(size, 24);
    FAILS(syscall(SYS_set_robust_list, head, 5), EINVAL);
}

static void *ends_with_a_bad_list_(void *head)
{
    return (void *)syscall(SYS_set_robust_list, head, 24);
}

GROUP(bad_robust_lists)
{
    void *heads[] = {(void *)-1, (void *)-8, (void *)-16, (void *)-4096, (void *)8}, *r;
    for (int i = 0; i < 5; i++) {
        pthread_t t;
        EQ(pthread_create(&t, NULL, ends_with_a_bad_list_, heads[i]), 0);
        EQ(pthread_join(t, &r), 0);
        EQ(r, 0);
    }
}

#define FUTEX_LOCK_PI2_ 13
static pthread_mutex_t pi_;
static int pi_count_, pi_word_;

static void *counts_pi_(void *unused)
{
    (void)unused;
    for (int i = 0; i < 3000; i++) {
        pthread_mutex_lock(&pi_);
        pi_count_++;
        if (i % 16 == 0) sched_yield();
        pthread_mutex_unlock(&pi_);
    }
    return NULL;
}

static void *holds_pi_(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&pi_);
    if (futex_(&pi_word_, FUTEX_LOCK_PI, 0, NULL, NULL, 0)) return "no lock";
    count_ = 1;
    usleep(60000);
    futex_(&pi_word_, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0);
    pthread_mutex_unlock(&pi_);
    return NULL;
}

static void *dies_with_pi_(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&pi_);
    return NULL;
}

static void pi_signal_(int unused) { (void)unused; pi_count_++; }

GROUP(priority_inheritance)
{
    pthread_t t[8];
    void *bad;
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    EQ(pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT), 0);
    EQ(pthread_mutexattr_settype(&a, PTHREAD_MUTEX_ERRORCHECK), 0);
    EQ(pthread_mutex_init(&pi_, &a), 0);
    EQ(pthread_mutex_unlock(&pi_), EPERM);
    for (int i = 0; i < 8; i++) pthread_create(&t[i], NULL, counts_pi_, NULL);
    for (int i = 0; i < 8; i++) pthread_join(t[i], NULL);
    EQ(pi_count_, 24000);
    EQ(pthread_mutex_lock(&pi_), 0);
    EQ(pthread_mutex_lock(&pi_), EDEADLK);
    EQ(pthread_mutex_unlock(&pi_), 0);
    // By the calls themselves.
    int w = 0, tid = gettid();
    EQ(futex_(&w, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0), 0);
    EQ(w == tid, 1);
    FAILS(futex_(&w, FUTEX_LOCK_PI, 0, NULL, NULL, 0), EDEADLK);
    FAILS(futex_(&w, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0), EDEADLK);
    EQ(futex_(&w, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), 0);
    EQ(w, 0);
    FAILS(futex_(&w, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), EPERM);
    w = 0x3ffffff0; // no such thread
    FAILS(futex_(&w, FUTEX_LOCK_PI, 0, NULL, NULL, 0), ESRCH);
    FAILS(futex_(BAD, FUTEX_LOCK_PI, 0, NULL, NULL, 0), EFAULT);
    // Somebody else has it: a time that has passed, a signal, and then it is ours.
    count_ = 0;
    pthread_create(t, NULL, holds_pi_, NULL);
    while (!count_) usleep(1000);
    struct timespec abs;
    clock_gettime(CLOCK_REALTIME, &abs);
    FAILS(futex_(&pi_word_, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0), EAGAIN);
    FAILS(futex_(&pi_word_, FUTEX_LOCK_PI, 0, &abs, NULL, 0), ETIMEDOUT);
    clock_gettime(CLOCK_MONOTONIC, &abs);
    FAILS(futex_(&pi_word_, FUTEX_LOCK_PI2_, 0, &abs, NULL, 0), ETIMEDOUT);
    FAILS(futex_(&pi_word_, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), EPERM);
    pi_count_ = 0;
    struct sigaction act = {.sa_handler = pi_signal_};
    sigaction(SIGALRM, &act, NULL);
    timer_t timer;
    struct itimerspec when = {.it_value.tv_nsec = 10000000};
    timer_create(CLOCK_MONOTONIC, NULL, &timer);
    timer_settime(timer, 0, &when, NULL);
    EQ(futex_(&pi_word_, FUTEX_LOCK_PI, 0, NULL, NULL, 0), 0); // the signal does not end the wait
    EQ(pi_count_, 1);
    EQ((pi_word_ & FUTEX_TID_MASK) == tid, 1);
    EQ(futex_(&pi_word_, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), 0);
    EQ(pi_word_, 0);
    EQ(pthread_join(t[0], &bad), 0);
    EQ(bad == NULL, 1);
    // The owner ends.
    EQ(pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST), 0);
    EQ(pthread_mutex_init(&pi_, &a), 0);
    pthread_create(t, NULL, dies_with_pi_, NULL);
    pthread_join(t[0], NULL);
    EQ(pthread_mutex_lock(&pi_), EOWNERDEAD);
    EQ(pthread_mutex_consistent(&pi_), 0);
    EQ(pthread_mutex_unlock(&pi_), 0);
    EQ(pthread_mutex_lock(&pi_), 0);
    EQ(pthread_mutex_unlock(&pi_), 0);
}

static atomic_int tid_seen_, clear_;
static __thread int local_ = 3;
static void *identity_(void *unused)
{
    (void)unused;
    tid_seen_ = gettid();
    local_++;
    return (void *)(long)local_;
}

GROUP(identity)
{
    EQ(gettid() == getpid(), 1);
    pthread_t t;
    void *r;
    pthread_create(&t, NULL, identity_, NULL);
    pthread_join(t, &r);
    NAMED("a thread has an id of its own", tid_seen_ > 0 && tid_seen_ != getpid());
    EQ(r, 4);
    EQ(local_, 3);
    EQ(syscall(SYS_set_tid_address, &clear_) == gettid(), 1);
    unsigned long fs = 0;
    EQ(syscall(SYS_arch_prctl, ARCH_GET_FS, &fs), 0);
    unsigned long self;
    __asm__("mov %%fs:0, %0" : "=r"(self));
    EQ(fs == self, 1);
    FAILS(syscall(SYS_arch_prctl, 0x9999, &fs), EINVAL);
    FAILS(syscall(SYS_arch_prctl, ARCH_GET_FS, BAD), EFAULT);
    char name[16] = "";
    EQ(prctl(PR_SET_NAME, "a-name-too-long-for-it"), 0);
    EQ(prctl(PR_GET_NAME, name), 0);
    TEXT(name, "a-name-too-long");
    FAILS(syscall(SYS_tgkill, getpid(), 0x3fffffff, 0), ESRCH);
    FAILS(syscall(SYS_tgkill, -1, gettid(), 0), EINVAL);
    EQ(syscall(SYS_tgkill, getpid(), gettid(), 0), 0);
    EQ(syscall(SYS_tkill, gettid(), 0), 0);
}

static char stack_[65536] __attribute__((aligned(16)));
static atomic_int ran_, parent_tid_, child_tid_;
static int child_(void *arg)
{
    ran_ = (int)(long)arg;
    syscall(SYS_exit, 0);
    return 0;
}

GROUP(raw_clone)
{
    int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID;
    child_tid_ = 1;
    int tid = clone(child_, stack_ + sizeof stack_, flags, (void *)42L, &parent_tid_, NULL, &child_tid_);
    OK(tid > 0);
    int seen;
    while ((seen = child_tid_)) futex_(&child_tid_, FUTEX_WAIT, seen, NULL, NULL, 0);
    EQ(ran_, 42);
    EQ(parent_tid_ == tid, 1);
    FAILS(syscall(SYS_clone, CLONE_THREAD, stack_ + 100, NULL, NULL, NULL), EINVAL);
    FAILS(syscall(SYS_clone, CLONE_SIGHAND, stack_ + 100, NULL, NULL, NULL), EINVAL);
    FAILS(syscall(SYS_clone3, NULL, 5), EINVAL);
}

static void *sleep_forever_(void *unused)
{
    for (;;) pause();
    return unused;
}
static void clean_(void *n) { *(int *)n = 1; }
static void *cancelled_(void *cleaned)
{
    pthread_cleanup_push(clean_, cleaned);
    sleep_forever_(NULL);
    pthread_cleanup_pop(0);
    return NULL;
}

GROUP(pthread)
{
    pthread_t t;
    void *r;
    int cleaned = 0;
    EQ(pthread_create(&t, NULL, cancelled_, &cleaned), 0);
    usleep(20000);
    EQ(pthread_cancel(t), 0);
    EQ(pthread_join(t, &r), 0);
    EQ(r == PTHREAD_CANCELED, 1);
    EQ(cleaned, 1);
    pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t c = PTHREAD_COND_INITIALIZER;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (until.tv_nsec += 20000000) >= 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&m);
    EQ(pthread_cond_timedwait(&c, &m, &until), ETIMEDOUT);
    EQ(pthread_mutex_trylock(&m), EBUSY);
    EQ(pthread_mutex_timedlock(&m, &until), ETIMEDOUT);
    EQ(pthread_mutex_unlock(&m), 0);
    sem_t s;
    sem_init(&s, 0, 1);
    EQ(sem_trywait(&s), 0);
    FAILS(sem_trywait(&s), EAGAIN);
    FAILS(sem_timedwait(&s, &until), ETIMEDOUT);
    EQ(sem_post(&s), 0);
    EQ(sem_wait(&s), 0);
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_settype(&a, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&m, &a);
    EQ(pthread_mutex_lock(&m), 0);
    EQ(pthread_mutex_lock(&m), EDEADLK);
    EQ(pthread_mutex_unlock(&m), 0);
    EQ(pthread_mutex_unlock(&m), EPERM);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    size_t size = 0;
    void *base = NULL;
    pthread_getattr_np(pthread_self(), &attr);
    EQ(pthread_attr_getstack(&attr, &base, &size), 0);
    NAMED("the main stack is where we are", (char *)base < (char *)&size && (char *)&size < (char *)base + size);
}

GROUP(scheduling)
{
    cpu_set_t set;
    EQ(sched_yield(), 0);
    EQ(sched_getaffinity(0, sizeof set, &set), 0);
    OK(CPU_COUNT(&set) >= 1);
    EQ(sched_setaffinity(0, sizeof set, &set), 0);
    FAILS(syscall(SYS_sched_getaffinity, 0, 1, &set), EINVAL);
    FAILS(syscall(SYS_sched_getaffinity, 0x3fffffff, sizeof set, &set), ESRCH);
    EQ(syscall(SYS_sched_getscheduler, 0), SCHED_OTHER);
    struct sched_param p = {.sched_priority = 9};
    EQ(syscall(SYS_sched_getparam, 0, &p), 0);
    EQ(p.sched_priority, 0);
    EQ(sched_get_priority_max(SCHED_FIFO), 99);
    EQ(sched_get_priority_min(SCHED_OTHER), 0);
    FAILS(sched_get_priority_max(99), EINVAL);
    unsigned cpu = 999, node = 999;
    EQ(syscall(SYS_getcpu, &cpu, &node, NULL), 0);
    OK(cpu < 999 && node < 999);
}

static void *own_ids_(void *first)
{
    // The id of a thread is as good as the process's, for what a process has.
    int tid = gettid(), pid = getpid();
    EQ(tid != pid, first != NULL);
    EQ(kill(tid, 0), 0);
    EQ(getpgid(tid), getpgid(0));
    EQ(getsid(tid), getsid(0));
    errno = 0;
    int priority = getpriority(PRIO_PROCESS, tid);
    OK(errno == 0);
    EQ(setpriority(PRIO_PROCESS, tid, priority), 0);
    GOOD(syscall(SYS_ioprio_get, 1, tid));
    struct rlimit l, all;
    EQ(getrlimit(RLIMIT_NOFILE, &l), 0);
    EQ(syscall(SYS_prlimit64, tid, RLIMIT_NOFILE, &l, &all), 0);
    EQ(all.rlim_cur, l.rlim_cur);
    struct { unsigned version; int pid; } h = {0x20080522, tid};
    unsigned d[6];
    EQ(syscall(SYS_capget, &h, d), 0);
    EQ(kill(tid, SIGUSR1), 0);
    return NULL;
}

static int first_nice_;
static int nice_of_(int tid)
{
    errno = 0;
    int nice = getpriority(PRIO_PROCESS, tid);
    EQ(errno, 0);
    return nice;
}

static void *made_by_nice_(void *nice)
{
    EQ(nice_of_(0), *(int *)nice);
    return NULL;
}

static void *is_nicer_(void *unused)
{
    (void)unused;
    pthread_t t;
    int nice = first_nice_ < 10 ? first_nice_ + 5 : 19;
    EQ(nice_of_(gettid()), first_nice_);
    EQ(setpriority(PRIO_PROCESS, gettid(), 99), 0);
    EQ(nice_of_(0), 19);
    EQ(nice_of_(getpid()), first_nice_);
    // It takes privileges to go back.
    int back = setpriority(PRIO_PROCESS, 0, nice);
    OK(back == 0 || errno == EACCES);
    if (back) nice = 19;
    EQ(nice_of_(gettid()), nice);
    pthread_create(&t, NULL, made_by_nice_, &nice);
    pthread_join(t, NULL);
    return NULL;
}

// Each thread has its own.
GROUP(nice)
{
    pthread_t t;
    first_nice_ = nice_of_(0);
    pthread_create(&t, NULL, is_nicer_, NULL);
    pthread_join(t, NULL);
    EQ(nice_of_(0), first_nice_);
}

static void *later_(void *unused)
{
    (void)unused;
    int tid = gettid(), udp = GOOD(socket(AF_INET, SOCK_DGRAM, 0));
    OK(tid != getpid());
    // Only for the first thread.
    FAILS(setpgid(tid, 0), EINVAL);
    errno = 0;
    EQ(syscall(SYS_pidfd_open, tid, 0), -1);
    OK(errno == EINVAL || errno == ENOENT); /* the latter since Linux 6.16 */
    // Only for itself.
    struct { unsigned version; int pid; } h = {0x20080522, tid};
    unsigned d[6];
    EQ(syscall(SYS_capget, &h, d), 0);
    h.pid = 0;
    int result = syscall(SYS_capset, &h, d);
    h.pid = tid;
    EQ(syscall(SYS_capset, &h, d), result);
    h.pid = getpid();
    FAILS(syscall(SYS_capset, &h, d), EPERM);
    FAILS(syscall(SYS_capset, &h, BAD), EPERM);
    // As good as the process.
    struct f_owner_ex owner = {F_OWNER_TID, tid};
    EQ(fcntl(udp, F_SETOWN_EX, &owner), 0);
    owner.type = F_OWNER_PID;
    EQ(fcntl(udp, F_SETOWN_EX, &owner), 0);
    EQ(ioctl(udp, FIOSETOWN, &tid), 0);
    EQ(ioctl(udp, SIOCSPGRP, &tid), 0);
    EQ(fcntl(udp, F_SETOWN, tid), 0);
    EQ(close(udp), 0);
    char path[40], name[20] = "";
    snprintf(path, sizeof path, "/proc/%d/comm", tid);
    EQ(prctl(PR_SET_NAME, "later"), 0);
    int comm = GOOD(open(path, O_RDONLY));
    EQ(read(comm, name, sizeof name - 1), 6);
    TEXT(name, "later\n");
    EQ(close(comm), 0);
    // Its clock, and that its id makes one.
    clockid_t clock;
    struct timespec now;
    EQ(pthread_getcpuclockid(pthread_self(), &clock), 0);
    EQ(clock_gettime(clock, &now), 0);
    return NULL;
}

GROUP(ids_of_later_threads)
{
    pthread_t t;
    pthread_create(&t, NULL, later_, NULL);
    pthread_join(t, NULL);
    int own = getpid(), udp = GOOD(socket(AF_INET, SOCK_DGRAM, 0));
    EQ(fcntl(udp, F_SETOWN, own), 0);
    EQ(fcntl(udp, F_GETOWN), own);
    EQ(ioctl(udp, FIOSETOWN, &own), 0);
    EQ(fcntl(udp, F_SETOWN, -getpgrp()), 0);
    EQ(fcntl(udp, F_GETOWN), -getpgrp());
    EQ(fcntl(udp, F_SETOWN, 0), 0);
    EQ(fcntl(udp, F_GETOWN), 0);
}

static volatile int taken_;
static void take_(int signal) { taken_++; }

GROUP(ids_of_threads)
{
    pthread_t t;
    signal(SIGUSR1, take_);
    own_ids_(NULL);
    pthread_create(&t, NULL, own_ids_, &t);
    pthread_join(t, NULL);
    for (int i = 0; i < 1000 && taken_ < 2; i++) usleep(1000);
    EQ(taken_, 2);
}

#define MANY_ 500
static void *creates_(void *ids)
{
    for (int i = 0; i < MANY_; i++) syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, (int *)ids + i);
    return NULL;
}

// Whoever makes timers at the same time, each is one of its own.
GROUP(timers_of_threads)
{
    pthread_t t[4];
    static int ids[4 * MANY_];
    int same = 0;
    for (int i = 0; i < 4; i++) pthread_create(&t[i], NULL, creates_, ids + i * MANY_);
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
    for (int i = 0; i < 4 * MANY_; i++)
        for (int j = 0; j < i; j++) same += ids[i] == ids[j];
    EQ(same, 0);
    for (int i = 0; i < 4 * MANY_; i++) same += syscall(SYS_timer_delete, ids[i]) != 0;
    EQ(same, 0);
    FAILS(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, BAD), EFAULT);
}

static void *exits_(void *unused)
{
    (void)unused;
    usleep(20000);
    _exit(0);
}

// The whole process ends when a thread calls exit_group, while others sleep.
GROUP(exit_from_a_thread)
{
    pthread_t t;
    pthread_create(&t, NULL, sleep_forever_, NULL);
    printf("1..0\n");
    fflush(stdout);
    pthread_create(&t, NULL, exits_, NULL);
    pthread_join(t, NULL);
    OK(!"reached");
}

// The process goes on when the first thread ends.
static void *outlives_(void *unused)
{
    (void)unused;
    usleep(30000);
    OK(gettid() != getpid());
    exit(0);
}

GROUP(first_thread_ends)
{
    pthread_t t;
    pthread_create(&t, NULL, outlives_, NULL);
    pthread_exit(NULL);
}
