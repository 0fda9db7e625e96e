// What a program finds when it starts: stack, auxiliary vector, vDSO, libraries, code that appears later.
#include "tap.h"
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <math.h>
#include <sys/auxv.h>
#include <sys/mman.h>

extern char **environ;

GROUP(auxiliary_vector)
{
    EQ(getauxval(AT_PAGESZ), 4096);
    EQ(getauxval(AT_CLKTCK), 100);
    EQ(getauxval(AT_PHENT), sizeof(Elf64_Phdr));
    OK(getauxval(AT_PHNUM) >= 3);
    OK(getauxval(AT_ENTRY) != 0);
    EQ(getauxval(AT_UID) == getuid(), 1);
    EQ(getauxval(AT_SECURE), 0);
    OK(getauxval(AT_HWCAP) != 0);
    OK(getauxval(AT_PLATFORM) && strcmp((char *)getauxval(AT_PLATFORM), "x86_64") == 0);
    OK(getauxval(AT_EXECFN) && access((char *)getauxval(AT_EXECFN), X_OK) == 0);
    unsigned char *random = (unsigned char *)getauxval(AT_RANDOM), any = 0;
    for (int i = 0; random && i < 16; i++) any |= random[i];
    OK(any != 0);
    Elf64_Phdr *p = (void *)getauxval(AT_PHDR);
    int loads = 0, inside = 0;
    unsigned long bias = 0;
    for (unsigned i = 0; i < getauxval(AT_PHNUM); i++) if (p[i].p_type == PT_PHDR) bias = (unsigned long)p - p[i].p_vaddr;
    for (unsigned i = 0; i < getauxval(AT_PHNUM); i++) {
        loads += p[i].p_type == PT_LOAD;
        unsigned long at = getauxval(AT_ENTRY) - bias - p[i].p_vaddr;
        inside |= p[i].p_type == PT_LOAD && at < p[i].p_memsz && (p[i].p_flags & PF_X);
    }
    OK(loads >= 2);
    NAMED("the entry is in an executable segment", inside);
}

GROUP(stack)
{
    char **e = environ;
    while (*e) e++;
    unsigned long *aux = (unsigned long *)(e + 1), entries = 0;
    while (aux[0] && entries < 60) aux += 2, entries++;
    OK(entries >= 12 && entries < 60);
    TEXT(environ[0] ? strchr(environ[0], '=') ? "name=value" : environ[0] : "none", "name=value");
    char *execfn = (char *)getauxval(AT_EXECFN);
    NAMED("strings lie above the vector", (unsigned long)execfn > (unsigned long)aux && (unsigned long)environ[0] > (unsigned long)aux);
    unsigned long sp;
    __asm__("mov %%rsp, %0" : "=r"(sp));
    NAMED("the stack is below them, within 8 MB", sp < (unsigned long)environ && (unsigned long)environ - sp < 8 << 20);
}

GROUP(vdso)
{
    Elf64_Ehdr *h = (void *)getauxval(AT_SYSINFO_EHDR);
    OK(h != NULL && memcmp(h->e_ident, ELFMAG, 4) == 0);
    if (!h) return;
    Elf64_Phdr *p = (void *)((char *)h + h->e_phoff);
    Elf64_Dyn *d = NULL;
    char *base = NULL;
    for (int i = 0; i < h->e_phnum; i++) {
        if (p[i].p_type == PT_LOAD && !base) base = (char *)h + p[i].p_offset - p[i].p_vaddr;
        if (p[i].p_type == PT_DYNAMIC) d = (void *)((char *)h + p[i].p_offset);
    }
    OK(base && d);
    char *strings = NULL;
    Elf64_Sym *symbols = NULL;
    for (; d && d->d_tag; d++) {
        if (d->d_tag == DT_STRTAB) strings = base + d->d_un.d_ptr;
        if (d->d_tag == DT_SYMTAB) symbols = (void *)(base + d->d_un.d_ptr);
    }
    OK(strings && symbols);
    int found = 0;
    long (*now)(int, struct timespec *) = NULL;
    for (int i = 1; strings && (char *)(symbols + i) < strings && i < 60; i++) {
        char *name = strings + symbols[i].st_name;
        found += !strcmp(name, "__vdso_gettimeofday") + !strcmp(name, "__vdso_time") + !strcmp(name, "__vdso_getcpu");
        if (!strcmp(name, "__vdso_clock_gettime")) now = (void *)(base + symbols[i].st_value);
    }
    EQ(found, 3);
    struct timespec t = {0};
    OK(now != NULL);
    EQ(now ? now(CLOCK_REALTIME, &t) : -1, 0);
    NAMED("it tells the time", llabs(t.tv_sec - time(NULL)) <= 1);
}

static int objects_;
static int count_(struct dl_phdr_info *i, size_t n, void *unused)
{
    (void)n;
    (void)unused;
    objects_ += i->dlpi_phnum > 0;
    return 0;
}

GROUP(objects)
{
    dl_iterate_phdr(count_, NULL);
    OK(objects_ >= 1);
#ifdef __GLIBC__
    OK(objects_ >= 3);
    void *m = dlopen("libm.so.6", RTLD_NOW);
    OK(m != NULL);
    double (*cosine)(double) = m ? (double (*)(double))dlsym(m, "cos") : NULL;
    OK(cosine && cosine(0) == 1);
    void *z = dlopen("libstdc++.so.6", RTLD_NOW | RTLD_LOCAL);
    OK(z != NULL);
    OK(z && dlsym(z, "_Znwm") != NULL);
    EQ(z ? dlclose(z) : -1, 0);
    OK(dlopen("libnothing.so", RTLD_NOW) == NULL);
    Dl_info info;
    OK(dladdr((void *)count_, &info) != 0);
    OK(dlsym(RTLD_DEFAULT, "malloc") != NULL);
#endif
}

// A function copied elsewhere, with the system call in awkward places.
static long run_(const unsigned char *bytes, int n, int at)
{
    unsigned char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(page, 0xcc, 8192);
    memcpy(page + at, bytes, n);
    if (mprotect(page, 8192, PROT_READ | PROT_EXEC)) return -1;
    long r = ((long (*)(void))(page + at))();
    munmap(page, 8192);
    return r;
}

GROUP(system_calls_in_awkward_places)
{
    long pid = getpid();
    static const unsigned char plain[] = "\xb8\x27\0\0\0\x0f\x05\xc3", // mov $39, %eax; syscall; ret
        tight[] = "\x6a\x27\x58\x0f\x05\xc3", // push $39; pop %rax; syscall; ret
        loop[] = "\x31\xc9\x51\xb8\x27\0\0\0\x0f\x05\x59\xff\xc1\x83\xf9\x0a\x7c\xf0\xc3", // ten times round
        relative[] = "\x8b\x05\x03\0\0\0\x0f\x05\xc3\x27\0\0\0", // mov 3(%rip), %eax; syscall; ret
        skipped[] = "\xb8\x27\0\0\0\xeb\x02\x90\x90\x0f\x05\xc3", // a jump lands on it
        after[] = "\x31\xd2\xb8\x27\0\0\0\x0f\x05\x83\xfa\x01\x74\x04\xff\xc2\xeb\xf0\xc3", // and a jump back before it
        twice[] = "\xb8\x27\0\0\0\x0f\x05\x6a\x27\x58\x0f\x05\xc3"; // two, close together
    EQ(run_(plain, 8, 0) == pid, 1);
    EQ(run_(plain, 8, 4096 - 8) == pid, 1);
    EQ(run_(plain, 8, 4096 - 6) == pid, 1);
    EQ(run_(plain, 8, 8192 - 8) == pid, 1);
    EQ(run_(tight, 6, 100) == pid, 1);
    EQ(run_(loop, 19, 7) == pid, 1);
    EQ(run_(relative, 13, 33) == pid, 1);
    EQ(run_(skipped, 12, 200) == pid, 1);
    EQ(run_(after, 19, 200) == pid, 1);
    EQ(run_(twice, 13, 300) == pid, 1);
    // The bytes 0f 05 inside another instruction are data: mov $0x050f, %eax; ret.
    EQ(run_((const unsigned char *)"\xb8\x0f\x05\0\0\xc3", 6, 64), 0x050f);
}

static __thread int initialised_ = 42;
static __thread char zeroed_[5000];
__attribute__((constructor)) static void constructor_(void) { initialised_++; }
static double ifunc_like_(double x) { return sqrt(x) + floor(x) + fma(x, 2, 1); }

GROUP(program)
{
    EQ(initialised_, 43);
    int any = 0;
    for (int i = 0; i < 5000; i++) any |= zeroed_[i];
    EQ(any, 0);
    EQ(ifunc_like_(16), 53);
    char *copy = malloc(100000);
    memset(copy, 'x', 99999);
    copy[99999] = 0;
    EQ(strlen(copy), 99999);
    EQ(strchr(copy, 'y') == NULL, 1);
    EQ(memchr(copy, 0, 100000) == copy + 99999, 1);
}

GROUP(processor)
{
    unsigned a = 0, b, c, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d) : "2"(0));
    OK(a >= 1);
    a = 1;
    c = 0;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    NAMED("SSE2 is there", d >> 26 & 1);
    unsigned long low, high, first, second;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    first = low | high << 32;
    usleep(1000);
    __asm__ volatile("rdtscp" : "=a"(low), "=d"(high) : : "rcx");
    second = low | high << 32;
    OK(second > first);
    if (c >> 27 & 1) {
        __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
        NAMED("x87 and SSE state are on", (a & 3) == 3);
    }
    unsigned short cw;
    unsigned mxcsr;
    __asm__ volatile("fnstcw %0" : "=m"(cw));
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    EQ(cw, 0x37f);
    EQ(mxcsr & 0xffc0, 0x1f80);
}
