/* SPDX-License-Identifier: Apache-2.0 */
/* See seed.h. */
#include <stdlib.h>
#include <sys/random.h>

#include "tests/crash/seed.h"

uint32_t seed_default(void) {
        const char *text = getenv("PAWL_SEED");
        uint32_t seed = 0;
        if (text != NULL && *text != '\0')
                return (uint32_t)strtoul(text, NULL, 10);
        (void)!getrandom(&seed, sizeof seed, 0);
        return seed;
}
