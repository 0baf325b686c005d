/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of SHA-256 digests as releases carry them, of hostile origin: lines of sha256sum ("<hex>  name", "<hex> *name"), of BSD's and OpenSSL's
 * tools ("SHA256 (name) = <hex>"), or one digest alone. Other lines (other digests, comments) say nothing.
 */
#pragma once

#include "core/base/digest.h"

/*
 * 1: found, lower case; 0: the file does not name it. A name may have folders in front. is_of_it: the file belongs to
 * this name alone, so that a digest without a name is meant. Two different digests for it: -EBADMSG, ERR_CHECKSUM.
 */
int checksums_find(const char *text, size_t size, const char *name, bool is_of_it, char ret[static DIGEST_HEX_SIZE],
                   Error *err);
