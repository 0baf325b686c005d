/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing what is brought: source, version, and whether that one is held; a part of target.c. */
#pragma once

#include "core/target.h"

/* Target.source, and Target.prefetched where looking meant downloading. */
int target_resolve_source(Target *t, Error *err);
/* Target.version and release_exists, of the source that was found. */
int target_choose_version(Target *t, Error *err);
/*
 * An upgrade to a version of a source that has none (a path, a url): its content gets that name. ERR_NO_VERSION where
 * that content runs already under another, and the request says neither where else to look nor, by {version} in the
 * source, what to look for.
 */
int target_refuse_new_name(const Target *t, const Request *request, Error *err);
/* TARGET_HELD: the same version with the same content and the same spec was held; a service that is not there yet is
 * always tried. */
int target_version_is_held(Target *t, Error *err);
/* The row of a release that was there once; owned by the caller. -ENOENT: there was none. */
int target_release_row(Target *t, const char *version, Value **ret, Error *err);
