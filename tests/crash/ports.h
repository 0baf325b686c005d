/* SPDX-License-Identifier: Apache-2.0 */
/* Ports that nobody listens on, below the range from which the kernel gives ports to clients. */
#pragma once

#include <stdbool.h>

enum { PORTS_FIRST = 12000, PORTS_END = 30000, PORTS_RANGE = 32 };

/* Where to begin to look: another place each time. */
int ports_begin(void);
/* On any address. */
bool ports_is_free(int port);
/* PORTS_RANGE ports in a row that are free, and which no other caller is given as long as this process or a child of
 * it lives. The first of them, or a negative errno. */
int ports_reserve(void);
