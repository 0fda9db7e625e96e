// Makes a secret, keeps it wherever a program keeps things, and uses the system while it does.
// With the argument "tell", it also writes the secret to a file: then the host must have seen it.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "secret.h"

// In a directory that the enclave holds in its memory.
#define INSIDE "/inside/file"

static unsigned char global[32];
static volatile sig_atomic_t handled;

// Loads the secret into registers of all kinds, and does what `instruction` does with RAX = number.
#define WITH_SECRET(secret, number, instruction)                                                  \
    do {                                                                                          \
        uint64_t w[4];                                                                            \
        memcpy(w, secret, 32);                                                                    \
        long result = number;                                                                     \
        if (avx)                                                                                  \
            __asm__ volatile("vmovups (%0), %%ymm0\n vmovups (%0), %%ymm6\n vmovups (%0), %%ymm15"  \
                             :: "r"(w) : "memory", "xmm0", "xmm6", "xmm15");                      \
        __asm__ volatile(                                                                         \
            "movups (%[s]), %%xmm1\n movups 16(%[s]), %%xmm7\n movups (%[s]), %%xmm14\n"           \
            "mov 0(%[s]), %%rbx\n mov 8(%[s]), %%r12\n mov 16(%[s]), %%r13\n"                     \
            "mov 24(%[s]), %%r14\n mov 0(%[s]), %%r8\n mov 8(%[s]), %%r9\n mov 16(%[s]), %%r10\n"  \
            instruction                                                                           \
            : "+a"(result)                                                                        \
            : [s] "r"(w)                                                                          \
            : "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "xmm1", "xmm7",     \
              "xmm14", "memory");                                                                 \
    } while (0)

static int avx;

static void call(const unsigned char *secret) { WITH_SECRET(secret, SYS_getppid, "syscall"); }

// Computes long enough to be interrupted by the preemption tick.
static void compute(const unsigned char *secret) {
    WITH_SECRET(secret, 20000000, "1: dec %%rax\n jnz 1b");
}

// Faults: an access to address 1, a division by zero, an instruction that does not exist. The
// handler jumps back.
static __thread sigjmp_buf back;

static void fault(const unsigned char *secret, int kind) {
    if (sigsetjmp(back, 1)) return;
    if (kind == 0) WITH_SECRET(secret, 1, "movb $0, (%%rax)");
    if (kind == 1) WITH_SECRET(secret, 1, "xor %%ecx, %%ecx\n xor %%edx, %%edx\n div %%ecx");
    if (kind == 2) WITH_SECRET(secret, 1, "ud2");
}

static void on_fault(int number) {
    unsigned char mine[32];
    make(mine);
    call(mine);
    siglongjmp(back, number);
}

static void on_signal(int number) {
    unsigned char mine[32];
    make(mine);
    call(mine);
    handled += number;
}

static void *thread(void *argument) {
    unsigned char mine[32];
    for (int i = 0; i < 200; i++) {
        make(mine);
        call(mine);
        fault(mine, i % 3);
        if (i % 50 == 0) compute(mine);
        struct timespec t = {0, 100000};
        nanosleep(&t, 0);
    }
    // It ends with the secret in its registers.
    WITH_SECRET(mine, SYS_exit, "xor %%edi, %%edi\n syscall");
    return argument;
}

// The secret goes through all that connects a program with itself only: a pipe, a pair of sockets,
// a file in the enclave's memory.
static int passes_on(const unsigned char *secret, const int *line, const int *pair, int inside, int i) {
    unsigned char mine[32];
    off_t start = 512 * i;
    return write(line[1], secret, 32) == 32 && read(line[0], mine, 32) == 32 &&
           write(pair[0], mine, 32) == 32 && read(pair[1], mine, 32) == 32 &&
           pwrite(inside, mine, 32, start) == 32 && sendfile(line[1], inside, &start, 32) == 32 &&
           read(line[0], mine, 32) == 32 && !memcmp(mine, secret, 32);
}

int main(int argc, char **argv) {
    unsigned char stack[32];
    make(stack);
    make(global);
    unsigned char *heap = malloc(1 << 20);
    unsigned char *map = mmap(0, 1 << 22, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 1 << 20; i += 4096) make(heap + i);
    for (int i = 0; i < 1 << 22; i += 65536) make(map + i);

    avx = __builtin_cpu_supports("avx");
    stack_t other = {.ss_sp = malloc(65536), .ss_size = 65536};
    sigaltstack(&other, 0);
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
    sigaction(SIGUSR1, &action, 0);
    struct sigaction faults = {.sa_handler = on_fault};
    sigaction(SIGSEGV, &faults, 0);
    sigaction(SIGFPE, &faults, 0);
    sigaction(SIGILL, &faults, 0);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], 0, thread, 0);
    char name[] = "/tmp/plant-XXXXXX";
    int file = mkstemp(name);
    int pair[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    int line[2];
    if (pipe(line)) return 1;
    int inside = open(INSIDE, O_RDWR | O_CREAT, 0600);
    char buffer[4096];
    memset(buffer, 'x', sizeof buffer);
    for (int i = 0; i < 500; i++) {
        struct stat status;
        call(stack);
        // Buffers beside the secret: whoever copies too much lets it out.
        memcpy(map + 100, buffer, 1000);
        if (pwrite(file, map + 100, 1001 + i % 7, 0) < 0 || pread(file, heap + 64, 999, 0) < 0 ||
            fstat(file, &status) || write(pair[0], heap + 64, 77) != 77 ||
            read(pair[1], heap + 64, 77) != 77)
            return 1;
        if (!passes_on(stack, line, pair, inside, i)) return 1;
        raise(SIGUSR1);
        fault(stack, i % 3);
        unsigned char *gone = mmap(0, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        for (int at = 0; at < 16384; at += 32) make(gone + at);
        munmap(gone, 16384);
        heap = realloc(heap, (1 << 20) + i * 4096);
        make(heap + (1 << 20) - 64);
    }
    for (int i = 0; i < 4; i++) pthread_join(threads[i], 0);
    if (argc > 1 && !strcmp(argv[1], "tell") && write(file, stack, 32) != 32) return 1;
    unlink(name);
    printf("planted %d\n", handled / SIGUSR1);
    fflush(stdout);
    call(stack);
    // The test looks now; end of input lets us go.
    return read(0, buffer, 1) == 0 && memcmp(global, stack, 32) == 0 ? 0 : 1;
}
