/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Environment files: KEY=VALUE lines as systemd's EnvironmentFile= reads them.
 *
 * Written form: sorted by key; a value of only [A-Za-z0-9_./:@%+,-=] stands plain, any other in double quotes with \\
 * \" \$ \` escaped. Read form: blank lines and lines beginning with # or ; are skipped; an optional "export " is
 * dropped; the first = splits; white space around key and value is dropped; a value in single quotes is literal, in
 * double quotes has the escapes above. Hostile input: size ≤ 1 MiB, keys [A-Za-z_][A-Za-z0-9_]*, no NUL or newline in a
 * value, no duplicate key.
 */
#pragma once

#include "core/base/value.h"

/* A map of texts (or, with as_secrets, of open secrets). Errors name `name` and the line: "env:3: ...", ERR_SPEC. */
int env_file_parse(const char *text, size_t size, const char *name, bool as_secrets, Value **ret, Error *err);
/* From a map of texts and open secrets; the text (which may hold secrets) as an open secret, owned by the caller. */
int env_file_format(const Value *map, Value **ret_secret, Error *err);
bool env_key_is_valid(const char *key);
