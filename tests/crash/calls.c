/* Loaded before libc: kills the process at the entry of its n-th call that changes files.
 *
 * kill_at_call(n, log) arms it: n calls from now the name of the call and the path it is about are
 * written to the file `log`, and the process dies. n = 0 only counts; calls_made() says how many.
 * Calls that a library makes without libc are not seen, nor is what is written through a mapping.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long made;
static long fatal;
static char report[PATH_MAX];

void kill_at_call(long n, const char *log) {
    snprintf(report, sizeof report, "%s", log);
    atomic_store(&made, 0);
    fatal = n;
}

long calls_made(void) { return atomic_load(&made); }

static void die(const char *call, int fd, const char *path) {
    char link[64], line[PATH_MAX + 64], target[PATH_MAX] = "";
    if (path == NULL && fd >= 0) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        if (readlink(link, target, sizeof target - 1) < 0) target[0] = 0;
        path = target;
    }
    int size = snprintf(line, sizeof line, "%s %s\n", call, path ? path : "a mapping");
    int out = open(report, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (out >= 0) syscall(SYS_write, out, line, (size_t)size);
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

static void count(const char *call, int fd, const char *path) {
    if (atomic_fetch_add(&made, 1) + 1 == fatal) die(call, fd, path);
}

/* WATCH(result, name, parameters, arguments, descriptor, path) */
#define WATCH(R, F, P, A, FD, PATH)                                   \
    R F P {                                                           \
        static R(*real) P;                                            \
        if (!real) real = (R(*) P)dlsym(RTLD_NEXT, #F);               \
        count(#F, FD, PATH);                                          \
        return real A;                                                \
    }

WATCH(ssize_t, write, (int fd, const void *b, size_t n), (fd, b, n), fd, NULL)
WATCH(ssize_t, writev, (int fd, const struct iovec *v, int n), (fd, v, n), fd, NULL)
WATCH(ssize_t, pwrite, (int fd, const void *b, size_t n, off_t o), (fd, b, n, o), fd, NULL)
WATCH(ssize_t, pwrite64, (int fd, const void *b, size_t n, off64_t o), (fd, b, n, o), fd, NULL)
WATCH(int, fsync, (int fd), (fd), fd, NULL)
WATCH(int, fdatasync, (int fd), (fd), fd, NULL)
WATCH(int, ftruncate, (int fd, off_t n), (fd, n), fd, NULL)
WATCH(int, ftruncate64, (int fd, off64_t n), (fd, n), fd, NULL)
WATCH(int, fallocate, (int fd, int m, off_t o, off_t n), (fd, m, o, n), fd, NULL)
WATCH(int, msync, (void *a, size_t n, int f), (a, n, f), -1, NULL)
WATCH(int, rename, (const char *a, const char *b), (a, b), -1, b)
WATCH(int, renameat, (int x, const char *a, int y, const char *b), (x, a, y, b), -1, b)
WATCH(int, unlink, (const char *a), (a), -1, a)
WATCH(int, unlinkat, (int x, const char *a, int f), (x, a, f), x, a[0] == '/' ? a : NULL)
WATCH(int, mkdir, (const char *a, mode_t m), (a, m), -1, a)
WATCH(int, rmdir, (const char *a), (a), -1, a)
