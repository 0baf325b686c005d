/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals: the first SIGINT or SIGTERM asks the flow to stop and put back, the second ends the program at once
 * (recovery has what it needs).
 */
#pragma once

#include <signal.h>

/* A closed pipe is an error of write(), not the end of a flow. */
void signals_ignore_pipe(void);
/* From here on the first SIGINT or SIGTERM only sets the flag. */
void signals_catch(void);
/* As if the signal had come: for output that nobody reads any more. */
void signals_cancel(int signal_number);
/* While nothing is written: a reader of stdout who goes away sets the flag to SIGPIPE. */
void signals_watch_stdout(void);
const volatile sig_atomic_t *signals_flag(void);
