// A secret of 32 bytes that is nowhere in the program's file.
#include <stdint.h>
#include <string.h>

static void make(unsigned char *out) {
    volatile uint64_t state = 0x9e3779b97f4a7c15;
    for (int i = 0; i < 4; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        uint64_t word = state * 0x2545f4914f6cdd1d;
        memcpy(out + 8 * i, &word, 8);
    }
}
