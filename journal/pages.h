/* SPDX-License-Identifier: Apache-2.0 */
/* LMDB's file (format 1, 64 bit) looked at by hand, with pread and without LMDB, which trusts what it reads. */
#pragma once

#include "core/base/error.h"

/* Both meta pages, and that the file is as long as they say. -EBADMSG with ERR_JOURNAL_DAMAGED. */
int pages_check_metas(int data_fd, Error *err);

/* What tells one state of the file from another: LMDB's last txnid, and a hash of both meta pages. */
int pages_tell(int data_fd, uint64_t *ret_txnid, uint8_t ret_hash[static 32], Error *err);

/*
 * The shape of the trees: every page is what its parent takes it for, every node and every list of free pages lies
 * inside of its page, keys ascend. LMDB copies pages it is about to change into memory of exactly their size and
 * moves nodes by the numbers in them: nothing may be written before these have been checked. `tail` > 0: of the
 * databases that only grow at their end, only the last `tail` children of each page; of everything else, too, when
 * is_tail_only. The caller holds a read transaction, so that no page is used again meanwhile.
 */
int pages_check_trees(int data_fd, unsigned tail, bool is_tail_only, Error *err);
