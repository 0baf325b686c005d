/* SPDX-License-Identifier: Apache-2.0 */
/* What carries a hop to the server and back: libcurl. Private to http*.c. */
#pragma once

#include "managers/http_exchange.h"

int wire_new(Wire **ret, Error *err);
Wire *wire_free(Wire *w);
static inline void wire_freep(Wire **w) {
        *w = wire_free(*w);
}

/* One hop. 0: there is a reply, and x->location if it leads on; else the reply's outcome is set. *ret_final: trying
 * again would be no use. */
int wire_hop(Exchange *x, bool *ret_final, Error *err);
