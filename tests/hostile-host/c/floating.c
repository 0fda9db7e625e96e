// Computes with floating-point numbers between calls, exceptions and signals: neither its control words
// nor its flags may be the host's.
#define _GNU_SOURCE
#include <fcntl.h>
#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void fail(int line, const char *what) {
    printf("corrupt: %s at line %d\n", what, line);
    fflush(stdout);
    _exit(3);
}
#define CHECK(condition) ((condition) ? (void)0 : fail(__LINE__, #condition))

#define DF 0x400ul
#define NT 0x4000ul
#define AC 0x40000ul
static uint64_t flags(void) {
    uint64_t value;
    __asm__ volatile("pushfq; pop %0" : "=r"(value));
    return value;
}
static void look(unsigned mxcsr, unsigned short x87) {
    unsigned seen_mxcsr;
    unsigned short seen_x87;
    CHECK((flags() & (DF | NT | AC)) == 0);
    __asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(seen_mxcsr), "=m"(seen_x87));
    CHECK((seen_mxcsr & ~0x3fu) == mxcsr);
    CHECK(seen_x87 == x87);
}

// Sums that depend on the way of rounding and on the precision.
static volatile double one = 1, three = 3;
static volatile long double long_one = 1, long_three = 3;
struct sums { double direct; long double extended; double root; };
static struct sums compute(void) {
    struct sums sums = {0, 0, 0};
    for (int i = 1; i < 50; i++) {
        sums.direct += one / three / i;
        sums.extended += long_one / long_three / i;
        sums.root += sqrt(three * i);
    }
    return sums;
}
static int equal(struct sums a, struct sums b) {
    return a.direct == b.direct && a.extended == b.extended && a.root == b.root;
}

static void handler(int signal) {
    (void)signal;
    look(0x1f80, 0x37f);
}

static void *thread(void *argument) {
    (void)argument;
    for (int way = 0; way < 4; way++) {
        static const int ways[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
        CHECK(fesetround(ways[way]) == 0);
        unsigned mxcsr = 0x1f80 | (unsigned)ways[way] << 3;
        unsigned short x87 = (unsigned short)(0x37f | ways[way]);
        struct sums expected = compute();
        for (int i = 0; i < 40; i++) {
            // A value that stays on the x87 stack during the call.
            long double kept = 0;
            char path[64], moved[64];
            int fd;
            __asm__ volatile("fldpi");
            fd = open("/proc/self/exe", O_RDONLY);
            CHECK(close(fd) == 0 || fd < 0);
            // A page that is touched for the first time, and a signal.
            char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            CHECK(page != MAP_FAILED);
            page[1] = 1;
            munmap(page, 4096);
            if (i % 8 == 0) raise(SIGUSR1);
            __asm__ volatile("fstpt %0" : "=m"(kept));
            CHECK(kept > 3.14159L && kept < 3.1416L);
            look(mxcsr, x87);
            memset(path, 'x', sizeof path);
            memmove(path + 1, path, sizeof path - 1);
            memcpy(moved, path, sizeof path);
            CHECK(memcmp(moved, path, sizeof path) == 0);
            CHECK(equal(compute(), expected));
            if (i % 10 == 0) usleep(100);
        }
    }
    CHECK(fesetround(FE_TONEAREST) == 0);
    return NULL;
}

int main(void) {
    signal(SIGUSR1, handler);
    // From here on the host lies.
    access("/hostile", F_OK);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], NULL, thread, NULL) == 0);
    thread(NULL);
    for (int i = 0; i < 3; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    puts("intact");
    return 0;
}
