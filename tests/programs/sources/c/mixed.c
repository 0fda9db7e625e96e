// Streams, memory, threads, time, locale, math, constructors and TLS, on any libc.
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <time.h>
#include <unistd.h>

static __thread int own = 5;
static __thread char zeroed[4000];
static int constructed;
__attribute__((constructor)) static void before(void) { constructed = 41; }
__attribute__((destructor)) static void after(void) { fputs("destructor\n", stderr); }
static void at_exit(void) { puts("atexit"); }

static void *thread(void *arg)
{
    own += (int)(long)arg;
    memset(zeroed, own, sizeof zeroed);
    errno = own;
    usleep(1000);
    return (void *)(long)(own + zeroed[17] + (errno == own));
}

static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

int main(int argc, char **argv)
{
    (void)argc;
    atexit(at_exit);
    setlocale(LC_ALL, "C");
    printf("%d %d %s %s\n", constructed, own, getenv("SOME_VALUE"), argv[2]);
    printf("auxv %d %d %d %d\n", getauxval(AT_PAGESZ) == 4096, getauxval(AT_PHDR) != 0,
           getauxval(AT_ENTRY) != 0, getauxval(AT_RANDOM) != 0);
    printf("execfn same: %d\n", strcmp((char *)getauxval(AT_EXECFN), argv[0]) == 0);

    char line[200];
    long rows = 0, sum = 0;
    while (fgets(line, sizeof line, stdin))
        rows++, sum += strlen(line);
    printf("rows %ld %ld\n", rows, sum);

    pthread_t t[20];
    long total = 0;
    for (long i = 0; i < 20; i++)
        pthread_create(&t[i], NULL, thread, (void *)i);
    for (int i = 0; i < 20; i++) {
        void *r;
        pthread_join(t[i], &r);
        total += (long)r;
    }
    printf("threads %ld own %d\n", total, own);

    int *v = malloc(100000 * sizeof *v);
    for (int i = 0; i < 100000; i++)
        v[i] = (i * 7919) % 100003;
    qsort(v, 100000, sizeof *v, compare);
    printf("sorted %d %d %d\n", v[0], v[50000], v[99999]);
    v = realloc(v, 50 << 20);
    v[(50 << 18) - 1] = 3;
    free(v);
    for (int i = 0; i < 2000; i++) {
        char *p = malloc(i * 37 + 1);
        memset(p, i, i * 37 + 1);
        free(p);
    }
    double x = 0;
    for (int i = 1; i < 100000; i++)
        x += sin(i) / sqrt(i) + pow(i, -0.5);
    printf("math %.9f\n", x);

    jmp_buf env;
    volatile int jumps = 0;
    if (setjmp(env) < 5) {
        jumps++;
        longjmp(env, jumps);
    }
    printf("jumps %d\n", jumps);
    time_t zero = 0;
    struct tm tm;
    strftime(line, sizeof line, "%F %T", gmtime_r(&zero, &tm));
    puts(line);
    FILE *f = fopen("out.txt", "w+");
    for (int i = 0; i < 5000; i++)
        fprintf(f, "%d\n", i);
    fflush(f);
    rewind(f);
    int last = 0;
    while (fscanf(f, "%d", &last) == 1)
        ;
    fclose(f);
    printf("last %d; fopen of nothing: %s\n", last, fopen("/nonexistent", "r") ? "?" : strerror(errno));
    return 0;
}
