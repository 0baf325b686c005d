/* SPDX-License-Identifier: Apache-2.0 */
/* Taking over a service that runs under a unit somebody wrote by hand; a part of target.c and recipe.c. */
#pragma once

#include "core/target.h"

/*
 * Fills t->adopted (what systemd says of the unit) and t->spec: the service as it runs now. What pawl's own unit would
 * not say is kept as a drop-in of it. ERR_SPEC where the unit does something that pawl's units do not: then it stays as
 * it is.
 */
int adopt_target(Target *t, const Request *request, Error *err);
