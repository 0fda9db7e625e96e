// No libc: raw `syscall` instructions inlined among vector code, a red zone, and the exit status
// that counts what survived. Linux preserves every register but rax, rcx and r11.
typedef unsigned long u64;
typedef long v4 __attribute__((vector_size(16)));

static inline long call(long n, long a, long b, long c)
{
    long r;
    __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return r;
}

static long print(const char *s)
{
    long n = 0;
    while (s[n])
        n++;
    return call(1, 1, (long)s, n);
}

// Returns 1 when all registers that must live through a system call do.
static int registers_survive(void)
{
    u64 bad;
    __asm__ volatile(
        "mov $0x1111, %%rbx\n mov $0x2222, %%r12\n mov $0x3333, %%r13\n mov $0x4444, %%r14\n"
        "mov $0x5555, %%r15\n mov $0x6666, %%r8\n mov $0x7777, %%r9\n mov $0x8888, %%r10\n"
        "movq %%rbx, %%xmm0\n movq %%r12, %%xmm7\n movq %%r13, %%xmm15\n"
        "movq $0x9999, -8(%%rsp)\n movq $0xaaaa, -128(%%rsp)\n std\n cld\n"
        "mov $39, %%eax\n syscall\n"
        "xor %%eax, %%eax\n"
        "cmp $0x1111, %%rbx\n setne %%cl\n or %%cl, %%al\n"
        "cmp $0x2222, %%r12\n setne %%cl\n or %%cl, %%al\n"
        "cmp $0x3333, %%r13\n setne %%cl\n or %%cl, %%al\n"
        "cmp $0x4444, %%r14\n setne %%cl\n or %%cl, %%al\n"
        "cmp $0x5555, %%r15\n setne %%cl\n or %%cl, %%al\n"
        "cmp $0x6666, %%r8\n setne %%cl\n or %%cl, %%al\n"
        "cmp $0x7777, %%r9\n setne %%cl\n or %%cl, %%al\n"
        "cmp $0x8888, %%r10\n setne %%cl\n or %%cl, %%al\n"
        "movq %%xmm0, %%rdx\n cmp $0x1111, %%rdx\n setne %%cl\n or %%cl, %%al\n"
        "movq %%xmm7, %%rdx\n cmp $0x2222, %%rdx\n setne %%cl\n or %%cl, %%al\n"
        "movq %%xmm15, %%rdx\n cmp $0x3333, %%rdx\n setne %%cl\n or %%cl, %%al\n"
        "cmpq $0x9999, -8(%%rsp)\n setne %%cl\n or %%cl, %%al\n"
        "cmpq $0xaaaa, -128(%%rsp)\n setne %%cl\n or %%cl, %%al\n"
        : "=&a"(bad)
        :
        : "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm7",
          "xmm15", "memory", "cc");
    return bad == 0;
}

// A jump lands on the `syscall` itself, and another on the instruction behind it.
static long jumped_into(long times)
{
    long n = 0, r = 39;
    __asm__ volatile("1: mov $39, %%eax\n jmp 2f\n nop\n 2: syscall\n 3: inc %0\n"
                     "cmp $1000, %0\n jg 4f\n test $1, %0\n jnz 3b\n cmp %2, %0\n jl 1b\n 4:\n"
                     : "+r"(n), "+a"(r)
                     : "r"(times)
                     : "rcx", "r11", "cc", "memory");
    return n;
}

__attribute__((noreturn, used)) static void start(u64 *stack)
{
    u64 argc = stack[0];
    char **argv = (char **)(stack + 1);
    print("raw ");
    print(argv[argc - 1]);
    print(registers_survive() ? "\nregisters survive\n" : "\nregisters are lost\n");
    long pid = call(39, 0, 0, 0), same = 1;
    for (int i = 0; i < 100000; i++)
        same &= call(39, 0, 0, 0) == pid;
    print(same ? "pid is stable\n" : "pid changes\n");
    print(jumped_into(500) >= 500 ? "jumps land\n" : "jumps fail\n");
    print(call(9999, 0, 0, 0) == -38 ? "unknown call refused\n" : "unknown call accepted\n");
    print(call(1, 1, 1, 5) == -14 ? "bad pointer refused\n" : "bad pointer accepted\n");
    print(call(1, 99, (long)stack, 5) == -9 ? "bad descriptor refused\n" : "accepted\n");
    char *brk = (char *)call(12, 0, 0, 0);
    print((char *)call(12, (long)brk + 100000, 0, 0) == brk + 100000 ? "brk moves\n" : "no brk\n");
    brk[99999] = 1;
    call(231, 17, 0, 0);
    __builtin_unreachable();
}

__asm__(".globl _start\n_start:\n mov %rsp, %rdi\n and $-16, %rsp\n call start\n");
