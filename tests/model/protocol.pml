/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record protocol: two buffered file steps (0, 1), one external create (X) by an asynchronous server.
 *
 * Power loss keeps any subset of what is not synced and drops a request in flight; kill -9 keeps both. Somebody else may
 * create X, or edit file 0, at any moment. Files are replaced by exchange, so compare and act are one step.
 *
 * M1   rule 1: INTENT is durable before the effect
 * M2   rule 1: the effect is durable before DONE, and so before COMMIT
 * M3   rule 1: an apply that finds its step already made syncs it all the same
 * M4   rule 2: DONE(i) with INTENT(i+1) is one commit; not DONE first and INTENT(i+1) after the effect i+1 has begun
 * M5   rule 3: nothing may depend on DONE
 * M6   rule 4: a commit error ends the process: the outcome is unknown until the journal is opened again
 * M7   rule 5: ABORT is durable before the first revert
 * M8   rule 5: ABORT is durable before the first revert, also when recovery is the one that reverts
 * M9   rule 5: once there is ABORT, forward is never chosen again
 * M10  rule 5: UNDONE is written when the undo is done
 * M11  rule 5: UNDONE is written when the undo is durable
 * M12  rule 5: a step that probes as before is synced before UNDONE (what a killed revert left may be in the cache only)
 * M13  rule 5: INTENT is the intent to undo; a step without UNDONE keeps the transaction open
 * M14  rule 6: apply compares before it acts
 * M15  rule 6: revert compares before it acts
 * M16  rule 6: revert of an outside object goes by its mark
 * M17  rule 7: success is told after COMMIT is durable
 * M18  rule 7: a request id repeated gives the same outcome, not a second deploy
 * M19  rule 8: names of temporaries come from (tx, step)
 * M20  ownership: the mark is made in the same atomic act as the object
 * M21  ownership: a create whose answer was lost is looked up by tag, never blindly repeated
 * M22  fence: recovery ends what the dead process left before it looks
 * M23  fence: an apply with a lost reply is fenced before its own revert, without any crash
 * M24  recovery: COMMIT there means finish, never reverse
 * M25  hold: END only when every INTENT is UNDONE, finished or RESOLVED
 * M26  hold: foreign means STUCK and untouched, not "undone"
 * M27  hold: a step at which recovery died three times is set on hold
 */
#ifndef MAXC
#define MAXC 4 /* one before recovery, three inside */
#endif
#include "world.pml"

#define FILES 2
#define X 2
#define TX 3
#define NOBODY 9

int J[4];
byte vis[3];         /* what a reader sees: 0 before, 1 after (X: ours, marked), 2 foreign, 3 ours without mark */
byte dur[3];         /* what a power cut leaves */
byte tries[3];       /* RECOVER(i) records since the last progress */
byte i, resp;        /* the process's own memory */
byte theirs = NOBODY; /* what somebody else made or edited */
byte begun;          /* ghost: transactions begun for this one request */
bool inflight, tmp, knowtmp, ack, unreached, recovering, mine;
bool back;           /* ghost: a revert has begun */
bool restored;       /* ghost: a person decided to overwrite the foreign file */
bool passed;         /* ghost: a foreign file was passed over in silence */
bool harmed;         /* ghost: something foreign was removed or overwritten */
byte made;           /* ghost: how many objects the server made for us */

/* A request, once sent, lands whenever the server pleases, whoever is still alive to hear the answer. */
active proctype server()
{
end:    do
        :: atomic { inflight && (vis[X] == 0 || (M == 21)) ->
#if M == 20
                vis[X] = 3; dur[X] = 3;
#else
                vis[X] = 1; dur[X] = 1;
#endif
                made++; inflight = 0; resp = 1 }
        :: atomic { inflight && vis[X] != 0 && M != 21 -> inflight = 0; resp = 2 }
        od
}

active proctype somebody()
{
        if
        :: atomic { vis[X] == 0 && M != 21 -> theirs = X; vis[X] = 2; dur[X] = 2 }
        :: atomic { has(INTENT, 0) -> theirs = 0; vis[0] = 2; dur[0] = 2 }
        :: skip
        fi
}

active proctype pawl()
{
start:
#if M == 18
        if
        :: has(END, TX) && !ack && begun < 2 -> J[0] = 0; J[1] = 0; J[2] = 0; J[TX] = 0
        :: else
        fi;
#endif
        if
        :: has(END, TX) -> goto done
        :: !has(END, TX) && has(BEGIN, TX) -> goto recover
        :: else
        fi;
        begun++;
        atomic { put(BEGIN, TX);
#if M != 1
                put(INTENT, 0)
#endif
        };
        CR();
        i = 0;

forward:
        do
        :: i < 3 ->
                mine = 1;
                if
                :: i < FILES ->
                        if
                        :: i == 0 -> tmp = 1; knowtmp = 1; CR()
                        :: else
                        fi;
                        atomic {
                                if
#if M == 14
                                :: i == theirs -> harmed = 1; vis[i] = 1
#else
                                :: i == theirs -> mine = 0
#endif
                                :: i != theirs && vis[i] == 0 -> vis[i] = 1
                                :: i != theirs && vis[i] == 1 ->
#if M == 3
                                        goto applied
#else
                                        skip
#endif
                                fi
                        };
                        CR();
#if M != 2
                        atomic {
                                if
                                :: mine && i != theirs -> dur[i] = vis[i]
                                :: else
                                fi
                        };
                        CR()
#else
                        skip
#endif
                :: i == X ->
                        /* look by tag first: an earlier incarnation may have made it */
                        if
                        :: vis[X] == 1 && M != 21 -> goto applied
                        :: else
                        fi;
                        atomic { resp = 0; inflight = 1 };
                        CR();
                        if
                        :: resp != 0
                        :: resp = 0; mine = 0 /* the reply is lost */
                        fi;
                        CR();
#if M == 20
                        if
                        :: resp == 1 -> vis[X] = 1; dur[X] = 1; CR()
                        :: else
                        fi;
#endif
                        if
                        :: resp == 2 -> mine = 0 /* exists: not ours */
                        :: else
                        fi
                fi;
                if
                :: !mine -> goto fail
                :: mine
                :: mine -> goto fail /* it, or the check behind it, failed */
                fi;
applied:
#if M == 4
                /* one boundary late: the next step's effect has begun */
                put(DONE, i); CR();
                if
                :: i == 0 && theirs != 1 -> vis[1] = 1; CR(); put(INTENT, 1); CR()
                :: i == 1 -> put(INTENT, X); CR()
                :: else
                fi;
#elif M == 1
                put(INTENT, i); CR();
                put(DONE, i); CR();
#else
                if
                :: i < 2 -> atomic { put(DONE, i); put(INTENT, i + 1) }; CR()
                :: else
                fi;
#endif
                i++
        :: else -> break
        od;
#if M == 17
        ack = 1; CR();
#endif
#if M == 6
        /* the commit said EIO, the record may be there or not, and the process believes it is not */
        if
        :: atomic { put(DONE, X); put(COMMIT, TX) }; goto fail
        :: goto fail
        :: skip
        fi;
#endif
        atomic { put(DONE, X); put(COMMIT, TX) };
        CR();
        ack = 1; CR();
        goto finish;

fail:
#if M != 7
        put(ABORT, TX); CR();
#endif
        recovering = 0;
        goto reverse;

recover:
        recovering = 1;
#if M == 24
        if
        :: has(COMMIT, TX) -> goto reverse
        :: skip
        fi;
#endif
        if
        :: has(COMMIT, TX) -> goto finish
        :: else
        fi;
        /* on_crash: finish, or a person's --forward: go on from the step in doubt */
#if M != 22
        (!inflight);
#endif
        if
        :: (!has(ABORT, TX) || M == 9) && !has(UNDONE, 0) && !has(UNDONE, 1) && !has(UNDONE, X) ->
                if
                :: has(INTENT, X) -> i = X
                :: !has(INTENT, X) && has(INTENT, 1) -> i = 1
                :: else -> i = 0
                fi;
                goto forward
        :: skip
        fi;
#if M != 8
        put(ABORT, TX); CR();
#endif

reverse:
        unreached = 0;
#if M == 23
        if
        :: recovering -> (!inflight)
        :: else
        fi;
#elif M != 22
        (!inflight);
#endif
        i = 3;
        do
        :: i > 0 ->
                i--;
#if M == 5
                if
                :: recovering && !has(DONE, i) -> goto next
                :: else
                fi;
#endif
                if
                :: !has(INTENT, i) || has(UNDONE, i) || has(STUCK, i) -> goto next
                :: else
                fi;
                /* the server is away: no record, the rest goes on, tried again later */
                if
                :: i == X && recovering -> unreached = 1; goto next
                :: skip
                fi;
                if
#if M != 27
                :: recovering && tries[i] == 3 -> put(STUCK, i); CR(); goto next
#endif
                :: recovering && (tries[i] < 3 || M == 27) -> tries[i]++; CR() /* RECOVER(i) */
                :: !recovering
                fi;
                assert(tries[i] <= 3);
#if M == 10
                put(UNDONE, i); CR();
#endif
                back = 1;
                mine = 1;
                if
                :: i < FILES ->
                        atomic {
                                if
#if M == 15
                                :: i == theirs -> harmed = 1; vis[i] = 0
#else
                                :: i == theirs -> mine = 0
#endif
                                :: i != theirs && vis[i] == 1 -> vis[i] = 0
                                :: i != theirs && vis[i] == 0 ->
#if M == 12
                                        goto undone
#else
                                        skip
#endif
                                fi
                        };
                        CR();
                        if
#if M != 26
                        :: !mine -> put(STUCK, i); CR(); goto next
#endif
                        :: else
                        fi;
#if M != 11
                        /* the inode that was put back, not whatever lies under the name by now */
                        atomic {
                                if
                                :: i != theirs -> dur[i] = vis[i]
                                :: else
                                fi
                        };
                        CR()
#else
                        skip
#endif
                :: else ->
                        atomic {
                                if
#if M == 16
                                :: vis[X] != 0 -> harmed = harmed || vis[X] == 2; vis[X] = 0; dur[X] = 0
#else
                                :: vis[X] == 1 -> vis[X] = 0; dur[X] = 0
#endif
                                :: else /* absent, or without our mark: not ours */
                                fi
                        };
                        CR()
                fi;
undone:
                passed = passed || (i < FILES && !mine);
#if M != 10
                put(UNDONE, i); CR();
#endif
next:           skip
        :: else -> break
        od;
#if M != 13
        if
        :: unreached -> goto recover
        :: else
        fi;
#endif
#if M != 25
        i = 0;
        do
        :: i < 3 ->
                if
                :: has(STUCK, i) && !has(RESOLVED, i) -> goto hold
                :: else -> i++
                fi
        :: else -> break
        od;
#endif

finish:
        /* temporaries go at END; they are found by name, or not at all */
#if M == 19
        if
        :: knowtmp -> tmp = 0
        :: else
        fi;
#else
        tmp = 0;
#endif
        CR();
        put(END, TX); CR();
        goto done;

hold:
        /* exit 6 now, 7 for the next change, until a person decides about step i */
        if
        :: goto judge
        :: put(RESOLVED, i); CR(); goto resolved /* --keep */
        :: atomic { restored = 1; vis[i] = 0; dur[i] = 0 }; CR(); put(RESOLVED, i); CR(); goto resolved /* --restore */
        fi;
resolved:
        recovering = 1;
        goto reverse;

crash:
        atomic {
                if
                :: skip /* kill -9 */
                :: i = 0; /* power */
                        do
                        :: i < FILES ->
                                if
                                :: dur[i] = vis[i]
                                :: skip
                                fi;
                                vis[i] = dur[i]; i++
                        :: else -> break
                        od;
                        inflight = 0
                fi;
                resp = 0; i = 0; mine = 0; knowtmp = 0; unreached = 0; recovering = 0
        };
        goto start;

done:
        assert(!tmp);
judge:
        /* one more power cut, then what the disk says counts */
        atomic {
                i = 0;
                do
                :: i < FILES ->
                        if
                        :: dur[i] = vis[i]
                        :: skip
                        fi;
                        i++
                :: else -> break
                od;
                assert(!harmed);
                assert(!passed);
                assert(!inflight);
                assert(begun == 1);
                assert(made <= 1);
                #ifndef NOGHOST
                assert(!(back && has(COMMIT, TX)));
#endif
                assert(!ack || has(COMMIT, TX));
                i = 0;
                do
                :: i < 3 ->
                        if
                        :: i == theirs -> assert(restored || dur[i] == 2)
                        :: i != theirs && has(COMMIT, TX) -> assert(dur[i] == 1)
                        :: i != theirs && !has(COMMIT, TX) && has(STUCK, i) -> skip /* reported, and a person's */
                        :: else -> assert(dur[i] == 0)
                        fi;
                        /* foreign in the way of an open intent is reported, not passed over */
                        assert(!has(END, TX) || has(COMMIT, TX) || !has(INTENT, i) || has(UNDONE, i) || has(RESOLVED, i));
                        i++
                :: else -> break
                od
        }
}
