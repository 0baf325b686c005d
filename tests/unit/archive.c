/* SPDX-License-Identifier: Apache-2.0 */
/* Unpacking: every attack an archive can carry, one test each. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>

#include "managers/archive.h"
#include "tests/lib/rooted.h"

typedef struct Fixture {
        Rooted rooted;
        Error err;
        struct archive *out;
        char *data;
        size_t size, allocated;
        uint64_t max_size;
        char sha256[DIGEST_HEX_SIZE];
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        rooted_init(&f->rooted, NULL);
        f->allocated = (size_t)4 << 20;
        f->data = malloc(f->allocated);
        f->max_size = 1 << 20;
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;
        rooted_done(&f->rooted);
        free(f->data);
        free(f);
        return 0;
}

/* ---- Making archives --------------------------------------------------------------------------------------------- */

static void begin(Fixture *f, bool is_zip, int filter) {
        f->out = archive_write_new();
        assert_int_equal(is_zip ? archive_write_set_format_zip(f->out)
                                : archive_write_set_format_pax_restricted(f->out),
                         ARCHIVE_OK);
        archive_write_add_filter(f->out, filter);
        archive_write_set_bytes_in_last_block(f->out, 1);
        assert_int_equal(archive_write_open_memory(f->out, f->data, f->allocated, &f->size), ARCHIVE_OK);
}

typedef struct Put {
        const char *path;
        unsigned type, mode;
        const void *body;
        size_t size;
        const char *link, *hard_link;
} Put;

static void put(Fixture *f, const Put *p) {
        struct archive_entry *e = archive_entry_new();
        archive_entry_set_pathname(e, p->path);
        archive_entry_set_filetype(e, p->type ? p->type : AE_IFREG);
        archive_entry_set_perm(e, p->mode ? p->mode : 0644);
        archive_entry_set_size(e, (la_int64_t)p->size);
        if (p->link)
                archive_entry_set_symlink(e, p->link);
        if (p->hard_link)
                archive_entry_set_hardlink(e, p->hard_link);
        assert_int_equal(archive_write_header(f->out, e), ARCHIVE_OK);
        if (p->size > 0)
                assert_int_equal(archive_write_data(f->out, p->body, p->size), p->size);
        archive_entry_free(e);
}

static void end(Fixture *f) {
        archive_write_close(f->out);
        archive_write_free(f->out);
}

static int unpack(Fixture *f, bool is_zip) {
        _cleanup_staging_ Staging to = STAGING_INIT;
        _cleanup_stream_ Stream hash = STREAM_INIT;
        rooted_write(&f->rooted, "x", f->data, f->size, 0644);
        _cleanup_close_ int fd = open(rooted_path(&f->rooted, "x"), O_RDONLY | O_CLOEXEC);
        f->err = ERROR_INIT;
        assert_int_equal(staging_begin(&to, f->rooted.host.root, "to", &f->err), 0);
        assert_int_equal(stream_begin(&hash, -1, &f->err), 0);
        Unpack u = {&f->rooted.host, fd, "x.tar", is_zip, f->max_size, is_zip ? NULL : &hash};
        int r = archive_unpack(&u, &to, &f->err);
        assert_int_equal(stream_finish(&hash, f->sha256, NULL), 0);
        return r;
}

/* An archive of a good file and one bad entry: refused, and the reason names it. */
static void refused(Fixture *f, const Put *bad, const char *reason) {
        begin(f, false, ARCHIVE_FILTER_NONE);
        put(f, &(Put){.path = "good", .body = "good", .size = 4});
        put(f, bad);
        end(f);
        assert_int_equal(unpack(f, false), -EBADMSG);
        assert_int_equal(f->err.code, ERR_ARTIFACT);
        if (!strstr(f->err.message, reason))
                fail_msg("\"%s\" does not say \"%s\"", f->err.message, reason);
        assert_memory_equal(f->err.message, "cannot unpack \"x.tar\": ", 23);
        assert_int_equal(rooted_count(&f->rooted, "root"), 1);
}

static mode_t mode_of(const Fixture *f, const char *name) {
        struct stat st;
        return lstat(rooted_path(&f->rooted, name), &st) == 0 ? st.st_mode : 0;
}

/* ---- What works -------------------------------------------------------------------------------------------------- */

static void fill(Fixture *f) {
        put(f, &(Put){.path = "bin/web", .mode = 0750, .body = "#!web", .size = 5});
        put(f, &(Put){.path = "share/", .type = AE_IFDIR, .mode = 0700});
        put(f, &(Put){.path = "share/text", .mode = 0600, .body = "text", .size = 4});
        put(f, &(Put){.path = "share/link", .type = AE_IFLNK, .mode = 0777, .link = "../bin/web"});
}

static void check_filled(Fixture *f) {
        _cleanup_free_ char *text = rooted_read(&f->rooted, "root/to/share/link");
        assert_string_equal(text, "#!web");
        assert_int_equal(mode_of(f, "root/to/bin/web"), S_IFREG | 0755);
        assert_int_equal(mode_of(f, "root/to/bin"), S_IFDIR | 0755);
        assert_int_equal(mode_of(f, "root/to/share"), S_IFDIR | 0755);
        assert_int_equal(mode_of(f, "root/to/share/text"), S_IFREG | 0644);
}

static void every_compression_unpacks_and_is_hashed(void **state) {
        Fixture *f = *state;
        static const int filters[] = {ARCHIVE_FILTER_NONE, ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_XZ, ARCHIVE_FILTER_ZSTD};
        for (size_t i = 0; i < ELEMENTSOF(filters); i++) {
                begin(f, false, filters[i]);
                fill(f);
                end(f);
                mode_t old = umask(077);
                int r = unpack(f, false);
                umask(old);
                assert_int_equal(r, 0);
                check_filled(f);
                assert_string_equal(f->sha256, hex_of(f->data, f->size));
        }
}

static void zip_unpacks(void **state) {
        Fixture *f = *state;
        begin(f, true, ARCHIVE_FILTER_NONE);
        fill(f);
        end(f);
        assert_int_equal(unpack(f, true), 0);
        check_filled(f);
}

static void bytes_behind_the_end_are_hashed(void **state) {
        Fixture *f = *state;
        begin(f, false, ARCHIVE_FILTER_NONE);
        fill(f);
        end(f);
        memset(f->data + f->size, 'z', 300000);
        f->size += 300000;
        assert_int_equal(unpack(f, false), 0);
        assert_string_equal(f->sha256, hex_of(f->data, f->size));
}

static void hard_link_to_an_earlier_file_works(void **state) {
        Fixture *f = *state;
        begin(f, false, ARCHIVE_FILTER_NONE);
        put(f, &(Put){.path = "a/b", .body = "body", .size = 4});
        put(f, &(Put){.path = "c", .hard_link = "a/b"});
        end(f);
        assert_int_equal(unpack(f, false), 0);
        _cleanup_free_ char *text = rooted_read(&f->rooted, "root/to/c");
        assert_string_equal(text, "body");
}

/* ---- Attacks ----------------------------------------------------------------------------------------------------- */

static void path_out_is_refused(void **state) {
        refused(*state, &(Put){.path = "../evil", .body = "x", .size = 1},
                "the entry \"../evil\" leads out of the release");
}

static void absolute_path_is_refused(void **state) {
        refused(*state, &(Put){.path = "/tmp/evil", .body = "x", .size = 1}, "has an absolute path");
}

static void file_through_a_link_is_refused(void **state) {
        Fixture *f = *state;
        begin(f, false, ARCHIVE_FILTER_NONE);
        put(f, &(Put){.path = "d/", .type = AE_IFDIR, .mode = 0755});
        put(f, &(Put){.path = "way", .type = AE_IFLNK, .link = "d"});
        put(f, &(Put){.path = "way/file", .body = "x", .size = 1});
        end(f);
        assert_int_equal(unpack(f, false), -EBADMSG);
        assert_int_equal(rooted_count(&f->rooted, "root/to/d"), 0);
}

static void link_out_is_refused(void **state) {
        refused(*state, &(Put){.path = "way", .type = AE_IFLNK, .link = "../.."}, "is a link that leads out");
}

static void absolute_link_is_refused(void **state) {
        refused(*state, &(Put){.path = "way", .type = AE_IFLNK, .link = "/etc"}, "is a link to an absolute path");
}

static void hard_link_out_is_refused(void **state) {
        refused(*state, &(Put){.path = "h", .hard_link = "../../x"}, "leads out of the release");
}

static void hard_link_to_nothing_is_refused(void **state) {
        Fixture *f = *state;
        begin(f, false, ARCHIVE_FILTER_NONE);
        put(f, &(Put){.path = "h", .hard_link = "missing"});
        end(f);
        assert_int_equal(unpack(f, false), -EBADMSG);
        assert_int_equal(f->err.code, ERR_ARTIFACT);
}

static void hard_link_to_a_link_is_refused(void **state) {
        Fixture *f = *state;
        begin(f, false, ARCHIVE_FILTER_NONE);
        put(f, &(Put){.path = "l", .type = AE_IFLNK, .link = "x"});
        put(f, &(Put){.path = "h", .hard_link = "l"});
        end(f);
        assert_int_equal(unpack(f, false), -EBADMSG);
}

static void device_is_refused(void **state) {
        refused(*state, &(Put){.path = "dev", .type = AE_IFCHR}, "is a device, socket or pipe");
}

static void pipe_is_refused(void **state) {
        refused(*state, &(Put){.path = "pipe", .type = AE_IFIFO}, "is a device, socket or pipe");
}

static void set_id_is_refused_not_dropped(void **state) {
        refused(*state, &(Put){.path = "su", .mode = 04755, .body = "x", .size = 1},
                "the entry \"su\" has a set-user-id");
}

static void sticky_is_refused(void **state) {
        refused(*state, &(Put){.path = "d", .type = AE_IFDIR, .mode = 01777}, "sticky bit");
}

static void forged_mark_is_refused(void **state) {
        refused(*state, &(Put){.path = ".pawl-release", .body = "{}", .size = 2}, "keeps for itself");
}

static void second_entry_of_a_name_is_refused(void **state) {
        Fixture *f = *state;
        begin(f, false, ARCHIVE_FILTER_NONE);
        put(f, &(Put){.path = "a", .body = "one", .size = 3});
        put(f, &(Put){.path = "./a", .body = "two", .size = 3});
        end(f);
        assert_int_equal(unpack(f, false), -EBADMSG);
        assert_non_null(strstr(f->err.message, "\"a\" is there twice"));
        _cleanup_free_ char *text = rooted_read(&f->rooted, "root/to/a");
        assert_string_equal(text, "one");
}

static void file_in_place_of_a_directory_is_refused(void **state) {
        Fixture *f = *state;
        begin(f, false, ARCHIVE_FILTER_NONE);
        put(f, &(Put){.path = "a", .body = "one", .size = 3});
        put(f, &(Put){.path = "a/b", .body = "two", .size = 3});
        end(f);
        assert_int_equal(unpack(f, false), -EBADMSG);
}

static void bomb_ends_at_the_limit(void **state) {
        Fixture *f = *state;
        _cleanup_free_ char *zeros = calloc(1, 3 << 20);
        begin(f, false, ARCHIVE_FILTER_GZIP);
        put(f, &(Put){.path = "bomb", .body = zeros, .size = 3 << 20});
        end(f);
        assert_true(f->size < 100000);
        assert_int_equal(unpack(f, false), -EFBIG);
        assert_int_equal(f->err.code, ERR_ARTIFACT);
        assert_false(rooted_exists(&f->rooted, "root/to/bomb"));
}

/* A zip whose entry announces one byte and holds three million. */
static void bomb_that_lies_ends_at_the_limit(void **state) {
        Fixture *f = *state;
        _cleanup_free_ char *zeros = calloc(1, 3 << 20);
        begin(f, true, ARCHIVE_FILTER_NONE);
        put(f, &(Put){.path = "bomb", .body = zeros, .size = 3 << 20});
        end(f);
        for (size_t i = 0; i + 4 < f->size; i++)
                if (memcmp(f->data + i, "\0\0\x30\0", 4) == 0)
                        memcpy(f->data + i, "\1\0\0\0", 4);
        assert_true(unpack(f, true) < 0);
        struct stat st;
        if (stat(rooted_path(&f->rooted, "root/to/bomb"), &st) == 0)
                assert_true((uint64_t)st.st_size <= f->max_size);
}

static void layers_of_compression_are_refused(void **state) {
        Fixture *f = *state;
        f->out = archive_write_new();
        archive_write_set_format_pax_restricted(f->out);
        archive_write_add_filter_gzip(f->out);
        archive_write_add_filter_gzip(f->out);
        archive_write_open_memory(f->out, f->data, f->allocated, &f->size);
        put(f, &(Put){.path = "a", .body = "one", .size = 3});
        end(f);
        assert_int_equal(unpack(f, false), -EBADMSG);
        assert_non_null(strstr(f->err.message, "compressed more than once"));
}

static void truncated_archive_is_refused(void **state) {
        Fixture *f = *state;
        _cleanup_free_ char *noise = malloc(100000);
        for (size_t i = 0; i < 100000; i++)
                noise[i] = (char)(i * i >> 3);
        begin(f, false, ARCHIVE_FILTER_GZIP);
        put(f, &(Put){.path = "a", .body = noise, .size = 100000});
        end(f);
        f->size /= 2;
        assert_int_equal(unpack(f, false), -EBADMSG);
        assert_string_equal(f->sha256, hex_of(f->data, f->size));
}

static void other_formats_are_refused(void **state) {
        Fixture *f = *state;
        static const char cpio[] =
                "070701000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000";
        memcpy(f->data, cpio, sizeof(cpio));
        f->size = sizeof(cpio);
        assert_int_equal(unpack(f, false), -EBADMSG);
        assert_int_equal(unpack(f, true), -EBADMSG);
        f->size = 0;
        assert_int_equal(unpack(f, false), -EBADMSG);
}

/* CRC-32 as .xz has it. */
static uint32_t crc32_of(const char *data, size_t n) {
        uint32_t crc = UINT32_MAX;
        for (size_t i = 0; i < n; i++) {
                crc ^= (unsigned char)data[i];
                for (int bit = 0; bit < 8; bit++)
                        crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
        }
        return ~crc;
}

/* The block header behind the 12 bytes of the stream's: size, flags, filter 0x21, 1 byte of properties: the
 * dictionary. */
static void announce_dictionary(Fixture *f, char dictionary) {
        char *header = f->data + 12;
        size_t n = (size_t)header[0] * 4;
        assert_memory_equal(header + 2, "\x21\x01", 2);
        header[4] = dictionary;
        uint32_t crc = crc32_of(header, n);
        memcpy(header + n, &crc, sizeof(crc));
}

static void huge_dictionary_is_refused(void **state) {
        Fixture *f = *state;
        struct rlimit before, after;
        if (!ARCHIVE_IS_MEMORY_LIMITED)
                skip();
        assert_int_equal(getrlimit(RLIMIT_DATA, &before), 0);
        begin(f, false, ARCHIVE_FILTER_XZ);
        fill(f);
        end(f);
        announce_dictionary(f, 30); /* 128 MiB */
        assert_int_equal(unpack(f, false), 0);
        announce_dictionary(f, 33); /* 384 MiB */
        assert_int_equal(unpack(f, false), -EBADMSG);
        assert_int_equal(f->err.code, ERR_ARTIFACT);
        assert_non_null(strstr(f->err.message, "it needs too much memory"));
        assert_int_equal(getrlimit(RLIMIT_DATA, &after), 0);
        assert_int_equal(after.rlim_cur, before.rlim_cur);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(every_compression_unpacks_and_is_hashed),
                TEST(zip_unpacks),
                TEST(bytes_behind_the_end_are_hashed),
                TEST(hard_link_to_an_earlier_file_works),
                TEST(path_out_is_refused),
                TEST(absolute_path_is_refused),
                TEST(file_through_a_link_is_refused),
                TEST(link_out_is_refused),
                TEST(absolute_link_is_refused),
                TEST(hard_link_out_is_refused),
                TEST(hard_link_to_nothing_is_refused),
                TEST(hard_link_to_a_link_is_refused),
                TEST(device_is_refused),
                TEST(pipe_is_refused),
                TEST(set_id_is_refused_not_dropped),
                TEST(sticky_is_refused),
                TEST(forged_mark_is_refused),
                TEST(second_entry_of_a_name_is_refused),
                TEST(file_in_place_of_a_directory_is_refused),
                TEST(bomb_ends_at_the_limit),
                TEST(bomb_that_lies_ends_at_the_limit),
                TEST(layers_of_compression_are_refused),
                TEST(truncated_archive_is_refused),
                TEST(other_formats_are_refused),
                TEST(huge_dictionary_is_refused),
        };
        return cmocka_run_group_tests_name("archive", tests, NULL, NULL);
}
