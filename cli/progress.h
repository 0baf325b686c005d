/* SPDX-License-Identifier: Apache-2.0 */
/* Progress of a flow on stderr: a line per step; for downloads a bar on a terminal, else one line at the end. */
#pragma once

#include "cli/cli.h"

/* Callbacks for the engine; userdata is the Cli. */
extern const EngineCalls progress_calls;
