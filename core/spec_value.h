/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One value of a spec: from its text to its type.
 */
#pragma once

#include "core/spec_node.h"

/* "port" must be a number from 1 to 65535 or auto, not "http" */
int spec_refuse_type(const SpecNode *node, const SpecKey *key, Error *err);

/* Any type but SPEC_MAP, SPEC_LIST and SPEC_LATER. *ret is NULL when the value says nothing ("auto" where that is
 * so). */
int spec_read_scalar(const SpecNode *node, const SpecKey *key, Value **ret, Error *err);
