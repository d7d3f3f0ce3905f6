/* A disk that fails on demand, by LD_PRELOAD: writes or syncs of files below DISK_FOLDER are answered with an error.
 *
 * DISK_CONTROL is a file of four ints, which a test writes: what fails (1 writes, 2 syncs, 0 nothing), with which errno, how many
 * calls have failed so far, spare.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { NOTHING, WRITES, SYNCS };
enum { MOST = 4096 };

static volatile int *control;
static const char *folder;
static char ours[MOST];

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("DISK_CONTROL");
    folder = getenv("DISK_FOLDER");
    int file = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0 || !folder) return;
    void *page = mmap(NULL, 4 * sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (page != MAP_FAILED) control = page;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int opened(int file, const char *path) {
    if (control && file >= 0 && file < MOST) ours[file] = !strncmp(path, folder, strlen(folder));
    return file;
}

static int fails(int file, int what) {
    if (!control || file < 0 || file >= MOST || !ours[file] || control[0] != what) return 0;
    __sync_fetch_and_add(&control[2], 1);
    errno = control[1];
    return 1;
}

int close(int file) {
    if (control && file >= 0 && file < MOST) ours[file] = 0;  /* the next of that number may be a socket */
    return REAL(close)(file);
}

int fsync(int file) { return fails(file, SYNCS) ? -1 : REAL(fsync)(file); }
int fdatasync(int file) { return fails(file, SYNCS) ? -1 : REAL(fdatasync)(file); }

ssize_t write(int file, const void *data, size_t length) {
    if (fails(file, WRITES)) return -1;
    return REAL(write)(file, data, length);
}

ssize_t pwrite(int file, const void *data, size_t length, off_t place) {
    if (fails(file, WRITES)) return -1;
    return REAL(pwrite)(file, data, length, place);
}

ssize_t pwrite64(int file, const void *data, size_t length, off_t place) { return pwrite(file, data, length, place); }

#define OPEN(name)                                        \
    int name(const char *path, int flags, ...) {          \
        va_list more;                                     \
        va_start(more, flags);                            \
        mode_t mode = va_arg(more, mode_t);               \
        va_end(more);                                     \
        return opened(REAL(name)(path, flags, mode), path); \
    }
OPEN(open)
OPEN(open64)
