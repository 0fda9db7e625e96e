// Directories: making, reading, moving about, the *at functions.
#include "tap.h"
#include <dirent.h>
#include <linux/openat2.h>

struct dirent64_ { uint64_t ino; int64_t off; unsigned short reclen; unsigned char type; char name[]; };

GROUP(making)
{
    struct stat s;
    EQ(mkdir("d", 0751), 0);
    stat("d", &s);
    EQ(s.st_mode, S_IFDIR | 0751);
    EQ(mkdir("s", 01777), 0);
    stat("s", &s);
    EQ(s.st_mode & 07777, 01755);
    FAILS(mkdir("d", 0755), EEXIST);
    FAILS(mkdir("none/x", 0755), ENOENT);
    FAILS(mkdir("", 0755), ENOENT);
    FAILS(mkdir(BAD, 0755), EFAULT);
    EQ(mkdir("t/", 0755), 0);
    put_("f", "x");
    FAILS(mkdir("f/x", 0755), ENOTDIR);
    FAILS(mkdir("f", 0755), EEXIST);
    FAILS(rmdir("f"), ENOTDIR);
    FAILS(rmdir("none"), ENOENT);
    put_("d/f", "x");
    FAILS(rmdir("d"), ENOTEMPTY);
    FAILS(rmdir("d/."), EINVAL);
    FAILS(rmdir("d/.."), ENOTEMPTY);
    FAILS(unlink("d"), EISDIR);
    EQ(unlink("d/f"), 0);
    EQ(rmdir("d"), 0);
    int here = open(".", O_DIRECTORY);
    EQ(mkdirat(here, "sub", 0700), 0);
    FAILS(unlinkat(here, "sub", 0), EISDIR);
    FAILS(unlinkat(here, "f", AT_REMOVEDIR), ENOTDIR);
    EQ(unlinkat(here, "sub", AT_REMOVEDIR), 0);
    FAILS(unlinkat(here, "f", 0x4), EINVAL);
    EQ(unlinkat(here, "f", 0), 0);
    FAILS(mkdirat(99, "x", 0700), EBADF);
}

GROUP(reading)
{
    mkdir("d", 0755);
    char name[100];
    for (int i = 0; i < 300; i++) {
        sprintf(name, "d/file-with-a-long-name-%03d", i);
        put_(name, "");
    }
    mkdir("d/dir", 0755);
    symlink("x", "d/link");
    DIR *d = opendir("d");
    OK(d != NULL);
    int files = 0, dirs = 0, links = 0, dots = 0;
    struct dirent *e;
    long at = -1;
    while ((e = readdir(d))) {
        dots += e->d_name[0] == '.';
        files += e->d_type == DT_REG;
        dirs += e->d_type == DT_DIR;
        links += e->d_type == DT_LNK;
        if (files == 100 && at < 0) at = telldir(d);
    }
    EQ(files, 300);
    EQ(dirs, 3);
    EQ(links, 1);
    EQ(dots, 2);
    rewinddir(d);
    int all = 0;
    while (readdir(d)) all++;
    EQ(all, 304);
    seekdir(d, at);
    int rest = 0;
    while (readdir(d)) rest++;
    NAMED("seekdir goes on from there", rest > 0 && rest < 304);
    rewinddir(d);
    put_("d/new", "");
    rewinddir(d);
    all = 0;
    while (readdir(d)) all++;
    EQ(all, 305);
    EQ(closedir(d), 0);
    OK(opendir("none") == NULL && errno == ENOENT);
    OK(opendir("d/new") == NULL && errno == ENOTDIR);
    int fd = open("d", O_DIRECTORY), total = 0, n;
    char buffer[500];
    while ((n = syscall(SYS_getdents64, fd, buffer, sizeof buffer)) > 0)
        for (int i = 0; i < n; i += ((struct dirent64_ *)(buffer + i))->reclen) total++;
    EQ(total, 305);
    EQ(syscall(SYS_getdents64, fd, buffer, sizeof buffer), 0);
    EQ(lseek(fd, 0, SEEK_SET), 0);
    FAILS(syscall(SYS_getdents64, fd, buffer, 5), EINVAL);
    FAILS(syscall(SYS_getdents64, fd, BAD, 500), EFAULT);
    FAILS(syscall(SYS_getdents64, 99, buffer, 500), EBADF);
    FAILS(syscall(SYS_getdents64, open("d/new", O_RDONLY), buffer, 500), ENOTDIR);
    OK(syscall(SYS_getdents, fd, buffer, sizeof buffer) > 0);
}

GROUP(moving_about)
{
    char start[PATH_MAX], now[PATH_MAX], want[PATH_MAX + 10];
    OK(getcwd(start, sizeof start) == start);
    mkdir("a", 0755);
    mkdir("a/b", 0755);
    EQ(chdir("a/b"), 0);
    getcwd(now, sizeof now);
    sprintf(want, "%s/a/b", start);
    EQ(strcmp(now, want), 0);
    put_("here", "x");
    EQ(chdir(".."), 0);
    EQ(access("b/here", F_OK), 0);
    FAILS(chdir("none"), ENOENT);
    FAILS(chdir("b/here"), ENOTDIR);
    FAILS(chdir(BAD), EFAULT);
    int fd = open("b", O_DIRECTORY);
    EQ(fchdir(fd), 0);
    EQ(access("here", F_OK), 0);
    FAILS(fchdir(99), EBADF);
    FAILS(fchdir(open("here", O_RDONLY)), ENOTDIR);
    EQ(chdir(start), 0);
    OK(getcwd(now, 2) == NULL && errno == ERANGE);
    EQ(syscall(SYS_getcwd, now, sizeof now), strlen(start) + 1);
    FAILS(syscall(SYS_getcwd, BAD, 4096), EFAULT);
    char link[PATH_MAX];
    int n = readlink("/proc/self/cwd", link, sizeof link - 1);
    link[n < 0 ? 0 : n] = 0;
    EQ(strcmp(link, start), 0);
    mkdir("gone", 0755);
    chdir("gone");
    rmdir("../gone");
    OK(getcwd(now, sizeof now) == NULL && errno == ENOENT);
    EQ(chdir(start), 0);
}

GROUP(relative_to_descriptors)
{
    mkdir("d", 0755);
    int d = open("d", O_DIRECTORY | O_PATH), fd = GOOD(openat(d, "f", O_CREAT | O_RDWR, 0600));
    EQ(write(fd, "abc", 3), 3);
    EQ(linkat(d, "f", AT_FDCWD, "g", 0), 0);
    EQ(symlinkat("../g", d, "l"), 0);
    char b[10] = "";
    EQ(readlinkat(d, "l", b, 10), 4);
    TEXT(b, "../g");
    EQ(faccessat(d, "l", R_OK, 0), 0);
    EQ(fchmodat(d, "f", 0640, 0), 0);
    EQ(renameat(d, "f", d, "h"), 0);
    EQ(mkfifoat(d, "p", 0600), 0);
    FAILS(openat(d, "none", O_RDONLY), ENOENT);
    FAILS(openat(fd, "x", O_RDONLY), ENOTDIR);
    EQ(openat(d, "../g", O_RDONLY) >= 0, 1);
    char proc[50];
    sprintf(proc, "/proc/self/fd/%d", fd);
    int again = GOOD(open(proc, O_RDONLY));
    EQ(read(again, b, 10), 3);
    sprintf(proc, "/dev/fd/%d", fd);
    again = GOOD(open(proc, O_RDONLY));
    EQ(read(again, b, 10), 3);
    struct open_how how = {.flags = O_RDONLY, .resolve = RESOLVE_BENEATH};
    FAILS(syscall(SYS_openat2, d, "../g", &how, sizeof how), EXDEV);
    how.resolve = RESOLVE_NO_SYMLINKS;
    FAILS(syscall(SYS_openat2, d, "l", &how, sizeof how), ELOOP);
    how.resolve = RESOLVE_IN_ROOT;
    FAILS(syscall(SYS_openat2, d, "../g", &how, sizeof how), ENOENT);
    EQ(syscall(SYS_openat2, d, "/../h", &how, sizeof how) >= 0, 1);
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV;
    EQ(syscall(SYS_openat2, AT_FDCWD, "d/../g", &how, sizeof how) >= 0, 1);
    FAILS(syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof how), EXDEV);
    how.resolve = RESOLVE_BENEATH | RESOLVE_IN_ROOT;
    FAILS(syscall(SYS_openat2, d, "h", &how, sizeof how), EINVAL);
    how.resolve = 0;
    EQ(syscall(SYS_openat2, d, "h", &how, sizeof how) >= 0, 1);
    how.mode = 0600; // only for what is made
    FAILS(syscall(SYS_openat2, d, "h", &how, sizeof how), EINVAL);
    how.mode = 0;
    FAILS(syscall(SYS_openat2, d, "h", &how, 3), EINVAL);
    how.flags = ~0ull;
    FAILS(syscall(SYS_openat2, d, "h", &how, sizeof how), EINVAL);
}
