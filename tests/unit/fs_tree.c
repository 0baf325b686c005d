/* SPDX-License-Identifier: Apache-2.0 */
/* Whole trees, removed and synced: no link is followed and no mount is entered, however deep it goes. */
#include "tests/unit/fs_fixture.h"

static void removing_a_tree_does_not_follow_links(void **state) {
        (void)state;
        char path[512] = "tree";
        assert_int_equal(mkdirat(root, "tree", 0755), 0);
        assert_int_equal(mkdirat(root, "tree/ro", 0755), 0);
        put(root, "tree/ro/file", "x");
        assert_int_equal(mkdirat(root, "tree/closed", 0000), 0);
        assert_int_equal(symlinkat(top, root, "tree/out"), 0);
        assert_int_equal(symlinkat("../../outside", root, "tree/file"), 0);
        assert_int_equal(mkfifoat(root, "tree/fifo", 0600), 0);
        assert_int_equal(fchmodat(root, "tree/ro", 0555, 0), 0);
        assert_int_equal(fchmodat(root, "tree", 0555, 0), 0);
        assert_int_equal(symlinkat(top, root, "link"), 0);
        assert_int_equal(fs_remove_tree(root, "tree", &err), 0);
        assert_false(is_there("tree"));
        assert_true(synced_at(inode_of(".")) >= 0);
        assert_int_equal(fs_remove_tree(root, "link", &err), 0);
        assert_false(is_there("link"));
        assert_true(holds(root, "../outside", "secret"));
        put(root, "kept", "kept");
        assert_int_equal(fs_remove_tree(root, ".", &err), -EINVAL);
        assert_int_equal(fs_remove_tree(root, "/", &err), -EINVAL);
        assert_true(is_there("kept"));
        for (size_t i = 0; i < 100; i++) {
                assert_int_equal(mkdirat(root, path, 0755), 0);
                memcpy(path + strlen(path), "/d", sizeof("/d"));
        }
        assert_int_equal(fs_remove_tree(root, "tree", &err), 0);
        assert_false(is_there("tree"));
}

/* Directories in one another, each with a file beside it. */
static void make_deep(const char *name, unsigned n_levels, mode_t mode) {
        CHECK(mkdirat(root, name, 0755) == 0);
        int fd = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        for (unsigned i = 0; i < n_levels; i++) {
                CHECK(mkdirat(fd, "d", 0755) == 0 && mknodat(fd, "f", S_IFREG | 0600, 0) == 0);
                int next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                CHECK(next >= 0 && fchmod(fd, mode) == 0);
                close(fd);
                fd = next;
        }
        close(fd);
}

static void without_rights_in_a_deep_tree(void) {
        CHECK(geteuid() != 0 || (fchown(root, 65534, 65534) == 0 && seteuid(65534) == 0));
        make_deep("deep", 600, 0555);
        CHECK(fchmodat(root, "deep", 0755, 0) == 0);
        CHECK(fs_remove_tree(root, "deep", &err) == 0 && !is_there("deep"));
}

static void removing_a_tree_has_no_limit_of_depth(void **state) {
        (void)state;
        make_deep("deep", 5000, 0755);
        /* Names of ours may be taken. */
        assert_int_equal(mkdirat(root, "deep/.pawl-deep-1", 0755), 0);
        assert_int_equal(mkdirat(root, "deep/.pawl-deep-1/x", 0755), 0);
        put(root, "deep/.pawl-deep-2", "x");
        assert_int_equal(fs_remove_tree(root, "deep", &err), 0);
        assert_false(is_there("deep"));
        in_child(without_rights_in_a_deep_tree);
}

static void with_a_mount_in_a_deep_tree(void) {
        char from[512];
        become_mounter();
        make_deep("tree", 300, 0755);
        CHECK(fchdir(root) == 0 && chdir("tree") == 0);
        for (unsigned i = 0; i < 300; i++)
                CHECK(chdir("d") == 0);
        CHECK(mkdir("bind", 0755) == 0);
        snprintf(from, sizeof(from), "%s/other", top);
        if (mount(from, "bind", NULL, MS_BIND, NULL) < 0)
                _exit(SKIPPED);
        CHECK(fs_remove_tree(root, "tree", &err) == -EXDEV);
        CHECK(holds(root, "../other/kept", "kept"));
        CHECK(strcmp(err.message,
                     "could not remove \"tree/.pawl-deep-1/d/.../d/d/bind\": something is mounted there") == 0);
}

static void removing_a_deep_tree_does_not_enter_mounts(void **state) {
        (void)state;
        assert_int_equal(mkdirat(root, "../other", 0755), 0);
        put(root, "../other/kept", "kept");
        in_child(with_a_mount_in_a_deep_tree);
}

static void with_mounts_in_the_tree(void) {
        char from[512], to[512];
        become_mounter();
        snprintf(from, sizeof(from), "%s/other", top);
        snprintf(to, sizeof(to), "%s/root/tree/bind", top);
        if (mount(from, to, NULL, MS_BIND, NULL) < 0)
                _exit(SKIPPED);
        CHECK(fs_remove_tree(root, "tree", &err) == -EXDEV);
        CHECK(strcmp(err.message, "could not remove \"tree/bind\": something is mounted there") == 0);
        CHECK(err.hint[0] != '\0');
        CHECK(holds(root, "../other/kept", "kept"));
        CHECK(umount(to) == 0);
        if (mount("tmpfs", to, "tmpfs", 0, "size=64k") < 0)
                _exit(SKIPPED);
        put(root, "tree/bind/kept", "kept");
        CHECK(fs_remove_tree(root, "tree", &err) == -EXDEV);
        CHECK(holds(root, "tree/bind/kept", "kept"));
}

static void removing_a_tree_does_not_enter_mounts(void **state) {
        (void)state;
        assert_int_equal(mkdirat(root, "../other", 0755), 0);
        put(root, "../other/kept", "kept");
        assert_int_equal(mkdirat(root, "tree", 0755), 0);
        assert_int_equal(mkdirat(root, "tree/bind", 0755), 0);
        in_child(with_mounts_in_the_tree);
}

static void syncing_a_tree_reaches_everything_bottom_up(void **state) {
        (void)state;
        assert_int_equal(mkdirat(root, "t", 0755), 0);
        assert_int_equal(mkdirat(root, "t/sub", 0755), 0);
        put(root, "t/one", "1");
        put(root, "t/sub/two", "2");
        assert_int_equal(symlinkat("../../outside", root, "t/sub/link"), 0);
        assert_int_equal(fs_sync_tree(root, "t", &err), 0);
        assert_int_equal(n_synced, 4);
        assert_true(synced_at(inode_of("t/one")) >= 0);
        assert_true(synced_at(inode_of("t/sub/two")) >= 0);
        assert_true(synced_at(inode_of("t/sub")) > synced_at(inode_of("t/sub/two")));
        assert_int_equal(synced_at(inode_of("t")), 3);
        sync_errno = EIO;
        assert_int_equal(fs_sync_tree(root, "t", &err), -EIO);
        assert_int_equal(fs_sync_tree(root, "none", &err), -ENOENT);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(removing_a_tree_does_not_follow_links),       TEST(removing_a_tree_does_not_enter_mounts),
                TEST(removing_a_tree_has_no_limit_of_depth),       TEST(removing_a_deep_tree_does_not_enter_mounts),
                TEST(syncing_a_tree_reaches_everything_bottom_up),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
