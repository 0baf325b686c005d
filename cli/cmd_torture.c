/* SPDX-License-Identifier: Apache-2.0 */
/* `pawl torture`: hands over to a program of its own, since this one contains no crash point. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "core/base/text.h"

/* Relative to this program: as installed, and as built. */
static const char *const places[] = {"../libexec/pawl/pawl-torture", "libexec/pawl-torture"};

static int find_program(char **ret, Error *err) {
        char self[4096];
        ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        if (n <= 0)
                return error_set_errno(err, -errno, NULL, "could not find out where pawl is installed");
        self[n] = '\0';
        *strrchr(self, '/') = '\0';
        for (size_t i = 0; i < ELEMENTSOF(places); i++) {
                _cleanup_free_ char *path = text_format("%s/%s", self, places[i]);
                if (!path)
                        return error_no_memory(err);
                if (access(path, X_OK) < 0)
                        continue;
                *ret = TAKE_PTR(path);
                return 0;
        }
        return error_set(err, -ENOENT, ERR_UNSUPPORTED, "It is a part of pawl's package: install all of it.",
                         "the program pawl-torture is not installed");
}

/* Returns only where it failed. */
int cmd_torture(Cli *cli, Value **ret, Error *err) {
        const Options *o = cli->options;
        _cleanup_free_ char *program = NULL;
        const char *seed = option_text(o, FLAG_SEED);
        char *argv[8];
        size_t n = 0;
        (void)ret;
        int r = find_program(&program, err);
        if (r < 0)
                return r;
        argv[n++] = program;
        if (option_is(o, FLAG_QUICK))
                argv[n++] = (char *)"--quick";
        if (cli->out.is_json)
                argv[n++] = (char *)"--json";
        if (seed) {
                argv[n++] = (char *)"--seed";
                argv[n++] = (char *)seed;
        }
        argv[n++] = (char *)"--";
        argv[n++] = (char *)o->words[0];
        argv[n] = NULL;
        (void)execv(program, argv);
        return error_set_errno(err, -errno, NULL, "could not run \"%s\"", program);
}
