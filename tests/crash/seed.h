/* SPDX-License-Identifier: Apache-2.0 */
/* Where a sample begins when nobody says --seed: at PAWL_SEED, or anywhere. `./dev test` sets PAWL_SEED, so that a
 * commit is judged by the same sample as the one before it; whoever wants other ones unsets it or takes another
 * number. Whoever samples prints its seed. */
#pragma once

#include <stdint.h>

uint32_t seed_default(void);
