/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing what runs a service on this host, and as whom; a part of target.c. */
#pragma once

#include "core/target.h"

/* Of a new or changed spec: decides "auto" in t->spec, and refuses what this host or the service as it is cannot do. */
int target_choose_runtime(Target *t, Error *err);
/* The service's own user: the one it has, the one it had, or the highest system number nobody has or had. */
int target_choose_user(Target *t, Error *err);
/* What runs now; t->spec (as wanted) or t->row (as it is) says by what. */
int target_look(Target *t, Error *err);
