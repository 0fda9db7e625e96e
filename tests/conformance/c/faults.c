// Faults of the program itself: siginfo, the ucontext, resuming elsewhere, other stacks, depth.
#include "tap.h"
#include <pthread.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/ucontext.h>

static sigjmp_buf back_;
static volatile int number_, code_, error_, trap_;
static void *volatile address_;
static volatile long rip_;
static void record_(int n, siginfo_t *i, void *c)
{
    ucontext_t *u = c;
    number_ = n;
    code_ = i->si_code;
    address_ = i->si_addr;
    error_ = u->uc_mcontext.gregs[REG_ERR];
    trap_ = u->uc_mcontext.gregs[REG_TRAPNO];
    rip_ = u->uc_mcontext.gregs[REG_RIP];
    siglongjmp(back_, 1);
}
static void catch_(void (*f)(int, siginfo_t *, void *), int flags)
{
    struct sigaction s = {.sa_sigaction = f, .sa_flags = SA_SIGINFO | flags};
    int all[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    for (int i = 0; i < 5; i++) sigaction(all[i], &s, NULL);
}
#define FAULTS(action) ({ number_ = 0; if (sigsetjmp(back_, 1) == 0) { action; } number_; })

GROUP(information)
{
    catch_(record_, 0);
    char *p = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EQ(FAULTS(*(volatile char *)0x40 = 1), SIGSEGV);
    EQ(code_, SEGV_MAPERR);
    EQ(address_, 0x40);
    EQ(trap_, 14);
    EQ(error_ & 7, 6);
    EQ(FAULTS((void)*(volatile char *)0x40), SIGSEGV);
    EQ(error_ & 7, 4);
    EQ(p[77], 0);
    EQ(FAULTS(*(volatile char *)(p + 77) = 1), SIGSEGV);
    EQ(code_, SEGV_ACCERR);
    EQ(address_ == p + 77, 1);
    EQ(error_ & 7, 7);
    munmap(p, 4096);
    EQ(FAULTS((void)*(volatile char *)(p + 5)), SIGSEGV);
    EQ(code_, SEGV_MAPERR);
    EQ(address_ == p + 5, 1);
    EQ(FAULTS(((void (*)(void))(p + 4096))()), SIGSEGV);
    EQ(address_ == p + 4096, 1);
    EQ(rip_ == (long)p + 4096, 1);
    EQ(FAULTS((void)*(volatile char *)0x8000000000000000), SIGSEGV);
    EQ(code_, SI_KERNEL);
    EQ(address_, 0);
    volatile int zero = 0, one = 1;
    EQ(FAULTS(one = one / zero), SIGFPE);
    EQ(code_, FPE_INTDIV);
    EQ(address_ == (void *)rip_, 1);
    EQ(trap_, 0);
    EQ(FAULTS(__asm__ volatile("ud2")), SIGILL);
    EQ(code_, ILL_ILLOPN);
    EQ(address_ == (void *)rip_, 1);
    EQ(FAULTS(__asm__ volatile("int3")), SIGTRAP);
    EQ(code_, SI_KERNEL);
    EQ(FAULTS(__asm__ volatile("hlt")), SIGSEGV);
    EQ(code_, SI_KERNEL);
    int fd = open("f", O_RDWR | O_CREAT, 0600);
    ftruncate(fd, 10);
    char *m = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
    EQ(FAULTS((void)*(volatile char *)(m + 5000)), SIGBUS);
    EQ(code_, BUS_ADRERR);
    EQ(address_ == m + 5000, 1);
}

static void skip_(int n, siginfo_t *i, void *c)
{
    (void)i;
    ucontext_t *u = c;
    u->uc_mcontext.gregs[REG_RIP] += n == SIGILL ? 2 : 3;
    u->uc_mcontext.gregs[REG_RBX] = 0x1234;
    u->uc_mcontext.gregs[REG_EFL] |= 1;
    number_ = n;
}

GROUP(resuming_elsewhere)
{
    catch_(skip_, 0);
    long rbx;
    char carry;
    __asm__ volatile("mov $1, %%ebx\n clc\n ud2\n setc %1\n mov %%rbx, %0" : "=r"(rbx), "=r"(carry) : : "rbx", "cc");
    EQ(number_, SIGILL);
    EQ(rbx, 0x1234);
    EQ(carry, 1);
    __asm__ volatile("mov $1, %%ebx\n xor %%ecx, %%ecx\n mov (%%rcx), %%rax\n mov %%rbx, %0" : "=r"(rbx) : : "rax", "rbx", "rcx", "cc");
    EQ(number_, SIGSEGV);
    EQ(rbx, 0x1234);
    double kept;
    __asm__ volatile("mov $0x4045000000000000, %%rax\n movq %%rax, %%xmm5\n ud2\n movq %%xmm5, %0" : "=r"(kept) : : "rax", "rbx", "xmm5", "cc");
    EQ(kept, 42);
}

static int repairs_;
static void repair_(int n, siginfo_t *i, void *c)
{
    (void)n;
    (void)c;
    repairs_++;
    mprotect((void *)((uintptr_t)i->si_addr & ~4095ul), 4096, PROT_READ | PROT_WRITE);
}

GROUP(repairing)
{
    catch_(repair_, 0);
    char *p = mmap(NULL, 100 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 100; i++) p[i * 4096 + i] = i;
    EQ(repairs_, 100);
    int sum = 0;
    for (int i = 0; i < 100; i++) sum += p[i * 4096 + i];
    EQ(sum, 4950);
    EQ(repairs_, 100);
}

static char *alternate_;
static volatile int there_;
static void overflow_(int n, siginfo_t *i, void *c)
{
    (void)i;
    (void)c;
    char here;
    there_ = &here > alternate_ && &here < alternate_ + 65536;
    number_ = n;
    siglongjmp(back_, 1);
}
static int recurse_(int n)
{
    volatile char room[1000];
    room[n % 1000] = n;
    return n < 0 ? 0 : recurse_(n + 1) + room[n % 1000];
}
static void *overflows_(void *unused)
{
    (void)unused;
    stack_t s = {.ss_sp = alternate_ = malloc(65536), .ss_size = 65536};
    sigaltstack(&s, NULL);
    EQ(FAULTS(recurse_(0)), SIGSEGV);
    EQ(there_, 1);
    return NULL;
}

GROUP(stack_overflow)
{
    catch_(overflow_, SA_ONSTACK);
    overflows_(NULL);
    pthread_t t;
    pthread_create(&t, NULL, overflows_, NULL);
    pthread_join(t, NULL);
}

GROUP(deep_but_legal)
{
    // 7 MB of the 8 that a main stack has.
    volatile char *p = __builtin_alloca(7 << 20);
    for (int i = (7 << 20) - 1; i >= 0; i -= 4096) p[i] = 1;
    OK(p[4095] == 1 || p[4095] == 0);
}

static void *thread_(void *n)
{
    for (int i = 0; i < 50; i++)
        if ((long)n % 2) {
            long rbx;
            __asm__ volatile("ud2\n mov %%rbx, %0" : "=r"(rbx) : : "rbx", "cc");
            if (rbx != 0x1234) return (void *)1;
        } else {
            usleep(100);
        }
    return NULL;
}

GROUP(in_many_threads)
{
    catch_(skip_, 0);
    pthread_t t[10];
    void *r, *bad = NULL;
    for (long i = 0; i < 10; i++) pthread_create(&t[i], NULL, thread_, (void *)i);
    for (int i = 0; i < 10; i++) {
        pthread_join(t[i], &r);
        if (r) bad = r;
    }
    EQ(bad, 0);
}
