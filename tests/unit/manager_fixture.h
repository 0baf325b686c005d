/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One manager in a root of its own, and its operations as its test calls them. Before it is included, SUBJECT is the
 * manager: `#define SUBJECT manager_file`. cmocka.h must be included before.
 */
#pragma once

#include <stdio.h>
#include <sys/stat.h>

#include "tests/lib/rooted.h"

#define UNUSED_OK __attribute__((unused))

typedef struct Fixture {
        Rooted rooted;
        Error err;
        Value *args, *before;
        StepResult result;
        ino_t inode; /* of what was captured */
} Fixture;

UNUSED_OK static Fixture *fixture_new(void) {
        Fixture *f = calloc(1, sizeof(*f));
        assert_non_null(f);
        rooted_init(&f->rooted, NULL);
        return f;
}

UNUSED_OK static void fixture_free(Fixture *f) {
        value_free(f->args);
        value_free(f->before);
        step_result_done(&f->result);
        rooted_done(&f->rooted);
        free(f);
}

UNUSED_OK static void capture(Fixture *f) {
        f->before = value_free(f->before);
        assert_int_equal(SUBJECT.capture(&f->rooted.host, f->args, &f->before, &f->err), 0);
        assert_int_equal(field_check(SUBJECT.before, f->before, SUBJECT.name, &f->err), 0);
}

UNUSED_OK static int apply(Fixture *f) {
        step_result_done(&f->result);
        return SUBJECT.apply(&f->rooted.host, f->args, f->before, &f->result, &f->err);
}

UNUSED_OK static int revert(Fixture *f) {
        return SUBJECT.revert(&f->rooted.host, f->args, f->before, &f->err);
}

UNUSED_OK static Probe probe(Fixture *f) {
        Probe p = PROBE_UNREACHABLE;
        assert_int_equal(SUBJECT.probe(&f->rooted.host, f->args, f->before, &p, &f->err), 0);
        return p;
}

UNUSED_OK static int verify(Fixture *f) {
        return SUBJECT.verify(&f->rooted.host, f->args, f->result.facts, &f->err);
}

UNUSED_OK static int tidy(Fixture *f) {
        return SUBJECT.tidy(&f->rooted.host, f->args, f->before, &f->err);
}

/* A path below the root, as the test's own calls want it; good until the 8th call after it. */
UNUSED_OK static const char *at(Fixture *f, const char *path) {
        char name[256];
        (void)snprintf(name, sizeof(name), "root/%s", path);
        return rooted_path(&f->rooted, name);
}
