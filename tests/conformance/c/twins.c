// A part of a file that is mapped twice: what is written at one address is there at the other.
#include "tap.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>

enum { P = 4096, RW = PROT_READ | PROT_WRITE };

static int file_(const char *name, size_t size)
{
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
    EQ(ftruncate(fd, size), 0);
    return fd;
}

// `size` bytes of a file, twice, one behind the other.
static char *mirror_(int fd, size_t size)
{
    char *p = mmap(NULL, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    OK(mmap(p, size, RW, MAP_SHARED | MAP_FIXED, fd, 0) == p);
    OK(mmap(p + size, size, RW, MAP_SHARED | MAP_FIXED, fd, 0) == p + size);
    return p;
}

GROUP(shown)
{
    enum { N = 64 * P };
    int fd = file_("shown", N);
    char *a = mirror_(fd, N), *b = a + N;
    int wrong = 0;
    for (int i = 0; i < N; i += P) a[i] = i / P + 1;
    for (int i = 0; i < N; i += P) wrong += b[i] != i / P + 1;
    for (int i = 0; i < N; i += 3 * P) b[i + 1] = a[i] + 1;
    for (int i = 0; i < N; i += 3 * P) wrong += a[i + 1] != a[i] + 1;
    // To and fro, in one page.
    for (int i = 0; i < 1000; i++) {
        (i & 1 ? a : b)[5 * P + i] = i % 100;
        wrong += (i & 1 ? b : a)[5 * P + i] != i % 100;
    }
    EQ(wrong, 0);
    // Other ways to the same bytes.
    char *read_only = mmap(NULL, P, PROT_READ, MAP_SHARED, fd, 7 * P);
    a[7 * P] = 71;
    EQ(read_only[0], 71);
    b[7 * P] = 72;
    char *private = mmap(NULL, P, RW, MAP_PRIVATE, fd, 7 * P);
    EQ(private[0], 72);
    private[0] = 1;
    EQ(a[7 * P], 72);
    char *third = mremap(b, 0, 8 * P, MREMAP_MAYMOVE);
    OK(third != MAP_FAILED);
    third[7 * P] = 73;
    EQ(a[7 * P], 73);
    EQ(read_only[0], 73);
    // Where one of them cannot be written, or seen.
    EQ(mprotect(b, N, PROT_READ), 0);
    a[8 * P] = 81;
    EQ(b[8 * P], 81);
    EQ(mprotect(b, N, PROT_NONE), 0);
    a[8 * P] = 82;
    EQ(msync(b, N, MS_SYNC), 0);
    char c;
    EQ(pread(fd, &c, 1, 8 * P), 1);
    EQ(c, 82);
    EQ(mprotect(b, N, RW), 0);
    EQ(b[8 * P], 82);
    EQ(munmap(b, N), 0);
    EQ(a[8 * P], 82);
    // Another descriptor, and the file itself.
    int again = open("shown", O_RDWR);
    b = mmap(NULL, N, RW, MAP_SHARED, again, 0);
    b[9 * P] = 91;
    EQ(a[9 * P], 91);
    EQ(pwrite(fd, "x", 1, 9 * P), 1);
    EQ(a[9 * P], 'x');
    EQ(b[9 * P], 'x');
    b[9 * P] = 'y';
    EQ(pread(again, &c, 1, 9 * P), 1);
    EQ(c, 'y');
    EQ(a[9 * P], 'y');
}

// A ring that is written and read without a thought of its end.
GROUP(ring)
{
    enum { N = 4 * P, RECORD = 1500 };
    int fd = memfd_create("ring", 0);
    EQ(ftruncate(fd, N), 0);
    char *ring = mirror_(fd, N), out[RECORD], in[RECORD];
    size_t at = 0;
    int wrong = 0;
    for (int i = 0; i < 500; i++) {
        for (int k = 0; k < RECORD; k++) out[k] = i * 7 + k;
        memcpy(ring + at % N, out, RECORD);
        memset(in, 0, RECORD);
        for (int k = 0; k < RECORD; k++) in[k] = ring[(at + k) % N];
        wrong += memcmp(in, out, RECORD) != 0;
        at += RECORD;
    }
    EQ(wrong, 0);
    // As much as it holds at once, from the middle of a page.
    int from = file_("from", 0);
    for (int i = 0; i < N / RECORD + 1; i++) EQ(write(from, out, RECORD), RECORD);
    EQ(pread(from, ring + 2 * P + 100, N, 0), N);
    for (int k = 0; k < N; k++) wrong += ring[(2 * P + 100 + k) % N] != out[k % RECORD];
    EQ(wrong, 0);
    int to = file_("to", 0);
    EQ(write(to, ring + 2 * P + 100, N), N);
    EQ(pread(to, ring, 1, N - 1), 1);
    EQ(ring[N], out[(N - 1) % RECORD]);
    int ends[2];
    EQ(pipe(ends), 0);
    for (int k = 0; k < N; k++) ring[k] = k * 3 + k / 256;
    EQ(write(ends[1], ring + P + 10, N), N);
    memset(ring, 0, N);
    for (int have = 0, r = 1; have < N && r > 0; have += r) r = read(ends[0], ring + P + 10 + have, N - have);
    for (int k = 0; k < N; k++) wrong += ring[k] != (char)(k * 3 + k / 256);
    EQ(wrong, 0);
}

static atomic_int *here, *there;

static void *answers_(void *unused)
{
    for (int i = 1; i < 2000; i += 2) {
        while (atomic_load(there) != i) sched_yield();
        atomic_store(there, i + 1);
    }
    return unused;
}

static void *adds_(void *place)
{
    for (int i = 0; i < 2000; i++) atomic_fetch_add((atomic_int *)place, 1);
    return NULL;
}

static void *sleeps_(void *place)
{
    struct timespec patience = {10, 0};
    return syscall(SYS_futex, place, FUTEX_WAIT, 0, &patience, NULL, 0) == 0 ? place : NULL;
}

GROUP(threads)
{
    int fd = file_("threads", 2 * P);
    char *p = mirror_(fd, 2 * P);
    here = (atomic_int *)p;
    there = (atomic_int *)(p + 2 * P);
    pthread_t t[4];
    pthread_create(&t[0], NULL, answers_, NULL);
    for (int i = 1; i < 2000; i += 2) {
        atomic_store(here, i);
        while (atomic_load(here) != i + 1) sched_yield();
    }
    pthread_join(t[0], NULL);
    EQ(*there, 2000);
    // Who sleeps at one address is woken at the other.
    *here = 0;
    pthread_create(&t[0], NULL, sleeps_, here);
    for (int i = 0; i < 20000 && syscall(SYS_futex, there, FUTEX_WAKE, 1, NULL, NULL, 0) == 0; i++) usleep(100);
    void *woken = NULL;
    pthread_join(t[0], &woken);
    OK(woken != NULL);
    // No addition is lost.
    *here = 0;
    for (int i = 0; i < 4; i++) pthread_create(&t[i], NULL, adds_, i & 1 ? here : there);
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
    EQ(*here, 8000);
    EQ(*there, 8000);
}

enum { WRITTEN = 16 * P };
static char *first_, *second_;
static atomic_int over_;

// Touches what is being written, and stores beside it.
static void *touches_(void *arg)
{
    char *before = first_, *behind = second_ + 17 * P - 1;
    long wrong = 0;
    for (char n = 0; !atomic_load(&over_); n = (n + 1) % 100) {
        *(volatile char *)before = n;
        *(volatile char *)behind = n;
        for (int page = 0; page <= 16; page++) (void)*(volatile char *)(first_ + page * P + 50);
        wrong += *(volatile char *)before != n;
        wrong += *(volatile char *)behind != n;
    }
    return (void *)wrong;
}

// What one thread writes to the file is there when that is over, whatever another one does meanwhile.
GROUP(written_meanwhile)
{
    int fd = file_("meanwhile", 17 * P), other = file_("other", WRITTEN);
    first_ = mirror_(fd, 17 * P);
    second_ = first_ + 17 * P;
    static char bytes[WRITTEN], found[WRITTEN];
    int wrong = 0;
    pthread_t t;
    pthread_create(&t, NULL, touches_, NULL);
    long long end = now_ns_(CLOCK_MONOTONIC) + 3000000000LL;
    for (int i = 0; i < 500 && now_ns_(CLOCK_MONOTONIC) < end; i++) {
        memset(bytes, i % 100 + 1, WRITTEN);
        off_t from = 0;
        long n;
        lseek(fd, 100, SEEK_SET);
        if (i % 3 == 0) n = pwrite(fd, bytes, WRITTEN, 100);
        else if (i % 3 == 1) n = write(fd, bytes, WRITTEN);
        else n = pwrite(other, bytes, WRITTEN, 0) == WRITTEN ? sendfile(fd, other, &from, WRITTEN) : 0;
        wrong += n != WRITTEN;
        wrong += memcmp(first_ + 100, bytes, WRITTEN) != 0;
        wrong += memcmp(second_ + 100, bytes, WRITTEN) != 0;
        wrong += pread(fd, found, WRITTEN, 100) != WRITTEN || memcmp(found, bytes, WRITTEN) != 0;
    }
    atomic_store(&over_, 1);
    void *lost;
    pthread_join(t, &lost);
    EQ(wrong, 0);
    EQ(lost, 0);
    // Nobody knows what was stored last.
    EQ(unlink("meanwhile"), 0);
    EQ(unlink("other"), 0);
}

static int fifo_;
static void *stores_and_sends_(void *p)
{
    usleep(100000);
    ((char *)p)[P] = 7;
    return (void *)write(fifo_, "abcdef", 6);
}

// Contents that two files share, where the file system can do so.
GROUP(cloned)
{
    enum { FICLONE_ = 0x40049409 };
    int from = file_("from", P), to = file_("to", P);
    char *source = mmap(NULL, P, RW, MAP_SHARED, from, 0), *target = mmap(NULL, P, RW, MAP_SHARED, to, 0), c;
    source[1] = 5;
    EQ(target[1], 0);
    int result = ioctl(to, FICLONE_, from);
    OK(result == 0 || errno == EOPNOTSUPP || errno == EINVAL || errno == ENOTTY);
    if (result) pwrite(to, source, P, 0);
    EQ(target[1], 5);
    target[2] = 6;
    EQ(pread(to, &c, 1, 2), 1);
    EQ(c, 6);
    EQ(source[2], 0);
    EQ(unlink("from"), 0);
    EQ(unlink("to"), 0);
}

// What another thread stores while a call writes, and cannot be written back when that is over, is no matter of the call.
GROUP(not_written_back)
{
    int fd = file_("limited", 2 * P);
    char *p = mmap(NULL, 2 * P, RW, MAP_SHARED, fd, 0), c = 0;
    struct rlimit all, one;
    EQ(getrlimit(RLIMIT_FSIZE, &all), 0);
    signal(SIGXFSZ, SIG_IGN);
    EQ(mkfifo("fifo", 0600), 0);
    fifo_ = GOOD(open("fifo", O_RDWR));
    one = (struct rlimit){P, all.rlim_max};
    EQ(setrlimit(RLIMIT_FSIZE, &one), 0);
    pthread_t t;
    pthread_create(&t, NULL, stores_and_sends_, p);
    // It waits for what is sent when the store is made.
    off_t at = 0;
    EQ(splice(fifo_, NULL, fd, &at, 6, 0), 6);
    void *sent;
    pthread_join(t, &sent);
    EQ(sent, 6);
    EQ(p[1], 'b');
    EQ(p[P], 7);
    EQ(setrlimit(RLIMIT_FSIZE, &all), 0);
    EQ(msync(p, 2 * P, MS_SYNC), 0);
    EQ(munmap(p, 2 * P), 0);
    EQ(pread(fd, &c, 1, P), 1);
    EQ(c, 7);
    EQ(unlink("limited"), 0);
    EQ(unlink("fifo"), 0);
}

#define MOVES_(insn, to, from, count)                                                         \
    ({ void *d_ = (to), *s_ = (from); long n_ = (count);                                     \
       __asm__ volatile(insn : "+D"(d_), "+S"(s_), "+c"(n_) : : "memory", "cc");           \
       rest_ = n_; source_ = s_; target_ = d_; })

// Instructions that read one of the mappings and write the other.
GROUP(string_moves)
{
    int fd = file_("moves", 2 * P);
    char *a = mirror_(fd, 2 * P), *b = a + 2 * P, want[2 * P];
    long rest_;
    char *source_, *target_;
    for (int i = 0; i < 2 * P; i++) a[i] = want[i] = i * 5 + i / 256;
    MOVES_("rep movsb", b + 1000, a + 10, 500);
    memmove(want + 1000, want + 10, 500);
    OK(rest_ == 0 && source_ == a + 510 && target_ == b + 1500);
    OK(memcmp(a, want, 2 * P) == 0 && memcmp(b, want, 2 * P) == 0);
    // Over the border of pages.
    MOVES_("rep movsq", b + 5000, a + 2100, 300);
    memmove(want + 5000, want + 2100, 2400);
    EQ(rest_, 0);
    OK(memcmp(a, want, 2 * P) == 0);
    MOVES_("rep movsw", a + 2000, b + 1000, 500);
    memmove(want + 2000, want + 1000, 1000);
    OK(rest_ == 0 && source_ == b + 2000 && target_ == a + 3000);
    // Downwards, and one at a time.
    MOVES_("std\n rep movsb\n cld", b + 3000, a + 2900, 50);
    memmove(want + 2951, want + 2851, 50);
    OK(source_ == a + 2850 && target_ == b + 2950);
    MOVES_("movsl", b + 40, a + 80, 9);
    memmove(want + 40, want + 80, 4);
    OK(rest_ == 9 && source_ == a + 84);
    MOVES_("movsq", a + 60, b + 60, 9);
    OK(memcmp(a, want, 2 * P) == 0 && memcmp(b, want, 2 * P) == 0);
    // By the C library, whatever it uses.
    memcpy(b + P, a, P - 100);
    memmove(want + P, want, P - 100);
    memmove(a + 2100, b, 2000);
    memmove(want + 2100, want, 2000);
    OK(memcmp(a, want, 2 * P) == 0);
}
