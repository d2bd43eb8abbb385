/* A disk that fails on purpose: the calls of libc that write, wrapped, for LD_PRELOAD.

Calls on files below one folder are counted. The chosen ones fail with the chosen error. What to do comes from a file,
named by the environment variable FAILING_CALLS and shared by all processes that inherit it; see failing_calls.py. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { REFUSED, REPORTED, SHORT };

struct plan {
    int64_t seen;        /* calls so far, by all processes */
    int64_t first, last; /* those that fail, counted from 1 */
    int32_t error;       /* an errno */
    int32_t how;         /* refused; carried out, then reported as failed; or fewer bytes written, without an error */
    char folder[1024];   /* its real path */
    char failed[1024];   /* the first call that failed */
};

static struct plan *plan;

__attribute__((constructor)) static void start(void) {
    const char *name = getenv("FAILING_CALLS");
    int file = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *shared = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (shared != MAP_FAILED) plan = shared;
}

/* The path that a call speaks of; `directory` is a descriptor or AT_FDCWD, and `path` NULL for the descriptor's own. */
static int is_below(int directory, const char *path, char *whole) {
    char link[64];
    ssize_t length = 0;
    if (!path || path[0] != '/') {
        if (directory == AT_FDCWD) strcpy(link, "/proc/self/cwd");
        else sprintf(link, "/proc/self/fd/%d", directory);
        length = readlink(link, whole, PATH_MAX);
        if (length < 0) return 0;
    }
    whole[length] = 0;
    if (path) snprintf(whole + length, PATH_MAX, length ? "/%s" : "%s", path);
    size_t folder = strlen(plan->folder);
    return folder && !strncmp(whole, plan->folder, folder) && (whole[folder] == '/' || !whole[folder]);
}

/* Count a call, and return whether it fails. */
static int fails(const char *call, int directory, const char *path) {
    char whole[2 * PATH_MAX + 2];
    int before = errno;
    int counted = plan && is_below(directory, path, whole);
    errno = before;
    if (!counted) return 0;
    int64_t number = __atomic_add_fetch(&plan->seen, 1, __ATOMIC_SEQ_CST);
    if (number < plan->first || number > plan->last) return 0;
    /* A disk that stays full still removes files and grants locks. */
    int needs_space = strcmp(call, "unlink") && strcmp(call, "rmdir") && strcmp(call, "flock");
    if (plan->last > plan->first && plan->error == ENOSPC && !needs_space) return 0;
    if (!plan->failed[0]) snprintf(plan->failed, sizeof plan->failed, "%s %.900s", call, whole);
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* In the place of the real call. */
#define CALL(name, directory, path, real)                                   \
    do {                                                                    \
        if (!fails(name, directory, path)) return real;                     \
        if (plan->how == SHORT) return real;                                \
        if (plan->how == REPORTED) (void)!(real);                           \
        errno = plan->error;                                                \
        return -1;                                                          \
    } while (0)

#define WRITES(flags) (((flags) & O_ACCMODE) != O_RDONLY || ((flags) & (O_CREAT | O_TRUNC)))

#define OPEN(name)                                                                       \
    int name(const char *path, int flags, ...) {                                         \
        va_list more;                                                                    \
        va_start(more, flags);                                                           \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0;        \
        va_end(more);                                                                    \
        if (!WRITES(flags)) return REAL(name)(path, flags, mode);                        \
        CALL("open", AT_FDCWD, path, REAL(name)(path, flags, mode));                     \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                     \
    int name(int directory, const char *path, int flags, ...) {                          \
        va_list more;                                                                    \
        va_start(more, flags);                                                           \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0;        \
        va_end(more);                                                                    \
        if (!WRITES(flags)) return REAL(name)(directory, path, flags, mode);             \
        CALL("open", directory, path, REAL(name)(directory, path, flags, mode));         \
    }
OPENAT(openat)
OPENAT(openat64)

int creat(const char *path, mode_t mode) { CALL("open", AT_FDCWD, path, REAL(creat)(path, mode)); }
int creat64(const char *path, mode_t mode) { CALL("open", AT_FDCWD, path, REAL(creat64)(path, mode)); }

/* A file is closed even where close reports an error. */
int close(int file) {
    int flags = plan ? fcntl(file, F_GETFL) : -1;
    int failing = flags >= 0 && WRITES(flags & ~(O_CREAT | O_TRUNC)) && fails("close", file, NULL);
    int result = REAL(close)(file);
    if (!failing || plan->how == SHORT) return result;
    errno = plan->error;
    return -1;
}

ssize_t write(int file, const void *data, size_t size) {
    if (!fails("write", file, NULL)) return REAL(write)(file, data, size);
    if (plan->how == SHORT) return REAL(write)(file, data, (size + 1) / 2);
    if (plan->how == REPORTED) (void)!REAL(write)(file, data, size);
    errno = plan->error;
    return -1;
}

#define PWRITE(name, offset_t)                                                      \
    ssize_t name(int file, const void *data, size_t size, offset_t offset) {        \
        CALL("write", file, NULL, REAL(name)(file, data, size, offset));            \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t writev(int file, const struct iovec *parts, int count) {
    CALL("write", file, NULL, REAL(writev)(file, parts, count));
}

#define SENDFILE(name, offset_t)                                                    \
    ssize_t name(int to, int from, offset_t *offset, size_t size) {                 \
        CALL("write", to, NULL, REAL(name)(to, from, offset, size));                \
    }
SENDFILE(sendfile, off_t)
SENDFILE(sendfile64, off64_t)

ssize_t copy_file_range(int from, off64_t *start, int to, off64_t *end, size_t size, unsigned flags) {
    CALL("write", to, NULL, REAL(copy_file_range)(from, start, to, end, size, flags));
}

int fsync(int file) { CALL("fsync", file, NULL, REAL(fsync)(file)); }
int fdatasync(int file) { CALL("fsync", file, NULL, REAL(fdatasync)(file)); }
int ftruncate(int file, off_t size) { CALL("ftruncate", file, NULL, REAL(ftruncate)(file, size)); }
int ftruncate64(int file, off64_t size) { CALL("ftruncate", file, NULL, REAL(ftruncate64)(file, size)); }
int flock(int file, int operation) { CALL("flock", file, NULL, REAL(flock)(file, operation)); }
int fchmod(int file, mode_t mode) { CALL("chmod", file, NULL, REAL(fchmod)(file, mode)); }
int chmod(const char *path, mode_t mode) { CALL("chmod", AT_FDCWD, path, REAL(chmod)(path, mode)); }
int mkdir(const char *path, mode_t mode) { CALL("mkdir", AT_FDCWD, path, REAL(mkdir)(path, mode)); }
int unlink(const char *path) { CALL("unlink", AT_FDCWD, path, REAL(unlink)(path)); }
int rmdir(const char *path) { CALL("rmdir", AT_FDCWD, path, REAL(rmdir)(path)); }
int rename(const char *from, const char *to) { CALL("rename", AT_FDCWD, to, REAL(rename)(from, to)); }

int renameat(int from_directory, const char *from, int directory, const char *to) {
    CALL("rename", directory, to, REAL(renameat)(from_directory, from, directory, to));
}

int renameat2(int from_directory, const char *from, int directory, const char *to, unsigned flags) {
    CALL("rename", directory, to, REAL(renameat2)(from_directory, from, directory, to, flags));
}

int unlinkat(int directory, const char *path, int flags) {
    CALL(flags & AT_REMOVEDIR ? "rmdir" : "unlink", directory, path, REAL(unlinkat)(directory, path, flags));
}
