/* SPDX-License-Identifier: Apache-2.0 */
/* The out-of-line half of macro.h. */
#include <errno.h>

#include "core/base/macro.h"

void fd_close(int *fd) {
        int saved = errno;
        if (*fd >= 0)
                close(*fd);
        *fd = -1;
        errno = saved;
}
