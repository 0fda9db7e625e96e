// Checks that print one line each, the same on every run: `ok N - what` or `not ok N - what: why`.
// A file is a list of GROUP(name) { ... }; the program runs those named in its arguments, or all.
#pragma once
// Wrong arguments are the point.
#pragma GCC diagnostic ignored "-Wnonnull"
#pragma GCC diagnostic ignored "-Wstringop-overflow"
#pragma GCC diagnostic ignored "-Wstringop-overread"
#pragma GCC diagnostic ignored "-Wunused-result"
#pragma GCC diagnostic ignored "-Warray-bounds"
#pragma GCC diagnostic ignored "-Winfinite-recursion"
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define unused_ __attribute__((unused))

#ifndef __GLIBC__
// What this libc has no function for.
#include <sys/uio.h>
#define preadv2(fd, v, n, at, flags) syscall(SYS_preadv2, fd, v, n, (long)(at), 0L, flags)
#define pwritev2(fd, v, n, at, flags) syscall(SYS_pwritev2, fd, v, n, (long)(at), 0L, flags)
#define renameat2(...) syscall(SYS_renameat2, __VA_ARGS__)
#define gettid() ((int)syscall(SYS_gettid))
#define RWF_APPEND 0x10
#endif

struct tap_group { const char *name; void (*run)(void); };
static struct tap_group groups_[128];
static int group_count_, check_, failed_;

#define GROUP(name)                                                                        \
    static void name##_group_(void);                                                       \
    __attribute__((constructor)) static void name##_register_(void)                        \
    {                                                                                      \
        groups_[group_count_++] = (struct tap_group){#name, name##_group_};                    \
    }                                                                                      \
    static void name##_group_(void)

static unused_ int report_(int good, int line, const char *what, const char *why, ...)
{
    char text[500];
    va_list args;
    va_start(args, why);
    vsnprintf(text, sizeof text, why, args);
    va_end(args);
    check_++;
    if (good) {
        printf("ok %d - %s\n", check_, what);
    } else {
        failed_++;
        printf("not ok %d - %s: %s (line %d)\n", check_, what, text, line);
        fprintf(stderr, "not ok %d - %s: %s (line %d)\n", check_, what, text, line);
    }
    fflush(stdout);
    return good;
}

// The condition holds.
#define OK(c) report_(!!(c), __LINE__, #c, "is false, errno %d", errno)
// As OK, with a description of its own.
#define NAMED(what, c) report_(!!(c), __LINE__, what, "is false, errno %d", errno)
// An integer expression has this value.
#define EQ(e, want) ({ errno = 0; long got_ = (long)(e), want_ = (long)(want); int no_ = errno; \
    report_(got_ == want_, __LINE__, #e " is " #want, "%ld (%#lx), errno %d, instead of %ld", got_, got_, no_, want_); })
// A call returns -1 with this errno.
#define FAILS(e, want) ({ errno = 0; long got_ = (long)(e); int no_ = errno; \
    report_(got_ == -1 && no_ == (want), __LINE__, #e " fails with " #want, "%ld, errno %d, instead of errno %d", got_, no_, want); })
// A call succeeds: returns something that is not negative; the value is the result.
#define GOOD(e) ({ errno = 0; long got_ = (long)(e); int no_ = errno; \
    report_(got_ >= 0, __LINE__, #e, "%ld, errno %d", got_, no_); got_; })
// Bytes are equal.
#define SAME(a, b, n) report_(memcmp(a, b, n) == 0, __LINE__, #a " has the bytes of " #b, "they differ")
// Strings are equal.
#define TEXT(a, b) ({ const char *a_ = (a), *b_ = (b); report_(a_ && strcmp(a_, b_) == 0, __LINE__, #a " is " #b, "\"%s\"", a_ ? a_ : "(null)"); })

// An address that no program may touch, for EFAULT.
#define BAD ((void *)8)

static unused_ long long now_ns_(int clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

// Makes a file with this content.
static unused_ int put_(const char *path, const char *content)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
    size_t n = strlen(content);
    if (fd < 0 || write(fd, content, n) != (ssize_t)n) return -1;
    return close(fd);
}

static int remove_(const char *path, const struct stat *s, int type, struct FTW *where)
{
    return remove(path);
}

// A folder of its own below $TAP_FOLDER, if the checks are to be made in another file system.
static char tap_folder_[4096];

static void enter_folder_(const char *above)
{
    mkdir(above, 0777);
    snprintf(tap_folder_, sizeof tap_folder_, "%s/%d", above, getpid());
    if (mkdir(tap_folder_, 0777) || chdir(tap_folder_)) exit(99);
}

int main(int argc, char **argv)
{
    umask(022);
    if (getenv("TAP_FOLDER")) enter_folder_(getenv("TAP_FOLDER"));
    syscall(SYS_close_range, 3, ~0u, 0); // what a careless parent left open
    int ran = 0;
    for (int g = 0; g < group_count_; g++) {
        int wanted = argc < 2;
        for (int i = 1; i < argc; i++) wanted |= strcmp(argv[i], groups_[g].name) == 0;
        if (!wanted) continue;
        printf("# %s\n", groups_[g].name);
        fflush(stdout);
        groups_[g].run();
        ran++;
    }
    printf("1..%d\n", check_);
    if (tap_folder_[0]) nftw(tap_folder_, remove_, 8, FTW_DEPTH | FTW_PHYS);
    return failed_ || !ran;
}
