/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finish steps: one effect (0), COMMIT, then "drop" (class must: the old database) and "tell" (class try). After ABORT
 * only "tell". The server of the old database may be away; somebody may put another one under its name; a later change
 * may refer to it again.
 *
 * M1   finish: only after COMMIT: what cannot be undone is not done before
 * M2   finish: class must keeps the transaction open until done or RESOLVED
 * M3   finish: FINISHED is written when the step is done
 * M4   finish: the object is named by identity and mark, not by its name
 * M5   finish: each try checks that no row refers to the object again
 * M6   finish: class try has a number of attempts and then becomes a warning
 * M7   recovery: after COMMIT only forward
 * M8   finish: after ABORT a drop is not done
 * M9   finish: class must is not given up like class try
 */
#include "world.pml"

#define DROP 1
#define TELL 2
#define TX 3
#define ATTEMPTS 2

int J[4];
byte f;       /* the effect */
byte old = 1; /* 1 the one we know, 0 gone, 2 somebody else's by the same name */
byte tried, told;
bool ref, theirs, harmed, ack;

active proctype somebody()
{
        if
        :: atomic { old != 0 -> theirs = 1; old = 2 }
        :: atomic { has(COMMIT, TX) && old == 1 -> ref = 1 } /* a later change, under the locks, wants the old one back */
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
        f = 1; CR();
#if M == 1
        if
        :: atomic { old == 1 && !ref -> old = 0 }; CR()
        :: else
        fi;
#endif
        if
        :: skip
        :: goto reverse
        fi;
        atomic { put(DONE, 0); put(COMMIT, TX) }; CR();
        ack = 1;
        goto finish;

recover:
        if
        :: has(COMMIT, TX) && M != 7 -> goto finish
        :: else
        fi;
reverse:
        put(ABORT, TX); CR();
        f = 0; CR();
        put(UNDONE, 0); CR();
#if M == 8
        goto finish;
#endif
        goto tell;

finish:
        if
        :: has(FINISHED, DROP) || has(RESOLVED, DROP) -> goto tell
        :: else
        fi;
#if M == 3
        put(FINISHED, DROP); CR();
#endif
        if
        :: goto away /* the server does not answer */
        :: skip
        fi;
        atomic {
                if
#if M == 4
                :: old != 0 && !ref -> harmed = harmed || old == 2; old = 0
#elif M == 5
                :: old == 1 -> harmed = harmed || ref; old = 0
#else
                :: old == 1 && !ref -> old = 0
#endif
                :: else
                fi
        };
        CR();
#if M != 3
        put(FINISHED, DROP); CR();
#endif
        goto tell;

away:
#if M == 9
        put(FINISHED, DROP); CR(); goto tell;
#endif
        if
        :: goto tell                                 /* later, by the timer */
        :: put(RESOLVED, DROP); CR(); goto tell      /* a person: keep it */
        fi;

tell:
        do
        :: !has(FINISHED, TELL) ->
                tried++;
                assert(tried <= ATTEMPTS + crashes);
                if
                :: told = 1; put(FINISHED, TELL); CR()
                :: tried >= ATTEMPTS && M != 6 -> put(FINISHED, TELL); CR() /* with a warning */
                :: tried < ATTEMPTS || M == 6
                fi
        :: else -> break
        od;
#if M != 2
        if
        :: has(COMMIT, TX) && !has(FINISHED, DROP) && !has(RESOLVED, DROP) -> goto open
        :: else
        fi;
#endif
        put(END, TX); CR();
        goto judge;

open:
        if
        :: goto judge  /* still open, and listed */
        :: goto finish /* the timer */
        fi;

crash:
        goto start;

judge:
        atomic {
                assert(!harmed);
                assert(!theirs || old == 2);
                assert(!ack || has(COMMIT, TX));
                if
                :: has(COMMIT, TX) ->
                        assert(f == 1);
                        assert(!ref || theirs || old == 1);
                        assert(!has(END, TX) || old != 1 || ref || has(RESOLVED, DROP))
                :: else ->
                        assert(f == 0 && (old == 1 || theirs))
                fi
        }
}
