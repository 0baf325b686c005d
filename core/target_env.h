/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing what is told to a service and about it: its environment, its secrets, its webhooks; a part of target.c. */
#pragma once

#include "core/target.h"

/* Target.env_file, if the spec names one. */
int target_read_env_file(Target *t, Error *err);
/* Target.secrets: from the caller's environment, env_file, what was chosen before, or new; after
 * target_read_env_file(). */
int target_choose_secrets(Target *t, Error *err);
/* Target.env and Target.hooks, with ${X} filled in. What was filled in before is used when the caller's environment
 * lacks it now: a timer has another one than a person. */
int target_choose_env(Target *t, Error *err);
int target_choose_hooks(Target *t, Error *err);
