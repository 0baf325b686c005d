/* SPDX-License-Identifier: Apache-2.0 */
/* A fresh certificate for 127.0.0.1, good for a day, that signs itself: what a test server shows and a client is
 * told to trust. */
#pragma once

/* PEM texts, owned by the caller. Ends the program when it cannot be made. */
void certificate_new(char **ret_certificate, char **ret_key);
