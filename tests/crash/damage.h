/* SPDX-License-Identifier: Apache-2.0 */
/* Real journals of several shapes, and what decay, a full disk, a careless copy or an attacker can do to their
 * files. */
#pragma once

#include "tests/crash/crew_options.h"

enum { SHAPE_STEPS_MAX = 12, DAMAGE_TEXT_SIZE = 256 };

/* How a journal came about; WorldEnv.crash_at for the last command, which then dies there. */
typedef struct Shape {
        const char *name;
        const char *steps[SHAPE_STEPS_MAX];
        const char *crash_at; /* NULL: it runs to its end */
} Shape;

extern const Shape shapes[];
extern const unsigned n_shapes;

typedef enum DamageHope {
        HOPE_HEALS,   /* every answer is as before */
        HOPE_TOLD,    /* as before, or refused with exit 7 and the way out */
        HOPE_REFUSED, /* `journal verify` must see it */
} DamageHope;

typedef struct Damage {
        const char *name;
        DamageHope hope;
        bool is_repairable_to_all; /* repair must bring back every record */
        bool (*make)(const World *w, const char *older, uint64_t *random);
} Damage;

extern const Damage damages[];
extern const unsigned n_damages;

/* Makes the shape's journal in the world's root and keeps it; an older state of its files lies in base/older. false:
 * told on stderr. */
bool shape_make(World *w, const Shape *shape);
/* Restores the root and damages it. The same seed, the same damage. ret_text says what was done. */
bool damage_do(World *w, uint64_t seed, const Damage **ret, char ret_text[DAMAGE_TEXT_SIZE]);

/* A test that does something to each shape, many times. */
typedef struct ShapeTest {
        const char *tier;
        CrewUsage usage;
        CrewWork work;                  /* userdata: the CrewOptions */
        uint64_t n_cases, n_cases_slow; /* of each shape, where nobody says how many */
} ShapeTest;
/* Reads the options, does it, and returns the exit status. */
int shapes_test(const ShapeTest *test, int argc, char **argv);

/* root/var/lib/pawl/<name> */
void journal_path(const World *w, const char *name, char ret[static WORLD_PATH_SIZE]);
