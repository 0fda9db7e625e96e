// System V IPC, POSIX message queues, and calls about other processes, within one process.
#include "tap.h"
#include <mqueue.h>
#include <pthread.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/uio.h>
#include <poll.h>

// Keys of this run alone.
static key_t key(int n) { return 0x5c000000 + (getpid() & 0xffff) * 16 + n; }

union semun { int val; struct semid_ds *buf; unsigned short *array; };

GROUP(shared_memory)
{
    int id = GOOD(shmget(key(1), 10000, IPC_CREAT | IPC_EXCL | 0600)) ;
    FAILS(shmget(key(1), 10000, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
    FAILS(shmget(key(1), 20000, 0), EINVAL);
    FAILS(shmget(key(2), 10000, 0), ENOENT);
    FAILS(shmget(IPC_PRIVATE, 0, IPC_CREAT | 0600), EINVAL);
    EQ(shmget(key(1), 5000, 0) == id, 1);
    char *at = shmat(id, NULL, 0);
    OK(at != (void *)-1 && (uintptr_t)at % 4096 == 0);
    EQ(at[0] | at[9999], 0);
    strcpy(at + 5000, "shared");
    struct shmid_ds d;
    EQ(shmctl(id, IPC_STAT, &d), 0);
    EQ(d.shm_segsz, 10000);
    EQ(d.shm_nattch, 1);
    EQ(d.shm_cpid == getpid() && d.shm_lpid == getpid(), 1);
    EQ(d.shm_perm.mode & 0777, 0600);
    EQ(d.shm_perm.uid == geteuid(), 1);
    char *other = shmat(id, NULL, 0);
    OK(other != (void *)-1);
    TEXT(other + 5000, "shared");
    strcpy(other + 5000, "both");
    TEXT(at + 5000, "both");
    EQ(shmdt(at), 0);
    EQ(shmdt(other), 0);
    FAILS(shmdt(other), EINVAL);
    at = shmat(id, NULL, SHM_RDONLY);
    TEXT(at + 5000, "both");
    FAILS((long)shmat(id, (void *)123, 0), EINVAL);
    FAILS((long)shmat(99999999, NULL, 0), EINVAL);
    EQ(shmctl(id, IPC_RMID, NULL), 0);
    EQ(shmctl(id, IPC_STAT, &d), 0);
    EQ((d.shm_perm.mode & SHM_DEST) != 0, 1);
    TEXT(at + 5000, "both");
    EQ(shmdt(at), 0);
    FAILS(shmctl(id, IPC_STAT, &d), EINVAL);
}

static int set;
static void *raises(void *n)
{
    usleep(20000);
    struct sembuf up = {(long)n, 2, 0};
    semop(set, &up, 1);
    return NULL;
}
static void *removes(void *unused)
{
    usleep(20000);
    semctl(set, 0, IPC_RMID);
    return unused;
}

GROUP(semaphores)
{
    union semun arg;
    unsigned short values[3] = {1, 0, 5}, read_back[3];
    set = GOOD(semget(key(3), 3, IPC_CREAT | IPC_EXCL | 0600));
    FAILS(semget(key(3), 4, 0), EINVAL);
    FAILS(semget(IPC_PRIVATE, 0, 0600), EINVAL);
    arg.array = values;
    EQ(semctl(set, 0, SETALL, arg), 0);
    arg.array = read_back;
    EQ(semctl(set, 0, GETALL, arg), 0);
    SAME(values, read_back, sizeof values);
    struct sembuf none = {1, -1, IPC_NOWAIT}, zero = {1, 0, 0};
    FAILS(semop(set, &none, 1), EAGAIN);
    EQ(semop(set, &zero, 1), 0);
    // All or nothing.
    struct sembuf two[2] = {{2, -2, IPC_NOWAIT}, {1, -1, IPC_NOWAIT}};
    FAILS(semop(set, two, 2), EAGAIN);
    EQ(semctl(set, 2, GETVAL), 5);
    struct sembuf far = {3, 1, 0}, much = {2, 32767, 0};
    FAILS(semop(set, &far, 1), EFBIG);
    FAILS(semop(set, &much, 1), ERANGE);
    FAILS(semop(set, &much, 0), EINVAL);
    FAILS(semctl(set, 3, GETVAL), EINVAL);
    arg.val = 40000;
    FAILS(semctl(set, 0, SETVAL, arg), ERANGE);
    arg.val = 3;
    EQ(semctl(set, 0, SETVAL, arg), 0);
    EQ(semctl(set, 0, GETVAL), 3);
    EQ(semctl(set, 0, GETPID) == getpid(), 1);
    // A thread raises it.
    pthread_t t;
    pthread_create(&t, NULL, raises, (void *)1L);
    struct sembuf down = {1, -2, 0};
    EQ(semop(set, &down, 1), 0);
    pthread_join(t, NULL);
    EQ(semctl(set, 1, GETVAL), 0);
    EQ(semctl(set, 1, GETNCNT), 0);
    struct timespec soon = {0, 20000000};
    long long before = now_ns_(CLOCK_MONOTONIC);
    FAILS(semtimedop(set, &down, 1, &soon), EAGAIN);
    OK(now_ns_(CLOCK_MONOTONIC) - before >= 20000000);
    struct semid_ds d;
    arg.buf = &d;
    EQ(semctl(set, 0, IPC_STAT, arg), 0);
    EQ(d.sem_nsems, 3);
    OK(d.sem_otime > 0 && d.sem_ctime > 0);
    pthread_create(&t, NULL, removes, NULL);
    FAILS(semop(set, &down, 1), EIDRM);
    pthread_join(t, NULL);
    FAILS(semop(set, &down, 1), EINVAL);
}

struct message { long type; char text[64]; };
static int queue;
static void *sends(void *unused)
{
    usleep(20000);
    struct message m = {7, "late"};
    msgsnd(queue, &m, 5, 0);
    return unused;
}

GROUP(message_queues)
{
    struct message m = {3, "three"}, got;
    queue = GOOD(msgget(key(4), IPC_CREAT | 0600));
    EQ(msgget(key(4), 0) == queue, 1);
    EQ(msgsnd(queue, &m, 6, 0), 0);
    m = (struct message){1, "one"};
    EQ(msgsnd(queue, &m, 4, 0), 0);
    m = (struct message){2, "two"};
    EQ(msgsnd(queue, &m, 4, 0), 0);
    m.type = 0;
    FAILS(msgsnd(queue, &m, 4, 0), EINVAL);
    FAILS(msgsnd(queue, &m, 100000, 0), EINVAL);
    struct msqid_ds d;
    EQ(msgctl(queue, IPC_STAT, &d), 0);
    EQ(d.msg_qnum, 3);
    EQ(d.msg_lspid == getpid(), 1);
    FAILS(msgrcv(queue, &got, 64, 9, IPC_NOWAIT), ENOMSG);
    FAILS(msgrcv(queue, &got, 3, 2, 0), E2BIG);
    EQ(msgrcv(queue, &got, 64, -2, 0), 4);
    TEXT(got.text, "one");
    EQ(msgrcv(queue, &got, 64, 3, MSG_EXCEPT), 4);
    TEXT(got.text, "two");
    EQ(msgrcv(queue, &got, 2, 0, MSG_NOERROR), 2);
    EQ(got.type, 3);
    EQ(memcmp(got.text, "th", 2), 0);
    pthread_t t;
    pthread_create(&t, NULL, sends, NULL);
    EQ(msgrcv(queue, &got, 64, 7, 0), 5);
    TEXT(got.text, "late");
    pthread_join(t, NULL);
    // Until it is full.
    int n = 0;
    m = (struct message){1, ""};
    while (msgsnd(queue, &m, 64, IPC_NOWAIT) == 0) n++;
    OK(errno == EAGAIN);
    EQ(n, 16384 / 64);
    EQ(msgctl(queue, IPC_RMID, NULL), 0);
    FAILS(msgrcv(queue, &got, 64, 0, IPC_NOWAIT), EINVAL);
}

static volatile sig_atomic_t told;
static void on_message(int signal, siginfo_t *info, void *context)
{
    (void)context;
    told = signal == SIGUSR1 && info->si_code == SI_MESGQ && info->si_value.sival_int == 77;
}

// What ipcs(1) asks.
GROUP(information)
{
    int set = semget(IPC_PRIVATE, 7, 0600), box = msgget(IPC_PRIVATE, 0600), part = shmget(IPC_PRIVATE, 5000, 0600);
    OK(set >= 0 && box >= 0 && part >= 0);
    struct seminfo si, su;
    struct semid_ds sd;
    int last = semctl(0, 0, IPC_INFO, &si), found = 0;
    OK(last >= 0 && si.semvmx == 32767 && si.semmsl >= 7 && si.semmni > 0 && si.semopm > 0);
    OK(semctl(0, 0, SEM_INFO, &su) >= 0);
    OK(su.semusz >= 1 && su.semaem >= 7 && su.semmsl == si.semmsl);
    for (int i = 0; i <= last; i++) found += semctl(i, 0, SEM_STAT, &sd) == set && sd.sem_nsems == 7;
    EQ(found, 1);
    FAILS(semctl(-1, 0, IPC_INFO, &si), EINVAL);
    FAILS(semctl(-1, 0, SEM_STAT, &sd), EINVAL);
    FAILS(semctl(0, 0, SEM_INFO, BAD), EFAULT);
    struct msginfo mi;
    struct msqid_ds md;
    struct message m = {7, "some"};
    EQ(msgsnd(box, &m, 5, 0), 0);
    last = msgctl(0, IPC_INFO, (void *)&mi), found = 0;
    OK(last >= 0 && mi.msgmax >= 64 && mi.msgmnb >= 64 && mi.msgmni > 0);
    OK(msgctl(0, MSG_INFO, (void *)&mi) >= 0);
    OK(mi.msgpool >= 1 && mi.msgmap >= 1 && mi.msgtql >= 5);
    for (int i = 0; i <= last; i++) found += msgctl(i, MSG_STAT, &md) == box && md.msg_qnum == 1;
    EQ(found, 1);
    FAILS(msgctl(-1, MSG_STAT, &md), EINVAL);
    struct shminfo hi;
    struct shm_info hu;
    struct shmid_ds hd;
    last = shmctl(0, IPC_INFO, (void *)&hi), found = 0;
    OK(last >= 0 && hi.shmmin == 1 && hi.shmmax >= 5000 && hi.shmmni > 0);
    OK(shmctl(0, SHM_INFO, (void *)&hu) >= 0);
    OK(hu.used_ids >= 1 && hu.shm_tot >= 2);
    for (int i = 0; i <= last; i++) found += shmctl(i, SHM_STAT, &hd) == part && hd.shm_segsz == 5000;
    EQ(found, 1);
    FAILS(shmctl(-1, SHM_STAT, &hd), EINVAL);
    EQ(semctl(set, 0, IPC_RMID), 0);
    EQ(msgctl(box, IPC_RMID, NULL), 0);
    EQ(shmctl(part, IPC_RMID, NULL), 0);
}

GROUP(posix_queues)
{
    char name[40], text[64] = "";
    unsigned priority;
    snprintf(name, sizeof name, "/conformance-%d", getpid());
    struct mq_attr a = {.mq_maxmsg = 3, .mq_msgsize = 64};
    FAILS(mq_open(name, O_RDWR), ENOENT);
    mqd_t q = GOOD(mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, 0600, &a));
    FAILS(mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &a), EEXIST);
    FAILS(mq_receive(q, text, 64, NULL), EAGAIN);
    FAILS(mq_receive(q, text, 63, NULL), EMSGSIZE);
    struct pollfd p = {q, POLLIN | POLLOUT, 0};
    EQ(poll(&p, 1, 0), 1);
    EQ(p.revents, POLLOUT);
    struct sigaction act = {.sa_sigaction = on_message, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &act, NULL);
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 77};
    EQ(mq_notify(q, &e), 0);
    FAILS(mq_notify(q, &e), EBUSY);
    EQ(mq_send(q, "low", 4, 1), 0);
    EQ(told, 1);
    EQ(mq_notify(q, NULL), 0);
    EQ(mq_send(q, "high", 5, 9), 0);
    EQ(mq_send(q, "mid", 4, 5), 0);
    FAILS(mq_send(q, "full", 5, 5), EAGAIN);
    FAILS(mq_send(q, text, 65, 0), EMSGSIZE);
    EQ(poll(&p, 1, 0), 1);
    EQ(p.revents, POLLIN);
    struct mq_attr got;
    EQ(mq_getattr(q, &got), 0);
    EQ(got.mq_curmsgs == 3 && got.mq_maxmsg == 3 && got.mq_msgsize == 64, 1);
    EQ((got.mq_flags & O_NONBLOCK) != 0, 1);
    EQ(mq_receive(q, text, 64, &priority), 5);
    TEXT(text, "high");
    EQ(priority, 9);
    mqd_t second = GOOD(mq_open(name, O_RDONLY));
    EQ(mq_receive(second, text, 64, &priority), 4);
    TEXT(text, "mid");
    FAILS(mq_send(second, "x", 1, 0), EBADF);
    EQ(mq_receive(second, text, 64, NULL), 4);
    struct timespec soon;
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_nsec += 20000000;
    if (soon.tv_nsec >= 1000000000) soon.tv_sec++, soon.tv_nsec -= 1000000000;
    FAILS(mq_timedreceive(second, text, 64, NULL, &soon), ETIMEDOUT);
    EQ(mq_unlink(name), 0);
    FAILS(mq_unlink(name), ENOENT);
    EQ(mq_send(q, "still", 6, 0), 0);
    EQ(mq_close(q), 0);
    EQ(mq_receive(second, text, 64, NULL), 6);
    EQ(mq_close(second), 0);
    FAILS(mq_getattr(0, &got), EBADF);
}

GROUP(oneself)
{
    char from[] = "0123456789", to[11] = "";
    struct iovec local[2] = {{to, 3}, {to + 3, 8}}, remote[3] = {{from, 5}, {from + 5, 0}, {from + 5, 6}};
    EQ(process_vm_readv(getpid(), local, 2, remote, 3, 0), 11);
    TEXT(to, "0123456789");
    memset(from, 'x', 10);
    EQ(process_vm_writev(getpid(), local, 2, remote, 3, 0), 11);
    TEXT(from, "0123456789");
    FAILS(process_vm_readv(getpid(), local, 2, remote, 3, 1), EINVAL);
    struct iovec bad = {BAD, 5};
    FAILS(process_vm_readv(getpid(), local, 2, &bad, 1, 0), EFAULT);
    int a = open("/dev/null", O_RDONLY), b = dup(a), c = open("/dev/null", O_RDONLY);
    EQ(syscall(SYS_kcmp, getpid(), getpid(), 0, a, b), 0);
    OK(syscall(SYS_kcmp, getpid(), getpid(), 0, a, c) > 0);
    FAILS(syscall(SYS_kcmp, getpid(), getpid(), 0, a, 999), EBADF);
    EQ(syscall(SYS_kcmp, getpid(), getpid(), 1, 0, 0), 0);
    char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EQ(syscall(SYS_pkey_mprotect, map, 4096, PROT_READ, -1), 0);
    EQ(map[0], 0);
}
