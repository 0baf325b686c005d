/* SPDX-License-Identifier: Apache-2.0 */
/* See crew_options.h. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/crash/crew_options.h"
#include "tests/crash/seed.h"

enum { OPT_ROW = 'r', OPT_ONLY = 'o', OPT_CASES = 'n', OPT_FULL = 'F', OPT_SEED = 'S', OPT_JOBS = 'j' };

static bool take(CrewOptions *o, const CrewUsage *usage, int c) {
        uint64_t number = c != OPT_ROW && optarg != NULL ? strtoull(optarg, NULL, 10) : 0;

        if (c == OPT_ROW)
                o->row = optarg;
        if (c == OPT_ONLY) {
                o->is_only = true;
                o->only = number;
        }
        if (c == OPT_CASES || c == OPT_FULL)
                o->n_cases = c == OPT_FULL ? usage->full : number;
        if (c == OPT_SEED)
                o->seed = (uint32_t)number;
        if (c == OPT_JOBS)
                o->n_jobs = (unsigned)number;
        return c != '?';
}

bool crew_options(CrewOptions *ret, const CrewUsage *usage, int argc, char **argv) {
        const struct option options[] = {
                {usage->row, 1, NULL, OPT_ROW},
                {usage->only, 1, NULL, OPT_ONLY},
                {"cases", 1, NULL, OPT_CASES},
                {"full", 0, NULL, OPT_FULL},
                {"seed", 1, NULL, OPT_SEED},
                {"jobs", 1, NULL, OPT_JOBS},
                {NULL, 0, NULL, 0},
        };
        bool is_fine = true;
        int c;

        *ret = (CrewOptions){.seed = seed_default(), .n_jobs = 2};
        while (is_fine && (c = getopt_long(argc, argv, "", options, NULL)) != -1)
                is_fine = take(ret, usage, c);
        if (ret->is_only && ret->n_cases == 0)
                ret->n_cases = ret->only + 1;
        is_fine = is_fine && optind == argc && ret->n_jobs > 0 && ret->n_jobs <= CREW_MAX;
        if (!is_fine)
                (void)fputs(usage->text, stderr);
        return is_fine;
}
