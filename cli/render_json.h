/* SPDX-License-Identifier: Apache-2.0 */
/* The one JSON object of a run. */
#pragma once

#include "cli/cli.h"

/*
 * {"pawl":1,"command","result","warnings","error"}; r < 0: `err` is the error, and `status` what the program
 * ends with. Takes result.
 */
void json_answer(Cli *cli, Value *result, int r, const Error *err, int status);
/* {code, message, hint, exit} */
int json_error(const Error *err, int status, Value **ret);
