// mmap, munmap, mprotect, mremap, madvise, msync, mincore, brk, memfd mappings.
#include "tap.h"
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { P = 4096 };
static sigjmp_buf back_;
static void fault_(int n) { siglongjmp(back_, n); }
// The signal that an access raises, or 0.
#define SIGNAL_OF(access) ({ struct sigaction s_ = {.sa_handler = fault_}, o1_, o2_; int n_; \
    sigaction(SIGSEGV, &s_, &o1_); sigaction(SIGBUS, &s_, &o2_); \
    n_ = sigsetjmp(back_, 1); if (n_ == 0) { access; } \
    sigaction(SIGSEGV, &o1_, NULL); sigaction(SIGBUS, &o2_, NULL); n_; })
#define READS(p) SIGNAL_OF((void)*(volatile char *)(p))
#define WRITES(p) SIGNAL_OF(*(volatile char *)(p) = 1)
static char *map_(size_t n) { return mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }

GROUP(anonymous)
{
    char *p = map_(10 * P);
    OK(p != MAP_FAILED);
    EQ((uintptr_t)p % P, 0);
    int sum = 0;
    for (int i = 0; i < 10 * P; i++) sum |= p[i];
    EQ(sum, 0);
    memset(p, 7, 10 * P);
    EQ(p[10 * P - 1], 7);
    EQ(munmap(p + 3 * P, 2 * P), 0);
    EQ(p[3 * P - 1], 7);
    EQ(READS(p + 3 * P), SIGSEGV);
    EQ(READS(p + 5 * P - 1), SIGSEGV);
    EQ(p[5 * P], 7);
    EQ(munmap(p, 10 * P), 0);
    EQ(munmap(p, 10 * P), 0);
    EQ(READS(p), SIGSEGV);
    OK(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EINVAL);
    OK(mmap(NULL, P, PROT_READ, MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EINVAL);
    OK(mmap(NULL, P, PROT_READ, MAP_PRIVATE | MAP_SHARED | MAP_FIXED, -1, 0) == MAP_FAILED);
    OK(mmap(NULL, P, PROT_READ, MAP_PRIVATE, -1, 0) == MAP_FAILED && errno == EBADF);
    OK(mmap(NULL, (size_t)1 << 60, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == ENOMEM);
    OK(mmap((void *)1, P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED && errno == EINVAL);
    FAILS(syscall(SYS_munmap, (char *)0x10001, P), EINVAL);
    FAILS(syscall(SYS_munmap, (char *)0x10000, 0), EINVAL);
    p = mmap(NULL, 5, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    OK(p != MAP_FAILED);
    p[P - 1] = 1;
    EQ(munmap(p, 5), 0);
    p = mmap(NULL, P, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    OK(p != MAP_FAILED && p[0] == 0);
    p[0] = 1;
    EQ(munmap(p, P), 0);
}

GROUP(placement)
{
    char *p = map_(20 * P);
    p[4 * P] = 9;
    OK(mmap(p + 4 * P, P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p + 4 * P);
    EQ(p[4 * P], 0);
    munmap(p + 8 * P, 2 * P);
    char *q = mmap(p + 8 * P, 2 * P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    OK(q == p + 8 * P);
    q = mmap(p + 8 * P, 2 * P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    OK(q != MAP_FAILED && q != p + 8 * P);
    OK(mmap(p, P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED && errno == EEXIST);
    munmap(p + 12 * P, P);
    OK(mmap(p + 12 * P, P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == p + 12 * P);
    q = mmap(NULL, P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    OK(q != MAP_FAILED && (uintptr_t)q < 1ull << 31);
    q = mmap(NULL, 1ul << 36, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    OK(q != MAP_FAILED);
    EQ(mprotect(q + (1ul << 35), P, PROT_READ | PROT_WRITE), 0);
    q[1ul << 35] = 1;
    EQ(munmap(q, 1ul << 36), 0);
    q = mmap(NULL, 3 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    OK(q != MAP_FAILED && q[(3 << 20) - 1] == 0);
    q = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_GROWSDOWN, -1, 0);
    OK(q != MAP_FAILED);
    q[(1 << 20) - 1] = 1;
}

GROUP(protection)
{
    char *p = map_(4 * P);
    memset(p, 5, 4 * P);
    EQ(mprotect(p + P, P, PROT_READ), 0);
    EQ(p[P], 5);
    EQ(WRITES(p + P), SIGSEGV);
    EQ(WRITES(p), 0);
    EQ(WRITES(p + 2 * P), 0);
    EQ(mprotect(p + P, P, PROT_NONE), 0);
    EQ(READS(p + P), SIGSEGV);
    EQ(mprotect(p, 4 * P, PROT_READ | PROT_WRITE), 0);
    EQ(p[P], 5);
    EQ(WRITES(p + P), 0);
    FAILS(syscall(SYS_mprotect, p + 1, P, PROT_READ), EINVAL);
    FAILS(mprotect(p, P, 0x100), EINVAL);
    EQ(mprotect(p, 0, PROT_READ), 0);
    munmap(p + 2 * P, P);
    FAILS(mprotect(p, 4 * P, PROT_READ), ENOMEM);
    char *code = map_(P);
    memcpy(code, "\xb8\x2a\0\0\0\xc3", 6); // mov $42, %eax; ret
    EQ(SIGNAL_OF(((int (*)(void))code)()), SIGSEGV);
    EQ(mprotect(code, P, PROT_READ | PROT_EXEC), 0);
    EQ(((int (*)(void))code)(), 42);
    EQ(WRITES(code), SIGSEGV);
    EQ(mprotect(code, P, PROT_READ | PROT_WRITE), 0);
    code[1] = 43;
    EQ(mprotect(code, P, PROT_READ | PROT_EXEC), 0);
    EQ(((int (*)(void))code)(), 43);
    char *w = mmap(NULL, P, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    OK(w != MAP_FAILED);
    for (int i = 0; i < 5; i++) {
        memcpy(w, "\xb8\x2a\0\0\0\xc3", 6);
        w[1] = i;
        EQ(((int (*)(void))w)(), i);
    }
    // A system call made by code that appears at run time: mov $39, %eax; syscall; ret.
    memcpy(w, "\xb8\x27\0\0\0\x0f\x05\xc3", 8);
    EQ(((int (*)(void))w)() == getpid(), 1);
    char *m = map_(P);
    memcpy(m, "\xb8\x27\0\0\0\x0f\x05\xc3", 8);
    EQ(mprotect(m, P, PROT_READ | PROT_EXEC), 0);
    EQ(((int (*)(void))m)() == getpid(), 1);
    EQ(((int (*)(void))m)() == getpid(), 1);
}

GROUP(remap)
{
    char *p = map_(4 * P);
    for (int i = 0; i < 4; i++) p[i * P] = i + 1;
    EQ(mremap(p, 4 * P, 2 * P, 0) == p, 1);
    EQ(READS(p + 2 * P), SIGSEGV);
    char *q = mremap(p, 2 * P, 100 * P, MREMAP_MAYMOVE);
    OK(q != MAP_FAILED);
    EQ(q[0], 1);
    EQ(q[P], 2);
    EQ(q[2 * P], 0);
    EQ(q[100 * P - 1], 0);
    char *r = map_(10 * P);
    EQ(mremap(q, 3 * P, 3 * P, MREMAP_MAYMOVE | MREMAP_FIXED, r + 2 * P) == r + 2 * P, 1);
    EQ(r[2 * P], 1);
    EQ(r[3 * P], 2);
    EQ(r[0], 0);
    EQ(READS(q), SIGSEGV);
    OK(mremap(r, P, 0, 0) == MAP_FAILED && errno == EINVAL);
    OK(mremap(r + 1, P, P, 0) == MAP_FAILED && errno == EINVAL);
    OK(mremap(r, P, P, 99) == MAP_FAILED && errno == EINVAL);
    char *hole = map_(P);
    munmap(hole, P);
    OK(mremap(hole, P, 2 * P, MREMAP_MAYMOVE) == MAP_FAILED && errno == EFAULT);
    char *a = map_(3 * P);
    EQ(mremap(a, P, 3 * P, 0) == MAP_FAILED && errno == ENOMEM, 1);
    a[0] = 77;
    char *d = mremap(a, P, P, MREMAP_MAYMOVE | 4);
    OK(d != MAP_FAILED && d[0] == 77 && a[0] == 0);
    char *big = map_(1 << 20);
    memset(big, 3, 1 << 20);
    big = mremap(big, 1 << 20, 64 << 20, MREMAP_MAYMOVE);
    OK(big != MAP_FAILED && big[(1 << 20) - 1] == 3 && big[(64 << 20) - 1] == 0);
}

GROUP(files)
{
    char page[P], *p, *q;
    int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0600);
    for (int i = 0; i < 3; i++) {
        memset(page, 'a' + i, P);
        write(fd, page, i < 2 ? P : 100);
    }
    p = mmap(NULL, 3 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    OK(p != MAP_FAILED);
    EQ(p[0], 'a');
    EQ(p[P], 'b');
    EQ(p[2 * P + 99], 'c');
    EQ(p[2 * P + 100], 0);
    p[0] = 'X';
    pread(fd, page, 1, 0);
    EQ(page[0], 'a');
    q = mmap(NULL, P, PROT_READ, MAP_PRIVATE, fd, P);
    OK(q != MAP_FAILED && q[0] == 'b');
    EQ(WRITES(q), SIGSEGV);
    munmap(q, P);
    q = mmap(NULL, 6 * P, PROT_READ, MAP_PRIVATE, fd, 0);
    EQ(q[2 * P + 3000], 0);
    EQ(READS(q + 4 * P), SIGBUS);
    munmap(q, 6 * P);
    OK(mmap(NULL, P, PROT_READ, MAP_PRIVATE, fd, 100) == MAP_FAILED && errno == EINVAL);
    OK(mmap(NULL, P, PROT_READ, MAP_PRIVATE, 99, 0) == MAP_FAILED && errno == EBADF);
    int ro = open("f", O_RDONLY), wo = open("f", O_WRONLY);
    OK(mmap(NULL, P, PROT_READ | PROT_WRITE, MAP_SHARED, ro, 0) == MAP_FAILED && errno == EACCES);
    OK(mmap(NULL, P, PROT_READ, MAP_PRIVATE, wo, 0) == MAP_FAILED && errno == EACCES);
    OK(mmap(NULL, P, PROT_READ | PROT_WRITE, MAP_PRIVATE, ro, 0) != MAP_FAILED);
    int dir = open(".", O_RDONLY), pp[2];
    OK(mmap(NULL, P, PROT_READ, MAP_PRIVATE, dir, 0) == MAP_FAILED && errno == ENODEV);
    pipe(pp);
    OK(mmap(NULL, P, PROT_READ, MAP_PRIVATE, pp[0], 0) == MAP_FAILED && errno == ENODEV);
    close(fd);
    EQ(p[P], 'b');
    int zero = open("/dev/zero", O_RDWR);
    q = mmap(NULL, P, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
    OK(q != MAP_FAILED && q[0] == 0);
    q[0] = 1;
    EQ(madvise(p, P, MADV_DONTNEED), 0);
    EQ(p[0], 'a');
}

GROUP(code_from_files)
{
    static const unsigned char code[] = "\xb8\x27\0\0\0\x0f\x05\xc3"; // mov $39, %eax; syscall; ret
    char page[2 * P];
    memset(page, 0x90, sizeof page);
    memcpy(page + 100, code, 8);
    memcpy(page + P - 6, code, 8);
    int fd = open("code", O_RDWR | O_CREAT | O_TRUNC, 0700);
    write(fd, page, P + 200);
    char *p = mmap(NULL, 3 * P, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    OK(p != MAP_FAILED);
    EQ(((int (*)(void))(p + 100))() == getpid(), 1);
    EQ(((int (*)(void))(p + P - 6))() == getpid(), 1);
    EQ(p[P + 300], 0);
    char *room = mmap(NULL, 4 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    p = mmap(room, 2 << 20, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED | 0x800, fd, 0);
    NAMED("a mapping may be much longer than its file", p == room);
    if (p != room) return;
    EQ(((int (*)(void))(p + 100))() == getpid(), 1);
    EQ(mprotect(p + P * 2, (2 << 20) - 2 * P, PROT_NONE), 0);
    EQ(((int (*)(void))(p + P - 6))() == getpid(), 1);
    char *q = mmap(NULL, P, PROT_READ, MAP_PRIVATE, fd, 0);
    EQ(mprotect(q, P, PROT_READ | PROT_EXEC), 0);
    EQ(((int (*)(void))(q + 100))() == getpid(), 1);
    q = mmap(NULL, P, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    memcpy(q + 500, code, 8);
    EQ(mprotect(q, P, PROT_READ | PROT_EXEC), 0);
    EQ(((int (*)(void))(q + 500))() == getpid(), 1);
    EQ(((int (*)(void))(q + 100))() == getpid(), 1);
    pread(fd, page, 8, 500);
    NAMED("the file is as it was", memcmp(page, "\x90\x90\x90\x90\x90\x90\x90\x90", 8) == 0);
}

GROUP(code_in_its_place)
{
    int fd = open("code", O_RDWR | O_CREAT | O_TRUNC, 0700), wo = open("code", O_WRONLY);
    EQ(write(fd, "\xb8\5\0\0\0\xc3", 6), 6); // mov $5, %eax; ret
    const int code = PROT_READ | PROT_EXEC, exact = MAP_FIXED_NOREPLACE;
    unsigned char there;
    char *p = map_(3 * P);
    p[0] = p[P] = 7;
    OK(mmap(p, P, code, MAP_PRIVATE | MAP_FIXED | exact, fd, 0) == MAP_FAILED && errno == EEXIST);
    OK(mmap(p + P, P, code, MAP_PRIVATE | exact, fd, 0) == MAP_FAILED && errno == EEXIST);
    EQ(p[0] + p[P], 14);
    EQ(munmap(p, 2 * P), 0);
    OK(mmap(p, P, code, MAP_PRIVATE | MAP_FIXED | exact, fd, 0) == p);
    EQ(((int (*)(void))p)(), 5);
    OK(mmap(p + P, P, code, MAP_PRIVATE, wo, 0) == MAP_FAILED && errno == EACCES);
    FAILS(mincore(p + P, P, &there), ENOMEM);
    OK(mmap(p + P, P, code, MAP_PRIVATE | exact, fd, 100) == MAP_FAILED && errno == EINVAL);
    FAILS(mincore(p + P, P, &there), ENOMEM);
    OK(mmap(p, P, code, MAP_PRIVATE | MAP_FIXED, wo, 0) == MAP_FAILED && errno == EACCES);
    EQ(((int (*)(void))p)(), 5);
}

GROUP(shared_files)
{
    char b[10] = "";
    int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0600);
    ftruncate(fd, 3 * P);
    char *p = mmap(NULL, 3 * P, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    OK(p != MAP_FAILED);
    memcpy(p + 10, "shared", 6);
    EQ(msync(p, P, MS_SYNC), 0);
    pread(fd, b, 6, 10);
    TEXT(b, "shared");
    memcpy(p + P, "second", 6);
    EQ(msync(p, 3 * P, MS_SYNC), 0);
    pread(fd, b, 6, P);
    TEXT(b, "second");
    memcpy(p + 2 * P, "at end", 6);
    EQ(munmap(p, 3 * P), 0);
    pread(fd, b, 6, 2 * P);
    TEXT(b, "at end");
    struct stat st;
    fstat(fd, &st);
    EQ(st.st_size, 3 * P);
    FAILS(msync(p, P, MS_SYNC), ENOMEM);
    p = mmap(NULL, P, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    FAILS(msync(p + 1, P, MS_SYNC), EINVAL);
    FAILS(msync(p, P, MS_SYNC | MS_ASYNC), EINVAL);
    EQ(msync(p, P, MS_ASYNC), 0);
    memcpy(p + 100, "exit", 4);
    EQ(fsync(fd), 0);
}

// What is written to a shared mapping is in the file once the process has ended: the file is compared afterwards.
GROUP(shared_at_exit)
{
    int fd = open("kept", O_RDWR | O_CREAT | O_TRUNC, 0600);
    ftruncate(fd, 2 * P);
    char *p = mmap(NULL, 2 * P, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    OK(p != MAP_FAILED);
    strcpy(p + P - 3, "over the edge");
    EQ(p[P], 'r');
}

GROUP(resized)
{
    enum { K4 = 4096 };
    int fd = GOOD(open("f", O_RDWR | O_CREAT, 0600));
    char b[16];
    EQ(ftruncate(fd, 2 * K4 + 100), 0);
    char *at = mmap(NULL, 6 * K4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    memcpy(at, "first", 5);
    memcpy(at + K4, "second", 6);
    memcpy(at + 2 * K4 + 90, "third", 5);
    EQ(ftruncate(fd, 4 * K4), 0);
    SAME(at, "first", 5);
    SAME(at + 2 * K4 + 90, "third", 5);
    EQ(pread(fd, b, 5, 2 * K4 + 90), 5);
    SAME(b, "third", 5);
    EQ(at[3 * K4], 0);
    memcpy(at + 3 * K4, "fourth", 6);
    EQ(pread(fd, b, 6, 3 * K4), 6);
    SAME(b, "fourth", 6);
    EQ(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 6 * K4), 0);
    SAME(at + K4, "second", 6);
    EQ(fallocate(fd, 0, 4 * K4, K4), 0);
    memcpy(at + 4 * K4, "fifth", 5);
    SAME(at + K4, "second", 6);
    EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, K4, K4), 0);
    EQ(at[K4], 0);
    SAME(at, "first", 5);
    SAME(at + 3 * K4, "fourth", 6);
    EQ(pread(fd, b, 1, K4), 1);
    EQ(b[0], 0);
    memcpy(at + K4, "again", 5);
    EQ(ftruncate(fd, K4 + 2), 0);
    SAME(at, "first", 5);
    SAME(at + K4, "ag\0\0", 4);
    EQ(ftruncate(fd, 5 * K4), 0);
    SAME(at + K4, "ag\0\0", 4);
    EQ(at[3 * K4], 0);
    EQ(at[4 * K4], 0);
    EQ(pread(fd, b, 4, K4), 4);
    SAME(b, "ag\0\0", 4);
    EQ(munmap(at, 6 * K4), 0);
    EQ(pread(fd, b, 5, 0), 5);
    SAME(b, "first", 5);
}

GROUP(coherence)
{
    int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0600);
    ftruncate(fd, P);
    char *a = mmap(NULL, P, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), *b = mmap(NULL, P, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), c[10] = "";
    strcpy(a, "through");
    TEXT(b, "through");
    pwrite(fd, "written", 7, 0);
    TEXT(a, "written");
    strcpy(b, "visible");
    pread(fd, c, 7, 0);
    TEXT(c, "visible");
}

// What is written from a mapped file that nobody has touched.
GROUP(passed_on)
{
    enum { N = 5 * P + 100 };
    static char want[N], got[2 * N];
    for (int i = 0; i < N; i++) want[i] = (char)(i / 7 + i);
    int fd = open("passed", O_RDWR | O_CREAT | O_TRUNC, 0600), out = open("out", O_RDWR | O_CREAT | O_TRUNC, 0600);
    EQ(write(fd, want, N), N);
    for (int shared = 0; shared < 2; shared++) {
        int kind = shared ? MAP_SHARED : MAP_PRIVATE;
        EQ(ftruncate(out, 0), 0);
        // Of a mapping that is too long to be read at once.
        char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, kind, fd, 0);
        OK(p != MAP_FAILED);
        // All but its head, so that no piece begins where a page does; and the same again.
        for (int again = 0; again < 3; again++) {
            EQ(pwrite(out, p + 5, N - 5, 0), N - 5);
            EQ(pread(out, got, sizeof got, 0), N - 5);
            OK(memcmp(got, want + 5, N - 5) == 0);
        }
        // Behind the end of the file are zeros, up to the end of the page.
        EQ(ftruncate(out, 0), 0);
        EQ(munmap(p, 1 << 20), 0);
        p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, kind, fd, 0);
        EQ(pwrite(out, p + 5 * P, P, 0), P);
        EQ(pread(out, got, sizeof got, 0), P);
        OK(memcmp(got, want + 5 * P, 100) == 0 && got[100] == 0 && got[P - 1] == 0);
        // Further behind is nothing.
        FAILS(pwrite(out, p + 6 * P, 1, 0), EFAULT);
        FAILS(pwrite(out, p + 9 * P, 100, 0), EFAULT);
        // What is stored is what is written, with what is around it.
        EQ(munmap(p, 1 << 20), 0);
        p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, kind, fd, 0);
        p[2 * P + 50] ^= 1;
        EQ(pwrite(out, p, N, 0), N);
        EQ(pread(out, got, sizeof got, 0), N);
        want[2 * P + 50] ^= 1;
        OK(memcmp(got, want, N) == 0);
        if (!shared) want[2 * P + 50] ^= 1;
        EQ(munmap(p, 1 << 20), 0);
        // What was written to the file is seen, before and after it was passed on.
        p = mmap(NULL, 1 << 20, PROT_READ, kind, fd, 0);
        want[P] ^= 2;
        EQ(pwrite(fd, &want[P], 1, P), 1);
        EQ(pwrite(out, p + P, 64, 0), 64);
        EQ(pread(out, got, 64, 0), 64);
        OK(memcmp(got, want + P, 64) == 0);
        want[P] ^= 4;
        EQ(pwrite(fd, &want[P], 1, P), 1);
        EQ(pwrite(out, p + P, 64, 0), 64);
        EQ(pread(out, got, 64, 0), 64);
        OK(memcmp(got, want + P, 64) == 0);
        // No right, no data.
        EQ(mprotect(p, P, PROT_NONE), 0);
        FAILS(pwrite(out, p, 10, 0), EFAULT);
        EQ(munmap(p, 1 << 20), 0);
        FAILS(pwrite(out, p, 10, 0), EFAULT);
        // In many parts, some of which are in the mapping, to a socket and to a pipe.
        p = mmap(NULL, N, PROT_READ, kind, fd, 0);
        struct iovec parts[] = {{want, 3}, {p + 3, 2 * P}, {want + 2 * P + 3, 1}, {p + 2 * P + 4, P}};
        int ends[2];
        for (int pipes = 0; pipes < 2; pipes++) {
            EQ(pipes ? pipe(ends) : socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
            EQ(writev(ends[1], parts, 4), 3 * P + 4);
            int have = 0;
            while (have < 3 * P + 4) {
                int r = read(ends[0], got + have, 3 * P + 4 - have);
                if (r <= 0) break;
                have += r;
            }
            OK(have == 3 * P + 4 && memcmp(got, want, have) == 0);
            close(ends[0]);
            close(ends[1]);
        }
        EQ(munmap(p, N), 0);
        // Memory that is no file's, where the mapping was.
        char *q = mmap(p, N, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        EQ(pwrite(out, q, 50, 0), 50);
        EQ(pread(out, got, 50, 0), 50);
        OK(got[0] == 0 && memcmp(got, got + 1, 49) == 0);
        munmap(q, N);
    }
    close(fd);
    close(out);
}

GROUP(memfd)
{
    int fd = GOOD(syscall(SYS_memfd_create, "name", 1 | 2));
    EQ(ftruncate(fd, 2 * P), 0);
    char *a = mmap(NULL, 2 * P, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), *b = mmap(NULL, P, PROT_READ, MAP_SHARED, fd, P);
    OK(a != MAP_FAILED && b != MAP_FAILED);
    strcpy(a + P, "seen");
    TEXT(b, "seen");
    EQ(munmap(a, 2 * P), 0);
    // What is behind the end is gone, also from a copy.
    char *copy = mmap(NULL, 2 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    copy[0] = copy[P] = 'c';
    EQ(ftruncate(fd, P), 0);
    EQ(READS(copy + P), SIGBUS);
    EQ(copy[0], 'c');
    EQ(ftruncate(fd, 2 * P), 0);
    EQ(copy[P], 0);
    EQ(copy[0], 'c');
    EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK), 0);
    EQ(fcntl(fd, F_GET_SEALS), F_SEAL_GROW | F_SEAL_SHRINK);
    FAILS(ftruncate(fd, P), EPERM);
    int sealed = GOOD(syscall(SYS_memfd_create, "sealed", 2));
    EQ(write(sealed, "fixed", 5), 5);
    EQ(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE), 0);
    OK(mmap(NULL, P, PROT_READ | PROT_WRITE, MAP_SHARED, sealed, 0) == MAP_FAILED && errno == EPERM);
    TEXT((char *)mmap(NULL, P, PROT_READ | PROT_WRITE, MAP_PRIVATE, sealed, 0), "fixed");
    FAILS(write(sealed, "x", 1), EPERM);
    FAILS(syscall(SYS_memfd_create, BAD, 0), EFAULT);
    FAILS(syscall(SYS_memfd_create, "n", 0x80000000u), EINVAL);
}

GROUP(advice)
{
    char *p = map_(16 * P);
    memset(p, 9, 16 * P);
    EQ(madvise(p + P, 2 * P, MADV_DONTNEED), 0);
    EQ(p[0], 9);
    EQ(p[P], 0);
    EQ(p[3 * P - 1], 0);
    EQ(p[3 * P], 9);
    EQ(madvise(p, 16 * P, MADV_WILLNEED), 0);
    EQ(madvise(p, 16 * P, MADV_SEQUENTIAL), 0);
    EQ(madvise(p, 16 * P, MADV_NORMAL), 0);
    EQ(madvise(p, 16 * P, MADV_HUGEPAGE), 0);
    EQ(madvise(p, 16 * P, MADV_NOHUGEPAGE), 0);
    EQ(madvise(p, 16 * P, MADV_DONTDUMP), 0);
    EQ(madvise(p, 16 * P, MADV_DONTFORK), 0);
    EQ(madvise(p + 8 * P, P, MADV_FREE), 0);
    p[8 * P] = 4;
    EQ(p[8 * P], 4);
    FAILS(madvise(p + 1, P, MADV_DONTNEED), EINVAL);
    FAILS(madvise(p, P, 9999), EINVAL);
    munmap(p + 4 * P, P);
    FAILS(madvise(p, 16 * P, MADV_DONTNEED), ENOMEM);
    EQ(p[8 * P], 0);
    EQ(madvise(p, 0, MADV_DONTNEED), 0);
    EQ(mlock(p, P), 0);
    EQ(munlock(p, P), 0);
    char *q = map_(4 * P);
    unsigned char in[4] = {0};
    q[0] = 1;
    EQ(mincore(q, P, in), 0);
    EQ(in[0] & 1, 1);
    FAILS(mincore(q + 1, P, in), EINVAL);
    munmap(q, 4 * P);
    FAILS(mincore(q, P, in), ENOMEM);
    FAILS(mincore(p, P, BAD), EFAULT);
}

GROUP(brk)
{
    char *start = (char *)syscall(SYS_brk, 0);
    OK((uintptr_t)start > 0x10000);
    EQ(syscall(SYS_brk, start + 10 * P) == (long)(start + 10 * P), 1);
    int sum = 0;
    for (int i = P; i < 10 * P; i++) sum |= start[i];
    EQ(sum, 0);
    memset(start + P, 1, 9 * P);
    EQ(syscall(SYS_brk, start + P) == (long)(start + P), 1);
    EQ(READS(start + 3 * P), SIGSEGV);
    EQ(syscall(SYS_brk, start + 10 * P) == (long)(start + 10 * P), 1);
    EQ(start[5 * P], 0);
    EQ(syscall(SYS_brk, 1) == (long)(start + 10 * P), 1);
    EQ(syscall(SYS_brk, start + (1ul << 47)) == (long)(start + 10 * P), 1);
    EQ(syscall(SYS_brk, start + 123) == (long)(start + 123), 1);
}

// Ranges that wrap around or leave user space: refused, and the program goes on.
GROUP(extremes)
{
    unsigned long page = ~4095ul, far = 1ul << 47, high = 0xffff800000000000ul, sizes[] = {page, 1ul << 63, 1ul << 47};
    unsigned char b[8];
    unsigned long starts[] = {page, far, high};
    for (int s = 0; s < 3; s++)
        for (int n = 0; n < 3; n++) {
            OK(syscall(SYS_mlock, starts[s], sizes[n]) == -1);
            OK(syscall(SYS_mprotect, starts[s], sizes[n], PROT_READ) == -1);
            OK(syscall(SYS_madvise, starts[s], sizes[n], MADV_DONTNEED) == -1);
            OK(syscall(SYS_msync, starts[s], sizes[n], MS_SYNC) == -1);
            OK(syscall(SYS_mincore, starts[s], sizes[n], b) == -1);
            OK(syscall(SYS_mremap, starts[s], sizes[n], P, 0, 0) == -1);
            OK(syscall(SYS_mremap, starts[s], P, sizes[n], MREMAP_MAYMOVE, 0) == -1);
            OK(syscall(SYS_mmap, starts[s], sizes[n], PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == -1);
            OK(syscall(SYS_munmap, starts[s], sizes[n]) == -1);
        }
    FAILS(syscall(SYS_munlock, page, 3 * P), EINVAL);
    FAILS(syscall(SYS_mlock, page, 3 * P), EINVAL);
    FAILS(syscall(SYS_mmap, 0, P, PROT_READ, MAP_PRIVATE, open("/dev/zero", O_RDONLY), page), EOVERFLOW);
    FAILS(read(open("/dev/zero", O_RDONLY), (void *)page, 3 * P), EFAULT);
    FAILS(syscall(SYS_read, open("/dev/zero", O_RDONLY), far - 10, 20), EFAULT);
}

// Once a file is mapped shared, addresses are looked at that are wrong or left over from something else.
GROUP(extremes_beside_shared_files)
{
    int fd = open("f", O_RDWR | O_CREAT, 0600), word = 0;
    EQ(ftruncate(fd, P), 0);
    int *p = mmap(NULL, P, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    OK(p != MAP_FAILED && *p == 0);
    for (int i = 0; i < 3; i++) {
        EQ(READS(-1L), SIGSEGV);
        EQ(READS(~4095L), SIGSEGV);
        EQ(READS(~8191L), SIGSEGV);
    }
    enum { WAIT, WAKE, REQUEUE = 3, WAKE_OP = 5 };
    EQ(syscall(SYS_futex, p, WAKE, 1, 0, -1L, -1L), 0);
    EQ(syscall(SYS_futex, &word, WAKE, 1, 0, ~4095L, -1L), 0);
    FAILS(syscall(SYS_futex, p, WAIT, 1, 0, -8L, -1L), EAGAIN);
    OK(syscall(SYS_futex, ~7L, WAKE, 1, 0, 0, 0) <= 0);
    OK(syscall(SYS_futex, p, REQUEUE, 1, 1, ~3L, 0) <= 0);
    FAILS(syscall(SYS_futex, p, WAKE_OP, 1, 1, ~3L, 0), EFAULT);
    EQ(munmap(p, P), 0);
}

GROUP(too_long_for_a_file)
{
    int fd = open("/proc/self/exe", O_RDONLY);
    for (int prot = PROT_READ; prot <= (PROT_READ | PROT_EXEC); prot += PROT_EXEC)
        for (int fixed = 0; fixed <= MAP_FIXED; fixed += MAP_FIXED) {
            FAILS(syscall(SYS_mmap, P, -1L, prot, MAP_PRIVATE | fixed, fd, 0), ENOMEM);
            FAILS(syscall(SYS_mmap, P, -4094L, prot, MAP_PRIVATE | fixed, fd, 0), ENOMEM);
        }
}

GROUP(system_calls_on_bad_memory)
{
    char *p = map_(3 * P);
    int fd = open("/dev/zero", O_RDWR), out = open("out", O_RDWR | O_CREAT, 0600);
    mprotect(p + P, P, PROT_READ);
    FAILS(read(fd, p + P, 10), EFAULT);
    EQ(write(out, p + P, 10), 10);
    mprotect(p + P, P, PROT_NONE);
    FAILS(write(out, p + P, 10), EFAULT);
    munmap(p + P, P);
    FAILS(write(out, p + P, 10), EFAULT);
    memset(p, 'x', P);
    EQ(write(out, p + P - 10, 10), 10);
    strcpy(p + P - 5, "none");
    FAILS(open(p + P - 5, O_RDONLY), ENOENT);
    memcpy(p + P - 4, "none", 4);
    FAILS(open(p + P - 4, O_RDONLY), EFAULT);
    EQ(read(fd, p, P), P);
    EQ(p[P - 1], 0);
    char *lazy = map_(64 * P);
    EQ(read(fd, lazy + 3 * P, 20 * P), 20 * P);
    EQ(read(open("/proc/self/cmdline", O_RDONLY), lazy + 40 * P, 5) > 0, 1);
    FAILS(read(fd, (void *)0xffff800000000000, 10), EFAULT);
    FAILS(write(out, (void *)0x8000000000000000, 10), EFAULT);
}

// More stretches of pages than a process usually has mappings (vm.max_map_count is 65530).
enum { MANY = 70000 };

GROUP(many_islands)
{
    const size_t apart = 128 << 10;
    char *p = mmap(NULL, MANY * apart, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    OK(p != MAP_FAILED);
    EQ(madvise(p, MANY * apart, MADV_NOHUGEPAGE), 0);
    for (long i = 0; i < MANY; i++) *(long *)(p + i * apart) = i;
    long wrong = 0;
    for (long i = 0; i < MANY; i++) wrong += *(long *)(p + i * apart) != i;
    EQ(wrong, 0);
    EQ(munmap(p, MANY * apart), 0);
}

GROUP(many_stripes)
{
    const long stripes = 60000;
    char *p = map_(stripes * P);
    EQ(madvise(p, stripes * P, MADV_NOHUGEPAGE), 0);
    for (long i = 0; i < stripes; i++) *(long *)(p + i * P) = i;
    long failed = 0, wrong = 0;
    for (long i = 0; i < stripes; i += 2) failed += mprotect(p + i * P, P, PROT_READ) != 0;
    EQ(failed, 0);
    for (long i = 0; i < stripes; i++) wrong += *(long *)(p + i * P) != i;
    for (long i = 1; i < stripes; i += 2) *(long *)(p + i * P) = -i;
    for (long i = 1; i < stripes; i += 2) wrong += *(long *)(p + i * P) != -i;
    EQ(wrong, 0);
    EQ(WRITES(p), SIGSEGV);
    EQ(WRITES(p + (stripes - 2) * P), SIGSEGV);
    EQ(WRITES(p + P), 0);
    EQ(munmap(p, stripes * P), 0);
}

GROUP(many_files)
{
    const int maps = 10000, len = 5 * P;
    static char *at[10000];
    int fd = open("many", O_RDWR | O_CREAT, 0600), wrong = 0;
    for (int i = 0; i < 5; i++) EQ(pwrite(fd, &(char){'a' + i}, 1, i * P), 1);
    EQ(ftruncate(fd, len), 0);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < maps; i++) {
            at[i] = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
            if (at[i] == MAP_FAILED) return (void)OK(0);
            *(int *)(at[i] + 8) = i;
            mprotect(at[i] + 2 * P, P, PROT_NONE);
        }
        for (int i = 0; i < maps; i++)
            wrong += at[i][0] != 'a' || at[i][4 * P] != 'e' || *(int *)(at[i] + 8) != i;
        EQ(wrong, 0);
        EQ(READS(at[maps - 1] + 2 * P), SIGSEGV);
        for (int i = 0; i < maps; i++) munmap(at[i], len);
    }
    unlink("many");
}
