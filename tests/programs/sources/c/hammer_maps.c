// Threads that map, fill, protect, move, shrink and unmap memory at once; each checks its bytes.
#include "hammer.h"
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096, THREADS = 12, FILE_PAGES = 64 };
static int file;

static unsigned next(unsigned *s) { return *s = *s * 1103515245u + 12345u, *s >> 8; }

static void *work(void *arg)
{
    unsigned seed = 77 + (unsigned)(long)arg;
    struct area { unsigned char *p; size_t n; unsigned char tag; int split; } areas[24] = {{0}};
    for (int i = 0; i < 1500; i++) {
        struct area *a = &areas[next(&seed) % 24];
        if (!a->p) {
            a->n = 1 + next(&seed) % 60;
            a->tag = next(&seed);
            a->split = 0;
            int flags = MAP_PRIVATE | MAP_ANONYMOUS;
            a->p = mmap(NULL, a->n * PAGE, PROT_READ | PROT_WRITE, flags, -1, 0);
            CHECK(a->p != MAP_FAILED);
            CHECK(a->p[0] == 0 && a->p[a->n * PAGE - 1] == 0);
            memset(a->p, a->tag, a->n * PAGE);
            continue;
        }
        size_t at = next(&seed) % a->n;
        CHECK(a->p[at * PAGE + next(&seed) % PAGE] == a->tag);
        switch (next(&seed) % 6) {
        case 0:
            CHECK(munmap(a->p, a->n * PAGE) == 0);
            a->p = NULL;
            break;
        case 1: {
            if (a->split) break; // Linux moves one mapping at a time
            size_t n = 1 + next(&seed) % 90;
            unsigned char *p = mremap(a->p, a->n * PAGE, n * PAGE, MREMAP_MAYMOVE);
            CHECK(p != MAP_FAILED);
            if (n > a->n) {
                CHECK(p[a->n * PAGE] == 0 && p[n * PAGE - 1] == 0);
                memset(p + a->n * PAGE, a->tag, (n - a->n) * PAGE);
            }
            a->p = p, a->n = n;
            break;
        }
        case 2:
            CHECK(mprotect(a->p + at * PAGE, PAGE, PROT_READ) == 0);
            CHECK(a->p[at * PAGE] == a->tag);
            CHECK(mprotect(a->p, a->n * PAGE, PROT_READ | PROT_WRITE) == 0);
            a->p[at * PAGE] = a->tag;
            break;
        case 3:
            CHECK(madvise(a->p + at * PAGE, PAGE, MADV_DONTNEED) == 0);
            CHECK(a->p[at * PAGE] == 0 && a->p[at * PAGE + PAGE - 1] == 0);
            memset(a->p + at * PAGE, a->tag, PAGE);
            break;
        case 4: {
            CHECK(mmap(a->p + at * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == a->p + at * PAGE);
            CHECK(a->p[at * PAGE + 9] == 0);
            memset(a->p + at * PAGE, a->tag, PAGE);
            a->split = 1;
            break;
        }
        case 5: {
            off_t page = next(&seed) % FILE_PAGES;
            unsigned char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, page * PAGE);
            CHECK(p != MAP_FAILED && p[0] == page && p[PAGE - 1] == page);
            p[0] = 255;
            CHECK(munmap(p, PAGE) == 0);
            break;
        }
        }
    }
    for (int i = 0; i < 24; i++)
        if (areas[i].p) {
            for (size_t k = 0; k < areas[i].n; k++)
                CHECK(areas[i].p[k * PAGE + k % PAGE] == areas[i].tag);
            CHECK(munmap(areas[i].p, areas[i].n * PAGE) == 0);
        }
    for (int i = 0; i < 500; i++) {
        size_t n = next(&seed) % 300000;
        unsigned char *p = malloc(n + 1);
        p[0] = p[n] = i;
        p = realloc(p, n * 2 + 1);
        CHECK(p[0] == (unsigned char)i && p[n] == (unsigned char)i);
        free(p);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    file = open("pages", O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(file >= 0);
    char page[PAGE];
    for (int i = 0; i < FILE_PAGES; i++) {
        memset(page, i, PAGE);
        CHECK(write(file, page, PAGE) == PAGE);
    }
    for (int r = rounds(argc, argv); r > 0; r--) {
        pthread_t t[THREADS];
        for (long i = 0; i < THREADS; i++) CHECK(pthread_create(&t[i], NULL, work, (void *)(i + r * 100)) == 0);
        for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
    }
    CHECK(pread(file, page, PAGE, 5 * PAGE) == PAGE && page[0] == 5);
    puts("ok");
    return 0;
}
