// Shared by the hammers: a check that ends the program, and a count of rounds.
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(c)                                                                       \
    do {                                                                               \
        if (!(c)) {                                                                    \
            printf("%s:%d: not so: %s (errno %d)\n", __FILE__, __LINE__, #c, errno);   \
            fflush(stdout);                                                            \
            _exit(1);                                                                  \
        }                                                                              \
    } while (0)

static inline int rounds(int argc, char **argv) { return argc > 1 ? atoi(argv[1]) : 1; }
