/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the first format wrote as bodies of records and as payloads of managers, one line each in
 * tests/data/payloads-1.txt: every later pawl reads it, and reads the same. A number that is used anew, a type that is
 * changed, a field that must be there and was not: each is noticed here.
 *
 * `unit.payloads --make` prints the lines of this program. What is in the file stays as it is; a kind or a manager that
 * is not in it gets its line added.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/cbor.h"
#include "core/base/digest.h"
#include "core/body.h"
#include "managers/manager.h"

typedef struct Payload {
        char name[64]; /* "record.begin", "file.args" */
        const Field *fields;
        bool is_seen;
} Payload;

static Payload payloads[256];
static size_t n_payloads;
static SealKey *key;

static void payload_add(const char *of, const char *part, const Field *fields) {
        assert_true(n_payloads < ELEMENTSOF(payloads));
        Payload *p = &payloads[n_payloads++];
        *p = (Payload){.fields = fields};
        (void)snprintf(p->name, sizeof(p->name), "%s.%s", of, part);
}

static void payloads_list(void) {
        static const uint8_t bytes[SEAL_KEY_SIZE] = "the key of the golden payloads";
        n_payloads = 0;
        key = seal_key_from(bytes);
        for (unsigned kind = 1; kind < RECORD_KIND_MAX; kind++)
                payload_add("record", record_slug((RecordKind)kind), body_fields((RecordKind)kind));
        for (size_t i = 0; i < manager_count(); i++) {
                payload_add(manager_at(i)->name, "args", manager_at(i)->args);
                payload_add(manager_at(i)->name, "before", manager_at(i)->before);
        }
}

static Value *sample(const Field *fields);

/* Made from the field's name, so that two that changed places are noticed. */
static Value *sample_scalar(const Field *f) {
        char text[128];
        (void)snprintf(text, sizeof(text), "%s%s", f->flags & FIELD_PATH ? "a/path/of/" : "some ", f->name);
        if (f->flags & FIELD_SECRET)
                return value_new_secret(text, strlen(text));
        if (f->type == FIELD_BOOL)
                return value_new_bool(true);
        if (f->type == FIELD_INT)
                return value_new_int((int64_t)crc32c(0, f->name, strlen(f->name)));
        return f->type == FIELD_BYTES ? value_new_bytes(text, strlen(text)) : value_new_text(text);
}

static Value *sample_of(const Field *f) {
        Value *child = f->fields ? sample(f->fields) : sample_scalar(f), *v = child;
        if (f->type == FIELD_LIST) {
                v = value_new_array();
                assert_int_equal(value_append(v, child, NULL), 0);
        } else if (f->type == FIELD_MAP && !f->fields) {
                v = value_new_map();
                assert_int_equal(value_set(v, "name", child, NULL), 0);
        }
        return v;
}

static Value *sample(const Field *fields) {
        Value *v = value_new_map();
        for (const Field *f = fields; f->num != 0; f++)
                assert_int_equal(value_set(v, f->name, sample_of(f), NULL), 0);
        return v;
}

/* What an older pawl did not know may be absent; what is there is what it was. */
static void assert_reads_as(const char *name, const Field *fields, const Value *v) {
        for (const Field *f = fields; f->num != 0; f++) {
                const Value *found = value_get(v, f->name);
                _cleanup_(value_freep) Value *expected = sample_of(f);
                if (found && f->fields)
                        assert_reads_as(name, f->fields, f->type == FIELD_LIST ? value_at(found, 0) : found);
                else if (found && !value_equal(found, expected))
                        fail_msg("%s: the field \"%s\" reads otherwise than it was written", name, f->name);
        }
}

static void payload_print(const Payload *p) {
        _cleanup_(value_freep) Value *named = sample(p->fields), *numbered = NULL;
        _cleanup_free_ uint8_t *data = NULL;
        size_t size = 0;
        Error err = ERROR_INIT;
        if (field_pack(p->fields, named, &numbered, &err) < 0)
                fail_msg("%s: %s", p->name, err.message);
        assert_int_equal(seal_tree(key, numbered, &err), 0);
        assert_int_equal(cbor_encode(numbered, &data, &size, &err), 0);
        _cleanup_free_ char *hex = malloc(2 * size + 1);
        hex_encode(data, size, hex);
        printf("%s %s\n", p->name, hex);
}

static void payload_read(const Payload *p, const char *hex) {
        size_t size = strlen(hex) / 2;
        _cleanup_free_ uint8_t *data = malloc(size + 1);
        _cleanup_(value_freep) Value *numbered = NULL, *named = NULL;
        Error err = ERROR_INIT;
        assert_true(hex_decode(hex, data, size));
        if (cbor_decode(data, size, &numbered, &err) < 0 || field_unpack(p->fields, numbered, &named, &err) < 0 ||
            unseal_tree(key, named, &err) < 0)
                fail_msg("%s: %s", p->name, err.message);
        assert_reads_as(p->name, p->fields, named);
}

static Payload *payload_find(const char *name) {
        for (size_t i = 0; i < n_payloads; i++)
                if (strcmp(payloads[i].name, name) == 0)
                        return &payloads[i];
        fail_msg("\"%s\" was written by the first format and is not known any more", name);
        return NULL;
}

static void what_the_first_format_wrote_is_read(void **state) {
        (void)state;
        FILE *file = fopen(TEST_SOURCE_DIR "/tests/data/payloads-1.txt", "re");
        char *line = NULL;
        size_t allocated = 0;
        assert_non_null(file);
        while (getline(&line, &allocated, file) > 0) {
                char *rest = NULL, *name = strtok_r(line, " \n", &rest), *hex = strtok_r(NULL, " \n", &rest);
                Payload *p = payload_find(name);
                payload_read(p, hex);
                p->is_seen = true;
        }
        free(line);
        (void)fclose(file);
        for (size_t i = 0; i < n_payloads; i++)
                if (!payloads[i].is_seen)
                        fail_msg("\"%s\" is not in tests/data/payloads-1.txt: add its line of `unit.payloads --make`",
                                 payloads[i].name);
}

int main(int argc, char **argv) {
        payloads_list();
        int r = 0;
        if (argc == 2 && strcmp(argv[1], "--make") == 0) {
                for (size_t i = 0; i < n_payloads; i++)
                        payload_print(&payloads[i]);
        } else {
                const struct CMUnitTest tests[] = {cmocka_unit_test(what_the_first_format_wrote_is_read)};
                r = cmocka_run_group_tests(tests, NULL, NULL);
        }
        key = seal_key_free(key);
        return r;
}
