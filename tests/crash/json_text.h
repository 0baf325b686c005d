/* SPDX-License-Identifier: Apache-2.0 */
/* The little that is read of pawl's JSON, and written: texts behind a key. It trusts that the JSON is well-formed. */
#pragma once

#include <stddef.h>
#include <stdio.h>

/* The text behind the first "key" in `json`, cut at the size; empty when none is there. */
void json_text_read(const char *json, const char *key, char *ret, size_t size);
/* The texts of the list behind the first "key", each with its NUL; returns their size, 0 when one has no room. */
size_t json_text_read_list(const char *json, const char *key, char *ret, size_t size);
/* With its quotes. */
void json_text_write(FILE *out, const char *text);
