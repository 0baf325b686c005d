/* SPDX-License-Identifier: Apache-2.0 */
/* The systemd runtime: the unit that runs a service. Private to managers. */
#pragma once

#include "managers/bus.h"

extern const Runtime runtime_systemd;
