/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of a spec: one table says what may be written, of which type, in which range, what it means when it is left
 * out, and what it is for. Reading, normalising, errors and `pawl help spec` are made from it.
 */
#pragma once

#include "core/base/value.h"

typedef enum SpecType {
        SPEC_TEXT,
        SPEC_SERVICE, /* a service name */
        SPEC_VERSION, /* a version */
        SPEC_INT,     /* min..max */
        SPEC_COUNT,   /* min..max, or false (0) and true (the row's `otherwise_true`) */
        SPEC_PORT,    /* 1..65535; "auto" is what the row's `automatic` says */
        SPEC_BOOL,
        SPEC_DURATION, /* → <name>_usec, min..max in microseconds */
        SPEC_SIZE,     /* → bytes */
        SPEC_FACTOR,   /* → <name>_milli, min..max in thousandths */
        SPEC_MODE,     /* octal, 0..0777 */
        SPEC_SHA256,
        SPEC_PATH,    /* → absolute, relative ones stand on the spec's directory */
        SPEC_WORKDIR, /* absolute, or beginning with a place holder: a place on the host where the program will run */
        SPEC_FILE,    /* a file name */
        SPEC_URL,     /* http or https */
        SPEC_FETCH,   /* http, https or file */
        SPEC_REPO,    /* owner/name or name, perhaps with "github:" or "gitea:" in front */
        SPEC_ASSET,   /* a file name with places: {name} {version} {os} {arch} */
        SPEC_SIGNER,  /* a minisign public key */
        SPEC_CONTENT, /* a text with any characters */
        SPEC_HOST,    /* of a route */
        SPEC_ROUTE,   /* the path of a route */
        SPEC_KEY,     /* name of an environment variable */
        SPEC_CHOICE,  /* one of `choices` */
        SPEC_WORDS,   /* list of choices, put into the order of `choices` */
        SPEC_ARGV,    /* list of texts */
        SPEC_ENV,     /* map of variables */
        SPEC_MAP,     /* a map with `keys` */
        SPEC_LIST,    /* a list of maps with `keys`; one alone may stand for a list of one */
        SPEC_LATER,   /* a later pawl will know it; `text` is the hint */
} SpecType;

typedef enum SpecFlags {
        SPEC_REQUIRED = 1 << 0,
        SPEC_KEPT = 1 << 1, /* in the normalised map even when it is empty */
} SpecFlags;

typedef struct SpecKey SpecKey;

typedef struct SpecDefault {
        const char *name, *text;
} SpecDefault;

struct SpecKey {
        const char *name; /* as written; NULL ends the table */
        SpecType type;
        const char *otherwise; /* what is meant when it is left out, as it would be written; NULL: nothing */
        const char *text;      /* what it is for */
        unsigned flags;
        const char *to; /* name in the normalised map, where it is another */
        int64_t min, max;
        const char *automatic;       /* the text that "auto" stands for; "" : the key says nothing; NULL: not allowed */
        const char *choices, *later; /* "a b c"; later: what a later pawl will know */
        const SpecKey *keys;         /* SPEC_MAP, SPEC_LIST */
        const char *(*short_key)(const char *text); /* SPEC_MAP, SPEC_LIST: the key that a text alone stands for */
        /* SPEC_MAP: defaults that depend on what was written (in front of `otherwise`), ending with a NULL name. */
        const SpecDefault *(*defaults)(const char *preset);
};

extern const SpecKey spec_keys[];
