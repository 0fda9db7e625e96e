/* Loaded before a program: each of its threads has Syscall User Dispatch switched on, and all calls let
 * through, as those of the emulator's threads while they are outside of the enclave. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_ON 1
#endif

static char allow; /* SYSCALL_DISPATCH_FILTER_ALLOW */

__attribute__((constructor)) static void dispatch(void)
{
    if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0L, 0L, &allow) != 0)
        abort();
}

struct start {
    void *(*run)(void *);
    void *argument;
};

static void *run(void *argument)
{
    struct start start = *(struct start *)argument;
    free(argument);
    dispatch();
    return start.run(start.argument);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *),
                   void *argument)
{
    int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) =
        dlsym(RTLD_NEXT, "pthread_create");
    struct start *start = malloc(sizeof *start);
    if (create == NULL || start == NULL)
        abort();
    *start = (struct start){function, argument};
    return create(thread, attributes, run, start);
}
