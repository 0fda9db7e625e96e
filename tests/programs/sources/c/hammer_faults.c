// SIGSEGV, SIGFPE, SIGILL, SIGBUS and SIGTRAP of the program itself, from several threads, repaired in the
// handler through the ucontext or by mprotect, or left by siglongjmp.
#include "hammer.h"
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

static __thread sigjmp_buf back;
static __thread char *guarded;
static __thread volatile long faults;

static void handler(int n, siginfo_t *info, void *raw)
{
    ucontext_t *context = raw;
    faults++;
    if (n == SIGSEGV && guarded && (char *)info->si_addr >= guarded && (char *)info->si_addr < guarded + 64 * 4096) {
        CHECK(info->si_code == SEGV_ACCERR);
        CHECK(mprotect((void *)((unsigned long)info->si_addr & ~4095ul), 4096, PROT_READ | PROT_WRITE) == 0);
        return;
    }
    if (n == SIGILL) {
        CHECK((long)info->si_addr == context->uc_mcontext.gregs[REG_RIP]);
        context->uc_mcontext.gregs[REG_RIP] += 2; // ud2
        context->uc_mcontext.gregs[REG_RBX] = 4242;
        return;
    }
    if (n == SIGTRAP) return;
    siglongjmp(back, n);
}

static void *work(void *n)
{
    for (long i = 0; i < (long)n; i++) {
        guarded = mmap(NULL, 64 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(guarded != MAP_FAILED);
        long before = faults;
        for (int p = 0; p < 64; p++) guarded[p * 4096 + p] = (char)p;
        CHECK(faults == before + 64);
        for (int p = 0; p < 64; p++) CHECK(guarded[p * 4096 + p] == (char)p);
        munmap(guarded, 64 * 4096);
        guarded = NULL;

        volatile int *null = NULL, zero = 0;
        int got = sigsetjmp(back, 1);
        if (got == 0) *null = 1;
        CHECK(got == SIGSEGV);
        got = sigsetjmp(back, 1);
        if (got == 0) zero = 7 / zero;
        CHECK(got == SIGFPE);
        got = sigsetjmp(back, 1);
        if (got == 0) *(volatile char *)0x8000000000000000ul = 1; // not canonical
        CHECK(got == SIGSEGV || got == SIGBUS);
        long rbx = 0;
        __asm__ volatile("mov $1, %%rbx\n ud2\n mov %%rbx, %0" : "=r"(rbx) : : "rbx", "memory");
        CHECK(rbx == 4242);
        before = faults;
        __asm__ volatile("int3");
        CHECK(faults == before + 1);
        got = sigsetjmp(back, 1);
        if (got == 0) ((void (*)(void))(&faults))(); // data is not code
        CHECK(got == SIGSEGV);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_NODEFER};
    int all[] = {SIGSEGV, SIGFPE, SIGILL, SIGBUS, SIGTRAP};
    for (int i = 0; i < 5; i++) CHECK(sigaction(all[i], &sa, NULL) == 0);
    for (int r = rounds(argc, argv); r > 0; r--) {
        pthread_t t[6];
        for (int i = 0; i < 6; i++) pthread_create(&t[i], NULL, work, (void *)30L);
        for (int i = 0; i < 6; i++) pthread_join(t[i], NULL);
    }
    puts("ok");
    return 0;
}
