// What /proc says about the process and the machine.
#include "tap.h"
#include <dirent.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>

static char text_[1 << 20];
static int read_(const char *path)
{
    int fd = open(path, O_RDONLY), n, all = 0;
    if (fd < 0) return -1;
    while ((n = read(fd, text_ + all, sizeof text_ - 1 - all)) > 0) all += n;
    close(fd);
    text_[all] = 0;
    return n < 0 ? -1 : all;
}
static long field_(const char *name)
{
    char *p = strstr(text_, name);
    return p ? strtol(p + strlen(name), NULL, 10) : -1;
}

GROUP(links)
{
    char a[PATH_MAX] = "", b[PATH_MAX] = "", want[PATH_MAX];
    OK(readlink("/proc/self/exe", a, sizeof a - 1) > 0);
    EQ(access(a, X_OK), 0);
    sprintf(want, "/proc/%d/exe", getpid());
    OK(readlink(want, b, sizeof b - 1) > 0);
    EQ(strcmp(a, b), 0);
    memset(a, 0, sizeof a);
    EQ(readlink("/proc/self", a, sizeof a - 1) > 0, 1);
    EQ(atoi(a) == getpid(), 1);
    memset(a, 0, sizeof a);
    OK(readlink("/proc/self/root", a, sizeof a - 1) == 1 && a[0] == '/');
    int fd = open("file", O_RDWR | O_CREAT, 0600);
    sprintf(want, "/proc/self/fd/%d", fd);
    memset(a, 0, sizeof a);
    OK(readlink(want, a, sizeof a - 1) > 0);
    TEXT(strrchr(a, '/'), "/file");
    FAILS(readlink("/proc/self/fd/999", a, sizeof a), ENOENT);
    FAILS(open("/proc/999999999/maps", O_RDONLY), ENOENT);
    FAILS(open("/proc/self/nothing", O_RDONLY), ENOENT);
}

GROUP(command_line)
{
    OK(read_("/proc/self/cmdline") > 0);
    NAMED("the second argument is there", strcmp(text_ + strlen(text_) + 1, "command_line") == 0);
    OK(read_("/proc/self/comm") > 0);
    NAMED("name ends with a line feed", strlen(text_) <= 16 && text_[strlen(text_) - 1] == '\n');
    OK(read_("/proc/self/environ") >= 0);
    OK(memmem(text_, 4096, "PATH=", 5) != NULL);
}

static void *thread_(void *unused) { pause(); return unused; }

static void *named(void *name)
{
    prctl(PR_GET_NAME, name);
    prctl(PR_SET_NAME, "its own");
    return 0;
}

// A thread has the name of its creator until it is given another one; the program that of its path.
GROUP(names)
{
    pthread_t thread;
    char name[16] = "";
    EQ(prctl(PR_GET_NAME, name), 0);
    EQ(strncmp(name, program_invocation_short_name, 15), 0);
    prctl(PR_SET_NAME, "a name that is too long");
    EQ(pthread_create(&thread, 0, named, name), 0);
    EQ(pthread_join(thread, 0), 0);
    TEXT(name, "a name that is ");
    EQ(prctl(PR_GET_NAME, name), 0);
    TEXT(name, "a name that is ");
    OK(read_("/proc/self/comm") > 0);
    TEXT(text_, "a name that is \n");
}

static uint64_t bits_(const char *name)
{
    char *p = strstr(text_, name);
    return p ? strtoull(p + strlen(name), NULL, 16) : -1;
}

// Fields 31 to 34 of /proc/self/stat: one of four.
static unsigned long stat_(int field)
{
    OK(read_("/proc/self/stat") > 0);
    char *p = strrchr(text_, ')');
    for (int i = 2; p && i < field; i++) p = strchr(p + 1, ' ');
    return p ? strtoul(p, NULL, 10) : -1;
}

static void abort_(int signal)
{
    (void)signal;
    abort();
}

GROUP(signals)
{
    uint64_t usr1 = 1 << (SIGUSR1 - 1), usr2 = 1 << (SIGUSR2 - 1), hup = 1 << (SIGHUP - 1), rt = 1ull << (SIGRTMAX - 1);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    EQ(sigprocmask(SIG_SETMASK, &set, 0), 0);
    signal(SIGHUP, SIG_IGN);
    signal(SIGRTMAX, abort_);
    pthread_kill(pthread_self(), SIGUSR1);
    kill(getpid(), SIGUSR2);
    OK(read_("/proc/self/status") > 0);
    EQ(bits_("SigBlk:"), usr1 | usr2);
    EQ(bits_("SigPnd:"), usr1);
    EQ(bits_("ShdPnd:"), usr2);
    EQ(bits_("SigIgn:") & (hup | rt), hup);
    EQ(bits_("SigCgt:") & (hup | rt), rt);
    EQ(stat_(31), usr1);
    EQ(stat_(32), usr1 | usr2);
    EQ(stat_(33) & hup, hup);
    EQ(stat_(34) & hup, 0);
}

GROUP(status)
{
    pthread_t t;
    OK(read_("/proc/self/status") > 0);
    EQ(field_("\nPid:\t") == getpid(), 1);
    EQ(field_("\nTgid:\t") == getpid(), 1);
    EQ(field_("\nPPid:\t") == getppid(), 1);
    EQ(field_("\nUid:\t") == (long)getuid(), 1);
    EQ(field_("\nThreads:\t"), 1);
    OK(field_("\nVmRSS:\t") > 0);
    OK(field_("\nVmSize:\t") > 0);
    EQ(field_("\nTracerPid:\t"), 0);
    pthread_create(&t, NULL, thread_, NULL);
    OK(read_("/proc/self/status") > 0);
    EQ(field_("\nThreads:\t"), 2);
    OK(read_("/proc/self/stat") > 0);
    EQ(atoi(text_) == getpid(), 1);
    OK(strchr(text_, ')') != NULL);
    int fields = 0;
    for (char *p = strrchr(text_, ')'); *p; p++) fields += *p == ' ';
    EQ(fields, 50);
    OK(read_("/proc/self/statm") > 0);
    OK(atoi(text_) > 0);
    DIR *d = opendir("/proc/self/task");
    int tasks = 0;
    for (struct dirent *e; d && (e = readdir(d));) tasks += e->d_name[0] != '.';
    EQ(tasks, 2);
}

GROUP(maps)
{
    char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(p, 4096, PROT_READ);
    OK(read_("/proc/self/maps") > 0);
    int stack = 0, mine = 0, ordered = 1, code = 0;
    unsigned long last = 0;
    for (char *line = strtok(text_, "\n"); line; line = strtok(NULL, "\n")) {
        unsigned long from, to;
        char perms[5];
        if (sscanf(line, "%lx-%lx %4s", &from, &to, perms) != 3) {
            ordered = 0;
            break;
        }
        if (strstr(line, "[vsyscall]")) continue;
        ordered &= from >= last && to > from;
        last = to;
        stack |= strstr(line, "[stack]") && (unsigned long)&last >= from && (unsigned long)&last < to;
        mine |= from == (unsigned long)p && to == from + 4096 && strcmp(perms, "r--p") == 0;
        code |= (unsigned long)thread_ >= from && (unsigned long)thread_ < to && perms[2] == 'x' && strchr(line, '/');
    }
    EQ(ordered, 1);
    EQ(stack, 1);
    EQ(mine, 1);
    EQ(code, 1);
    OK(read_("/proc/self/smaps") > 0);
    OK(strstr(text_, "Rss:") != NULL);
}

GROUP(machine)
{
    OK(read_("/proc/cpuinfo") > 0);
    OK(strstr(text_, "processor\t: 0") != NULL);
    OK(read_("/proc/meminfo") > 0);
    OK(field_("MemTotal:") > 10000);
    OK(field_("\nMemAvailable:") > 0);
    OK(read_("/proc/stat") > 0);
    OK(strncmp(text_, "cpu ", 4) == 0);
    OK(read_("/proc/uptime") > 0);
    OK(read_("/proc/loadavg") > 0);
    OK(read_("/proc/version") > 0);
    OK(strncmp(text_, "Linux version ", 14) == 0);
    OK(read_("/proc/filesystems") > 0);
    OK(read_("/proc/self/mounts") > 0);
    OK(read_("/proc/self/mountinfo") > 0);
    OK(read_("/proc/self/limits") > 0);
    OK(strstr(text_, "Max open files") != NULL);
    OK(read_("/proc/self/cgroup") >= 0);
    OK(read_("/proc/self/auxv") > 0);
    OK(read_("/proc/self/oom_score_adj") > 0);
    OK(read_("/proc/sys/kernel/ostype") > 0);
    TEXT(text_, "Linux\n");
    OK(read_("/proc/sys/vm/overcommit_memory") > 0);
    OK(read_("/proc/sys/kernel/random/boot_id") == 37);
    OK(read_("/proc/sys/net/core/somaxconn") > 0);
    OK(read_("/sys/devices/system/cpu/online") > 0);
    OK(sysconf(_SC_NPROCESSORS_ONLN) >= 1);
    OK(sysconf(_SC_PHYS_PAGES) > 1000);
}

GROUP(descriptors)
{
    int fd = open("/dev/null", O_RDONLY), seen = 0;
    DIR *d = opendir("/proc/self/fd");
    for (struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] == '.') continue;
        int n = atoi(e->d_name);
        seen += n == fd || n == 0 || n == 1 || n == 2;
    }
    EQ(seen, 4);
    char path[64];
    sprintf(path, "/proc/self/fdinfo/%d", fd);
    OK(read_(path) > 0);
    EQ(field_("pos:\t"), 0);
    int f = open("/proc/self/maps", O_RDONLY);
    char b[10];
    EQ(read(f, b, 5), 5);
    EQ(lseek(f, 0, SEEK_SET), 0);
    EQ(read(f, b + 5, 5), 5);
    SAME(b, b + 5, 5);
    FAILS(write(f, "x", 1), EBADF);
}
