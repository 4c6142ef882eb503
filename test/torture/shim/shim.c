/*
 * Stands between a process and its disk: preloaded (LD_PRELOAD), it sees every write and sync of one data file, whichever thread
 * makes it, and can record, delay or refuse them. Linux only; built by `shim.ts`.
 *
 * The file is known by its name (MILLRACE_SHIM_NAME, such as `jobs.mdb`; a draft of it, `jobs.mdb.<anything>`, counts as the same
 * file until it is renamed). It is asked for anew at every call, by /proc/self/fd, so no table of descriptors can go stale.
 *
 * Recorded (MILLRACE_SHIM_LOG) are the beginning of a write with its bytes, its end, the beginning and end of a sync, renames,
 * syncs of directories, what the program itself has to say, and what this shim cannot follow. One total order: a write stands in
 * the log before it can have reached the file, and a sync's end after it is over. `recording.ts` reads it.
 *
 * The program speaks by writing to descriptor 3: a line goes into the log, at its place in that order. A line that begins with `!`
 * is an order: `!fail <k> <errno> <how> <once|on>` spoils the k-th write or sync from now on, `!slow <ms>` delays every sync,
 * `!count` logs how many writes and syncs there were since the last order, `!off` ends it all. How: `refuse` (not done), `short`
 * (half of it is written, and said so), `late` (done, and refused nevertheless), `ghost` (the first as `late`, the others as `refuse`).
 * Syncs of directories count, and are spoiled, like those of the file.
 *
 * MILLRACE_SHIM_ORDER is an order (without the `!`) for a process that has something else at descriptor 3: it is in force from the
 * beginning, nothing is taken from there, and how many writes and syncs there were is logged at the end.
 *
 * lmdb-js puts the message of a refused write into memory that is too short for some of these. Each that is too long is told in the log;
 * with MILLRACE_SHIM_MENDS=1 it is cut to what fits, so that it does no harm.
 *
 * MILLRACE_SHIM_LIE=data: syncs of the file answer 0, are not done, and are not recorded. MILLRACE_SHIM_LIE=names: the same for
 * directories.
 */
#define _GNU_SOURCE
/* With it some compilers have a `sprintf` of their own. */
#undef _FORTIFY_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define VISIBLE __attribute__((visibility("default")))
#define NOTES_FD 3
#define MAX_PATH 4096
#define MAX_PARTS 1024

/* As `recording.ts` reads it. */
struct record {
  uint8_t kind;
  /* Of a write: 1 when it is durable at its end (O_DSYNC, O_SYNC). */
  uint8_t synced;
  /* 1 when the file bears a draft's name. */
  uint8_t draft;
  uint8_t unused;
  /* Of an end: what the call gave; below 0 the negative errno. */
  int32_t result;
  /* Pairs a beginning with its end. */
  uint32_t call;
  uint32_t length;
  uint64_t offset;
};

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_msync)(void *, size_t, int);
static int (*real_ftruncate)(int, off_t);
static int (*real_rename)(const char *, const char *);
static void *(*real_mmap)(void *, size_t, int, int, int, off_t);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static const char *name;
static const char *lie;
static int mends;
static uint32_t calls;

/* The order in force. */
static int fail_at, fail_errno, fail_goes_on, slow_ms, steps;
static char fail_how[16];
static const char *given;

static void obey(const char *order);

/* musl knows the second name only. */
static void find(void *slot, const char *symbol, const char *otherwise) {
  void *found = dlsym(RTLD_NEXT, symbol);
  *(void **)slot = found != NULL ? found : dlsym(RTLD_NEXT, otherwise);
}

__attribute__((constructor)) static void start(void) {
  if (real_mmap != NULL) return;
  find(&real_write, "write", "write");
  find(&real_writev, "writev", "writev");
  find(&real_pwrite, "pwrite64", "pwrite");
  find(&real_pwritev, "pwritev64", "pwritev");
  find(&real_fsync, "fsync", "fsync");
  find(&real_fdatasync, "fdatasync", "fdatasync");
  find(&real_msync, "msync", "msync");
  find(&real_ftruncate, "ftruncate64", "ftruncate");
  find(&real_rename, "rename", "rename");
  find(&real_mmap, "mmap64", "mmap");
  name = getenv("MILLRACE_SHIM_NAME");
  lie = getenv("MILLRACE_SHIM_LIE");
  mends = getenv("MILLRACE_SHIM_MENDS") != NULL;
  const char *path = getenv("MILLRACE_SHIM_LOG");
  if (path == NULL) return;
  int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
  /* Out of the way of the descriptors that the program expects. */
  log_fd = fcntl(fd, F_DUPFD_CLOEXEC, 500);
  close(fd);
  given = getenv("MILLRACE_SHIM_ORDER");
  char order[128];
  if (given != NULL && snprintf(order, sizeof order, "!%s", given) > 0) obey(order);
}

__attribute__((destructor)) static void end(void) {
  if (given != NULL) obey("!count");
}

static int lies_of(const char *what) { return lie != NULL && strcmp(lie, what) == 0; }

/* ---- which file ---- */

enum { OTHER, DATA, DRAFT };

static int kind_of_path(const char *path) {
  if (name == NULL) return OTHER;
  const char *slash = strrchr(path, '/');
  const char *base = slash == NULL ? path : slash + 1;
  size_t length = strlen(name);
  if (strncmp(base, name, length) != 0) return OTHER;
  if (base[length] == '\0') return DATA;
  /* A draft has a table of readers of its own. */
  int is_readers = strlen(base) >= 5 && strcmp(base + strlen(base) - 5, "-lock") == 0;
  return base[length] == '.' && !is_readers ? DRAFT : OTHER;
}

/* Keeps errno: it is called before and after calls whose errno counts. */
static int path_of(int fd, char *path) {
  int saved = errno;
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, MAX_PATH - 1);
  errno = saved;
  if (length <= 0) return 0;
  path[length] = '\0';
  return 1;
}

static int kind_of(int fd) {
  char path[MAX_PATH];
  return path_of(fd, path) ? kind_of_path(path) : OTHER;
}

/* ---- the log ---- */

static void record(struct record head, const struct iovec *parts, int count) {
  if (log_fd < 0) return;
  int saved = errno;
  struct iovec all[MAX_PARTS + 1];
  size_t total = 0;
  all[0] = (struct iovec){&head, sizeof head};
  for (int index = 0; index < count && index < MAX_PARTS; index++) {
    all[index + 1] = parts[index];
    total += parts[index].iov_len;
  }
  head.length = total;
  pthread_mutex_lock(&lock);
  ssize_t written = real_writev(log_fd, all, count + 1);
  pthread_mutex_unlock(&lock);
  if (written != (ssize_t)(total + sizeof head)) abort();
  errno = saved;
}

static void record_text(char kind, const char *text) {
  struct iovec part = {(void *)text, strlen(text)};
  record((struct record){.kind = kind}, &part, 1);
}

/* ---- faults ---- */

static void obey(const char *order) {
  char goes_on[8] = "", text[64];
  pthread_mutex_lock(&lock);
  int count = steps;
  if (strncmp(order, "!count", 6) != 0) {
    fail_at = slow_ms = 0;
    if (sscanf(order, "!fail %d %d %15s %7s", &fail_at, &fail_errno, fail_how, goes_on) == 4)
      fail_goes_on = strcmp(goes_on, "on") == 0;
    sscanf(order, "!slow %d", &slow_ms);
    steps = 0;
  }
  pthread_mutex_unlock(&lock);
  snprintf(text, sizeof text, "{\"is\":\"count\",\"steps\":%d}", count);
  if (strncmp(order, "!count", 6) == 0) record_text('A', text);
}

enum fate { FINE, REFUSE, SHORT, LATE };

/* What is to become of this write or sync. A sync is never short. */
static enum fate next_step(int is_sync) {
  pthread_mutex_lock(&lock);
  int step = ++steps;
  int is_first = fail_at > 0 && step == fail_at;
  int is_hit = is_first || (fail_at > 0 && fail_goes_on && step > fail_at);
  enum fate fate = FINE;
  if (is_hit) {
    fate = REFUSE;
    if (strcmp(fail_how, "short") == 0) fate = SHORT;
    if (strcmp(fail_how, "late") == 0 || (strcmp(fail_how, "ghost") == 0 && is_first)) fate = LATE;
  }
  pthread_mutex_unlock(&lock);
  if (fate == SHORT && is_sync) fate = FINE;
  if (fate != FINE) record_text('A', "{\"is\":\"fault\"}");
  return fate;
}

/* ---- writes ---- */

static size_t bytes_of(const struct iovec *parts, int count) {
  size_t total = 0;
  for (int index = 0; index < count; index++) total += parts[index].iov_len;
  return total;
}

/* As much of the parts as `limit` bytes. */
static int cut_short(const struct iovec *parts, int count, size_t limit, struct iovec *cut) {
  int kept = 0;
  for (; kept < count && limit > 0; kept++) {
    cut[kept] = parts[kept];
    if (cut[kept].iov_len > limit) cut[kept].iov_len = limit;
    limit -= cut[kept].iov_len;
  }
  return kept;
}

/* `offset` is -1 for a write at the file's position. */
static ssize_t write_parts(int fd, const struct iovec *parts, int count, off_t offset) {
  return offset < 0 ? real_writev(fd, parts, count) : real_pwritev(fd, parts, count, offset);
}

static ssize_t data_write(int fd, const struct iovec *parts, int count, off_t offset, int kind) {
  struct iovec cut[MAX_PARTS];
  off_t place = offset < 0 ? lseek(fd, 0, SEEK_CUR) : offset;
  int is_synced = (fcntl(fd, F_GETFL) & (O_DSYNC | O_SYNC)) != 0;
  uint32_t call = __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
  struct record head = {.kind = 'w', .synced = is_synced, .draft = kind == DRAFT, .call = call, .offset = place};
  enum fate fate = next_step(0);
  ssize_t result = -1;
  record(head, parts, count);
  if (fate == SHORT) result = write_parts(fd, cut, cut_short(parts, count, bytes_of(parts, count) / 2, cut), offset);
  else if (fate != REFUSE) result = write_parts(fd, parts, count, offset);
  if (fate == REFUSE || fate == LATE) {
    result = -1;
    errno = fail_errno;
  }
  head.kind = 'W';
  head.result = result < 0 ? -errno : result;
  record(head, NULL, 0);
  return result;
}

VISIBLE ssize_t write(int fd, const void *bytes, size_t length) {
  start();
  struct iovec part = {(void *)bytes, length};
  if (fd == NOTES_FD && log_fd >= 0 && given == NULL) {
    if (length > 0 && *(const char *)bytes == '!') {
      char order[128] = "";
      memcpy(order, bytes, length < sizeof order - 1 ? length : sizeof order - 1);
      obey(order);
    } else record((struct record){.kind = 'A'}, &part, 1);
    return length;
  }
  int kind = kind_of(fd);
  return kind == OTHER ? real_write(fd, bytes, length) : data_write(fd, &part, 1, -1, kind);
}

VISIBLE ssize_t writev(int fd, const struct iovec *parts, int count) {
  int kind = kind_of(fd);
  return kind == OTHER ? real_writev(fd, parts, count) : data_write(fd, parts, count, -1, kind);
}

VISIBLE ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t offset) {
  struct iovec part = {(void *)bytes, length};
  int kind = kind_of(fd);
  return kind == OTHER ? real_pwrite(fd, bytes, length, offset) : data_write(fd, &part, 1, offset, kind);
}

VISIBLE ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) { return pwrite64(fd, bytes, length, offset); }

VISIBLE ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t offset) {
  int kind = kind_of(fd);
  return kind == OTHER ? real_pwritev(fd, parts, count, offset) : data_write(fd, parts, count, offset, kind);
}

VISIBLE ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) { return pwritev64(fd, parts, count, offset); }

/* ---- syncs and names ---- */

static int data_sync(int fd, int (*sync)(int), int kind) {
  if (lies_of("data")) return 0;
  uint32_t call = __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
  struct record head = {.kind = 's', .draft = kind == DRAFT, .call = call};
  enum fate fate = next_step(1);
  int delay_ms = slow_ms;
  record(head, NULL, 0);
  if (delay_ms > 0) nanosleep(&(struct timespec){delay_ms / 1000, delay_ms % 1000 * 1000000L}, NULL);
  int result = fate == REFUSE ? -1 : sync(fd);
  if (fate == REFUSE || fate == LATE) {
    result = -1;
    errno = fail_errno;
  }
  head.kind = 'S';
  head.result = result < 0 ? -errno : 0;
  record(head, NULL, 0);
  return result;
}

static int any_sync(int fd, int (*sync)(int)) {
  char path[MAX_PATH];
  struct stat about;
  if (!path_of(fd, path)) return sync(fd);
  int kind = kind_of_path(path);
  if (kind != OTHER) return data_sync(fd, sync, kind);
  if (fstat(fd, &about) != 0 || !S_ISDIR(about.st_mode)) return sync(fd);
  if (lies_of("names")) return 0;
  enum fate fate = next_step(1);
  /* What a directory holds when its sync begins is durable when it ends. */
  record_text('n', path);
  int result = fate == REFUSE ? -1 : sync(fd);
  if (fate == REFUSE || fate == LATE) {
    result = -1;
    errno = fail_errno;
  }
  if (result == 0) record_text('N', path);
  return result;
}

VISIBLE int fsync(int fd) { return any_sync(fd, real_fsync); }

VISIBLE int fdatasync(int fd) { return any_sync(fd, real_fdatasync); }

VISIBLE int rename(const char *from, const char *to) {
  int result = real_rename(from, to);
  if (result == 0 && kind_of_path(to) == DATA) record_text('R', from);
  return result;
}

/* ---- messages that are too long ---- */

/* That of mdb.c, which has 100 bytes for it. */
static const char refused_write[] = "Attempting to write page";

VISIBLE int sprintf(char *text, const char *format, ...) {
  start();
  va_list parts;
  int is_refused_write = strncmp(format, refused_write, sizeof refused_write - 1) == 0;
  size_t room = is_refused_write ? malloc_usable_size(text) : SIZE_MAX;
  if (is_refused_write) {
    va_start(parts, format);
    int length = vsnprintf(NULL, 0, format, parts);
    va_end(parts);
    if (length < 0 || (size_t)length < room) room = SIZE_MAX;
    else record_text('A', "{\"is\":\"overrun\"}");
  }
  va_start(parts, format);
  int length = mends && room != SIZE_MAX ? vsnprintf(text, room, format, parts) : vsprintf(text, format, parts);
  va_end(parts);
  return length;
}

/* ---- what cannot be followed ---- */

VISIBLE int ftruncate64(int fd, off_t size) {
  if (kind_of(fd) != OTHER) record_text('X', "the file was truncated");
  return real_ftruncate(fd, size);
}

VISIBLE int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

VISIBLE int msync(void *address, size_t length, int flags) {
  record_text('X', "a map was synced");
  return real_msync(address, length, flags);
}

VISIBLE void *mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
  start();
  int writes = (protection & PROT_WRITE) != 0 && (flags & MAP_SHARED) != 0;
  if (writes && fd >= 0 && kind_of(fd) != OTHER) record_text('X', "the file was mapped to be written");
  return real_mmap(address, length, protection, flags, fd, offset);
}

VISIBLE void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
  return mmap64(address, length, protection, flags, fd, offset);
}
