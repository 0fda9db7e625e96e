// The code around a system call may be entered at each of its instructions, from anywhere.
#include "tap.h"
#include <sys/ucontext.h>

// Where `far` is 0, 110 (getppid) is called, and the result compared. Else `rax` is, as it is given:
// from a place that no search nearby sees, or by an indirect jump.
__asm__(".text\n.p2align 4\n"
        "compared: test %rdi, %rdi\n jne 1f\n mov $110, %eax\n syscall\n"
        "2: cmp $-4095, %rax\n jae 3f\n lea 1(%rax), %rax\n ret\n"
        "3: mov $-1, %rax\n ret\n .fill 3000, 1, 0x90\n"
        "1: mov %rsi, %rax\n cmp $2, %rdi\n je 4f\n jmp 2b\n"
        "4: lea 2b(%rip), %rcx\n jmp *%rcx\n");
long compared(long far, long rax);

// The same for the system call itself: the number is 110, or the one that is given.
__asm__(".text\n.p2align 4\n"
        "numbered: test %rdi, %rdi\n jne 1f\n mov $110, %eax\n"
        "2: syscall\n ret\n nop\n nop\n nop\n nop\n nop\n .fill 3000, 1, 0x90\n"
        "1: mov %rsi, %rax\n cmp $2, %rdi\n je 4f\n jmp 2b\n"
        "4: lea 2b(%rip), %rcx\n jmp *%rcx\n");
long numbered(long far, long number);

GROUP(behind)
{
    long parent = getppid();
    for (int turn = 0; turn < 3; turn++) {
        EQ(compared(0, 0), parent + 1);
        EQ(compared(1, 41), 42);
        EQ(compared(1, -EAGAIN), -1);
        EQ(compared(2, 41), 42);
        EQ(compared(2, -EAGAIN), -1);
    }
}

GROUP(at)
{
    long parent = getppid(), own = getpid();
    for (int turn = 0; turn < 3; turn++) {
        EQ(numbered(0, 0), parent);
        EQ(numbered(1, SYS_getpid), own);
        EQ(numbered(2, SYS_getpid), own);
        EQ(numbered(2, 5000), -ENOSYS);
    }
}

static volatile sig_atomic_t traps;
static uintptr_t trapped;

static void trap(int number, siginfo_t *info, void *context)
{
    ucontext_t *at = context;
    traps++;
    trapped = at->uc_mcontext.gregs[REG_RIP];
    // Over an undefined instruction; a breakpoint is behind it already.
    if (number == SIGILL) at->uc_mcontext.gregs[REG_RIP] += 2;
    (void)info;
}

__asm__(".text\n.p2align 4\nbreakpoint: int3\nbehind_breakpoint: ret\nundefined: ud2\n ret\n");
void breakpoint(void);
void behind_breakpoint(void);
void undefined(void);

// The program's own traps are its own.
GROUP(traps)
{
    struct sigaction action = {.sa_sigaction = trap, .sa_flags = SA_SIGINFO};
    EQ(sigaction(SIGTRAP, &action, 0), 0);
    EQ(sigaction(SIGILL, &action, 0), 0);
    breakpoint();
    OK(traps == 1 && trapped == (uintptr_t)behind_breakpoint);
    undefined();
    OK(traps == 2 && trapped == (uintptr_t)undefined);
}
