/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals: the first SIGINT, SIGTERM or SIGHUP asks the flow to stop and put back. A SIGINT or SIGTERM behind a SIGINT
 * or SIGTERM ends the program at once, and says so (recovery has what it needs). SIGHUP stays ignored where it was when
 * the program began.
 */
#pragma once

#include <signal.h>

/* A closed pipe is an error of write(), not the end of a flow. */
void signals_ignore_pipe(void);
/* From here on the first signal only sets the flag, and the program's exit status after a second is the given one. */
void signals_catch(int second_status);
/* As if the signal had come: for output that nobody reads any more. */
void signals_cancel(int signal_number);
/* While nothing is written: a reader of stdout who goes away sets the flag to SIGPIPE. */
void signals_watch_stdout(void);
const volatile sig_atomic_t *signals_flag(void);
