/* SPDX-License-Identifier: Apache-2.0 */
/* See archive_policy.h. */
#include <errno.h>
#include <string.h>

#include "core/base/fault.h"
#include "core/base/field.h"
#include "core/base/text.h"
#include "managers/archive_policy.h"

#define NAME_SIZE_MAX 255
#define SHOWN_MAX 200

/* A name from an archive as a message may hold it: one line, plain, not endless. */
typedef struct Shown {
        char text[SHOWN_MAX + 4];
} Shown;

static Shown shown(const char *name) {
        Shown s;
        size_t n = strnlen(name, SHOWN_MAX + 1), used = n > SHOWN_MAX ? SHOWN_MAX : n;
        bool is_clean = n <= SHOWN_MAX && text_is_clean(name, n);
        for (size_t i = 0; i < used; i++) {
                unsigned char c = (unsigned char)name[i];
                s.text[i] = c < 0x20 || c == 0x7f || (c >= 0x80 && !is_clean) ? '?' : name[i];
        }
        memcpy(s.text + used, n > SHOWN_MAX ? "..." : "", n > SHOWN_MAX ? 4 : 1);
        return s;
}

static int refuse(const char *path, const char *why, Error *err) {
        return error_set(err, -EBADMSG, ERR_ARTIFACT, NULL, "the entry \"%s\" %s", shown(path).text, why);
}

static bool has_control(const char *s) {
        for (; *s; s++)
                if ((unsigned char)*s < 0x20 || *s == 0x7f)
                        return true;
        return false;
}

/* Components one by one: NULL when all is well, else why not. */
static const char *check_components(const char *path) {
        unsigned depth = 0;
        for (const char *at = path; *at;) {
                size_t n = strcspn(at, "/");
                if (n == 0 || (n == 1 && at[0] == '.'))
                        return "has a path with an empty or \".\" component";
                if (n == 2 && at[0] == '.' && at[1] == '.' && !mutant_is("archive-leads-out"))
                        return "leads out of the release";
                if (n > NAME_SIZE_MAX)
                        return "has a name longer than 255 bytes";
                if (++depth > ARCHIVE_DEPTH_MAX)
                        return "is more than 64 directories deep";
                at += n;
                if (*at == '/' && *++at == '\0')
                        return "has a path that ends in \"/\"";
        }
        return NULL;
}

/* The path without a leading "./" and, of a directory, without closing "/". */
static int check_path(const char *path, bool is_directory, const char *blamed, PolicyPath *ret, Error *err) {
        if (path[0] == '\0')
                return refuse(blamed, "has no name", err);
        if (path[0] == '/')
                return refuse(blamed, "has an absolute path", err);
        if (has_control(path))
                return refuse(blamed, "has a control character in its path", err);
        while (path[0] == '.' && path[1] == '/') {
                path++;
                path += strspn(path, "/");
        }
        size_t n = strlen(path);
        if (n >= sizeof(ret->text))
                return refuse(blamed, "has a path longer than 4095 bytes", err);
        while (is_directory && n > 0 && path[n - 1] == '/')
                n--;
        if (is_directory && n == 1 && path[0] == '.')
                n = 0;
        memcpy(ret->text, path, n);
        ret->text[n] = '\0';
        if (n == 0)
                return is_directory ? 0 : refuse(blamed, "has no name", err);
        const char *why = check_components(ret->text);
        if (!why && strncmp(ret->text, ".pawl-", 6) == 0)
                why = "has a name that pawl keeps for itself";
        if (!why && !path_is_safe(ret->text))
                why = "has a path that cannot be used";
        return why ? refuse(blamed, why, err) : 0;
}

static unsigned depth_of_directory(const char *path) {
        unsigned n = 0;
        for (; *path; path++)
                n += *path == '/';
        return n;
}

/* See the header for why ".." is allowed at the beginning alone. */
int archive_policy_check_link(const char *path, const char *target, Error *err) {
        if (!target || target[0] == '\0')
                return refuse(path, "is a link to nothing", err);
        if (target[0] == '/')
                return refuse(path, "is a link to an absolute path", err);
        if (has_control(target))
                return refuse(path, "is a link to a path with a control character", err);
        if (strlen(target) >= PATH_MAX)
                return refuse(path, "is a link to a path longer than 4095 bytes", err);
        unsigned up = 0, depth = depth_of_directory(path);
        bool went_down = false;
        for (const char *at = target; *at;) {
                size_t n = strcspn(at, "/");
                bool is_up = n == 2 && at[0] == '.' && at[1] == '.';
                up += is_up;
                if (up > depth || (is_up && went_down))
                        return refuse(path, "is a link that leads out of the release", err);
                went_down |= !is_up && n > 0 && !(n == 1 && at[0] == '.');
                at += n;
                at += strspn(at, "/");
        }
        return 0;
}

static int check_kind(const PolicyEntry *e, Error *err) {
        if (e->kind == ENTRY_OTHER)
                return refuse(e->path, "is a device, socket or pipe", err);
        if (e->is_encrypted)
                return refuse(e->path, "is encrypted", err);
        if (e->mode & 06000)
                return refuse(e->path, "has a set-user-id or set-group-id bit", err);
        if (e->mode & 01000)
                return refuse(e->path, "has a sticky bit", err);
        if (e->size < 0)
                return refuse(e->path, "has a negative size", err);
        return 0;
}

static int too_large(const Policy *p, const char *path, Error *err) {
        char limit[32];
        size_format(p->max_size, limit);
        return error_set(err, -EFBIG, ERR_ARTIFACT, "Raise max_size if the release may be that large.",
                         "the entry \"%s\" takes the release beyond %s", shown(path).text, limit);
}

static int check_limits(Policy *p, const PolicyEntry *e, Error *err) {
        if (++p->n_entries > ARCHIVE_ENTRIES_MAX)
                return refuse(e->path, "is one too many: an archive may hold 1,000,000", err);
        if (e->kind != ENTRY_FILE)
                return 0;
        if (__builtin_add_overflow(p->size, (uint64_t)e->size, &p->size) || (p->max_size > 0 && p->size > p->max_size))
                return too_large(p, e->path, err);
        return 0;
}

int archive_policy_check(Policy *p, const PolicyEntry *entry, PolicyPath *ret_path, PolicyPath *ret_target,
                         Error *err) {
        int r = check_path(entry->path, entry->kind == ENTRY_DIRECTORY, entry->path, ret_path, err);
        if (r == 0)
                r = check_kind(entry, err);
        if (r == 0)
                r = check_limits(p, entry, err);
        if (r == 0 && entry->kind == ENTRY_LINK)
                r = archive_policy_check_link(ret_path->text, entry->target, err);
        if (r == 0 && entry->kind == ENTRY_HARD_LINK)
                r = check_path(entry->target ? entry->target : "", false, entry->path, ret_target, err);
        return r;
}

int archive_policy_count(Policy *p, uint64_t announced, uint64_t came, const char *path, Error *err) {
        if (came <= announced)
                return 0;
        uint64_t all;
        if (__builtin_add_overflow(p->size, came - announced, &all) || (p->max_size > 0 && all > p->max_size))
                return too_large(p, path, err);
        return 0;
}
