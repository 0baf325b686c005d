/* SPDX-License-Identifier: Apache-2.0 */
/* Durable files: nothing leads out of the root, and each fsync is where it has to be. */
#include "tests/unit/fs_fixture.h"

static void links_cannot_lead_out_of_the_root(void **state) {
        (void)state;
        char path[512], *data = NULL;
        snprintf(path, sizeof(path), "%s/outside", top);
        assert_int_equal(symlinkat(path, root, "absolute"), 0);
        assert_int_equal(symlinkat("../outside", root, "up"), 0);
        assert_int_equal(symlinkat(top, root, "dir"), 0);
        assert_int_equal(symlinkat("../../../..", root, "updir"), 0);
        assert_int_equal(fs_open(root, "absolute", 0, &err), -ENOENT);
        assert_int_equal(fs_open(root, "up", 0, &err), -ENOENT);
        assert_int_equal(fs_open(root, "../outside", 0, &err), -ENOENT);
        assert_int_equal(fs_open(root, "/../outside", 0, &err), -ENOENT);
        assert_int_equal(fs_read(root, "dir/outside", 100, &data, NULL, &err), -ENOENT);
        assert_int_equal(fs_read(root, "../outside", 100, &data, NULL, &err), -ENOENT);
        assert_false(fs_exists(root, "dir/outside"));
        /* ".." of the root is the root. */
        int fd = fs_open_dir(root, "updir", &err);
        assert_true(fd >= 0);
        struct stat st;
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_ino, inode_of("."));
        close(fd);
        assert_int_equal(fs_unlink_durably(root, "dir/outside", &err), 0);
        assert_true(holds(root, "../outside", "secret"));
        assert_int_equal(fs_replace_durably(root, "dir/outside", "x", 1, 0644, &err), -ENOENT);
        assert_true(holds(root, "../outside", "secret"));
}

static void absolute_paths_and_links_are_inside_the_root(void **state) {
        (void)state;
        _cleanup_free_ char *data = NULL;
        size_t size = 0;
        assert_int_equal(mkdirat(root, "etc", 0755), 0);
        assert_int_equal(symlinkat("/etc", root, "link"), 0);
        put(root, "etc/passwd", "ours");
        assert_int_equal(fs_read(root, "/link//passwd", 100, &data, &size, &err), 0);
        assert_string_equal(data, "ours");
        assert_int_equal(size, 4);
        assert_int_equal(fs_replace(root, "/link/new", "x", 1, 0600, &err), 0);
        assert_true(holds(root, "etc/new", "x"));
}

static void a_place_is_a_parent_and_one_name(void **state) {
        (void)state;
        FsPlace p = FS_PLACE_INIT;
        char longest[300];
        assert_int_equal(fs_place_open(root, "", &p, &err), -EINVAL);
        assert_int_equal(fs_place_open(root, "a/..", &p, &err), -EINVAL);
        assert_int_equal(fs_place_open(root, "none/x", &p, &err), -ENOENT);
        assert_non_null(strstr(err.message, "none/x"));
        memset(longest, 'n', sizeof(longest));
        longest[256] = '\0';
        assert_int_equal(fs_place_open(root, longest, &p, &err), -ENAMETOOLONG);
        longest[255] = '\0';
        assert_int_equal(fs_place_open(root, longest, &p, &err), 0);
        assert_string_equal(p.name, longest);
        fs_place_done(&p);
        assert_int_equal(p.dir_fd, -1);
        assert_int_equal(fs_place_open(root, "/x//", &p, &err), 0);
        assert_string_equal(p.name, "x");
        fs_place_done(&p);
}

static void paths_are_joined_and_taken_apart(void **state) {
        (void)state;
        static const char *const joined[][3] = {{"a", "b", "a/b"},
                                                {"a/", "b", "a/b"},
                                                {"/", "b", "/b"},
                                                {"", "b", "b"}};
        static const char *const parents[][3] = {{"a/b", "a", "b"},
                                                 {"a", ".", "a"},
                                                 {"/a", "/", "a"},
                                                 {"a//b", "a", "b"}};
        for (size_t i = 0; i < ELEMENTSOF(joined); i++) {
                _cleanup_free_ char *path = path_join(joined[i][0], joined[i][1]);
                assert_string_equal(path, joined[i][2]);
        }
        for (size_t i = 0; i < ELEMENTSOF(parents); i++) {
                _cleanup_free_ char *parent = path_parent(parents[i][0]);
                assert_string_equal(parent, parents[i][1]);
                assert_string_equal(path_base(parents[i][0]), parents[i][2]);
        }
        _cleanup_free_ char *plain = fs_staged_name("env", 7, 2, NULL);
        _cleanup_free_ char *below = fs_staged_name("/etc/pawl/web/env", UINT64_MAX, UINT32_MAX, ".new");
        assert_string_equal(plain, ".pawl-7-2");
        assert_string_equal(below, "/etc/pawl/web/.pawl-18446744073709551615-4294967295.new");
}

static void reading_refuses_what_is_not_a_file_and_does_not_wait(void **state) {
        (void)state;
        char *data = NULL;
        assert_int_equal(mkfifoat(root, "fifo", 0600), 0);
        assert_int_equal(mkdirat(root, "dir", 0700), 0);
        put(root, "file", "x");
        assert_int_equal(symlinkat("file", root, "link"), 0);
        alarm(20);
        assert_int_equal(fs_read(root, "fifo", 100, &data, NULL, &err), -EINVAL);
        assert_int_equal(fs_append_open(root, "fifo", 0600, &err), -ENXIO);
        assert_int_equal(fs_sync_tree(root, "fifo", &err), 0);
        alarm(0);
        assert_int_equal(fs_read(root, "dir", 100, &data, NULL, &err), -EINVAL);
        assert_int_equal(fs_read(root, "link", 100, &data, NULL, &err), -EINVAL);
        assert_non_null(strstr(err.message, "not a regular file"));
        assert_null(data);
}

static void reading_stops_at_the_limit(void **state) {
        (void)state;
        _cleanup_free_ char *data = NULL, *proc = NULL;
        size_t size = 0;
        put(root, "file", "12345678");
        assert_int_equal(fs_read(root, "file", 7, &data, &size, &err), -EFBIG);
        assert_non_null(strstr(err.message, "file"));
        assert_int_equal(fs_read(root, "file", 8, &data, &size, &err), 0);
        assert_int_equal(size, 8);
        assert_int_equal(data[8], '\0');
        err = ERROR_INIT;
        assert_int_equal(fs_read(root, "none", 8, &data, &size, &err), -ENOENT);
        assert_int_equal(fs_read(root, "none/none", 8, &data, &size, &err), -ENOENT);
        assert_int_equal(err.code, ERR_NONE);
        /* Where the inode says 0 bytes. */
        int slash = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(fs_read(slash, "proc/self/status", SIZE_MAX, &proc, &size, &err), 0);
        assert_true(size > 100 && strlen(proc) == size);
        char *none = NULL;
        assert_int_equal(fs_read(slash, "proc/self/status", 50, &none, &size, &err), -EFBIG);
        close(slash);
}

static void a_missing_name_is_no_error_to_those_who_ask(void **state) {
        (void)state;
        struct stat st;
        char *target = NULL;
        assert_int_equal(fs_stat(root, "a", &st, &err), -ENOENT);
        assert_int_equal(fs_stat(root, "a/b/c", &st, &err), -ENOENT);
        assert_int_equal(fs_readlink(root, "a", &target, &err), -ENOENT);
        put(root, "file", "");
        assert_int_equal(fs_readlink(root, "file", &target, &err), -EINVAL);
        assert_int_equal(fs_unlink_durably(root, "a/b", &err), 0);
        assert_int_equal(fs_rmdir_durably(root, "a/b", &err), 0);
        assert_int_equal(fs_remove_tree(root, "a/b", &err), 0);
        assert_int_equal(fs_sync_parent(root, "a/b", &err), 0);
        assert_int_equal(fs_rename_durably(root, "a", "b", &err), -ENOENT);
        assert_int_equal(err.code, ERR_NONE);
        assert_int_equal(symlinkat("none", root, "dangling"), 0);
        assert_true(fs_exists(root, "dangling"));
        assert_int_equal(fs_readlink(root, "dangling", &target, &err), 0);
        assert_string_equal(target, "none");
        free(target);
}

static void directories_are_durable_level_by_level(void **state) {
        (void)state;
        bool created = false;
        _cleanup_free_ char *first = NULL, *none = NULL;
        struct stat st;
        mode_t old = umask(077);
        assert_int_equal(fs_mkdir_durably(root, "a", 0750, FS_OWNER_KEEP, &created, &err), 0);
        assert_true(created);
        assert_true(synced_at(inode_of(".")) > synced_at(inode_of("a")));
        assert_int_equal(fs_mkdir_all_durably(root, "a/b/c//d/", 0700, FS_OWNER_KEEP, &first, &err), 0);
        umask(old);
        assert_string_equal(first, "a/b");
        static const struct {
                const char *path;
                mode_t mode;
        } made[] = {{"a", 0750}, {"a/b", 0755}, {"a/b/c", 0755}, {"a/b/c/d", 0700}};
        for (size_t i = 0; i < ELEMENTSOF(made); i++) {
                assert_int_equal(fs_stat(root, made[i].path, &st, &err), 0);
                assert_int_equal(st.st_mode & 07777, made[i].mode);
                assert_true(synced_at(st.st_ino) >= 0);
        }
        /* Whoever finds it makes sure of its name: the one who made it may have died before. */
        n_synced = 0;
        assert_int_equal(fs_mkdir_durably(root, "a/b", 0700, FS_OWNER_KEEP, &created, &err), 0);
        assert_false(created);
        assert_true(synced_at(inode_of("a")) >= 0);
        n_synced = 0;
        assert_int_equal(fs_mkdir_all_durably(root, "a/b/c/d", 0755, FS_OWNER_KEEP, &none, &err), 0);
        assert_null(none);
        assert_true(synced_at(inode_of("a/b/c")) >= 0);
}

static void a_directory_is_not_made_of_a_file(void **state) {
        (void)state;
        put(root, "file", "x");
        assert_int_equal(symlinkat(top, root, "out"), 0);
        assert_int_equal(mkdirat(root, "full", 0755), 0);
        put(root, "full/x", "x");
        assert_int_equal(fs_mkdir_durably(root, "file", 0755, FS_OWNER_KEEP, NULL, &err), -ENOTDIR);
        assert_int_equal(fs_mkdir_all_durably(root, "file/b/c", 0755, FS_OWNER_KEEP, NULL, &err), -ENOTDIR);
        assert_int_equal(fs_mkdir_durably(root, "out", 0755, FS_OWNER_KEEP, NULL, &err), -ENOTDIR);
        assert_int_equal(fs_mkdir_durably(root, "none/b", 0755, FS_OWNER_KEEP, NULL, &err), -ENOENT);
        err = ERROR_INIT;
        assert_int_equal(fs_rmdir_durably(root, "full", &err), -ENOTEMPTY);
        assert_int_equal(err.code, ERR_NONE);
        assert_int_equal(fs_unlink_durably(root, "full/x", &err), 0);
        assert_int_equal(fs_rmdir_durably(root, "full", &err), 0);
        assert_false(is_there("full"));
        if (geteuid() == 0)
                return;
        /* A directory whose owner cannot be set is not left for the next try to find. */
        assert_int_equal(fs_mkdir_durably(root, "owned", 0755, (FsOwner){0, 0}, NULL, &err), -EPERM);
        assert_false(is_there("owned"));
}

static void a_lock_excludes_others_until_it_is_closed(void **state) {
        (void)state;
        int first = -1, second = -1, pipe_fd[2];
        char byte;
        assert_int_equal(fs_lock(root, "lock", &first, &err), 0);
        assert_true(first >= 0);
        struct stat st;
        assert_int_equal(fstat(first, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(fs_lock(root, "lock", &second, &err), 1);
        assert_int_equal(second, -1);
        /* A program that was started meanwhile lives on, and does not hold the lock. */
        assert_int_equal(pipe2(pipe_fd, O_CLOEXEC), 0);
        pid_t pid = fork();
        if (pid == 0) {
                execl("/bin/sleep", "sleep", "60", (char *)NULL);
                _exit(1);
        }
        close(pipe_fd[1]);
        assert_int_equal(read(pipe_fd[0], &byte, 1), 0); /* it has been exec'd */
        close(pipe_fd[0]);
        close(first);
        int r = fs_lock(root, "lock", &second, &err);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        assert_int_equal(r, 0);
        close(second);
        assert_int_equal(fs_lock(root, "none/lock", &second, &err), -ENOENT);
        assert_int_equal(symlinkat("lock", root, "link"), 0);
        assert_int_equal(fs_lock(root, "link", &second, &err), -ELOOP);
}

static void states_compare_what_can_be_put_back(void **state) {
        (void)state;
        FsState a, b, none;
        static const uint8_t zero[DIGEST_SIZE];
        put(root, "a", "same");
        put(root, "b", "same");
        assert_int_equal(fs_state(root, "none/none", &none, &err), 0);
        assert_int_equal(none.type, 0);
        assert_int_equal(err.code, ERR_NONE);
        assert_int_equal(fs_state(root, "a", &a, &err), 0);
        assert_int_equal(fs_state(root, "b", &b, &err), 0);
        assert_int_equal(a.size, 4);
        assert_int_not_equal(a.inode, b.inode);
        assert_true(fs_state_equal(&a, &b));
        assert_false(fs_state_equal(&a, &none));
        put(root, "b", "sane");
        assert_int_equal(fs_state(root, "b", &b, &err), 0);
        assert_false(fs_state_equal(&a, &b));
        put(root, "b", "same");
        assert_int_equal(fchmodat(root, "b", 0600, 0), 0);
        assert_int_equal(fs_state(root, "b", &b, &err), 0);
        assert_false(fs_state_equal(&a, &b));
        assert_int_equal(symlinkat("same", root, "link"), 0);
        assert_int_equal(symlinkat("sane", root, "other"), 0);
        assert_int_equal(fs_state(root, "link", &a, &err), 0);
        assert_int_equal(fs_state(root, "other", &b, &err), 0);
        assert_true(S_ISLNK(a.type));
        assert_false(fs_state_equal(&a, &b));
        assert_int_equal(mkdirat(root, "d", 0755), 0);
        assert_int_equal(fs_state(root, "d", &a, &err), 0);
        put(root, "d/x", "x");
        assert_int_equal(fs_state(root, "d", &b, &err), 0);
        assert_true(fs_state_equal(&a, &b));
        assert_memory_equal(a.sha256, zero, sizeof(zero));
        assert_int_equal(mkfifoat(root, "fifo", 0600), 0);
        assert_int_equal(fs_state(root, "fifo", &a, &err), 0);
        assert_true(S_ISFIFO(a.type));
}

static void names_of_entries_cannot_be_paths(void **state) {
        (void)state;
        static const char *const wrong[] = {"", ".", "..", "../outside", "a/b", "/x"};
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                assert_int_equal(fs_create_at(root, wrong[i], 0600, &err), -EINVAL);
                assert_int_equal(fs_mkdir_at(root, wrong[i], 0700, &err), -EINVAL);
                assert_int_equal(fs_symlink_at("x", root, wrong[i], &err), -EINVAL);
                assert_int_equal(fs_link_at(root, "x", root, wrong[i], &err), -EINVAL);
                assert_int_equal(fs_link_at(root, wrong[i], root, "x", &err), -EINVAL);
        }
        int fd = fs_create_at(root, "file", 0600, &err);
        assert_true(fd >= 0);
        assert_int_equal(fs_write_all(fd, "text", 4, &err), 0);
        close(fd);
        assert_int_equal(fs_create_at(root, "file", 0600, &err), -EEXIST);
        assert_int_equal(fs_mkdir_at(root, "dir", 0700, &err), 0);
        assert_int_equal(fs_mkdir_at(root, "dir", 0700, &err), -EEXIST);
        assert_int_equal(fs_symlink_at("../outside", root, "link", &err), 0);
        assert_int_equal(fs_create_at(root, "link", 0600, &err), -EEXIST);
        assert_int_equal(fs_link_at(root, "file", root, "hard", &err), 0);
        assert_int_equal(inode_of("file"), inode_of("hard"));
        assert_int_equal(fs_link_at(root, "file", root, "hard", &err), -EEXIST);
        assert_true(holds(root, "hard", "text"));
}

static void appending_keeps_what_is_there(void **state) {
        (void)state;
        for (size_t i = 0; i < 2; i++) {
                int fd = fs_append_open(root, "log", 0640, &err);
                assert_true(fd >= 0);
                assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
                assert_int_equal(fs_write_all(fd, "line\n", 5, &err), 0);
                close(fd);
        }
        assert_true(holds(root, "log", "line\nline\n"));
        assert_int_equal(symlinkat("log", root, "link"), 0);
        assert_int_equal(fs_append_open(root, "link", 0640, &err), -ELOOP);
}

static void an_unnamed_file_gets_its_name_once(void **state) {
        (void)state;
        put(root, "taken", "theirs");
        int fd = fs_create_unnamed(root, ".", 0600, &err);
        assert_true(fd >= 0);
        assert_int_equal(n_entries("."), 1);
        assert_int_equal(fs_write_all(fd, "body", 4, &err), 0);
        assert_int_equal(fs_name_unnamed(fd, root, "taken", &err), -EEXIST);
        assert_int_equal(err.code, ERR_NONE);
        assert_true(holds(root, "taken", "theirs"));
        int r = fs_name_unnamed(fd, root, "named", &err);
        close(fd);
        if (r == -EXDEV || r == -ENOENT)
                skip(); /* no O_TMPFILE here */
        assert_int_equal(r, 0);
        assert_true(holds(root, "named", "body"));
}

static void sizes_are_reserved_and_cut(void **state) {
        (void)state;
        struct stat st;
        int fd = fs_create_at(root, "file", 0600, &err);
        assert_int_equal(fs_write_all(fd, "12345678", 8, &err), 0);
        assert_int_equal(fs_reserve(fd, 65536, &err), 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, 8);
        assert_int_equal(fs_truncate(fd, 4, &err), 0);
        assert_int_equal(fs_set_mode(fd, 04711, (FsOwner){getuid(), getgid()}, &err), 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, 4);
        assert_int_equal(st.st_mode & 07777, 04711);
        close(fd);
        fd = openat(root, "file", O_RDONLY);
        assert_true(fs_write_all(fd, "x", 1, &err) == -EBADF);
        assert_non_null(strstr(err.message, "/root/file"));
        close(fd);
}

static void on_a_full_file_system(void) {
        static char big[256 * 1024];
        char to[512];
        FsPromise promise;
        const char *name;
        become_mounter();
        snprintf(to, sizeof(to), "%s/root/tiny", top);
        if (mount("tmpfs", to, "tmpfs", 0, "size=64k") < 0)
                _exit(SKIPPED);
        CHECK(fs_replace_durably(root, "tiny/f", "old", 3, 0600, &err) == 0);
        CHECK(fs_replace_durably(root, "tiny/f", big, sizeof(big), 0600, &err) == -ENOSPC);
        CHECK(err.code == ERR_NO_SPACE && strstr(err.message, "tiny/f") && strstr(err.hint, "Free some space"));
        CHECK(holds(root, "tiny/f", "old") && n_entries("tiny") == 1);
        CHECK(fs_stage_file(root, "tiny/s", big, sizeof(big), (FsAttrs){0600, FS_OWNER_KEEP}, &err) == -ENOSPC);
        CHECK(n_entries("tiny") == 1);
        int fd = fs_open_dir(root, "tiny", &err);
        CHECK(fs_promise(fd, &promise, &name, &err) == 0);
        CHECK(promise == FS_PROMISE_NONE && strcmp(name, "tmpfs") == 0);
        fd = fs_create_at(fd, "r", 0600, &err);
        CHECK(fs_reserve(fd, sizeof(big), &err) == -ENOSPC);
}

static void a_full_file_system_keeps_the_old_content(void **state) {
        (void)state;
        assert_int_equal(mkdirat(root, "tiny", 0755), 0);
        in_child(on_a_full_file_system);
}

static void a_file_system_nobody_knows_promises_nothing(void **state) {
        (void)state;
        FsPromise promise;
        const char *name = NULL;
        int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(fs_promise(fd, &promise, &name, &err), 0);
        assert_int_equal(promise, FS_PROMISE_NONE);
        assert_non_null(name);
        close(fd);
        assert_int_equal(fs_promise(-1, &promise, &name, &err), -EBADF);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(links_cannot_lead_out_of_the_root),
                TEST(absolute_paths_and_links_are_inside_the_root),
                TEST(a_place_is_a_parent_and_one_name),
                TEST(paths_are_joined_and_taken_apart),
                TEST(reading_refuses_what_is_not_a_file_and_does_not_wait),
                TEST(reading_stops_at_the_limit),
                TEST(a_missing_name_is_no_error_to_those_who_ask),
                TEST(directories_are_durable_level_by_level),
                TEST(a_directory_is_not_made_of_a_file),
                TEST(a_lock_excludes_others_until_it_is_closed),
                TEST(states_compare_what_can_be_put_back),
                TEST(names_of_entries_cannot_be_paths),
                TEST(appending_keeps_what_is_there),
                TEST(an_unnamed_file_gets_its_name_once),
                TEST(sizes_are_reserved_and_cut),
                TEST(a_full_file_system_keeps_the_old_content),
                TEST(a_file_system_nobody_knows_promises_nothing),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
