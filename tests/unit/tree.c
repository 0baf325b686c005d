/* SPDX-License-Identifier: Apache-2.0 */
/* The managers "tree" and "release": a release is there whole, or not at all. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>

#include "managers/manager.h"
#include "managers/sources.h"
#include "managers/tree_mark.h"

extern const Manager manager_tree;

#define SUBJECT manager_tree
#include "tests/unit/manager_fixture.h"

#define RELEASES "opt/pawl/web/releases"

static int setup(void **state) {
        Fixture *f = fixture_new();
        rooted_write(&f->rooted, "root/" RELEASES "/keep", "", 0, 0644);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;
        fixture_free(f);
        return 0;
}

static void args_for(Fixture *f, const char *from, const char *sha256, const char *kind) {
        value_free(f->args);
        f->args = value_new_map();
        assert_int_equal(value_set_text(f->args, "path", RELEASES "/v1", NULL), 0);
        assert_int_equal(value_set_text(f->args, "name", "web", NULL), 0);
        assert_int_equal(value_set_text(f->args, "sha256", sha256, NULL), 0);
        assert_int_equal(value_set_text(f->args, "from", from, NULL), 0);
        assert_int_equal(value_set_text(f->args, "kind", kind, NULL), 0);
        assert_int_equal(field_check(manager_tree.args, f->args, "tree", &f->err), 0);
}

static void program(Fixture *f, const char *content) {
        rooted_write(&f->rooted, "web-v1", content, strlen(content), 0644);
        args_for(f, rooted_path(&f->rooted, "web-v1"), hex_of(content, strlen(content)), "program");
}

/* Nothing but what the fixture put there. */
static void assert_nothing_left(Fixture *f) {
        assert_int_equal(rooted_count(&f->rooted, "root/" RELEASES), 1);
}

static void program_becomes_a_release(void **state) {
        Fixture *f = *state;
        struct stat st;
        program(f, "#!web");
        capture(f);
        assert_int_equal(probe(f), PROBE_BEFORE);
        mode_t old = umask(077);
        int r = apply(f);
        umask(old);
        assert_int_equal(r, 0);
        assert_int_equal(f->result.change, CHANGE_CREATED);
        assert_int_equal(probe(f), PROBE_AFTER);
        assert_int_equal(verify(f), 0);
        assert_int_equal(stat(rooted_path(&f->rooted, "root/" RELEASES "/v1/web"), &st), 0);
        assert_int_equal(st.st_mode & 07777, 0755);
        assert_int_equal(stat(rooted_path(&f->rooted, "root/" RELEASES "/v1"), &st), 0);
        assert_int_equal(st.st_mode & 07777, 0755);
        assert_string_equal(value_get_text(f->result.facts, "kind"), "program");
        assert_int_equal(value_get_int(f->result.facts, "size", 0), 5);
        assert_int_equal(rooted_count(&f->rooted, "root/" RELEASES), 2);
}

static void apply_twice_is_apply_once(void **state) {
        Fixture *f = *state;
        program(f, "#!web");
        capture(f);
        assert_int_equal(apply(f), 0);
        assert_int_equal(apply(f), 0);
        assert_int_equal(f->result.change, CHANGE_CREATED);
        assert_non_null(value_get_text(f->result.facts, "manifest"));
        assert_int_equal(verify(f), 0);
}

static void revert_leaves_nothing_and_may_be_repeated(void **state) {
        Fixture *f = *state;
        program(f, "#!web");
        capture(f);
        assert_int_equal(revert(f), 0);
        assert_int_equal(apply(f), 0);
        assert_int_equal(revert(f), 0);
        assert_nothing_left(f);
        assert_int_equal(probe(f), PROBE_BEFORE);
        assert_int_equal(revert(f), 0);
}

static void interrupted_apply_is_reverted_without_a_trace(void **state) {
        Fixture *f = *state;
        program(f, "#!web");
        capture(f);
        rooted_write(&f->rooted, "root/" RELEASES "/.pawl-7-3/deep/half", "ha", 2, 0600);
        assert_int_equal(probe(f), PROBE_PARTIAL);
        assert_int_equal(revert(f), 0);
        assert_nothing_left(f);
}

static void interrupted_apply_is_begun_again(void **state) {
        Fixture *f = *state;
        program(f, "#!web");
        capture(f);
        rooted_write(&f->rooted, "root/" RELEASES "/.pawl-7-3/web", "half", 4, 0600);
        assert_int_equal(apply(f), 0);
        assert_int_equal(verify(f), 0);
        assert_int_equal(rooted_count(&f->rooted, "root/" RELEASES), 2);
}

static void interrupted_revert_is_completed(void **state) {
        Fixture *f = *state;
        program(f, "#!web");
        capture(f);
        assert_int_equal(apply(f), 0);
        assert_int_equal(rename(rooted_path(&f->rooted, "root/" RELEASES "/v1"),
                                rooted_path(&f->rooted, "root/" RELEASES "/.pawl-7-3")),
                         0);
        assert_int_equal(probe(f), PROBE_PARTIAL);
        assert_int_equal(revert(f), 0);
        assert_nothing_left(f);
}

static void wrong_digest_publishes_nothing(void **state) {
        Fixture *f = *state;
        program(f, "#!web");
        capture(f);
        rooted_write(&f->rooted, "web-v1", "#!evil", 6, 0644);
        assert_int_equal(apply(f), -EBADMSG);
        assert_int_equal(f->err.code, ERR_CHECKSUM);
        assert_nothing_left(f);
}

static void foreign_directory_survives(void **state) {
        Fixture *f = *state;
        program(f, "#!web");
        rooted_write(&f->rooted, "root/" RELEASES "/v1/mine", "mine", 4, 0644);
        capture(f);
        assert_int_equal(apply(f), -EEXIST);
        assert_int_equal(revert(f), 0);
        assert_true(rooted_exists(&f->rooted, "root/" RELEASES "/v1/mine"));
        assert_int_equal(rooted_count(&f->rooted, "root/" RELEASES "/v1"), 1);
}

static void directory_that_appears_meanwhile_survives(void **state) {
        Fixture *f = *state;
        program(f, "#!web");
        capture(f);
        rooted_write(&f->rooted, "root/" RELEASES "/v1/mine", "mine", 4, 0644);
        assert_int_equal(probe(f), PROBE_FOREIGN);
        assert_int_equal(apply(f), -ESTALE);
        assert_int_equal(f->err.code, ERR_FOREIGN);
        assert_int_equal(revert(f), -ESTALE);
        assert_true(rooted_exists(&f->rooted, "root/" RELEASES "/v1/mine"));
}

static void release_of_another_transaction_is_not_ours_to_remove(void **state) {
        Fixture *f = *state;
        program(f, "#!web");
        capture(f);
        f->rooted.host.tx = 8;
        assert_int_equal(apply(f), 0);
        f->rooted.host.tx = 7;
        assert_int_equal(probe(f), PROBE_FOREIGN);
        assert_int_equal(revert(f), -ESTALE);
        assert_true(rooted_exists(&f->rooted, "root/" RELEASES "/v1/web"));
}

static void same_release_is_used_and_left(void **state) {
        Fixture *f = *state;
        program(f, "#!web");
        f->rooted.host.tx = 5;
        capture(f);
        assert_int_equal(apply(f), 0);
        f->rooted.host.tx = 7;
        capture(f);
        assert_int_equal(apply(f), 0);
        assert_int_equal(f->result.change, CHANGE_UNCHANGED);
        assert_int_equal(revert(f), 0);
        assert_int_equal(verify(f), 0);
}

static void other_bytes_of_the_same_version_are_refused(void **state) {
        Fixture *f = *state;
        program(f, "#!web");
        capture(f);
        assert_int_equal(apply(f), 0);
        program(f, "#!other");
        f->rooted.host.tx = 9;
        capture(f);
        assert_int_equal(apply(f), -EEXIST);
        assert_int_equal(f->err.code, ERR_EXISTS);
}

static const char *resolve(Fixture *f, const char *name, const char **ret_format) {
        static char sha256[DIGEST_HEX_SIZE];
        static char format[32];
        _cleanup_(value_freep) Value *spec = value_new_map(), *facts = NULL;
        Prefetched none = {.fd = 7};
        assert_int_equal(value_set_text(spec, "path", rooted_path(&f->rooted, name), NULL), 0);
        assert_int_equal(source_path.resolve(&f->rooted.host, spec, NULL, &facts, &none, &f->err), 0);
        assert_int_equal(none.fd, -1);
        snprintf(sha256, sizeof(sha256), "%s", value_get_text(facts, "sha256"));
        snprintf(format, sizeof(format), "%s", value_get_text(facts, "format"));
        *ret_format = format;
        return sha256;
}

static void directory_source(Fixture *f) {
        const char *format;
        rooted_write(&f->rooted, "src/bin/web", "#!web", 5, 0700);
        rooted_write(&f->rooted, "src/data", "data", 4, 0600);
        rooted_write(&f->rooted, "src/data.d/x", "x", 1, 0644);
        assert_int_equal(symlink("bin/web", rooted_path(&f->rooted, "src/run")), 0);
        const char *sha256 = resolve(f, "src", &format);
        assert_string_equal(format, "directory");
        args_for(f, rooted_path(&f->rooted, "src"), sha256, format);
        capture(f);
}

static void directory_is_copied_as_it_was_resolved(void **state) {
        Fixture *f = *state;
        struct stat st;
        directory_source(f);
        assert_int_equal(apply(f), 0);
        assert_int_equal(verify(f), 0);
        _cleanup_free_ char *text = rooted_read(&f->rooted, "root/" RELEASES "/v1/run");
        assert_string_equal(text, "#!web");
        assert_int_equal(stat(rooted_path(&f->rooted, "root/" RELEASES "/v1/bin/web"), &st), 0);
        assert_int_equal(st.st_mode & 07777, 0755);
        assert_int_equal(stat(rooted_path(&f->rooted, "root/" RELEASES "/v1/data"), &st), 0);
        assert_int_equal(st.st_mode & 07777, 0644);
        assert_int_equal(value_get_int(f->result.facts, "files", 0), 3);
}

static void directory_that_changed_since_is_refused(void **state) {
        Fixture *f = *state;
        directory_source(f);
        rooted_write(&f->rooted, "src/data", "date", 4, 0600);
        assert_int_equal(apply(f), -EBADMSG);
        assert_nothing_left(f);
}

/* The same rule as for archives: what is served or run out of a release is the release. */
static void refuse_link(Fixture *f, const char *name, const char *target, const char *says) {
        const char *format;
        directory_source(f);
        assert_int_equal(symlink(target, rooted_path(&f->rooted, name)), 0);
        _cleanup_(value_freep) Value *spec = value_new_map(), *facts = NULL;
        Prefetched none;
        assert_int_equal(value_set_text(spec, "path", rooted_path(&f->rooted, "src"), NULL), 0);
        assert_int_equal(source_path.resolve(&f->rooted.host, spec, NULL, &facts, &none, &f->err), -EBADMSG);
        assert_int_equal(f->err.code, ERR_ARTIFACT);
        assert_non_null(strstr(f->err.message, says));
        assert_int_equal(apply(f), -EBADMSG);
        assert_int_equal(f->err.code, ERR_ARTIFACT);
        assert_nothing_left(f);
        assert_int_equal(unlink(rooted_path(&f->rooted, name)), 0);
        assert_string_equal(resolve(f, "src", &format), value_get_text(f->args, "sha256"));
}

static void directory_with_an_absolute_link_is_refused(void **state) {
        refuse_link(*state, "src/l", "/etc/passwd", "is a link to an absolute path");
}

static void directory_with_a_link_that_leads_out_is_refused(void **state) {
        refuse_link(*state, "src/bin/l", "../../other", "\"bin/l\" is a link that leads out of the release");
}

static void directory_with_a_link_that_leads_out_by_a_detour_is_refused(void **state) {
        refuse_link(*state, "src/bin/l", "web/../../../other", "\"bin/l\" is a link that leads out of the release");
}

static void drift(void **state, const char *name, const char *content, const char *says) {
        Fixture *f = *state;
        directory_source(f);
        assert_int_equal(apply(f), 0);
        char path[256];
        snprintf(path, sizeof(path), "root/" RELEASES "/v1/%s", name);
        if (content)
                rooted_write(&f->rooted, path, content, strlen(content), 0644);
        else
                assert_int_equal(unlink(rooted_path(&f->rooted, path)), 0);
        assert_int_equal(verify(f), -ESTALE);
        assert_int_equal(f->err.code, ERR_DRIFT);
        if (!strstr(f->err.message, says))
                fail_msg("\"%s\" does not say \"%s\"", f->err.message, says);
}

static void verify_names_a_changed_file(void **state) {
        drift(state, "data", "evil", "\"data\" differs");
}

static void verify_names_an_added_file(void **state) {
        drift(state, "bin/zzz", "evil", "\"bin/zzz\" was added");
}

static void verify_names_a_missing_file(void **state) {
        drift(state, "data.d/x", NULL, "\"data.d/x\" is missing");
}

static void verify_notices_a_changed_listing(void **state) {
        drift(state, ".pawl-manifest", "d bin\n", "listing");
}

static void make_archive(Fixture *f, const char *name, bool is_zip) {
        struct archive *out = archive_write_new();
        if (is_zip)
                archive_write_set_format_zip(out);
        else
                archive_write_set_format_pax_restricted(out), archive_write_add_filter_gzip(out);
        assert_int_equal(archive_write_open_filename(out, rooted_path(&f->rooted, name)), ARCHIVE_OK);
        struct archive_entry *e = archive_entry_new();
        archive_entry_set_pathname(e, "bin/web");
        archive_entry_set_filetype(e, AE_IFREG);
        archive_entry_set_perm(e, 0755);
        archive_entry_set_size(e, 5);
        archive_write_header(out, e);
        archive_write_data(out, "#!web", 5);
        archive_entry_free(e);
        archive_write_close(out);
        archive_write_free(out);
}

static void archive_becomes_a_release(void **state) {
        Fixture *f = *state;
        static const struct { const char *name, *format; } cases[] = {{"x.tar.gz", "tar"}, {"x.zip", "zip"}};
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const char *format;
                make_archive(f, cases[i].name, i == 1);
                const char *sha256 = resolve(f, cases[i].name, &format);
                assert_string_equal(format, cases[i].format);
                args_for(f, rooted_path(&f->rooted, cases[i].name), sha256, "auto");
                capture(f);
                assert_int_equal(apply(f), 0);
                assert_string_equal(value_get_text(f->result.facts, "kind"), cases[i].format);
                assert_int_equal(verify(f), 0);
                _cleanup_free_ char *text = rooted_read(&f->rooted, "root/" RELEASES "/v1/bin/web");
                assert_string_equal(text, "#!web");
                assert_int_equal(revert(f), 0);
                assert_nothing_left(f);
        }
}

static void archive_with_another_digest_publishes_nothing(void **state) {
        Fixture *f = *state;
        for (int i = 0; i < 2; i++) {
                make_archive(f, "x", i == 1);
                args_for(f, rooted_path(&f->rooted, "x"), hex_of("other", 5), "auto");
                capture(f);
                assert_int_equal(apply(f), -EBADMSG);
                assert_int_equal(f->err.code, ERR_CHECKSUM);
                assert_nothing_left(f);
        }
}

static void damaged_download_is_called_a_wrong_checksum(void **state) {
        Fixture *f = *state;
        static const char damaged[] = "\x1f\x8b\x08 this is not gzip any more";
        rooted_write(&f->rooted, "x.tar.gz", damaged, sizeof(damaged), 0644);
        args_for(f, rooted_path(&f->rooted, "x.tar.gz"), hex_of("other", 5), "tar");
        capture(f);
        assert_int_equal(apply(f), -EBADMSG);
        assert_int_equal(f->err.code, ERR_CHECKSUM);
        args_for(f, rooted_path(&f->rooted, "x.tar.gz"), hex_of(damaged, sizeof(damaged)), "tar");
        assert_int_equal(apply(f), -EBADMSG);
        assert_int_equal(f->err.code, ERR_ARTIFACT);
        assert_nothing_left(f);
}

static void fetched_program_is_linked_not_copied(void **state) {
        Fixture *f = *state;
        struct stat a, b;
        program(f, "#!web");
        value_remove(f->args, "from");
        assert_int_equal(value_set_int(f->args, "artifact_step", 2, NULL), 0);
        rooted_write(&f->rooted, "root/" RELEASES "/.pawl-7-2artifact", "#!web", 5, 0644);
        capture(f);
        assert_int_equal(apply(f), 0);
        assert_int_equal(stat(rooted_path(&f->rooted, "root/" RELEASES "/.pawl-7-2artifact"), &a), 0);
        assert_int_equal(stat(rooted_path(&f->rooted, "root/" RELEASES "/v1/web"), &b), 0);
        assert_int_equal(a.st_ino, b.st_ino);
        assert_int_equal(b.st_mode & 07777, 0755);
        assert_int_equal(verify(f), 0);
        assert_int_equal(revert(f), 0);
        assert_true(rooted_exists(&f->rooted, "root/" RELEASES "/.pawl-7-2artifact"));
}

static void tidy_keeps_the_release(void **state) {
        Fixture *f = *state;
        program(f, "#!web");
        capture(f);
        assert_int_equal(apply(f), 0);
        assert_int_equal(manager_tree.tidy(&f->rooted.host, f->args, f->before, &f->err), 0);
        assert_int_equal(verify(f), 0);
}

static void cancelling_leaves_nothing(void **state) {
        Fixture *f = *state;
        program(f, "#!web");
        capture(f);
        f->rooted.cancel = SIGINT;
        assert_int_equal(apply(f), -ECANCELED);
        assert_nothing_left(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(program_becomes_a_release),
                TEST(apply_twice_is_apply_once),
                TEST(revert_leaves_nothing_and_may_be_repeated),
                TEST(interrupted_apply_is_reverted_without_a_trace),
                TEST(interrupted_apply_is_begun_again),
                TEST(interrupted_revert_is_completed),
                TEST(wrong_digest_publishes_nothing),
                TEST(foreign_directory_survives),
                TEST(directory_that_appears_meanwhile_survives),
                TEST(release_of_another_transaction_is_not_ours_to_remove),
                TEST(same_release_is_used_and_left),
                TEST(other_bytes_of_the_same_version_are_refused),
                TEST(directory_is_copied_as_it_was_resolved),
                TEST(directory_that_changed_since_is_refused),
                TEST(directory_with_an_absolute_link_is_refused),
                TEST(directory_with_a_link_that_leads_out_is_refused),
                TEST(directory_with_a_link_that_leads_out_by_a_detour_is_refused),
                TEST(verify_names_a_changed_file),
                TEST(verify_names_an_added_file),
                TEST(verify_names_a_missing_file),
                TEST(verify_notices_a_changed_listing),
                TEST(archive_becomes_a_release),
                TEST(archive_with_another_digest_publishes_nothing),
                TEST(damaged_download_is_called_a_wrong_checksum),
                TEST(fetched_program_is_linked_not_copied),
                TEST(tidy_keeps_the_release),
                TEST(cancelling_leaves_nothing),
        };
        return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
