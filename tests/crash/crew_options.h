/* SPDX-License-Identifier: Apache-2.0 */
/* What a crew is asked for on the command line: which row, which case, how many, by which seed. */
#pragma once

#include "tests/crash/crew.h"

typedef struct CrewUsage {
        const char *row, *only; /* names of the options that take a row and a case: "flow", "at" */
        uint64_t full;          /* so many cases are all of them */
        const char *text;       /* is told where the options make no sense */
} CrewUsage;

typedef struct CrewOptions {
        const char *row;  /* NULL: all of them */
        uint64_t only;    /* the one case, if is_only */
        uint64_t n_cases; /* of each row; 0: as many as the caller likes */
        uint32_t seed;
        unsigned n_jobs;
        bool is_only;
} CrewOptions;

/* --ROW NAME, --ONLY N, --cases N, --full, --seed S, --jobs J. false: the usage was told. */
bool crew_options(CrewOptions *ret, const CrewUsage *usage, int argc, char **argv);
