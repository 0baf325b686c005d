/* SPDX-License-Identifier: Apache-2.0 */
/* From words and flags to requests: the same for what runs and for what is only planned. */
#pragma once

#include "cli/cli.h"

typedef struct Ask {
        Request request; /* borrows from the command line, and from spec and source below */
        Value *spec, *source;
        Error why; /* r < 0: this one could not be understood; the others can */
        int r;
        char *unit, *service; /* of adopt */
        char *name;           /* of the spec file, for messages; NULL: none */
} Ask;

typedef struct AskList {
        Ask *items;
        size_t n;
} AskList;
void ask_list_done(AskList *list);
#define _cleanup_ask_list_ _cleanup_(ask_list_done)

/* "deploy" → REQUEST_DEPLOY; false: no such flow. */
bool ask_kind(const char *word, RequestKind *ret);
/*
 * Judges the error of a request that never came to a plan: a source that is not there is a mistake of who named it, on
 * the command line or in a spec; and what is wrong with a spec names its file. Returns r.
 */
int ask_blame(const Ask *a, int r, Error *err);
/*
 * What `words` mean for a request of that kind. APPLY may give several, of which some failed (items[i].r); all
 * others give one, or an error.
 * UPGRADE with --all is one request without a service, which the caller multiplies.
 */
int ask_build(Cli *cli, RequestKind kind, const char *const *words, size_t n_words, AskList *ret, Error *err);
