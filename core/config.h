/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host configuration: flag > PAWL_* > the files of conf.d (last name wins) > pawl.yaml > default. Keys in config.def.
 * Nothing is read from the current directory.
 */
#pragma once

#include "core/base/value.h"

typedef struct ConfigOverride {
        const char *key, *value; /* "ports.range", "[4000, 4100]" */
        const char *origin;      /* "--set" */
} ConfigOverride;

/*
 * *ret: {"ports.range": [3000, 4000], "wait": usec, ...} with every key. *ret_origins (may be NULL): the same keys →
 * where the value comes from ("default", "/etc/pawl/pawl.yaml:3", "PAWL_WAIT", "--wait"). Errors: ERR_CONFIG with
 * file:line:column.
 */
int config_load(int root, const ConfigOverride *overrides, size_t n_overrides, Value **ret, Value **ret_origins,
                Error *err);
/* The same, of the defaults alone: where what a host says cannot be read. */
int config_defaults(Value **ret, Value **ret_origins, Error *err);
/* The text of a pawl.yaml with every key commented out at its default. */
int config_template(char **ret, Error *err);
