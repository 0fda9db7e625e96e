// Clocks and sleeping.
#include "tap.h"
#include <pthread.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/timex.h>
#include <sys/resource.h>

GROUP(clocks)
{
    struct timespec t, u;
    int clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW,
                    CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME, CLOCK_TAI};
    for (int i = 0; i < 9; i++) {
        EQ(clock_gettime(clocks[i], &t), 0);
        EQ(syscall(SYS_clock_gettime, clocks[i], &u), 0);
        NAMED("nanoseconds in range", t.tv_nsec >= 0 && t.tv_nsec < 1000000000 && u.tv_nsec >= 0 && u.tv_nsec < 1000000000);
        NAMED("not backwards", u.tv_sec > t.tv_sec || (u.tv_sec == t.tv_sec && u.tv_nsec >= t.tv_nsec) || clocks[i] == CLOCK_REALTIME);
        EQ(clock_getres(clocks[i], &t), 0);
        NAMED("resolution in range", t.tv_sec == 0 && t.tv_nsec >= 1 && t.tv_nsec <= 10000000);
    }
    FAILS(syscall(SYS_clock_gettime, 999, &t), EINVAL);
    FAILS(syscall(SYS_clock_gettime, CLOCK_REALTIME, BAD), EFAULT);
    FAILS(syscall(SYS_clock_getres, 999, &t), EINVAL);
    long long last = 0, now, wrong = 0;
    for (int i = 0; i < 100000; i++) {
        now = now_ns_(CLOCK_MONOTONIC);
        wrong += now < last;
        last = now;
    }
    EQ(wrong, 0);
    struct timeval tv;
    time_t a = time(NULL), b;
    EQ(gettimeofday(&tv, NULL), 0);
    EQ(syscall(SYS_gettimeofday, &tv, NULL), 0);
    b = syscall(SYS_time, NULL);
    NAMED("all agree", llabs(tv.tv_sec - a) <= 1 && llabs(b - a) <= 1 && llabs(now_ns_(CLOCK_REALTIME) / 1000000000 - a) <= 1);
    long long real = now_ns_(CLOCK_REALTIME) - now_ns_(CLOCK_MONOTONIC);
    usleep(50000);
    NAMED("clocks run at the same speed", llabs(now_ns_(CLOCK_REALTIME) - now_ns_(CLOCK_MONOTONIC) - real) < 20000000);
}

// In nanoseconds, by the system call.
static long long called_(int clock)
{
    struct timespec t;
    return syscall(SYS_clock_gettime, clock, &t) ? -1 : t.tv_sec * 1000000000LL + t.tv_nsec;
}

static long long shown_;
// How often the clock was behind what another thread had read before.
static void *reader_(void *kind)
{
    long back = 0;
    for (int i = 0; i < 200000; i++) {
        long long before = __atomic_load_n(&shown_, __ATOMIC_ACQUIRE);
        long long now = kind && i % 8 == 0 ? called_(CLOCK_MONOTONIC) : now_ns_(CLOCK_MONOTONIC);
        back += now < before;
        while (now > before && !__atomic_compare_exchange_n(&shown_, &before, now, 0, __ATOMIC_RELEASE, __ATOMIC_ACQUIRE)) {}
    }
    return (void *)back;
}

// Functions of the vDSO and system calls tell the same time.
GROUP(clocks_agree)
{
    int same[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW}, out = 0;
    for (int i = 0; i < 3; i++) {
        for (int n = 0; n < 20000; n++) {
            long long a = now_ns_(same[i]), b = called_(same[i]), c = now_ns_(same[i]);
            out += a > b || b > c;
        }
    }
    EQ(out, 0);
    out = 0;
    for (int n = 0; n < 200000; n++) {
        struct timeval tv;
        long long a = now_ns_(CLOCK_REALTIME) / 1000;
        out += gettimeofday(&tv, NULL) != 0;
        long long b = tv.tv_sec * 1000000LL + tv.tv_usec;
        out += tv.tv_usec < 0 || tv.tv_usec > 999999 || a > b || b > now_ns_(CLOCK_REALTIME) / 1000;
    }
    EQ(out, 0);
    // For longer than the clock goes by one reading of the host's.
    long long end = now_ns_(CLOCK_MONOTONIC) + 600000000, last = 0;
    for (long long now; (now = now_ns_(CLOCK_MONOTONIC)) < end; last = now) out += now < last;
    EQ(out, 0);
    struct timezone tz = {7, 7};
    struct timeval tv = {0, 0};
    EQ(gettimeofday(&tv, &tz), 0);
    NAMED("the time is set with a zone", tv.tv_sec > 1000000000);
#ifdef __GLIBC__
    NAMED("the zone is set too", tz.tz_minuteswest != 7 && tz.tz_dsttime != 7);
#endif
    EQ(gettimeofday(NULL, &tz), 0);
    EQ(gettimeofday(NULL, NULL), 0);
    FAILS(clock_gettime(999, &(struct timespec){0}), EINVAL);
    pthread_t t[4];
    long back = 0;
    for (long i = 0; i < 4; i++) EQ(pthread_create(&t[i], NULL, reader_, (void *)(i % 2)), 0);
    for (int i = 0; i < 4; i++) {
        void *result;
        EQ(pthread_join(t[i], &result), 0);
        back += (long)result;
    }
    EQ(back, 0);
}

GROUP(sleeping)
{
    struct timespec t = {0, 20000000}, bad = {0, 1000000000}, negative = {-1, 0};
    long long before = now_ns_(CLOCK_MONOTONIC);
    EQ(nanosleep(&t, NULL), 0);
    long long took = now_ns_(CLOCK_MONOTONIC) - before;
    NAMED("20 ms, and not a second", took >= 20000000 && took < 1000000000);
    before = now_ns_(CLOCK_MONOTONIC);
    EQ(clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL), 0);
    NAMED("20 ms again", now_ns_(CLOCK_MONOTONIC) - before >= 20000000);
    clock_gettime(CLOCK_MONOTONIC, &t);
    before = now_ns_(CLOCK_MONOTONIC);
    t.tv_sec += (t.tv_nsec += 20000000) >= 1000000000;
    t.tv_nsec %= 1000000000;
    EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL), 0);
    NAMED("until the time given", now_ns_(CLOCK_MONOTONIC) >= t.tv_sec * 1000000000LL + t.tv_nsec);
    t = (struct timespec){1, 0};
    EQ(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &t, NULL), 0);
    FAILS(nanosleep(&bad, NULL), EINVAL);
    FAILS(nanosleep(&negative, NULL), EINVAL);
    FAILS(syscall(SYS_nanosleep, BAD, NULL), EFAULT);
    EQ(clock_nanosleep(999, 0, &t, NULL), EINVAL);
    t = (struct timespec){0, 0};
    EQ(nanosleep(&t, NULL), 0);
}

GROUP(usage)
{
    struct rusage r, s;
    struct tms m;
    EQ(getrusage(RUSAGE_SELF, &r), 0);
    volatile double x = 1;
    for (int i = 0; i < 50000000; i++) x *= 1.0000001;
    EQ(getrusage(RUSAGE_SELF, &s), 0);
    NAMED("computing takes time", s.ru_utime.tv_sec * 1000000 + s.ru_utime.tv_usec > r.ru_utime.tv_sec * 1000000 + r.ru_utime.tv_usec + 5000);
    NAMED("memory is used", s.ru_maxrss > 500);
    EQ(getrusage(RUSAGE_THREAD, &r), 0);
    EQ(getrusage(RUSAGE_CHILDREN, &r), 0);
    EQ(r.ru_utime.tv_sec, 0);
    FAILS(getrusage(99, &r), EINVAL);
    FAILS(syscall(SYS_getrusage, RUSAGE_SELF, BAD), EFAULT);
    OK(times(&m) > 0);
    OK(m.tms_utime > 0);
    NAMED("process time", now_ns_(CLOCK_PROCESS_CPUTIME_ID) > 5000000);
    NAMED("thread time", now_ns_(CLOCK_THREAD_CPUTIME_ID) > 5000000);
    OK(clock() > 0);
}
