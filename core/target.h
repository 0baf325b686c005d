/* SPDX-License-Identifier: Apache-2.0 */
/* Target: everything a plan needs to know, chosen: spec, source, version, port, secrets, what runs now. Private to
 * core. */
#pragma once

#include "core/recipe.h"

#define TARGET_HELD 1 /* the version is held; nothing to do */

/* Fills *ret for a request. The service's row is read; the source is resolved (which may download). Changes nothing. */
int target_choose(Engine *e, const Request *request, Target *ret, Error *err);
