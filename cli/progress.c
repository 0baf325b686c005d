/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cli/progress.h"
#include "core/base/clock.h"
#include "core/base/text.h"

#define BAR_EVERY_USEC 100000

/* clang-format off */
static const char *const levels[] = {
        "  ",
        "  warning: ",
        "  error: ",
};
/* clang-format on */

static void progress_line(void *userdata, int level, const char *text) {
        Cli *cli = userdata;
        size_t i = level >= 0 && (size_t)level < ELEMENTSOF(levels) ? (size_t)level : 0;
        if (cli->out.is_json || cli->out.is_quiet)
                return;
        out_say(&cli->out, "%s%s\n", levels[i], text);
}

static void progress_text(const char *what, uint64_t done, uint64_t total, char *ret, size_t size) {
        char a[32], b[32];
        size_format(done, a);
        size_format(total, b);
        if (total > 0 && done < total)
                (void)snprintf(ret, size, "  %s: %s of %s", what, a, b);
        else
                (void)snprintf(ret, size, "  %s: %s", what, a);
}

static void progress_bytes(void *userdata, const char *what, uint64_t done, uint64_t total) {
        Cli *cli = userdata;
        char text[256];
        uint64_t now = clock_boot_usec();
        bool is_last = total > 0 && done >= total;
        if (cli->out.is_json || cli->out.is_quiet)
                return;
        if (is_last && strncmp(cli->bar_what, what, sizeof(cli->bar_what) - 1) == 0)
                return; /* told already */
        if (!is_last && (!out_has_terminal() || now < cli->bar_usec + BAR_EVERY_USEC))
                return;
        progress_text(what, done, total, text, sizeof(text));
        cli->bar_usec = now;
        if (!is_last) {
                out_bar(&cli->out, text);
                return;
        }
        (void)snprintf(cli->bar_what, sizeof(cli->bar_what), "%s", what);
        out_say(&cli->out, "%s\n", text);
}

const EngineCalls progress_calls = {.line = progress_line, .progress = progress_bytes};
