/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups with required: false. Steps 0 and 3 are required, steps 1 and 2 are an optional group (G).
 *
 * Files are durable when written (protocol.pml has the buffered ones). Somebody may edit file 1 by hand.
 *
 * M1   rule 5: FAILED of a group is durable before the first revert of the group
 * M2   groups: GROUP_UNDONE closes the group when its last step is UNDONE, not before
 * M3   groups: a group that cannot be wholly undone aborts the transaction
 * M4   groups: forward after a crash first finishes putting back a failed group
 * M5   rule 5: UNDONE is never undone: a failed group is not tried again in the same transaction
 * M6   groups: the rows at COMMIT are computed from the trail, not from the plan
 * M7   rule 5: UNDONE outside a failed group: forward is never chosen again
 * M8   groups: GROUP_UNDONE means the flow goes on after the group, not at the step in doubt
 * M9   groups: a step of the group that fails is FAILED(group): the group is reverted from its last INTENT, not from the next
 */
#include "world.pml"

#define TX 4
#define G 5

int J[6];
byte f[4];
byte i;
bool theirs;    /* file 1 was edited by hand */
bool row;       /* what the rows say of the group after COMMIT */
bool groupback; /* ghost: putting the group back has begun */
bool whole;     /* the process's own: reverting everything, not only the group */
#define ours(n) (n != 1 || !theirs)
#define ingroup(n) (n == 1 || n == 2)

active proctype somebody()
{
        if
        :: atomic { has(INTENT, 1) -> theirs = 1; f[1] = 2 }
        :: skip
        fi
}

active proctype pawl()
{
start:
        if
        :: has(END, TX) -> goto judge
        :: !has(END, TX) && has(BEGIN, TX) -> goto recover
        :: else
        fi;
        atomic { put(BEGIN, TX); put(INTENT, 0) }; CR();
        i = 0;

forward:
        do
        :: i < 4 ->
                atomic {
                        if
                        :: ours(i) -> f[i] = 1
                        :: !ours(i) -> goto failed
                        fi
                };
                CR();
                if
                :: skip
                :: goto failed /* it, or the check behind it (nginx -t) */
                fi;
                if
                :: i < 3 -> atomic { put(DONE, i); put(INTENT, i + 1) }; CR()
                :: else
                fi;
                i++
        :: else -> break
        od;
#if M == 6
        atomic { put(DONE, 3); put(COMMIT, TX); row = 1 };
#else
        atomic { put(DONE, 3); put(COMMIT, TX); row = !has(FAILED, G) };
#endif
        CR();
        goto finish;

failed:
        if
        :: ingroup(i) ->
#if M != 1
                put(FAILED, G); CR();
#endif
                goto group
        :: else -> goto abort
        fi;

group:
        whole = 0;
#if M == 2
        put(GROUP_UNDONE, G); CR();
#endif
#if M == 9
        i = i;
#else
        i = 3;
#endif
        goto reverse;
groupdone:
#if M != 3
        if
        :: has(STUCK, 1) || has(STUCK, 2) -> goto abort
        :: else
        fi;
#endif
        atomic { put(GROUP_UNDONE, G); put(INTENT, 3) }; CR();
        i = 3;
        goto forward;

recover:
        if
        :: has(COMMIT, TX) -> goto finish
        :: else
        fi;
        if
        :: !has(ABORT, TX) && (M == 7 || (!has(UNDONE, 0) && !has(UNDONE, 3))) &&
                (M == 7 || has(FAILED, G) || (!has(UNDONE, 1) && !has(UNDONE, 2))) ->
                /* on_crash: finish */
                if
#if M == 5
                :: has(FAILED, G) && !has(GROUP_UNDONE, G) -> i = 1; goto forward
#elif M == 4
                :: has(FAILED, G) && !has(GROUP_UNDONE, G) -> put(INTENT, 3); i = 3; goto forward
#elif M == 8
                :: has(FAILED, G) && !has(GROUP_UNDONE, G) -> goto group
                :: has(GROUP_UNDONE, G) -> i = 2; goto forward
#else
                :: has(FAILED, G) && !has(GROUP_UNDONE, G) -> goto group
                :: has(GROUP_UNDONE, G) -> i = 3; goto forward
#endif
                :: else ->
                        i = 3;
                        do
                        :: !has(INTENT, i) -> i--
                        :: else -> break
                        od;
                        goto forward
                fi
        :: skip
        fi;
abort:
#if M != 7
        put(ABORT, TX); CR();
#endif
        whole = 1;
        i = 4;

reverse:
        do
        :: i > 0 && (whole || i > 1) ->
                i--;
                if
                :: !has(INTENT, i) || has(UNDONE, i) || has(STUCK, i) -> goto next
                :: else
                fi;
                groupback = groupback || ingroup(i);
                atomic {
                        if
                        :: ours(i) -> f[i] = 0
                        :: else -> put(STUCK, i)
                        fi
                };
                CR();
                if
                :: !has(STUCK, i) -> put(UNDONE, i); CR()
                :: else
                fi;
next:           skip
        :: else -> break
        od;
        if
        :: !whole -> goto groupdone
        :: whole && has(STUCK, 1) -> goto judge /* on hold */
        :: else
        fi;

finish:
        put(END, TX); CR();
        goto judge;

crash:
        atomic { i = 0; whole = 0 };
        goto start;

judge:
        atomic {
                if
                :: has(COMMIT, TX) ->
                        assert(f[0] == 1 && f[3] == 1);
                        assert(row == !has(FAILED, G));
                        assert(!(row && groupback));
                        assert(!has(STUCK, 1) && !has(STUCK, 2));
                        assert(f[2] == row);
                        assert(theirs || f[1] == row)
                :: else ->
                        assert(f[0] == 0 && f[2] == 0 && f[3] == 0);
                        assert(theirs || f[1] == 0);
                        assert(!has(END, TX) || !has(STUCK, 1))
                fi;
                assert(!theirs || f[1] == 2)
        }
}
