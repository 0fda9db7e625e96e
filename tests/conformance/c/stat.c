// The stat family, statx, statfs, permissions asked by path.
#include "tap.h"
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#ifndef __GLIBC__
#include <linux/stat.h>
#define statx(...) syscall(SYS_statx, __VA_ARGS__)
#endif

GROUP(stat)
{
    struct stat s, t;
    put_("f", "hello");
    EQ(stat("f", &s), 0);
    EQ(s.st_mode, S_IFREG | 0644);
    EQ(s.st_size, 5);
    EQ(s.st_nlink, 1);
    EQ(s.st_uid, getuid());
    EQ(s.st_gid, getgid());
    EQ(s.st_rdev, 0);
    NAMED("inode is not zero", s.st_ino != 0);
    NAMED("device is not zero", s.st_dev != 0);
    NAMED("block size is a power of two", s.st_blksize >= 512 && (s.st_blksize & (s.st_blksize - 1)) == 0);
    NAMED("mtime is now", llabs(s.st_mtime - time(NULL)) < 5);
    NAMED("ctime is now", llabs(s.st_ctime - time(NULL)) < 5);
    int fd = open("f", O_RDONLY);
    EQ(fstat(fd, &t), 0);
    EQ(memcmp(&s, &t, sizeof s), 0);
    EQ(lstat("f", &t), 0);
    EQ(t.st_ino == s.st_ino, 1);
    FAILS(stat("none", &s), ENOENT);
    FAILS(stat("", &s), ENOENT);
    FAILS(stat("f/x", &s), ENOTDIR);
    FAILS(stat(BAD, &s), EFAULT);
    FAILS(syscall(SYS_stat, "f", BAD), EFAULT);
    FAILS(fstat(99, &s), EBADF);
    FAILS(fstat(-1, &s), EBADF);
    symlink("f", "l");
    EQ(stat("l", &t), 0);
    EQ(t.st_ino == s.st_ino, 1);
    EQ(lstat("l", &t), 0);
    EQ(S_ISLNK(t.st_mode), 1);
    EQ(t.st_size, 1);
    mkdir("d", 0700);
    EQ(stat("d", &t), 0);
    EQ(t.st_mode, S_IFDIR | 0700);
}

GROUP(kinds)
{
    struct stat s;
    EQ(stat("/dev/null", &s), 0);
    EQ(S_ISCHR(s.st_mode), 1);
    EQ(major(s.st_rdev), 1);
    EQ(minor(s.st_rdev), 3);
    EQ(mkfifo("p", 0600), 0);
    EQ(stat("p", &s), 0);
    EQ(s.st_mode, S_IFIFO | 0600);
    FAILS(mkfifo("p", 0600), EEXIST);
    EQ(mknod("n", S_IFREG | 0640, 0), 0);
    EQ(stat("n", &s), 0);
    EQ(s.st_mode, S_IFREG | 0640);
    int p[2];
    pipe(p);
    EQ(fstat(p[0], &s), 0);
    EQ(S_ISFIFO(s.st_mode), 1);
    EQ(stat("/proc/self", &s), 0);
    EQ(S_ISDIR(s.st_mode), 1);
    EQ(stat("/proc/self/maps", &s), 0);
    EQ(S_ISREG(s.st_mode), 1);
    EQ(stat("/", &s), 0);
    EQ(S_ISDIR(s.st_mode), 1);
}

GROUP(at_functions)
{
    struct stat s, t;
    mkdir("d", 0755);
    put_("d/f", "abc");
    symlink("f", "d/l");
    int dir = GOOD(open("d", O_DIRECTORY));
    EQ(fstatat(dir, "f", &s, 0), 0);
    EQ(s.st_size, 3);
    EQ(fstatat(dir, "l", &s, AT_SYMLINK_NOFOLLOW), 0);
    EQ(S_ISLNK(s.st_mode), 1);
    EQ(fstatat(dir, "", &s, AT_EMPTY_PATH), 0);
    EQ(S_ISDIR(s.st_mode), 1);
    FAILS(fstatat(dir, "", &s, 0), ENOENT);
    FAILS(fstatat(99, "f", &s, 0), EBADF);
    FAILS(fstatat(dir, "f", &s, 0x10000000), EINVAL);
    EQ(fstatat(99, "/", &s, 0), 0);
    int fd = open("d/f", O_RDONLY);
    FAILS(fstatat(fd, "x", &s, 0), ENOTDIR);
    EQ(fstatat(fd, "", &s, AT_EMPTY_PATH), 0);
    EQ(fstat(fd, &t), 0);
    EQ(s.st_ino == t.st_ino, 1);
    FAILS(syscall(SYS_newfstatat, AT_FDCWD, NULL, &s, 0), EFAULT);
}

GROUP(extended)
{
    struct statx x;
    struct stat s;
    put_("f", "hello");
    stat("f", &s);
    EQ(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS | STATX_BTIME, &x), 0);
    EQ(x.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
    EQ(x.stx_mode, S_IFREG | 0644);
    EQ(x.stx_size, 5);
    EQ(x.stx_ino == s.st_ino, 1);
    EQ(x.stx_nlink, 1);
    EQ(x.stx_mtime.tv_sec == s.st_mtim.tv_sec && x.stx_mtime.tv_nsec == (unsigned)s.st_mtim.tv_nsec, 1);
    EQ(makedev(x.stx_dev_major, x.stx_dev_minor) == s.st_dev, 1);
    int fd = open("f", O_RDONLY);
    EQ(statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &x), 0);
    EQ(x.stx_size, 5);
    FAILS(statx(AT_FDCWD, "none", 0, STATX_SIZE, &x), ENOENT);
    FAILS(statx(AT_FDCWD, "f", 0x8000000, STATX_SIZE, &x), EINVAL);
    FAILS(statx(AT_FDCWD, "f", 0, 0x80000000u, &x), EINVAL);
    FAILS(statx(99, "f", 0, STATX_SIZE, &x), EBADF);
    FAILS(statx(AT_FDCWD, "f", 0, STATX_SIZE, (struct statx *)8), EFAULT);
    symlink("f", "l");
    EQ(statx(AT_FDCWD, "l", AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &x), 0);
    EQ(S_ISLNK(x.stx_mode), 1);
}

GROUP(statfs)
{
    struct statfs s;
    struct statvfs v;
    EQ(statfs(".", &s), 0);
    NAMED("block size", s.f_bsize > 0 && s.f_blocks > 0 && s.f_namelen == 255);
    int fd = open(".", O_DIRECTORY);
    EQ(fstatfs(fd, &s), 0);
    EQ(statvfs("/", &v), 0);
    NAMED("fragment size", v.f_frsize > 0);
    EQ(statfs("/proc", &s), 0);
    EQ(s.f_type, 0x9fa0);
    FAILS(statfs("none", &s), ENOENT);
    FAILS(fstatfs(99, &s), EBADF);
    FAILS(syscall(SYS_statfs, ".", BAD), EFAULT);
}
