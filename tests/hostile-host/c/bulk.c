// Moves much data at offsets of a file, and looks at what no answer may change: memory beside the
// buffer and beyond the count.
//
// Errors, short counts and the file's data are the host's to give. The last line says "intact",
// "other data" if something else was read than written, or what was corrupted.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LENGTH (300 * 1024 + 123)
#define FILL 0x5a

static struct {
    unsigned char before[4096 + 16];
    unsigned char data[LENGTH];
    unsigned char after[4096];
} guarded;

static unsigned char out[LENGTH];
static int other;

static void fail(int line, const char *what) {
    printf("corrupt: %s at line %d\n", what, line);
    fflush(stdout);
    _exit(3);
}
#define HOLDS(condition) ((condition) ? (void)0 : fail(__LINE__, #condition))

static void filled(const unsigned char *bytes, size_t len, int line) {
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != FILL) fail(line, "memory that nobody may touch");
}

static void reads(int file, size_t len) {
    memset(&guarded, FILL, sizeof guarded);
    long count = pread(file, guarded.data, len, 8192);
    printf("read %ld of %zu\n", count, len);
    HOLDS(count <= (long)len);
    size_t moved = count < 0 ? 0 : count;
    filled(guarded.before, sizeof guarded.before, __LINE__);
    filled(guarded.data + moved, sizeof guarded - sizeof guarded.before - moved, __LINE__);
    other |= memcmp(guarded.data, out, moved) != 0;
}

static void writes(int file, size_t len) {
    long count = pwrite(file, out, len, 8192);
    printf("wrote %ld of %zu\n", count, len);
    HOLDS(count <= (long)len);
}

int main(void) {
    char name[] = "bulk-XXXXXX";
    int file = mkstemp(name);
    for (size_t i = 0; i < LENGTH; i++) out[i] = i * 7 + i / 4096;
    HOLDS(file >= 0 && pwrite(file, out, LENGTH, 8192) == LENGTH);
    // From here on the host may lie.
    access("/hostile", F_OK);
    for (int i = 0; i < 3; i++) {
        writes(file, LENGTH);
        reads(file, LENGTH);
        writes(file, 64 << 10);
        reads(file, 64 << 10);
    }
    close(file);
    unlink(name);
    printf(other ? "other data\n" : "intact\n");
    return fflush(stdout) == 0 ? 0 : 4;
}
