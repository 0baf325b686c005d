/* SPDX-License-Identifier: Apache-2.0 */
/* Records, rows, state and anchor as bytes: the layout is fixed, and no changed byte goes unnoticed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/digest.h"
#include "journal/codec.h"

static Record example(void) {
        Record r = {
                .kind = RECORD_INTENT,
                .flags = RECORD_CLOCK_TRUSTED,
                .seq = 0x0102030405060708,
                .tx = 0x1112131415161718,
                .step = 0x21222324,
                .epoch = 0x31323334,
                .time_usec = -2,
                .body = "before",
                .n_body = 6,
        };
        memset(r.boot, 0xb0, sizeof(r.boot));
        memset(r.prev, 0xee, sizeof(r.prev));
        return r;
}

static void a_record_lies_on_disk_as_the_format_says(void **state) {
        (void)state;
        static const uint8_t start[64] = {
                0x50, 0x41, 0x57, 0x4c, 0x01, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00, 0x00, 0x06, 0x00, 0x00, 0x00,
                0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01, 0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11,
                0x24, 0x23, 0x22, 0x21, 0x34, 0x33, 0x32, 0x31, 0xb0, 0xb0, 0xb0, 0xb0, 0xb0, 0xb0, 0xb0, 0xb0,
                0xb0, 0xb0, 0xb0, 0xb0, 0xb0, 0xb0, 0xb0, 0xb0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        };
        Record r = example();
        uint8_t buf[110], bare[110];
        assert_int_equal(record_encoded_size(&r), sizeof(buf));
        record_encode(&r, buf);
        assert_memory_equal(buf, start, sizeof(start));
        memcpy(bare, buf, sizeof(buf));
        memset(bare + 96, 0, 4);
        uint32_t crc = crc32c(0, bare, sizeof(bare));
        assert_int_equal(buf[96] | buf[97] << 8 | buf[98] << 16 | (uint32_t)buf[99] << 24, crc);
        assert_memory_equal(buf + 100, "\0\0\0\0before", 10);
}

static void what_was_encoded_is_decoded(void **state) {
        (void)state;
        Record r = example(), back;
        uint8_t buf[110];
        record_encode(&r, buf);
        assert_int_equal(record_peek_size(buf, sizeof(buf)), sizeof(buf));
        assert_int_equal(record_decode(buf, sizeof(buf), &back, NULL), 0);
        assert_int_equal(back.kind, r.kind);
        assert_int_equal(back.seq, r.seq);
        assert_int_equal(back.tx, r.tx);
        assert_int_equal(back.step, r.step);
        assert_int_equal(back.epoch, r.epoch);
        assert_int_equal(back.time_usec, r.time_usec);
        assert_int_equal(back.n_body, 6);
        assert_memory_equal(back.body, "before", 6);
        assert_memory_equal(back.boot, r.boot, 16);
        assert_memory_equal(back.prev, r.prev, 32);
}

static void every_flipped_bit_and_every_cut_is_noticed(void **state) {
        (void)state;
        Record r = example(), back;
        uint8_t buf[110];
        record_encode(&r, buf);
        for (size_t i = 0; i < sizeof(buf) * 8; i++) {
                buf[i / 8] ^= (uint8_t)(1 << i % 8);
                assert_true(record_decode(buf, sizeof(buf), &back, NULL) < 0);
                buf[i / 8] ^= (uint8_t)(1 << i % 8);
        }
        for (size_t n = 0; n < sizeof(buf); n++)
                assert_int_equal(record_decode(buf, n, &back, NULL), -EBADMSG);
}

static void seal_again(uint8_t *buf, size_t size) {
        memset(buf + 96, 0, 4);
        uint32_t crc = crc32c(0, buf, size);
        for (int i = 0; i < 4; i++)
                buf[96 + i] = (uint8_t)(crc >> 8 * i);
}

static void a_later_format_is_told_from_damage(void **state) {
        (void)state;
        Record r = example(), back;
        uint8_t buf[110];
        static const struct {
                size_t at;
                uint8_t value;
                int result;
        } cases[] = {
                {4, 2, -EPROTONOSUPPORT},  /* version */
                {6, 18, -EPROTONOSUPPORT}, /* kind */
                {6, 0, -EPROTONOSUPPORT},
                {10, 1, -EPROTONOSUPPORT}, /* an incompatible flag */
                {9, 1, 0},                 /* a compatible one */
                {100, 1, 0},               /* reserved */
        };
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Error err = ERROR_INIT;
                record_encode(&r, buf);
                buf[cases[i].at] = cases[i].value;
                seal_again(buf, sizeof(buf));
                assert_int_equal(record_decode(buf, sizeof(buf), &back, &err), cases[i].result);
                if (cases[i].result < 0)
                        assert_int_equal(err.code, ERR_JOURNAL_VERSION);
        }
}

static void a_body_without_the_journals_own_part_is_refused(void **state) {
        (void)state;
        uint8_t body[41] = {0};
        Record r = {.kind = RECORD_CHECKPOINT, .body = body, .n_body = 39};
        assert_int_equal(record_hide_prefix(&r, NULL), -EBADMSG);
        r.n_body = 41;
        assert_int_equal(record_hide_prefix(&r, NULL), 0);
        assert_int_equal(r.n_body, 1);
        assert_ptr_equal(r.body, body + 40);
        r = (Record){.kind = RECORD_NOTE};
        assert_int_equal(record_hide_prefix(&r, NULL), 0);
}

static void rows_and_state_and_anchor_notice_every_bit(void **state) {
        (void)state;
        Row row;
        RowView view;
        uint32_t crc;
        assert_int_equal(row_encode(SLICE("key", 3), SLICE("value", 5), 7, &row, &crc, NULL), 0);
        uint8_t *data = row.data;
        assert_true(row_decode(SLICE("key", 3), SLICE(data, row.size), &view));
        assert_int_equal(view.seq, 7);
        assert_int_equal(view.size, 5);
        assert_false(row_decode(SLICE("kez", 3), SLICE(data, row.size), &view));
        for (size_t i = 0; i < row.size * 8; i++) {
                data[i / 8] ^= (uint8_t)(1 << i % 8);
                assert_true(row_decode(SLICE("key", 3), SLICE(data, row.size), &view) ==
                            (i / 8 >= 4 && i / 8 < 8)); /* reserved */
                data[i / 8] ^= (uint8_t)(1 << i % 8);
        }
        free(data);
        JournalState s = {.first_seq = 1, .head_seq = 2}, s2;
        StateRow sr;
        state_encode(&s, &sr);
        assert_int_equal(state_decode(&sr, sizeof(sr), &s2, NULL), 0);
        for (size_t i = 0; i < 148 * 8; i++) {
                ((uint8_t *)&sr)[i / 8] ^= (uint8_t)(1 << i % 8);
                assert_int_equal(state_decode(&sr, sizeof(sr), &s2, NULL), -EBADMSG);
                ((uint8_t *)&sr)[i / 8] ^= (uint8_t)(1 << i % 8);
        }
        Anchor a = {.seq = 9}, a2;
        AnchorFile af;
        anchor_encode(&a, &af);
        assert_true(anchor_decode(&af, sizeof(af), &a2));
        for (size_t i = 0; i < sizeof(af) * 8; i++) {
                ((uint8_t *)&af)[i / 8] ^= (uint8_t)(1 << i % 8);
                assert_false(anchor_decode(&af, sizeof(af), &a2));
                ((uint8_t *)&af)[i / 8] ^= (uint8_t)(1 << i % 8);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_record_lies_on_disk_as_the_format_says),
                cmocka_unit_test(what_was_encoded_is_decoded),
                cmocka_unit_test(every_flipped_bit_and_every_cut_is_noticed),
                cmocka_unit_test(a_later_format_is_told_from_damage),
                cmocka_unit_test(a_body_without_the_journals_own_part_is_refused),
                cmocka_unit_test(rows_and_state_and_anchor_notice_every_bit),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
