// open, read, write, seek, truncate, dup, fcntl, locks, links, ownership, copying between descriptors.
#include "tap.h"
#include <pthread.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/xattr.h>

GROUP(open_flags)
{
    FAILS(open("missing", O_RDONLY), ENOENT);
    FAILS(open("", O_RDONLY), ENOENT);
    FAILS(open(BAD, O_RDONLY), EFAULT);
    FAILS(open(NULL, O_RDONLY), EFAULT);
    int fd = GOOD(open("f", O_WRONLY | O_CREAT | O_EXCL, 0640));
    EQ(fd, 3);
    FAILS(open("f", O_WRONLY | O_CREAT | O_EXCL, 0640), EEXIST);
    EQ(write(fd, "hello", 5), 5);
    char b[10];
    FAILS(read(fd, b, 5), EBADF);
    EQ(close(fd), 0);
    FAILS(close(fd), EBADF);
    fd = GOOD(open("f", O_RDONLY));
    FAILS(write(fd, "x", 1), EBADF);
    FAILS(ftruncate(fd, 0), EINVAL);
    close(fd);
    FAILS(open("f/x", O_RDONLY), ENOTDIR);
    FAILS(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
    FAILS(open(".", O_WRONLY), EISDIR);
    FAILS(open(".", O_RDWR), EISDIR);
    FAILS(open("none/", O_WRONLY | O_CREAT, 0600), EISDIR);
    mkdir("dir", 0755);
    fd = GOOD(open("dir", O_RDONLY | O_DIRECTORY));
    FAILS(read(fd, b, 1), EISDIR);
    FAILS(write(fd, b, 1), EBADF);
    close(fd);
    fd = GOOD(open("f", O_WRONLY | O_TRUNC));
    EQ(lseek(fd, 0, SEEK_END), 0);
    close(fd);
    EQ(symlink("f", "link"), 0);
    FAILS(open("link", O_RDONLY | O_NOFOLLOW), ELOOP);
    fd = GOOD(open("link", O_RDONLY));
    close(fd);
    symlink("loop", "loop");
    FAILS(open("loop", O_RDONLY), ELOOP);
    symlink("made", "dangling");
    fd = GOOD(open("dangling", O_WRONLY | O_CREAT, 0644));
    close(fd);
    EQ(access("made", F_OK), 0);
    FAILS(open("dangling", O_WRONLY | O_CREAT | O_EXCL, 0644), EEXIST);
    char name[300];
    memset(name, 'a', sizeof name);
    name[256] = 0;
    FAILS(open(name, O_WRONLY | O_CREAT, 0600), ENAMETOOLONG);
    name[255] = 0;
    fd = GOOD(open(name, O_WRONLY | O_CREAT, 0600));
    close(fd);
    char path[5000];
    memset(path, '/', sizeof path);
    path[4096] = 0;
    FAILS(open(path, O_RDONLY), ENAMETOOLONG);
    fd = GOOD(open("path", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    close(fd);
    fd = GOOD(open(".", O_TMPFILE | O_RDWR, 0600));
    EQ(write(fd, "tmp", 3), 3);
    EQ(pread(fd, b, 3, 0), 3);
    close(fd);
    fd = GOOD(open("f", O_PATH));
    FAILS(read(fd, b, 1), EBADF);
    FAILS(syscall(SYS_fchmod, fd, 0600), EBADF);
    struct stat st;
    EQ(fstat(fd, &st), 0);
    EQ(S_ISREG(st.st_mode), 1);
    close(fd);
    fd = GOOD(creat("created", 0751));
    EQ(fstat(fd, &st), 0);
    EQ(st.st_mode & 07777, 0751);
    close(fd);
    fd = GOOD(open("/dev/null", O_RDWR));
    EQ(write(fd, b, 10), 10);
    EQ(read(fd, b, 10), 0);
    close(fd);
    fd = GOOD(open("/dev/zero", O_RDONLY));
    memset(b, 1, 10);
    EQ(read(fd, b, 10), 10);
    SAME(b, "\0\0\0\0\0\0\0\0\0\0", 10);
    close(fd);
    fd = GOOD(open("/dev/full", O_WRONLY));
    FAILS(write(fd, b, 10), ENOSPC);
    close(fd);
    FAILS(openat(99, "x", O_RDONLY), EBADF);
    FAILS(openat(-5, "x", O_RDONLY), EBADF);
    fd = GOOD(openat(99, "/dev/null", O_RDONLY));
    close(fd);
}

GROUP(lowest_descriptor)
{
    int a = open("/dev/null", O_RDONLY), b = open("/dev/null", O_RDONLY), c = open("/dev/null", O_RDONLY);
    EQ(a, 3);
    EQ(b, 4);
    EQ(c, 5);
    close(b);
    EQ(open("/dev/null", O_RDONLY), 4);
    close(3);
    EQ(dup(5), 3);
    EQ(dup2(5, 20), 20);
    EQ(dup(5), 6);
    close(0);
    EQ(dup(5), 0);
    EQ(fcntl(5, F_DUPFD, 10), 10);
    EQ(fcntl(5, F_DUPFD, 10), 11);
    FAILS(fcntl(5, F_DUPFD, -1), EINVAL);
    FAILS(fcntl(5, F_DUPFD, 1 << 30), EINVAL);
}

GROUP(read_write)
{
    char b[100] = "";
    int fd = GOOD(open("f", O_RDWR | O_CREAT | O_TRUNC, 0644));
    EQ(write(fd, "0123456789", 10), 10);
    EQ(read(fd, b, 10), 0);
    EQ(lseek(fd, 0, SEEK_SET), 0);
    EQ(read(fd, b, 4), 4);
    SAME(b, "0123", 4);
    EQ(read(fd, b, 100), 6);
    EQ(read(fd, b, 0), 0);
    EQ(write(fd, "", 0), 0);
    EQ(lseek(fd, 0, SEEK_SET), 0);
    FAILS(read(fd, BAD, 5), EFAULT);
    FAILS(write(fd, BAD, 5), EFAULT);
    FAILS(read(-1, b, 1), EBADF);
    FAILS(read(1000, b, 1), EBADF);
    FAILS(write(-1, b, 1), EBADF);
    FAILS(read(fd, b, (size_t)-1), EFAULT);
    EQ(pwrite(fd, "XY", 2, 3), 2);
    EQ(pread(fd, b, 5, 2), 5);
    SAME(b, "2XY56", 5);
    EQ(pread(fd, b, 5, 100), 0);
    FAILS(pread(fd, b, 5, -1), EINVAL);
    FAILS(pwrite(fd, b, 5, -1), EINVAL);
    EQ(lseek(fd, 0, SEEK_CUR), 0);
    EQ(pwrite(fd, "far", 3, 10000), 3);
    EQ(lseek(fd, 0, SEEK_END), 10003);
    EQ(pread(fd, b, 10, 5000), 10);
    SAME(b, "\0\0\0\0\0\0\0\0\0\0", 10);
    close(fd);
    fd = GOOD(open("f", O_RDWR | O_APPEND));
    EQ(write(fd, "end", 3), 3);
    EQ(lseek(fd, 0, SEEK_CUR), 10006);
    EQ(lseek(fd, 0, SEEK_SET), 0);
    EQ(write(fd, "!", 1), 1);
    EQ(lseek(fd, 0, SEEK_CUR), 10007);
    EQ(pwrite(fd, "?", 1, 0), 1);
    EQ(lseek(fd, 0, SEEK_END), 10008);
    close(fd);
    int big = GOOD(open("big", O_RDWR | O_CREAT, 0600));
    char *m = malloc(3 << 20), *n = malloc(3 << 20);
    for (int i = 0; i < 3 << 20; i++) m[i] = i * 7 + (i >> 12);
    EQ(write(big, m, 3 << 20), 3 << 20);
    EQ(pread(big, n, 3 << 20, 0), 3 << 20);
    SAME(n, m, 3 << 20);
    EQ(pread(big, n, 3 << 20, 1), (3 << 20) - 1);
    SAME(n, m + 1, (3 << 20) - 1);
}

// Lengths that are moved in chunks, and what ends a transfer in the midst of them.
GROUP(much_at_offsets)
{
    enum { LEN = 300 * 1024 + 123, ALL = 2 << 20 };
    char *m = malloc(ALL), *n = malloc(ALL);
    for (int i = 0; i < ALL; i++) m[i] = i * 7 + (i >> 12);
    int fd = GOOD(open("much", O_RDWR | O_CREAT, 0600));
    EQ(pwrite(fd, m + 1, LEN, 4097), LEN);
    EQ(lseek(fd, 0, SEEK_CUR), 0);
    EQ(lseek(fd, 0, SEEK_END), LEN + 4097);
    EQ(pread(fd, n, LEN, 4097), LEN);
    SAME(n, m + 1, LEN);
    EQ(pwrite(fd, m, ALL, 0), ALL);
    memset(n, 0, ALL);
    EQ(pread(fd, n, ALL, 0), ALL);
    SAME(n, m, ALL);
    // The file ends in the first chunk, between two, in a later one.
    EQ(ftruncate(fd, 100), 0);
    EQ(pread(fd, n, ALL, 0), 100);
    EQ(pread(fd, n, ALL, 100), 0);
    EQ(pwrite(fd, m, ALL, 0), ALL);
    EQ(ftruncate(fd, 128 << 10), 0);
    memset(n, 1, ALL);
    EQ(pread(fd, n, ALL, 0), 128 << 10);
    EQ(n[128 << 10], 1);
    EQ(ftruncate(fd, 1000001), 0);
    EQ(pread(fd, n, ALL, 0), 1000001);
    FAILS(pread(fd, n, LEN, -1), EINVAL);
    FAILS(pwrite(fd, m, LEN, -1), EINVAL);
    FAILS(pread(fd, BAD, LEN, 0), EFAULT);
    FAILS(pwrite(fd, BAD, LEN, 0), EFAULT);
    // Memory ends in the midst: some of what is before it may be moved, and counts then.
    char *map = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(map, 3, 1 << 20);
    EQ(mprotect(map + (512 << 10), 4096, PROT_NONE), 0);
    EQ(ftruncate(fd, 0), 0);
    long count = pwrite(fd, map, 1 << 20, 0);
    if (count < 0) count = errno == EFAULT ? 0 : ALL;
    NAMED("a write up to memory that is not there", count <= 512 << 10);
    EQ(lseek(fd, 0, SEEK_END) == count, 1);
    EQ(pwrite(fd, m, 1 << 20, 0), 1 << 20);
    count = pread(fd, map, 1 << 20, 0);
    if (count < 0) count = errno == EFAULT ? 0 : ALL;
    NAMED("a read up to memory that is not there", count <= 512 << 10);
    EQ(memcmp(map, m, count), 0);
    EQ(map[(512 << 10) + 4096], 3);
    // At the end, wherever that was said to be.
    int end = GOOD(open("much", O_RDWR | O_APPEND));
    EQ(pwrite(end, m, LEN, 5), LEN);
    EQ(lseek(end, 0, SEEK_END), (1 << 20) + LEN);
    int sync = GOOD(open("much", O_RDWR | O_DSYNC));
    EQ(pwrite(sync, m, LEN, 5), LEN);
    EQ(pread(sync, n, LEN, 5), LEN);
    SAME(n, m, LEN);
}

GROUP(seek)
{
    put_("f", "0123456789");
    int fd = GOOD(open("f", O_RDWR));
    EQ(lseek(fd, 3, SEEK_SET), 3);
    EQ(lseek(fd, 4, SEEK_CUR), 7);
    EQ(lseek(fd, -2, SEEK_END), 8);
    EQ(lseek(fd, 100, SEEK_END), 110);
    FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
    FAILS(lseek(fd, -1000, SEEK_CUR), EINVAL);
    FAILS(lseek(fd, 0, 99), EINVAL);
    FAILS(lseek(99, 0, SEEK_SET), EBADF);
    EQ(lseek(fd, 0, SEEK_DATA), 0);
    EQ(lseek(fd, 0, SEEK_HOLE), 10);
    FAILS(lseek(fd, 10, SEEK_DATA), ENXIO);
    int p[2];
    pipe(p);
    FAILS(lseek(p[0], 0, SEEK_SET), ESPIPE);
    FAILS(pread(p[0], p, 1, 0), ESPIPE);
}

GROUP(vectors)
{
    char a[4] = "", b[5] = "", c[20] = "";
    struct iovec w[3] = {{"abc", 3}, {"", 0}, {"defgh", 5}}, r[3] = {{a, 3}, {b, 4}, {c, 20}};
    int fd = GOOD(open("f", O_RDWR | O_CREAT, 0600));
    EQ(writev(fd, w, 3), 8);
    EQ(lseek(fd, 0, SEEK_SET), 0);
    EQ(readv(fd, r, 3), 8);
    TEXT(a, "abc");
    TEXT(b, "defg");
    TEXT(c, "h");
    EQ(preadv(fd, r, 2, 1), 7);
    TEXT(a, "bcd");
    EQ(pwritev(fd, w, 3, 8), 8);
    EQ(lseek(fd, 0, SEEK_CUR), 8);
    EQ(preadv2(fd, r, 1, 0, 0), 3);
    EQ(pwritev2(fd, w, 1, 0, RWF_APPEND), 3);
    EQ(lseek(fd, 0, SEEK_END), 19);
    FAILS(preadv2(fd, r, 1, 0, 0x4000000), EOPNOTSUPP);
    EQ(writev(fd, w, 0), 0);
    FAILS(writev(fd, w, -1), EINVAL);
    FAILS(writev(fd, w, 1025), EINVAL);
    FAILS(writev(fd, BAD, 1), EFAULT);
    struct iovec bad[2] = {{"ok", 2}, {BAD, 5}};
    EQ(lseek(fd, 0, SEEK_SET), 0);
    struct iovec huge[1] = {{a, (size_t)-1}};
    FAILS(readv(fd, huge, 1), EINVAL);
    bad[0].iov_base = BAD;
    FAILS(writev(fd, bad, 2), EFAULT);
    FAILS(readv(99, r, 1), EBADF);
}

GROUP(truncate)
{
    put_("f", "0123456789");
    EQ(truncate("f", 4), 0);
    struct stat st;
    stat("f", &st);
    EQ(st.st_size, 4);
    EQ(truncate("f", 5000), 0);
    int fd = open("f", O_RDWR);
    char b[10];
    EQ(pread(fd, b, 10, 0), 10);
    SAME(b, "0123\0\0\0\0\0\0", 10);
    EQ(ftruncate(fd, 2), 0);
    EQ(lseek(fd, 0, SEEK_END), 2);
    FAILS(ftruncate(fd, -1), EINVAL);
    FAILS(truncate("f", -1), EINVAL);
    FAILS(truncate("missing", 1), ENOENT);
    FAILS(truncate(".", 1), EISDIR);
    FAILS(ftruncate(99, 1), EBADF);
    EQ(fallocate(fd, 0, 0, 8192), 0);
    EQ(lseek(fd, 0, SEEK_END), 8192);
    EQ(fallocate(fd, FALLOC_FL_KEEP_SIZE, 8192, 8192), 0);
    EQ(lseek(fd, 0, SEEK_END), 8192);
    EQ(pwrite(fd, "data", 4, 4096), 4);
    EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096), 0);
    EQ(pread(fd, b, 4, 4096), 4);
    SAME(b, "\0\0\0\0", 4);
    FAILS(fallocate(fd, 0, 0, 0), EINVAL);
    FAILS(fallocate(fd, 0, -1, 5), EINVAL);
    EQ(posix_fallocate(fd, 0, 10000), 0);
    EQ(lseek(fd, 0, SEEK_END), 10000);
    int p[2];
    pipe(p);
    FAILS(ftruncate(p[1], 0), EINVAL);
    FAILS(fallocate(p[1], 0, 0, 10), ESPIPE);
}

GROUP(dup)
{
    int fd = open("f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    write(fd, "0123456789", 10);
    int d = GOOD(dup(fd));
    EQ(lseek(d, 3, SEEK_SET), 3);
    EQ(lseek(fd, 0, SEEK_CUR), 3);
    EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    EQ(fcntl(d, F_GETFD), 0);
    EQ(dup2(fd, fd), fd);
    EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    EQ(dup2(fd, d), d);
    FAILS(dup2(99, d), EBADF);
    FAILS(dup2(99, 99), EBADF);
    FAILS(dup2(fd, -1), EBADF);
    FAILS(dup2(fd, 1 << 30), EBADF);
    FAILS(dup(99), EBADF);
    EQ(dup3(fd, 30, O_CLOEXEC), 30);
    EQ(fcntl(30, F_GETFD), FD_CLOEXEC);
    FAILS(dup3(fd, fd, 0), EINVAL);
    FAILS(syscall(SYS_dup3, fd, 31, O_APPEND), EINVAL);
    EQ(fcntl(fd, F_DUPFD_CLOEXEC, 40), 40);
    EQ(fcntl(40, F_GETFD), FD_CLOEXEC);
    EQ(fcntl(40, F_SETFD, 0), 0);
    EQ(fcntl(40, F_GETFD), 0);
    close(fd);
    EQ(lseek(30, 0, SEEK_CUR), 3);
    EQ(syscall(SYS_close_range, 30, 40, 0), 0);
    FAILS(close(30), EBADF);
    FAILS(close(40), EBADF);
    FAILS(syscall(SYS_close_range, 40, 30, 0), EINVAL);
    EQ(fcntl(d, F_GETFD), 0);
    EQ(syscall(SYS_close_range, d, ~0u, 4), 0);
    EQ(fcntl(d, F_GETFD), FD_CLOEXEC);
}

GROUP(fcntl)
{
    int fd = open("f", O_RDWR | O_CREAT | O_APPEND, 0600);
    EQ(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK), O_RDWR | O_APPEND);
    EQ(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    EQ(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK), O_RDWR | O_NONBLOCK);
    EQ(fcntl(fd, F_SETFL, O_APPEND), 0);
    EQ(write(fd, "a", 1), 1);
    EQ(fcntl(fd, F_SETFL, 0), 0);
    FAILS(fcntl(99, F_GETFL), EBADF);
    FAILS(fcntl(fd, 12345), EINVAL);
    int p[2];
    pipe(p);
    EQ(fcntl(p[0], F_GETFL) & O_ACCMODE, O_RDONLY);
    EQ(fcntl(p[1], F_GETFL) & O_ACCMODE, O_WRONLY);
    EQ(fcntl(p[1], F_SETPIPE_SZ, 65536), 65536);
    EQ(fcntl(p[1], F_GETPIPE_SZ), 65536);
    int n = 0;
    write(p[1], "12345", 5);
    EQ(ioctl(p[0], FIONREAD, &n), 0);
    EQ(n, 5);
    n = 1;
    EQ(ioctl(p[0], FIONBIO, &n), 0);
    EQ(fcntl(p[0], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    EQ(ioctl(p[0], FIOCLEX), 0);
    EQ(fcntl(p[0], F_GETFD), FD_CLOEXEC);
    EQ(ioctl(p[0], FIONCLEX), 0);
    EQ(fcntl(p[0], F_GETFD), 0);
    FAILS(ioctl(fd, TCGETS, malloc(100)), ENOTTY);
    FAILS(ioctl(99, FIONREAD, &n), EBADF);
    FAILS(ioctl(fd, 0xdeadbeef, 0), ENOTTY);
    EQ(isatty(fd), 0);
}

GROUP(locks)
{
    int a = open("f", O_RDWR | O_CREAT, 0600), b = open("f", O_RDWR);
    EQ(flock(a, LOCK_EX), 0);
    FAILS(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
    FAILS(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
    EQ(flock(a, LOCK_SH), 0);
    EQ(flock(b, LOCK_SH | LOCK_NB), 0);
    EQ(flock(a, LOCK_UN), 0);
    EQ(flock(b, LOCK_UN), 0);
    FAILS(flock(99, LOCK_EX), EBADF);
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 10};
    EQ(fcntl(a, F_SETLK, &l), 0);
    EQ(fcntl(b, F_SETLK, &l), 0);
    EQ(fcntl(b, F_GETLK, &l), 0);
    EQ(l.l_type, F_UNLCK);
    l = (struct flock){.l_type = F_UNLCK};
    EQ(fcntl(a, F_SETLK, &l), 0);
    l = (struct flock){.l_type = F_WRLCK, .l_start = 20, .l_len = 10};
    EQ(fcntl(a, F_OFD_SETLK, &l), 0);
    FAILS(fcntl(b, F_OFD_SETLK, &l), EAGAIN);
    l = (struct flock){.l_type = 77};
    FAILS(fcntl(a, F_SETLK, &l), EINVAL);
    FAILS(fcntl(a, F_SETLK, BAD), EFAULT);
    FAILS(lockf(a, F_TEST, 0), EACCES); // the lock of the open file stands in the way
}

static struct flock lock_(int type, int whence, long start, long len)
{
    return (struct flock){.l_type = type, .l_whence = whence, .l_start = start, .l_len = len};
}

static int lock_fd_;

static void *waits_for_lock_(void *unused)
{
    (void)unused;
    struct flock l = lock_(F_WRLCK, SEEK_SET, 5, 1);
    return (void *)(long)fcntl(lock_fd_, F_OFD_SETLKW, &l);
}

static void lock_signal_(int unused) { (void)unused; }

GROUP(record_locks)
{
    int a = GOOD(open("f", O_RDWR | O_CREAT, 0600)), b = GOOD(open("f", O_RDWR)), r = GOOD(open("f", O_RDONLY));
    EQ(ftruncate(a, 100), 0);
    struct flock l = lock_(F_WRLCK, SEEK_SET, 10, 10);
    EQ(fcntl(a, F_OFD_SETLK, &l), 0);
    l = lock_(F_UNLCK, SEEK_SET, 14, 2); // leaves 10..13 and 16..19
    EQ(fcntl(a, F_OFD_SETLK, &l), 0);
    l = lock_(F_RDLCK, SEEK_SET, 0, 0);
    EQ(fcntl(b, F_OFD_GETLK, &l), 0);
    EQ(l.l_type, F_WRLCK);
    EQ(l.l_start, 10);
    EQ(l.l_len, 4);
    EQ(l.l_pid, -1);
    l = lock_(F_WRLCK, SEEK_SET, 15, -1);
    EQ(fcntl(b, F_OFD_SETLK, &l), 0);
    l = lock_(F_WRLCK, SEEK_SET, 16, -2);
    EQ(fcntl(b, F_OFD_SETLK, &l), 0);
    l = lock_(F_WRLCK, SEEK_SET, 16, -3);
    FAILS(fcntl(b, F_OFD_SETLK, &l), EAGAIN);
    l = lock_(F_RDLCK, SEEK_END, -10, 0); // to the end, wherever it will be
    EQ(fcntl(b, F_OFD_SETLK, &l), 0);
    EQ(fcntl(r, F_OFD_SETLK, &l), 0);
    lseek(a, 95, SEEK_SET);
    l = lock_(F_WRLCK, SEEK_CUR, 1000, 1);
    EQ(fcntl(a, F_OFD_GETLK, &l), 0);
    EQ(l.l_type, F_RDLCK);
    EQ(l.l_start, 90);
    EQ(l.l_len, 0);
    l = lock_(F_WRLCK, SEEK_CUR, 1000, 1);
    FAILS(fcntl(a, F_OFD_SETLK, &l), EAGAIN);
    l = lock_(F_WRLCK, SEEK_SET, 0, 1);
    FAILS(fcntl(r, F_OFD_SETLK, &l), EBADF);
    FAILS(fcntl(r, F_SETLK, &l), EBADF);
    l.l_pid = 1;
    FAILS(fcntl(a, F_OFD_SETLK, &l), EINVAL);
    l = lock_(F_WRLCK, SEEK_SET, -1, 1);
    FAILS(fcntl(a, F_OFD_SETLK, &l), EINVAL);
    l = lock_(F_WRLCK, SEEK_SET, 5, -6);
    FAILS(fcntl(a, F_OFD_SETLK, &l), EINVAL);
    l = lock_(F_WRLCK, 77, 0, 1);
    FAILS(fcntl(a, F_OFD_SETLK, &l), EINVAL);
    l = lock_(F_WRLCK, SEEK_SET, 2, LONG_MAX);
    FAILS(fcntl(a, F_OFD_SETLK, &l), EOVERFLOW);
    l = lock_(F_UNLCK, SEEK_SET, 0, 1);
    FAILS(fcntl(a, F_GETLK, &l), EINVAL);
    // The process is an owner of its own; closing any descriptor of the file ends that.
    l = lock_(F_WRLCK, SEEK_SET, 30, 1);
    EQ(fcntl(a, F_SETLK, &l), 0);
    FAILS(fcntl(a, F_OFD_SETLK, &l), EAGAIN);
    EQ(fcntl(a, F_OFD_GETLK, &l), 0);
    EQ(l.l_pid == getpid(), 1);
    close(open("f", O_RDONLY));
    l = lock_(F_WRLCK, SEEK_SET, 30, 1);
    EQ(fcntl(a, F_OFD_SETLK, &l), 0);
    // An open file's locks go with its last descriptor.
    int twin = dup(a);
    close(a);
    FAILS(fcntl(b, F_OFD_SETLK, &l), EAGAIN);
    close(twin);
    EQ(fcntl(b, F_OFD_SETLK, &l), 0);
}

GROUP(record_locks_are_waited_for)
{
    int a = GOOD(open("f", O_RDWR | O_CREAT, 0600));
    lock_fd_ = GOOD(open("f", O_RDWR));
    struct flock l = lock_(F_WRLCK, SEEK_SET, 0, 10);
    EQ(fcntl(a, F_OFD_SETLK, &l), 0);
    pthread_t t;
    void *result;
    pthread_create(&t, NULL, waits_for_lock_, NULL);
    usleep(20000);
    l.l_type = F_UNLCK;
    EQ(fcntl(a, F_OFD_SETLK, &l), 0);
    EQ(pthread_join(t, &result), 0);
    EQ((long)result, 0);
    l.l_type = F_WRLCK;
    FAILS(fcntl(a, F_OFD_SETLK, &l), EAGAIN);
    struct sigaction act = {.sa_handler = lock_signal_};
    sigaction(SIGALRM, &act, NULL);
    timer_t timer;
    struct itimerspec when = {.it_value.tv_nsec = 20000000};
    EQ(timer_create(CLOCK_MONOTONIC, NULL, &timer), 0);
    EQ(timer_settime(timer, 0, &when, NULL), 0);
    FAILS(fcntl(a, F_OFD_SETLKW, &l), EINTR);
    EQ(flock(lock_fd_, LOCK_EX), 0);
    EQ(timer_settime(timer, 0, &when, NULL), 0);
    FAILS(flock(a, LOCK_EX), EINTR);
}

GROUP(links)
{
    struct stat st;
    put_("f", "content");
    EQ(link("f", "g"), 0);
    EQ(stat("f", &st), 0);
    EQ(st.st_nlink, 2);
    FAILS(link("f", "g"), EEXIST);
    FAILS(link("none", "h"), ENOENT);
    FAILS(link(".", "h"), EPERM);
    EQ(unlink("f"), 0);
    EQ(stat("g", &st), 0);
    EQ(st.st_nlink, 1);
    FAILS(unlink("f"), ENOENT);
    FAILS(unlink("."), EISDIR);
    FAILS(unlink(""), ENOENT);
    FAILS(unlink(BAD), EFAULT);
    EQ(symlink("target/of/link", "s"), 0);
    char b[100];
    memset(b, '~', sizeof b);
    EQ(readlink("s", b, 100), 14);
    SAME(b, "target/of/link~", 15);
    EQ(readlink("s", b, 3), 3);
    FAILS(syscall(SYS_readlink, "s", b, 0), EINVAL);
    FAILS(readlink("g", b, 100), EINVAL);
    FAILS(readlink("none", b, 100), ENOENT);
    FAILS(readlink("s", BAD, 100), EFAULT);
    FAILS(symlink("", "t"), ENOENT);
    FAILS(symlink("x", "s"), EEXIST);
    EQ(lstat("s", &st), 0);
    EQ(st.st_size, 14);
    EQ(S_ISLNK(st.st_mode), 1);
    FAILS(stat("s", &st), ENOENT);
    EQ(linkat(AT_FDCWD, "s", AT_FDCWD, "s2", 0), 0);
    EQ(readlink("s2", b, 100), 14);
    FAILS(linkat(AT_FDCWD, "g", AT_FDCWD, "s3", 0x1), EINVAL);
    int fd = open(".", O_TMPFILE | O_RDWR, 0600);
    char proc[50];
    sprintf(proc, "/proc/self/fd/%d", fd);
    EQ(linkat(AT_FDCWD, proc, AT_FDCWD, "named", AT_SYMLINK_FOLLOW), 0);
    EQ(access("named", F_OK), 0);
    fd = open("g", O_RDWR);
    EQ(unlink("g"), 0);
    EQ(read(fd, b, 7), 7);
    SAME(b, "content", 7);
    EQ(fstat(fd, &st), 0);
    EQ(st.st_nlink, 0);
    EQ(unlink("s"), 0);
    EQ(unlink("s2"), 0);
}

GROUP(rename)
{
    put_("a", "A");
    put_("b", "B");
    mkdir("d", 0755);
    mkdir("e", 0755);
    EQ(rename("a", "c"), 0);
    FAILS(access("a", F_OK), ENOENT);
    EQ(rename("c", "b"), 0);
    char t[2] = "";
    int fd = open("b", O_RDONLY);
    read(fd, t, 1);
    TEXT(t, "A");
    FAILS(rename("none", "x"), ENOENT);
    FAILS(rename("b", "d"), EISDIR);
    FAILS(rename("d", "b"), ENOTDIR);
    EQ(rename("d", "e"), 0);
    mkdir("d", 0755);
    put_("d/file", "x");
    FAILS(rename("e", "d"), ENOTEMPTY);
    FAILS(rename("d", "d/sub"), EINVAL);
    EQ(rename("b", "b"), 0);
    put_("z", "Z");
    EQ(renameat2(AT_FDCWD, "b", AT_FDCWD, "z", 2), 0);
    fd = open("b", O_RDONLY);
    read(fd, t, 1);
    TEXT(t, "Z");
    FAILS(renameat2(AT_FDCWD, "b", AT_FDCWD, "z", 1), EEXIST);
    FAILS(renameat2(AT_FDCWD, "b", AT_FDCWD, "z", 99), EINVAL);
    EQ(renameat2(AT_FDCWD, "b", AT_FDCWD, "new", 1), 0);
    int dir = open("d", O_DIRECTORY);
    EQ(renameat(AT_FDCWD, "new", dir, "moved"), 0);
    EQ(access("d/moved", F_OK), 0);
    FAILS(renameat(99, "x", dir, "y"), EBADF);
}

GROUP(modes)
{
    struct stat st;
    put_("f", "x");
    EQ(chmod("f", 0741), 0);
    stat("f", &st);
    EQ(st.st_mode, S_IFREG | 0741);
    int fd = open("f", O_RDWR);
    EQ(fchmod(fd, 04755), 0);
    fstat(fd, &st);
    EQ(st.st_mode & 07777, 04755);
    EQ(fchmodat(AT_FDCWD, "f", 0600, 0), 0);
    FAILS(chmod("none", 0600), ENOENT);
    FAILS(fchmod(99, 0600), EBADF);
    FAILS(chmod(BAD, 0600), EFAULT);
    EQ(umask(077), 022);
    EQ(close(open("private", O_CREAT | O_WRONLY, 0666)), 0);
    stat("private", &st);
    EQ(st.st_mode & 0777, 0600);
    EQ(mkdir("dir", 0777), 0);
    stat("dir", &st);
    EQ(st.st_mode & 0777, 0700);
    EQ(umask(022), 077);
    EQ(chown("f", -1, -1), 0);
    EQ(fchown(fd, getuid(), getgid()), 0);
    EQ(lchown("f", getuid(), -1), 0);
    EQ(fchownat(fd, "", getuid(), -1, AT_EMPTY_PATH), 0);
    FAILS(chown("none", 0, 0), ENOENT);
    FAILS(fchown(99, 0, 0), EBADF);
    EQ(access("f", R_OK | W_OK), 0);
    FAILS(access("none", F_OK), ENOENT);
    FAILS(access("f", 99), EINVAL);
    FAILS(access("f/x", F_OK), ENOTDIR);
    EQ(faccessat(AT_FDCWD, "f", R_OK, AT_EACCESS), 0);
    EQ(chmod("f", 0), 0);
    FAILS(access("f", X_OK), EACCES);
}

GROUP(times)
{
    struct stat st;
    put_("f", "x");
    struct timespec t[2] = {{1000000000, 123456789}, {1100000000, 987654321}};
    EQ(utimensat(AT_FDCWD, "f", t, 0), 0);
    stat("f", &st);
    EQ(st.st_atim.tv_sec, 1000000000);
    EQ(st.st_atim.tv_nsec, 123456789);
    EQ(st.st_mtim.tv_sec, 1100000000);
    EQ(st.st_mtim.tv_nsec, 987654321);
    t[0].tv_nsec = UTIME_OMIT;
    t[1] = (struct timespec){5, 6};
    EQ(utimensat(AT_FDCWD, "f", t, 0), 0);
    stat("f", &st);
    EQ(st.st_atim.tv_sec, 1000000000);
    EQ(st.st_mtim.tv_sec, 5);
    int fd = open("f", O_RDWR);
    t[0] = t[1] = (struct timespec){7, 8};
    EQ(futimens(fd, t), 0);
    fstat(fd, &st);
    EQ(st.st_mtim.tv_nsec, 8);
    t[0].tv_nsec = 1000000000;
    FAILS(futimens(fd, t), EINVAL);
    FAILS(utimensat(AT_FDCWD, "none", NULL, 0), ENOENT);
    EQ(utimensat(AT_FDCWD, "f", NULL, 0), 0);
    stat("f", &st);
    NAMED("mtime is now", llabs(st.st_mtim.tv_sec - time(NULL)) < 5);
    struct stat before = st;
    usleep(20000);
    write(fd, "y", 1);
    fstat(fd, &st);
    NAMED("mtime grows by writing", st.st_mtim.tv_sec > before.st_mtim.tv_sec || st.st_mtim.tv_nsec > before.st_mtim.tv_nsec);
}

GROUP(copying)
{
    char b[100] = "";
    put_("in", "0123456789abcdef");
    int in = open("in", O_RDONLY), out = open("out", O_RDWR | O_CREAT, 0600), p[2];
    off_t at = 4;
    EQ(sendfile(out, in, &at, 6), 6);
    EQ(at, 10);
    EQ(lseek(in, 0, SEEK_CUR), 0);
    EQ(sendfile(out, in, NULL, 100), 16);
    EQ(sendfile(out, in, NULL, 100), 0);
    EQ(pread(out, b, 100, 0), 22);
    SAME(b, "4567890123456789abcdef", 6);
    int null = open("/dev/null", O_WRONLY);
    at = 0;
    EQ(sendfile(null, in, &at, 16), 16);
    FAILS(sendfile(99, in, NULL, 1), EBADF);
    FAILS(sendfile(in, in, NULL, 1), EBADF);
    off_t i = 2, o = 30;
    EQ(copy_file_range(in, &i, out, &o, 5, 0), 5);
    EQ(i, 7);
    EQ(o, 35);
    EQ(pread(out, b, 5, 30), 5);
    SAME(b, "23456", 5);
    FAILS(copy_file_range(in, NULL, out, NULL, 5, 1), EINVAL);
    pipe(p);
    off_t s = 1;
    EQ(splice(in, &s, p[1], NULL, 5, 0), 5);
    EQ(read(p[0], b, 100), 5);
    SAME(b, "12345", 5);
    EQ(write(p[1], "through", 7), 7);
    s = 50;
    EQ(splice(p[0], NULL, out, &s, 7, 0), 7);
    EQ(pread(out, b, 7, 50), 7);
    SAME(b, "through", 7);
    int q[2];
    pipe(q);
    write(p[1], "teed", 4);
    EQ(tee(p[0], q[1], 100, 0), 4);
    EQ(read(p[0], b, 100), 4);
    EQ(read(q[0], b, 100), 4);
    SAME(b, "teed", 4);
    FAILS(splice(in, NULL, out, NULL, 5, 0), EINVAL);
    struct iovec v = {"vmsplice", 8};
    EQ(vmsplice(p[1], &v, 1, 0), 8);
    EQ(read(p[0], b, 100), 8);
    SAME(b, "vmsplice", 8);
    FAILS(tee(in, q[1], 5, 0), EINVAL);
}

GROUP(syncing)
{
    put_("f", "x");
    int fd = open("f", O_RDWR);
    EQ(fsync(fd), 0);
    EQ(fdatasync(fd), 0);
    FAILS(fsync(99), EBADF);
    EQ(sync_file_range(fd, 0, 10, SYNC_FILE_RANGE_WRITE), 0);
    EQ(syncfs(fd), 0);
    EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL), 0);
    EQ(posix_fadvise(fd, 0, 0, 99), EINVAL);
    EQ(posix_fadvise(99, 0, 0, 0), EBADF);
    EQ(readahead(fd, 0, 100), 0);
    int p[2];
    pipe(p);
    FAILS(fsync(p[0]), EINVAL);
    sync();
    fd = GOOD(open("f", O_RDWR | O_SYNC));
    EQ(write(fd, "y", 1), 1);
    fd = GOOD(open("f", O_RDWR | O_DSYNC));
    EQ(write(fd, "y", 1), 1);
}

GROUP(attributes)
{
    put_("f", "x");
    char b[100];
    FAILS(getxattr("f", "user.none", b, 100), ENODATA);
    EQ(setxattr("f", "user.k", "value", 5, 0), 0);
    EQ(getxattr("f", "user.k", NULL, 0), 5);
    EQ(getxattr("f", "user.k", b, 100), 5);
    SAME(b, "value", 5);
    FAILS(getxattr("f", "user.k", b, 2), ERANGE);
    FAILS(setxattr("f", "user.k", "v", 1, XATTR_CREATE), EEXIST);
    FAILS(setxattr("f", "user.l", "v", 1, XATTR_REPLACE), ENODATA);
    FAILS(setxattr("f", "nonsense", "v", 1, 0), EOPNOTSUPP);
    int fd = open("f", O_RDWR);
    EQ(fsetxattr(fd, "user.l", "v", 1, 0), 0);
    EQ(fgetxattr(fd, "user.l", b, 100), 1);
    EQ(listxattr("f", b, 100), 14);
    EQ(flistxattr(fd, NULL, 0), 14);
    EQ(removexattr("f", "user.k"), 0);
    EQ(fremovexattr(fd, "user.l"), 0);
    FAILS(removexattr("f", "user.k"), ENODATA);
    EQ(llistxattr("f", b, 100), 0);
    FAILS(getxattr("none", "user.k", b, 9), ENOENT);
}

GROUP(many_descriptors)
{
    int fds[500], good = 1;
    for (int i = 0; i < 500; i++) {
        fds[i] = open("/dev/null", O_RDWR);
        good &= fds[i] == i + 3;
    }
    NAMED("500 descriptors in order", good);
    for (int i = 0; i < 500; i += 2) good &= close(fds[i]) == 0;
    for (int i = 0; i < 500; i += 2) good &= open("/dev/null", O_RDWR) == fds[i];
    NAMED("holes are filled from below", good);
    char text[64];
    for (int i = 0; i < 200; i++) {
        sprintf(text, "file%d", i);
        good &= put_(text, text) == 0;
    }
    NAMED("200 files", good);
}
