/* SPDX-License-Identifier: Apache-2.0 */
/* Names: what is new is complete before it has its name, and nothing foreign is overwritten. */
#include "tests/unit/fs_fixture.h"

static void a_staged_file_is_complete_before_it_has_its_name(void **state) {
        (void)state;
        struct stat st;
        watched = "env";
        mode_t old = umask(077);
        assert_int_equal(fs_stage_file(root, ".pawl-1-0", "hello", 5, (FsAttrs){0640, (FsOwner){getuid(), getgid()}},
                                       &err),
                         0);
        umask(old);
        int at = synced_at(inode_of(".pawl-1-0"));
        assert_true(at >= 0);
        assert_int_equal(synced[at].size, 5);
        assert_int_equal(synced[at].mode & 07777, 0640);
        assert_false(is_there("env"));
        assert_int_equal(fs_publish_new(root, ".pawl-1-0", "env", &err), 0);
        assert_false(is_there(".pawl-1-0"));
        assert_true(holds(root, "env", "hello"));
        at = synced_at(inode_of("."));
        assert_true(at >= 0 && synced[at].was_published);
        assert_int_equal(fs_stat(root, "env", &st, &err), 0);
        assert_int_equal(st.st_mode & 07777, 0640);
}

static void staging_again_after_a_crash_starts_over(void **state) {
        (void)state;
        put(root, "elsewhere", "kept");
        assert_int_equal(fs_stage_file(root, "s", "a longer first try", 18, (FsAttrs){0600, FS_OWNER_KEEP}, &err), 0);
        assert_int_equal(fs_stage_file(root, "s", "second", 6, (FsAttrs){0644, FS_OWNER_KEEP}, &err), 0);
        assert_true(holds(root, "s", "second"));
        assert_int_equal(fs_stage_link(root, "s", "elsewhere", &err), 0);
        assert_int_equal(fs_stage_link(root, "s", "elsewhere", &err), 0);
        assert_int_equal(fs_stage_file(root, "s", "third", 5, (FsAttrs){0644, FS_OWNER_KEEP}, &err), 0);
        assert_true(holds(root, "s", "third"));
        assert_true(holds(root, "elsewhere", "kept"));
}

static void publishing_new_refuses_what_exists(void **state) {
        (void)state;
        put(root, "theirs", "theirs");
        assert_int_equal(mkdirat(root, "dir", 0755), 0);
        assert_int_equal(symlinkat("none", root, "dangling"), 0);
        assert_int_equal(fs_stage_file(root, "s", "ours", 4, (FsAttrs){0644, FS_OWNER_KEEP}, &err), 0);
        assert_int_equal(fs_publish_new(root, "s", "theirs", &err), -EEXIST);
        assert_int_equal(fs_publish_new(root, "s", "dir", &err), -EEXIST);
        assert_int_equal(fs_publish_new(root, "s", "dangling", &err), -EEXIST);
        assert_int_equal(err.code, ERR_NONE);
        assert_true(holds(root, "theirs", "theirs"));
        assert_true(holds(root, "s", "ours"));
        assert_int_equal(fs_publish_new(root, "s", "dir/other", &err), -EINVAL);
}

static void exchanging_keeps_the_displaced_inode(void **state) {
        (void)state;
        put(root, "env", "old");
        assert_int_equal(fchmodat(root, "env", 0604, 0), 0);
        ino_t inode = inode_of("env");
        int fd = openat(root, "env", O_RDONLY);
        bool has_xattr = fsetxattr(fd, "user.pawl", "x", 1, 0) == 0;
        close(fd);
        assert_int_equal(fs_stage_file(root, "s", "new", 3, (FsAttrs){0644, FS_OWNER_KEEP}, &err), 0);
        assert_int_equal(fs_publish_exchange(root, "s", "env", &err), 0);
        assert_true(synced_at(inode_of(".")) > synced_at(inode_of("env")));
        assert_true(holds(root, "env", "new"));
        assert_int_equal(inode_of("s"), inode);
        struct stat st;
        assert_int_equal(fs_stat(root, "s", &st, &err), 0);
        assert_int_equal(st.st_mode & 07777, 0604);
        fd = openat(root, "s", O_RDONLY);
        char value[8];
        assert_true(!has_xattr || fgetxattr(fd, "user.pawl", value, sizeof(value)) == 1);
        close(fd);
        assert_int_equal(fs_publish_exchange(root, "s", "env", &err), 0);
        assert_true(holds(root, "env", "old"));
        assert_int_equal(inode_of("env"), inode);
        /* A file for a link. */
        assert_int_equal(fs_stage_link(root, "l", "releases/v1", &err), 0);
        assert_int_equal(fs_publish_exchange(root, "l", "env", &err), 0);
        assert_true(holds(root, "l", "old"));
}

static void exchanging_tells_which_name_is_missing(void **state) {
        (void)state;
        assert_int_equal(fs_stage_file(root, "s", "new", 3, (FsAttrs){0644, FS_OWNER_KEEP}, &err), 0);
        assert_int_equal(fs_publish_exchange(root, "s", "env", &err), -ENOENT);
        assert_int_equal(err.code, ERR_NONE);
        assert_true(holds(root, "s", "new"));
        assert_int_equal(fs_publish_exchange(root, "none", "s", &err), -ESTALE);
        assert_non_null(strstr(err.message, "none"));
}

static void on_an_old_kernel(void) {
        struct stat st;
        size_t n = n_entries(".");
        become_old_kernel();
        CHECK(fs_stage_file(root, "s", "new", 3, (FsAttrs){0644, FS_OWNER_KEEP}, &err) == 0);
        /* exchange: the same promises, by links */
        CHECK(fs_publish_exchange(root, "s", "none", &err) == -ENOENT);
        CHECK(fs_publish_exchange(root, "none", "s", &err) == -ESTALE);
        CHECK(fstatat(root, "env", &st, 0) == 0);
        ino_t inode = st.st_ino;
        /* a failure half way: the old one is where it was, and the next try begins anew */
        sync_errno = EIO;
        CHECK(fs_publish_exchange(root, "s", "env", &err) == -EIO);
        CHECK(holds(root, "env", "old"));
        sync_errno = 0;
        CHECK(fs_stage_file(root, "s", "new", 3, (FsAttrs){0644, FS_OWNER_KEEP}, &err) == 0);
        CHECK(holds(root, "env", "old"));
        n_synced = 0;
        CHECK(fs_publish_exchange(root, "s", "env", &err) == 0);
        CHECK(n_synced == 2); /* the displaced one is safe first, then the new one is visible */
        CHECK(holds(root, "env", "new") && holds(root, "s", "old"));
        CHECK(fstatat(root, "s", &st, 0) == 0 && st.st_ino == inode && st.st_nlink == 1);
        CHECK(fs_publish_exchange(root, "s", "env", &err) == 0);
        CHECK(holds(root, "env", "old") && holds(root, "s", "new"));
        CHECK(n_entries(".") == n + 1);
        CHECK(fs_stage_link(root, "l", "v2", &err) == 0 && fs_publish_exchange(root, "l", "current", &err) == 0);
        char *target = NULL;
        CHECK(fs_readlink(root, "l", &target, &err) == 0 && strcmp(target, "v1") == 0);
        CHECK(fs_readlink(root, "current", &target, &err) == 0 && strcmp(target, "v2") == 0);
        CHECK(fs_stage_file(root, "d", "", 0, (FsAttrs){0644, FS_OWNER_KEEP}, &err) == 0);
        CHECK(fs_publish_exchange(root, "d", "dir", &err) == -EOPNOTSUPP);
        /* never over something */
        CHECK(fs_publish_new(root, "s", "env", &err) == -EEXIST);
        CHECK(fs_rename_durably(root, "dir", "sub", &err) == -EEXIST);
        CHECK(holds(root, "env", "old"));
        CHECK(fs_publish_new(root, "s", "fresh", &err) == 0 && holds(root, "fresh", "new") && !is_there("s"));
        CHECK(fs_rename_durably(root, "dir", "moved", &err) == 0 && is_there("moved"));
        CHECK(linkat(root, "fresh", root, "again", 0) == 0);
        CHECK(fs_rename_durably(root, "fresh", "again", &err) == 0 && !is_there("fresh"));
        /* no link is followed */
        CHECK(fs_open(root, "absolute/outside", 0, &err) < 0);
        CHECK(fs_open(root, "sub/link", 0, &err) == -ELOOP);
        CHECK(fs_open(root, "sub/../../outside", 0, &err) == -EXDEV);
        CHECK(fs_open(root, "../outside", 0, &err) < 0);
        CHECK(fs_open(root, "/sub/x", 0, &err) >= 0);
        CHECK(fs_open_dir(root, "/", &err) >= 0);
        CHECK(fs_remove_tree(root, "sub", &err) == 0 && !is_there("sub"));
        CHECK(holds(root, "../outside", "secret"));
}

static void an_old_kernel_makes_it_slower_not_weaker(void **state) {
        (void)state;
        put(root, "env", "old");
        assert_int_equal(symlinkat("v1", root, "current"), 0);
        assert_int_equal(symlinkat(top, root, "absolute"), 0);
        assert_int_equal(mkdirat(root, "dir", 0755), 0);
        assert_int_equal(mkdirat(root, "sub", 0755), 0);
        put(root, "sub/x", "x");
        assert_int_equal(symlinkat("../../outside", root, "sub/link"), 0);
        in_child(on_an_old_kernel);
}

static void renaming_never_overwrites_and_syncs_both_ends(void **state) {
        (void)state;
        assert_int_equal(mkdirat(root, "a", 0755), 0);
        assert_int_equal(mkdirat(root, "b", 0755), 0);
        put(root, "a/x", "mine");
        put(root, "b/x", "theirs");
        assert_int_equal(mkdirat(root, "b/empty", 0755), 0);
        assert_int_equal(mkdirat(root, "a/tree", 0755), 0);
        assert_int_equal(fs_rename_durably(root, "a/x", "b/x", &err), -EEXIST);
        assert_int_equal(fs_rename_durably(root, "a/tree", "b/empty", &err), -EEXIST);
        assert_int_equal(err.code, ERR_NONE);
        assert_true(holds(root, "b/x", "theirs") && holds(root, "a/x", "mine"));
        assert_int_equal(fs_rename_durably(root, "a/x", "none/x", &err), -ENOTDIR);
        watched = "b/y";
        n_synced = 0;
        assert_int_equal(fs_rename_durably(root, "a/x", "b/y", &err), 0);
        assert_true(holds(root, "b/y", "mine") && !is_there("a/x"));
        int to = synced_at(inode_of("b")), from = synced_at(inode_of("a"));
        assert_true(to >= 0 && from > to && synced[to].was_published);
}

static void replacing_leaves_old_or_new(void **state) {
        (void)state;
        assert_int_equal(mkdirat(root, "d", 0755), 0);
        assert_int_equal(fs_replace_durably(root, "d/head", "one", 3, 0600, &err), 0);
        assert_true(synced_at(inode_of("d/head")) >= 0);
        assert_true(synced_at(inode_of("d")) > synced_at(inode_of("d/head")));
        put(root, "d/.pawl-new-head", "left by a crash");
        sync_errno = EIO;
        n_synced = 0;
        assert_int_equal(fs_replace_durably(root, "d/head", "two", 3, 0600, &err), -EIO);
        assert_int_equal(n_synced, 1); /* a second fsync would lie */
        assert_true(holds(root, "d/head", "one"));
        assert_int_equal(n_entries("d"), 1);
        assert_non_null(strstr(err.message, "d/head"));
        assert_true(err.hint[0] != '\0');
        n_synced = 0;
        assert_int_equal(fs_replace(root, "d/head", "three", 5, 0600, &err), 0);
        assert_int_equal(n_synced, 0);
        assert_true(holds(root, "d/head", "three"));
        assert_int_equal(n_entries("d"), 1);
}

static void a_failed_fsync_abandons_the_staged_file(void **state) {
        (void)state;
        sync_errno = ENOSPC;
        assert_int_equal(fs_stage_file(root, "s", "x", 1, (FsAttrs){0600, FS_OWNER_KEEP}, &err), -ENOSPC);
        assert_int_equal(n_synced, 1);
        assert_false(is_there("s"));
        assert_int_equal(err.code, ERR_NO_SPACE);
        assert_string_equal(err.hint, "Free some space or inodes on the file system, then run the command again.");
        assert_non_null(strstr(err.message, "/root/s"));
        assert_int_equal(fs_mkdir_durably(root, "d", 0755, FS_OWNER_KEEP, NULL, &err), -ENOSPC);
        assert_int_equal(fs_unlink_durably(root, "s", &err), -ENOSPC);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(a_staged_file_is_complete_before_it_has_its_name),
                TEST(staging_again_after_a_crash_starts_over),
                TEST(publishing_new_refuses_what_exists),
                TEST(exchanging_keeps_the_displaced_inode),
                TEST(exchanging_tells_which_name_is_missing),
                TEST(an_old_kernel_makes_it_slower_not_weaker),
                TEST(renaming_never_overwrites_and_syncs_both_ends),
                TEST(replacing_leaves_old_or_new),
                TEST(a_failed_fsync_abandons_the_staged_file),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
