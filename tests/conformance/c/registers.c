// A system call leaves all registers alone but rax, rcx and r11: those of x87, SSE, AVX and AVX-512 too.
#include "tap.h"
#include <pthread.h>
#include <setjmp.h>

struct registers {
    uint64_t vector[32][8]; // as many of them as the processor has
    uint64_t mask[8];
    unsigned char x87[8][16];
    uint32_t mxcsr, status;
};

enum width { SSE, AVX, AVX512 };

static enum width width(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512bw") ? AVX512 : __builtin_cpu_supports("avx") ? AVX : SSE;
}

#define LOW_REGISTERS ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
#define HIGH_REGISTERS ".irp n, 16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
#define EIGHT ".irp n, 0,1,2,3,4,5,6,7\n"

#define CALL(load, store)                                                                                   \
    __asm__ volatile(                                                                                       \
        "fninit\n" EIGHT "fldt 2112 + 16 * \\n(%[in])\n.endr\n" load                                        \
        "ldmxcsr 2240(%[in])\n syscall\n cmp $-4095, %%rax\n mov %%rax, %%rbx\n stmxcsr 2240(%[out])\n" store                   \
        "fnstsw %%ax\n movzwl %%ax, %%eax\n mov %%eax, 2244(%[out])\n" EIGHT                                \
        "fstpt 2112 + 16 * (7 - \\n)(%[out])\n.endr\n push $0x1f80\n ldmxcsr (%%rsp)\n pop %%rax\n emms\n"  \
        : "=&b"(result)                                                                                     \
        : "a"(number), "D"(a), "S"(b), "d"(c), [in] "r"(in), [out] "r"(out)                                 \
        : "rcx", "r11", "r8", "r9", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", \
          "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "st", "st(1)",      \
          "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)")

// Makes a system call with those registers, and tells what they are afterwards.
static long call(const struct registers *in, struct registers *out, long number, long a, long b, long c)
{
    long result;
    memset(out, 0, sizeof *out);
    switch (width()) {
    case AVX512:
        CALL(LOW_REGISTERS "vmovdqu64 64 * \\n(%[in]), %%zmm\\n\n.endr\n"
             HIGH_REGISTERS "vmovdqu64 64 * \\n(%[in]), %%zmm\\n\n.endr\n"
             EIGHT "kmovq 2048 + 8 * \\n(%[in]), %%k\\n\n.endr\n",
             LOW_REGISTERS "vmovdqu64 %%zmm\\n, 64 * \\n(%[out])\n.endr\n"
             HIGH_REGISTERS "vmovdqu64 %%zmm\\n, 64 * \\n(%[out])\n.endr\n"
             EIGHT "kmovq %%k\\n, 2048 + 8 * \\n(%[out])\n.endr\n vzeroupper\n");
        break;
    case AVX:
        CALL(LOW_REGISTERS "vmovdqu 64 * \\n(%[in]), %%ymm\\n\n.endr\n",
             LOW_REGISTERS "vmovdqu %%ymm\\n, 64 * \\n(%[out])\n.endr\n vzeroupper\n");
        break;
    case SSE:
        CALL(LOW_REGISTERS "movups 64 * \\n(%[in]), %%xmm\\n\n.endr\n",
             LOW_REGISTERS "movups %%xmm\\n, 64 * \\n(%[out])\n.endr\n");
    }
    return result;
}

// Values that tell registers and uses apart.
static void fill(struct registers *regs, uint64_t seed)
{
    static const int words[] = {[SSE] = 2, [AVX] = 4, [AVX512] = 8};
    enum width wide = width();
    memset(regs, 0, sizeof *regs);
    for (int i = 0; i < (wide == AVX512 ? 32 : 16); i++)
        for (int word = 0; word < words[wide]; word++) regs->vector[i][word] = seed << 32 | (i << 8) | word;
    for (int i = 0; i < 8; i++) {
        regs->mask[i] = wide == AVX512 ? seed << 40 | i : 0;
        long double number = seed + i;
        memcpy(regs->x87[i], &number, 10);
    }
    regs->mxcsr = 0x1f80 | 0x2001; // rounds down, and has seen something invalid
    regs->status = 0;
}

// The stack of x87 registers is full: its top is register 0 again.
static int kept(const struct registers *in, struct registers *out)
{
    return memcmp(in, out, sizeof *in) == 0;
}

GROUP(calls)
{
    static struct registers in, out;
    int fd = open("registers", O_RDWR | O_CREAT, 0600), ends[2];
    struct timespec soon = {0, 1000000};
    char byte = 1;
    GOOD(fd);
    EQ(pipe(ends), 0);
    for (int turn = 1; turn < 3; turn++) {
        fill(&in, turn);
        EQ(call(&in, &out, SYS_getppid, 0, 0, 0), getppid());
        OK(kept(&in, &out));
        EQ(call(&in, &out, SYS_pwrite64, fd, (long)&byte, 1), 1);
        OK(kept(&in, &out));
        EQ(call(&in, &out, SYS_lseek, fd, turn, SEEK_SET), turn);
        OK(kept(&in, &out));
        EQ(call(&in, &out, SYS_lseek, -1, 0, 0), -EBADF);
        OK(kept(&in, &out));
        EQ(call(&in, &out, SYS_nanosleep, (long)&soon, 0, 0), 0);
        OK(kept(&in, &out));
        EQ(call(&in, &out, SYS_sched_yield, 0, 0, 0), 0);
        OK(kept(&in, &out));
        EQ(call(&in, &out, SYS_write, ends[1], (long)&byte, 1), 1);
        OK(kept(&in, &out));
        EQ(call(&in, &out, SYS_read, ends[0], (long)&byte, 1), 1);
        OK(kept(&in, &out));
    }
    unlink("registers");
}

// Registers in their initial state stay there, whatever the kernel's side does with them.
GROUP(initial)
{
    static struct registers in, out;
    int fd = GOOD(open("registers", O_RDWR | O_CREAT, 0600));
    in.mxcsr = 0x1f80;
    for (int turn = 0; turn < 3; turn++) {
        EQ(call(&in, &out, SYS_lseek, fd, 7, SEEK_SET), 7);
        OK(kept(&in, &out));
    }
    unlink("registers");
}

static int rounds_kept(uint64_t seed)
{
    static const long numbers[] = {SYS_sched_yield, SYS_getppid, SYS_lseek};
    struct registers in, out;
    for (int round = 0; round < 3000; round++) {
        fill(&in, seed + round);
        call(&in, &out, numbers[round % 3], 0, 0, 0);
        if (!kept(&in, &out)) return 0;
    }
    return 1;
}

static void *other(void *seed)
{
    return (void *)(long)rounds_kept((uint64_t)seed);
}

// Threads that take turns keep theirs.
GROUP(threads)
{
    pthread_t threads[3];
    for (long i = 0; i < 3; i++) EQ(pthread_create(&threads[i], 0, other, (void *)(i << 20)), 0);
    OK(rounds_kept(7 << 20));
    for (int i = 0; i < 3; i++) {
        void *kept = 0;
        EQ(pthread_join(threads[i], &kept), 0);
        OK(kept);
    }
}

// Makes a system call while `flags` are set, which are no business of the kernel's.
static long call_with(uint64_t flags, long number, long a, long b, long c)
{
    long result;
    __asm__ volatile("sub $256, %%rsp\n xor %%r10d, %%r10d\n pushfq\n pushfq\n or %[flags], (%%rsp)\n popfq\n syscall\n popfq\n add $256, %%rsp"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), [flags] "r"(flags)
                     : "rcx", "r10", "r11", "memory", "cc");
    return result;
}

static sigjmp_buf unaligned;
static volatile sig_atomic_t code;
static void on_bus(int number, siginfo_t *info, void *context)
{
    // A handler starts with the flag as it was.
    __asm__ volatile("pushfq\n andq $~0x40000, (%%rsp)\n popfq" : : : "memory", "cc");
    (void)number, (void)context;
    code = info->si_code;
    siglongjmp(unaligned, 1);
}

// The direction of string instructions (DF), alignment checks (AC), nested tasks (NT): with each of them
// calls do what they do without.
GROUP(flags)
{
    static const uint64_t flags[] = {0x400, 0x4000, 0x40000, 0x44400};
    static char text[] = "from an odd address", seen[1 + sizeof text];
    int ends[2];
    EQ(pipe(ends), 0);
    int fd = GOOD(open("flags", O_RDWR | O_CREAT | O_TRUNC, 0600));
    for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++) {
        for (int turn = 0; turn < 20; turn++) {
            memset(seen, 0, sizeof seen);
            EQ(call_with(flags[i], SYS_write, ends[1], (long)text + 1, sizeof text - 1), sizeof text - 1);
            EQ(call_with(flags[i], SYS_read, ends[0], (long)seen + 1, sizeof text), sizeof text - 1);
            OK(!strcmp(seen + 1, text + 1));
            EQ(call_with(flags[i], SYS_pwrite64, fd, (long)text + 3, sizeof text - 3), sizeof text - 3);
            EQ(call_with(flags[i], SYS_pread64, fd, (long)seen + 5, sizeof text - 3), sizeof text - 3);
            OK(!strcmp(seen + 5, text + 3));
            OK(call_with(flags[i], SYS_getppid, 0, 0, 0) > 0);
        }
    }
    unlink("flags");
    // A program that wants alignment checked gets them.
    struct sigaction action = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO};
    EQ(sigaction(SIGBUS, &action, 0), 0);
    if (!sigsetjmp(unaligned, 1))
        __asm__ volatile("pushfq\n orq $0x40000, (%%rsp)\n popfq\n movl 1(%0), %%eax" : : "r"(unaligned) : "eax", "memory", "cc");
    EQ(code, BUS_ADRALN);
}
