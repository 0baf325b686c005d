/* SPDX-License-Identifier: Apache-2.0 */
/* What time it is, and in which life of the process table. Everything is read from the kernel at each call. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/digest.h"

/* 2024-01-01: a clock that is set shows no earlier time. Not the date of the build: equal sources, equal programs. */
#define CLOCK_TRUSTED_FROM_USEC (INT64_C(1704067200) * INT64_C(1000000))

static int64_t clock_read_usec(clockid_t clock) {
        struct timespec ts = {0};
        (void)clock_gettime(clock, &ts);
        return (int64_t)ts.tv_sec * INT64_C(1000000) + ts.tv_nsec / 1000;
}

int64_t clock_wall_usec(void) {
#ifdef PAWL_TESTING
        const char *fixed = getenv("PAWL_TEST_CLOCK");
        if (fixed)
                return strtoll(fixed, NULL, 10);
#endif
        return clock_read_usec(CLOCK_REALTIME);
}

uint64_t clock_boot_usec(void) {
        return (uint64_t)clock_read_usec(CLOCK_BOOTTIME);
}

bool clock_is_trusted(void) {
        return clock_wall_usec() >= CLOCK_TRUSTED_FROM_USEC;
}

void clock_sleep_usec(uint64_t usec) {
        struct timespec ts = {
                .tv_sec = (time_t)MIN(usec / USEC_PER_SEC, (uint64_t)INT32_MAX),
                .tv_nsec = (long)(usec % USEC_PER_SEC * 1000),
        };
        (void)clock_nanosleep(CLOCK_BOOTTIME, 0, &ts, NULL);
}

static time_t seconds_of(int64_t usec) {
        int64_t s = usec / 1000000;
        return (time_t)(usec % 1000000 < 0 ? s - 1 : s);
}

void clock_format_local(int64_t usec, char ret[static 32]) {
        time_t t = seconds_of(usec);
        struct tm tm;
        if (!localtime_r(&t, &tm) || strftime(ret, 32, "%Y-%m-%d %H:%M:%S", &tm) == 0)
                snprintf(ret, 32, "?");
}

void clock_format_utc(int64_t usec, char ret[static 32]) {
        time_t t = seconds_of(usec);
        struct tm tm;
        if (!gmtime_r(&t, &tm) || strftime(ret, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
                snprintf(ret, 32, "?");
}

typedef struct DurationUnit {
        const char *name, *small_name;
        uint64_t seconds, small_seconds;
} DurationUnit;

/* Always cut, never rounded: "60.0 s" and "1 h 60 min" cannot appear. */
void duration_format(uint64_t usec, char ret[static 32]) {
        static const DurationUnit units[] = {
                {"d", "h", 86400, 3600},
                {"h", "min", 3600, 60},
                {"min", "s", 60, 1},
        };
        const uint64_t seconds = usec / USEC_PER_SEC;
        for (size_t i = 0; i < ELEMENTSOF(units); i++) {
                const DurationUnit *u = &units[i];
                if (seconds < u->seconds)
                        continue;
                unsigned long long small = seconds % u->seconds / u->small_seconds;
                int n = snprintf(ret, 32, "%llu %s", (unsigned long long)(seconds / u->seconds), u->name);
                if (small > 0)
                        snprintf(ret + n, 32 - (size_t)n, " %llu %s", small, u->small_name);
                return;
        }
        unsigned tenth = (unsigned)(usec % USEC_PER_SEC / 100000);
        if (seconds == 0)
                snprintf(ret, 32, "%u ms", (unsigned)(usec / USEC_PER_MSEC));
        else if (tenth > 0)
                snprintf(ret, 32, "%u.%u s", (unsigned)seconds, tenth);
        else
                snprintf(ret, 32, "%u s", (unsigned)seconds);
}

/* "12" or "12.25" as millionths, at most six digits behind the point. Returns how long it is; 0: not a number. */
static size_t parse_millionths(const char *text, uint64_t *ret) {
        uint64_t n = 0, scale = 1000000;
        size_t i = 0;
        bool is_behind = false;
        for (;; i++) {
                if (text[i] == '.' && !is_behind && i > 0) {
                        is_behind = true;
                        continue;
                }
                if (text[i] < '0' || text[i] > '9')
                        break;
                if (is_behind && scale == 1)
                        return 0;
                scale /= is_behind ? 10 : 1;
                if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)(text[i] - '0'), &n))
                        return 0;
        }
        if (i == 0 || text[i - 1] == '.' || __builtin_mul_overflow(n, scale, &n))
                return 0;
        *ret = n;
        return i;
}

int duration_parse(const char *text, uint64_t *ret_usec) {
        /* clang-format off */
        static const struct { const char *name; uint64_t usec; } units[] = {
                {"",   1000000ULL},
                {"ms", 1000ULL},
                {"s",  1000000ULL},
                {"m",  60000000ULL},
                {"h",  3600000000ULL},
                {"d",  86400000000ULL},
        };
        /* clang-format on */
        uint64_t millionths = 0;
        size_t n = parse_millionths(text, &millionths);
        for (size_t i = 0; n > 0 && i < ELEMENTSOF(units); i++) {
                if (strcmp(text + n, units[i].name) != 0)
                        continue;
                unsigned __int128 usec = (unsigned __int128)millionths * units[i].usec / 1000000;
                if (usec > INT64_MAX)
                        return -EINVAL;
                *ret_usec = (uint64_t)usec;
                return 0;
        }
        return -EINVAL;
}

/* A small file of /proc into buf, NUL-terminated. Returns its size. */
static ssize_t read_proc(const char *path, char *buf, size_t size) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        ssize_t n;
        do
                n = read(fd, buf, size - 1);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        buf[n] = '\0';
        return n;
}

uint64_t process_start_time(int pid) {
        char path[32], stat[2048];
        if (pid <= 0)
                return 0;
        snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        if (read_proc(path, stat, sizeof(stat)) <= 0)
                return 0;
        /* The program's name is in brackets and may itself hold brackets and spaces. */
        const char *p = strrchr(stat, ')');
        if (!p || p[1] != ' ' || p[2] == 'Z' || p[2] == 'X' || p[2] == 'x')
                return 0;
        p += 2;
        for (int field = 3; field < 22; field++) {
                p = strchr(p, ' ');
                if (!p)
                        return 0;
                p++;
        }
        return strtoull(p, NULL, 10);
}

int boot_identity(uint8_t ret[static BOOT_ID_SIZE], Error *err) {
        struct {
                char kernel[64];
                char namespace[64];
                uint64_t start_time;
        } life = {0};
        uint8_t digest[DIGEST_SIZE];
        ssize_t n = read_proc("/proc/sys/kernel/random/boot_id", life.kernel, sizeof(life.kernel));
        if (n < 0)
                return error_set_errno(err, (int)n, "Is /proc mounted?", "could not read the kernel's boot id");
        n = readlink("/proc/self/ns/pid", life.namespace, sizeof(life.namespace) - 1);
        if (n < 0)
                return error_set_errno(err, -errno, "Is /proc mounted?", "could not read the process namespace");
        life.start_time = process_start_time(1);
        if (life.start_time == 0 && access("/proc/1/stat", R_OK) < 0)
                return error_set_errno(err, -errno, "Mount /proc without hidepid, or run as root.",
                                       "could not read the start time of process 1");
#ifdef PAWL_TESTING
        const char *other = getenv("PAWL_TEST_BOOT"); /* as if it were another boot of this machine */
        life.start_time += other ? strtoull(other, NULL, 10) : 0;
#endif
        blake2b_of(NULL, 0, &life, sizeof(life), digest);
        memcpy(ret, digest, BOOT_ID_SIZE);
        return 0;
}
