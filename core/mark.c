/* SPDX-License-Identifier: Apache-2.0 */
/* Whole is said before the mark is made, and taken back after the mark is gone: a living flow never keeps its own
 * unit down. */
#include <dirent.h>

#include "core/base/fault.h"
#include "core/base/text.h"
#include "core/decide.h"
#include "core/lock.h"
#include "core/mark.h"

static char *open_path(const char *service) {
        return path_join(MARK_OPEN_DIR, service);
}

static char *whole_path(const char *service) {
        return path_join(MARK_WHOLE_DIR, service);
}

bool mark_is_there(const Engine *e, const char *service) {
        _cleanup_free_ char *path = open_path(service);
        return path && fs_exists(e->root, path);
}

/* A mark that cannot be looked at is not one that is not there: half of the files would start. */
static int mark_remove(Engine *e, const char *path, Error *err) {
        bool is_there = false;
        int r = fs_has(e->root, path, &is_there, err);
        return is_there ? fs_unlink_durably(e->root, path, err) : r;
}

static int say_whole(Engine *e, const char *service, Error *err) {
        _cleanup_free_ char *path = whole_path(service);
        if (!path)
                return error_no_memory(err);
        bool is_there = false;
        int r = fs_has(e->root, path, &is_there, err);
        return r < 0 || is_there ? r : fs_replace(e->root, path, "", 0, 0644, err);
}

static int unsay_whole(Engine *e, const char *service, Error *err) {
        _cleanup_free_ char *path = whole_path(service);
        if (!path)
                return error_no_memory(err);
        return mark_remove(e, path, err);
}

/* In place, as there is nothing in it: a staged name beside it, left by a power cut, would be nobody's. One that is
 * there may be of a process that died before it was durable. */
static int make_durably(Engine *e, const char *path, Error *err) {
        _cleanup_close_ int fd = fs_append_open(e->root, path, 0644, err);
        int r = fd < 0 ? fd : fs_sync_fd(fd, err);
        return r < 0 ? r : fs_sync_parent(e->root, path, err);
}

int mark_begin(Engine *e, const char *service, Error *err) {
        _cleanup_free_ char *path = open_path(service);
        if (!path)
                return error_no_memory(err);
        int r = mutant_is("no-whole") ? 0 : say_whole(e, service, err);
        fault_point("mark-before");
        return r < 0 ? r : make_durably(e, path, err);
}

static int take_away(Engine *e, const char *service, Error *err) {
        _cleanup_free_ char *path = open_path(service);
        if (!path)
                return error_no_memory(err);
        int r = mark_remove(e, path, err);
        return r < 0 ? r : unsay_whole(e, service, err);
}

void mark_end(Engine *e, const char *service) {
        Error why = ERROR_INIT;
        fault_point("mark-end");
        if (take_away(e, service, &why) < 0)
                engine_say(e, LOG_WARNING, "the mark of %s could not be taken away: %s", service, why.message);
}

int mark_resume(Engine *e, const Trail *t, Error *err) {
        _cleanup_free_ char *path = open_path(t->plan->service);
        bool is_there = false;
        int r = path ? fs_has(e->root, path, &is_there, err) : error_no_memory(err);
        return is_there ? say_whole(e, t->plan->service, err) : r;
}

int mark_whole_if(Engine *e, const Trail *t, uint32_t from, Error *err) {
        return decide_files_are_whole(t, from) && !mutant_is("late-no-whole") ? mark_resume(e, t, err) : 0;
}

int mark_refresh(Engine *e, const Trail *t, Error *err) {
        if (decide_files_are_whole(t, 0) || mutant_is("whole-always"))
                return mark_resume(e, t, err);
        return unsay_whole(e, t->plan->service, err);
}

int mark_keep_down(Engine *e, const Trail *t, Error *err) {
        return unsay_whole(e, t->plan->service, err);
}

/* ---- What nobody is in any more ---------------------------------------------------------------------------------- */

/* The lock is what tells a dead process from one that is just before its BEGIN. */
static int sweep_one(Engine *e, const char *service, Error *err) {
        _cleanup_close_ int fd = -1;
        _cleanup_free_ char *lock = text_format("service-%s", service);
        int r = lock ? lock_try(e, lock, &fd, err) : error_no_memory(err);
        if (r != 0)
                return MIN(r, 0);
        r = engine_has_open(e, service, err);
        return r == 0 ? take_away(e, service, err) : MIN(r, 0);
}

static int marked_services(Engine *e, Value **ret, Error *err) {
        _cleanup_(value_freep) Value *names = value_new_array();
        int fd = fs_open_dir(e->root, MARK_OPEN_DIR, err), r = MIN(fd, 0);
        DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
        if (!dir) {
                fd_close(&fd);
                return r < 0 ? r : error_no_memory(err);
        }
        for (struct dirent *entry; r == 0 && (entry = readdir(dir));)
                if (entry->d_name[0] != '.')
                        r = value_append_text(names, entry->d_name, err);
        closedir(dir);
        if (r == 0)
                *ret = TAKE_PTR(names);
        return r;
}

int mark_sweep(Engine *e, Error *err) {
        _cleanup_(value_freep) Value *names = NULL;
        int r = mutant_is("no-mark-sweep") ? 0 : marked_services(e, &names, err);
        for (size_t i = 0; r == 0 && i < value_count(names); i++)
                r = sweep_one(e, value_text(value_at(names, i)), err);
        return r;
}
