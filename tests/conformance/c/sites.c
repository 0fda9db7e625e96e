// The code around a system call may be entered at each of its instructions, from anywhere.
#include "tap.h"
#include <pthread.h>
#include <sys/mman.h>
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

// A file of code: getpid() at every 4000 bytes, and around every border of 64 KiB at another distance from it.
enum { STEP = 4000, BORDER = 64 << 10 };
static const unsigned char own_pid[] = {0xb8, SYS_getpid, 0, 0, 0, 0x0f, 0x05, 0x48, 0x3d, 1, 0xf0, 0xff, 0xff, 0xc3};

static size_t place_at(size_t number, size_t size)
{
    size_t steps = size / STEP;
    if (number < steps) return number * STEP;
    size_t border = (number - steps + 1) * BORDER;
    return border - 1 - (number - steps) % sizeof own_pid;
}

static size_t places(size_t size)
{
    return size / STEP + size / BORDER - 1;
}

static int code_file(const char *name, size_t size)
{
    int fd = GOOD(open(name, O_RDWR | O_CREAT | O_TRUNC, 0700));
    char *all = malloc(size);
    memset(all, 0xcc, size);
    for (size_t i = 0; i < places(size); i++) memcpy(all + place_at(i, size), own_pid, sizeof own_pid);
    EQ(write(fd, all, size), size);
    free(all);
    return fd;
}

// How many of the calls say who this is, from the last to the first or the other way round.
static size_t right_calls(char *code, size_t size, int up)
{
    size_t right = 0, count = places(size), pid = getpid();
    for (size_t i = 0; i < count; i++) {
        char *place = code + place_at(up ? i : count - 1 - i, size);
        right += ((long (*)(void))place)() == (long)pid;
    }
    return right;
}

static void all_calls(size_t size)
{
    int fd = code_file("code", size);
    for (int up = 0; up < 2; up++) {
        char *code = mmap(0, size, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
        OK(code != MAP_FAILED);
        EQ(right_calls(code, size, up), places(size));
        EQ(madvise(code, size / 2, MADV_DONTNEED), 0);
        EQ(right_calls(code, size, !up), places(size));
        EQ(munmap(code, size), 0);
    }
    close(fd);
    unlink("code");
}

GROUP(little_code)
{
    all_calls(300 << 10);
}

GROUP(much_code)
{
    all_calls(6 << 20);
}

// What lies over a part of the code is left alone by it.
GROUP(covered_code)
{
    size_t size = 6 << 20, page = 4096;
    int fd = code_file("covered", size);
    char *code = mmap(0, size, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    OK(code != MAP_FAILED);
    char *over = code + (1 << 20) + page;
    OK(mmap(over, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0) == over);
    EQ(munmap(over + page, page), 0);
    char *file = over + 4 * page;
    OK(mmap(file, page, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0) == file);
    char *hidden = over + 6 * page;
    EQ(mprotect(hidden, page, PROT_NONE), 0);
    // Before and behind, of which one is in the same stretch of code.
    for (long at = -(64 << 10); at <= 64 << 10; at += 16 * STEP) {
        size_t number = ((1 << 20) + at) / STEP;
        EQ(((long (*)(void))(code + number * STEP))(), getpid());
    }
    size_t zeroes = 0;
    for (size_t i = 0; i < page; i++) zeroes += !over[i];
    EQ(zeroes, page);
    EQ(memcmp(file, own_pid, sizeof own_pid), 0);
    unsigned char present;
    EQ(mincore(over + page, page, &present), -1);
    EQ(mprotect(hidden, page, PROT_READ | PROT_EXEC), 0);
    size_t number = (hidden - code + STEP - 1) / STEP;
    EQ(((long (*)(void))(code + number * STEP))(), getpid());
    // Code that is written, too.
    char *copy = code + (3 << 20);
    EQ(mprotect(copy, page, PROT_READ | PROT_WRITE), 0);
    memcpy(copy, own_pid, sizeof own_pid);
    EQ(mprotect(copy, page, PROT_READ | PROT_EXEC), 0);
    EQ(((long (*)(void))copy)(), getpid());
    EQ(munmap(code, size), 0);
    close(fd);
    unlink("covered");
}

// Code that has not been touched yet is moved to where some of it was, touched, and moved back.
GROUP(moved_code)
{
    size_t size = 6 << 20;
    int fd = code_file("moved", size);
    char *room = mmap(0, 3 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    OK(room != MAP_FAILED);
    char *code = mmap(room, size, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, 0);
    OK(code == room);
    char *aside = mremap(code, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, room + 2 * size);
    OK(aside == room + 2 * size);
    code = mremap(aside, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, room + 4096);
    OK(code == room + 4096);
    EQ(right_calls(code, size, 0), places(size));
    for (size_t at = 0; at < size; at += 8 * 4096) EQ(madvise(code + at, 4 * 4096, MADV_DONTNEED), 0);
    aside = mremap(code, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, room + 2 * size);
    OK(aside == room + 2 * size);
    code = mremap(aside, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, room);
    OK(code == room);
    EQ(right_calls(code, size, 1), places(size));
    EQ(munmap(room, 3 * size), 0);
    close(fd);
    unlink("moved");
}

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

static size_t present(char *code, size_t size)
{
    static unsigned char vector[(6 << 20) / 4096];
    size_t count = 0;
    EQ(mincore(code, size, vector), 0);
    for (size_t i = 0; i < size / 4096; i++) count += vector[i] & 1;
    return count;
}

static int own_pid_at(const char *place)
{
    return ((long (*)(void))place)() == getpid();
}

// Pages that went come again, whatever is known of the code before them, and wherever the mapping begins.
GROUP(dropped_code)
{
    size_t size = 6 << 20;
    int fd = code_file("dropped", size);
    char *room = mmap(0, size + (1 << 20), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    OK(room != MAP_FAILED);
    for (size_t shift = 4096; shift < 1 << 20; shift += 5 * 4096) {
        char *code = mmap(room + shift, size, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, 0);
        OK(code == room + shift);
        size_t right = 0, asked = 0;
        for (size_t at = 1 << 20; at < 2 << 20; at += 8 * 4096) {
            char *place = code + (at + STEP - 1) / STEP * STEP;
            right += own_pid_at(place);
            madvise(code + at, 3 * 4096, MADV_DONTNEED);
            right += own_pid_at(place);
            asked += 2;
        }
        EQ(right, asked);
    }
    EQ(munmap(room, size + (1 << 20)), 0);
    close(fd);
    unlink("dropped");
}

// Other code where some was: its traps are its own.
GROUP(replaced_code)
{
    struct sigaction action = {.sa_sigaction = trap, .sa_flags = SA_SIGINFO};
    static const unsigned char breakpoint[] = {0xcc, 0xc3}, undefined[] = {0x0f, 0x0b, 0xc3};
    int fd = code_file("replaced", 300 << 10);
    EQ(sigaction(SIGTRAP, &action, 0), 0);
    EQ(sigaction(SIGILL, &action, 0), 0);
    char *code = mmap(0, 300 << 10, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    OK(own_pid_at(code) && own_pid_at(code + STEP));
    FAILS((long)mmap(code, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, 1000, 0), EBADF);
    OK(own_pid_at(code));
    EQ(munmap(code, 300 << 10), 0);
    char *other = mmap(code, 300 << 10, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    OK(other == code);
    traps = 0;
    for (int at = 5; at <= 7; at += 2) {
        memcpy(other + at, breakpoint, sizeof breakpoint);
        ((void (*)(void))(other + at))();
        OK(trapped == (uintptr_t)other + at + 1);
        memcpy(other + STEP + at, undefined, sizeof undefined);
        ((void (*)(void))(other + STEP + at))();
        OK(trapped == (uintptr_t)other + STEP + at);
    }
    EQ(traps, 4);
    EQ(munmap(other, 300 << 10), 0);
    close(fd);
    unlink("replaced");
}

// Code that was written through a shared mapping.
GROUP(written_code)
{
    for (size_t size = 100 << 10; size <= 6 << 20; size *= 8) {
        int fd = GOOD(open("written", O_RDWR | O_CREAT | O_TRUNC, 0700));
        EQ(ftruncate(fd, size), 0);
        char *shared = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        OK(shared != MAP_FAILED);
        for (size_t at = 0; at + 100 < size; at += 50000) memcpy(shared + at, own_pid, sizeof own_pid);
        char *code = mmap(0, size, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
        OK(code != MAP_FAILED);
        size_t right = 0, asked = 0;
        for (size_t at = 0; at + 100 < size; at += 50000, asked++) right += own_pid_at(code + at);
        EQ(right, asked);
        munmap(code, size);
        munmap(shared, size);
        close(fd);
    }
    unlink("written");
}

// Who wants all of it there has it.
GROUP(populated_code)
{
    size_t size = 6 << 20;
    int fd = code_file("populated", size);
    for (int how = 0; how < 3; how++) {
        char *code = mmap(0, size, PROT_READ | PROT_EXEC, MAP_PRIVATE | (how ? 0 : MAP_POPULATE), fd, 0);
        OK(code != MAP_FAILED);
        if (how == 1) EQ(mlock(code + 4096, size - 8192), 0);
        if (how == 2) EQ(madvise(code, size, MADV_POPULATE_READ), 0);
        OK(present(code, size) >= size / 4096 - 2);
        EQ(right_calls(code, size, 1), places(size));
        EQ(munmap(code, size), 0);
    }
    close(fd);
    unlink("populated");
}

// A page of the program's own among the code, with the same bytes: a call lies across the border.
GROUP(patched_code)
{
    size_t size = 6 << 20, border = (2 << 20) + 4096;
    int fd = code_file("patched", size);
    for (int behind = 0; behind < 2; behind++) {
        for (size_t before = 1; before < sizeof own_pid; before++) {
            EQ(pwrite(fd, own_pid, sizeof own_pid, border - before), sizeof own_pid);
            char *code = mmap(0, size, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
            OK(code != MAP_FAILED);
            char *page = code + border - (behind ? 0 : 4096);
            OK(mmap(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0) == page);
            EQ(pread(fd, page, 4096, page - code), 4096);
            OK(own_pid_at(code + border - before));
            EQ(munmap(code, size), 0);
        }
    }
    close(fd);
    unlink("patched");
}

static char *shared_code;
enum { SHARED = 5 << 20 };

static void *caller(void *up)
{
    return (void *)right_calls(shared_code, SHARED, up != 0);
}

// Threads come to the same code at the same time.
GROUP(code_of_threads)
{
    int fd = code_file("threads", SHARED);
    shared_code = mmap(0, SHARED, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    OK(shared_code != MAP_FAILED);
    pthread_t threads[4];
    for (long i = 0; i < 4; i++) EQ(pthread_create(&threads[i], 0, caller, (void *)(i & 1)), 0);
    for (int i = 0; i < 4; i++) {
        void *right = 0;
        EQ(pthread_join(threads[i], &right), 0);
        EQ((size_t)right, places(SHARED));
    }
    close(fd);
    unlink("threads");
}
