/* SPDX-License-Identifier: Apache-2.0 */
/* What an operator added to the unit of a service: files of theirs, which pawl lists and keeps, and never opens:
 * they may hold secrets. */
#pragma once

#include "core/engine_state.h"

/*
 * Sets item.drop_ins to the paths, in order, of the *.conf files in /etc/systemd/system/<unit>.d; without one, and for
 * a service without a unit, it is left out. `row` is the service's, or NULL. What systemd adds to a unit from elsewhere
 * (/run, /usr/lib) is the host's, not the service's.
 */
int drop_ins_set(Engine *e, const char *service, const Value *row, Value *item, Error *err);

/* The directory holds this one name and nothing else; also false when it cannot be read. */
bool drop_ins_are_only(const Engine *e, const char *dir, const char *name);
