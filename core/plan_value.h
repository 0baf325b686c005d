/* SPDX-License-Identifier: Apache-2.0 */
/* What plan.c and plan_value.c share. */
#pragma once

#include "core/plan.h"

/* One more step, all zero; borrowed until the next. NULL: no memory, err is filled. */
Step *plan_grow(Plan *p, Error *err);
