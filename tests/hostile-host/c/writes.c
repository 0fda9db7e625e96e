// Writes numbered bytes to files, little after little, and looks whether each is there, unless it was told of an
// error: by the next write, by fsync(2) or by close(2). The last line says "intact", or "other data".
#include "intact.h"

#include <fcntl.h>
#include <string.h>

enum { FILES = 6, RUNS = 4, WRITES = 40, LEN = 24 };

static const char *const names[FILES] = {"a", "b", "c", "d", "e", "f"};

// Whether the file is as it is to be, or the program was told that it is not.
static int write_file(int which) {
    unsigned char piece[LEN];
    long at = 0;
    int told = 0, fd = open(names[which], O_RDWR | O_CREAT | O_TRUNC, 0600);
    for (int run = 0; run < RUNS; run++) {
        for (int i = 0; i < WRITES; i++) {
            for (int j = 0; j < LEN; j++) piece[j] = byte(at + j);
            long count = which % 2 ? pwrite(fd, piece, LEN, at) : write(fd, piece, LEN);
            told |= count != LEN;
            at += LEN;
        }
        access("/hostile", F_OK);
        if (which / 2 == 0) told |= pwrite(fd, piece, LEN, at - LEN) != LEN;
        else if (which / 2 == 1) told |= fsync(fd) != 0;
    }
    told |= close(fd) != 0;
    static unsigned char all[RUNS * WRITES * LEN + 1];
    fd = open(names[which], O_RDONLY);
    int good = read(fd, all, sizeof all) == at;
    for (long i = 0; i < at; i++) good &= all[i] == byte(i);
    close(fd);
    return good || told;
}

int main(void) {
    int good = 1;
    for (int i = 0; i < FILES; i++) good &= write_file(i);
    printf(good ? "intact\n" : "other data\n");
    return 0;
}
