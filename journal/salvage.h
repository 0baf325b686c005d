/* SPDX-License-Identifier: Apache-2.0 */
/* What can still be read of a damaged environment. */
#pragma once

#include "journal/internal.h"

typedef enum FoundKind {
        FOUND_STATE = 1, /* a StateRow */
        FOUND_END,       /* 8 bytes: seq of the last record there was, when that can be told */
        FOUND_RECORD,    /* a whole record, in order of seq; some may be missing */
        FOUND_KEY,       /* 8 bytes of tx, then the wrapped key */
} FoundKind;

/* Negative ends it. `data` is borrowed for the call. */
typedef int (*FoundVisit)(FoundKind kind, Slice data, void *userdata, Error *err);

/* Shows everything that reads. What does not read is left out, and is no failure. */
int salvage(const JournalOptions *o, FoundVisit visit, void *userdata, Error *err);
