/* SPDX-License-Identifier: Apache-2.0 */
/* What involves several keys of a spec at once. */
#pragma once

#include "core/spec_value.h"

/* Of a map that was read from `node`: refuses what does not go together, and spells out what follows from it. */
int spec_check_map(const SpecNode *node, const SpecKey *key, Value *map, Error *err);
/* Of the whole spec, at its end. */
int spec_check_whole(const SpecNode *node, Value *spec, Error *err);
