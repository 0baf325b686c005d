/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Host whose root is a temporary directory, for testing managers; and programs to start below it.
 */
#pragma once

#include "managers/manager.h"

typedef struct TempHost {
        Host host;
        char path[256];
        char warnings[4096]; /* what was logged as a warning, one line each */
        HostCalls calls;
        volatile sig_atomic_t cancel;
} TempHost;

void temp_host_init(TempHost *t);
void temp_host_done(TempHost *t); /* removes the directory */

/* Writes a file below the root, with the folders above it. */
void temp_host_write(const TempHost *t, const char *path, const char *text);
/* The whole file, owned by the caller; NULL when it is missing. */
char *temp_host_read(const TempHost *t, const char *path);
bool temp_host_has(const TempHost *t, const char *path);

/* The full path of a program of tests/programs: static. */
const char *test_program(const char *name);
/* A port of 127.0.0.1 that nobody has now. */
int test_port(void);
/* A listening socket of our own. */
int test_listen(int port);
