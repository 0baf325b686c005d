/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spec: what a service should be, in one normalised form, whichever way it was written.
 *
 * A spec comes from YAML, from command-line flags, or from an HTTP body; all three become the same Value map, checked
 * by one table of keys (spec_keys.c). Scalars are typed by the table, not by their look: `version: 1.10` is the text
 * "1.10". Shorthands are spelled out (`source: ./x` → {type: path, path: /abs/x}), defaults are filled in, durations
 * become *_usec, sizes bytes, so that equal meaning gives equal trees and one hash. Unknown and duplicate keys, wrong
 * types, values out of range: ERR_SPEC with "file:line:column: " in front and "did you mean" behind; keys that a later
 * pawl will know: ERR_NOT_SUPPORTED.
 *
 * The normalised map (keys absent when they say nothing):
 *   name            text, the service
 *   kind            "service" | "worker"
 *   version         text; absent: the source's own, else "sha-" + 12 hex of the content
 *   source          {type: "path", path: absolute} | {type: "url", url, ca_file?} | {type: "github", repo} | {type: "gitea", repo, url?}, these two
 *                   with asset?, checksums?, public_key?; all with sha256?, max_size
 *   runtime         {type: "auto" | "process" | "systemd", exec: [text...] (may be empty: the program itself), user?, stop_timeout_usec, directory?,
 *                   credentials?: bool, unit?: {after?: [text], restart, restart_usec, hardening}}
 *   resources       {memory: int?, cpu_milli: int?}
 *   port            int, or 0 for auto; absent for a worker
 *   env             {KEY: text}
 *   env_file        absolute path outside the root
 *   secrets         [{name, generate: int (32; 0: never), from: ["env", "dotenv", "store"]}]
 *   data            bool: a data directory {data} (default true)
 *   files           [{path (relative to etc/pawl/<service>/), content, mode}]
 *   health          B.1 form spelled out: {type, scheme, host, port?, path, status, start_usec, attempts, interval_usec, timeout_usec, deadline_usec,
 *                   backoff_milli, max_interval_usec, consecutive}
 *   retention       {releases: int, days: int}
 *   notify          [{url, events: [..], attempts, timeout_usec}]
 *   on_crash        "reverse" | "finish"
 *   timeout_usec    int
 */
#pragma once

#include "core/base/value.h"

#define SPEC_SIZE_MAX (1u << 20)
#define SERVICE_NAME_MAX 26

/*
 * Reads one spec from text. `file` names it in errors and gives the default name ("web.yaml" → web) and, with
 * `directory` (absolute), the base of relative paths.
 */
int spec_parse(const char *text, size_t size, const char *file, const char *directory, Value **ret, Error *err);
/* Reads a file; relative paths inside are relative to its directory. */
int spec_load(const char *path, Value **ret, Error *err);
/* The same, of a file that is applied without being named: ERR_SPEC where root would obey what others may have
 * written. */
int spec_load_trusted(const char *path, Value **ret, Error *err);
/* The same checks and normalisation for a tree that did not come from a file (flags, HTTP); `origin` names it in
 * errors ("--env", "body"). Takes raw text scalars as YAML would give them. */
int spec_from_value(const Value *raw, const char *origin, const char *directory, Value **ret, Error *err);

/* First 16 hex digits of SHA-256 over the deterministic encoding of the normalised map (open secrets are an error: a
 * spec has none). ret holds 17 bytes. */
int spec_hash(const Value *spec, char ret[static 17], Error *err);

/* Service name: ^[a-z0-9]([a-z0-9-]*[a-z0-9])?$, no "--", 1..26 characters. -EINVAL, ERR_SPEC with the rule. */
int service_name_check(const char *name, Error *err);
/* Version: [A-Za-z0-9._+-]{1,64}, not "." or "..", not beginning with ".pawl" */
int version_check(const char *version, Error *err);

/* Every key with its default and what it is for, as plain text for `pawl help spec`; owned by the caller. */
int spec_reference(char **ret, Error *err);
