/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two services and one shared thing (nginx): two files s[0], s[1] that belong together, each holding one block per
 * service (bit 0, bit 1). Any process may die at any statement; the kernel frees its locks. A dead service may start
 * again or stay dead. Writes are durable at once (protocol.pml has the buffered ones).
 *
 * Holding the shared lock proves that every open transaction with an unsettled INTENT on the thing is dead: a living one
 * would hold it. So whoever takes the lock reads the trail again, settles that first, and needs no lock of its service.
 *
 * M1   locks: a shared thing is held until COMMIT or the last UNDONE, not until its steps are done
 * M2   locks: a shared thing is held from the group's first INTENT, so taken before the capture
 * M3   locks: the next one that takes the lock settles a dead transaction's shared thing first
 * M4   locks: the trail is read again under the lock, not used as it was read before
 * M5   locks: a reversal holds the shared lock too
 * M6   locks: in order, the service before the shared thing: no dead one's service lock is taken under the shared one
 * M7   locks: age breaks no living lock
 * M8   ownership: a shared file is reverted by its marked block, not as a whole
 * M9   locks: a reversal reads its own trail again under the lock: somebody may have settled it
 */
#include "world.pml"

#define FREE 9

int J[2];
byte s[2];
byte cap[2];           /* the before-image in INTENT(shared), for M8 */
byte service[2] = FREE; /* the service locks: who holds them */
byte shared = FREE;
bool stopped[2];

#define open_(w) (has(INTENT, w) && !has(UNDONE, w) && !has(COMMIT, w))

inline drop_locks()
{
        atomic {
                if
                :: shared == me -> shared = FREE
                :: else
                fi;
                if
                :: service[0] == me -> service[0] = FREE
                :: else
                fi;
                if
                :: service[1] == me -> service[1] = FREE
                :: else
                fi
        }
}

/* Put back what w did to the shared thing. */
inline settle(w)
{
        assert(!has(UNDONE, w)); /* the journal refuses a second one */
        put(ABORT, w); CR();
#if M == 8
        s[1] = cap[w]; CR();
        s[0] = cap[w]; CR();
#else
        block = s[1]; s[1] = block & ~(1 << w); CR(); /* read, change, write: not atomic */
        block = s[0]; s[0] = block & ~(1 << w); CR();
#endif
        put(UNDONE, w); CR()
}

proctype flow(byte me)
{
        byte seen, block;
        bool dead;
        byte other = 1 - me;

start:
        atomic { service[me] == FREE -> service[me] = me };
        if
        :: has(COMMIT, me) || has(UNDONE, me) -> goto close
        :: open_(me) -> goto reverse /* dead: it was ours, and we hold its lock */
        :: else
        fi;
        if
        :: !has(BEGIN, me) -> put(BEGIN, me); CR()
        :: else
        fi;

#if M == 4
        dead = open_(other);
#endif
#if M == 2
        seen = s[0]; assert(s[0] == s[1]);
#endif
#if M == 7
        atomic { if :: shared == FREE -> shared = me :: shared != me && crashes > 0 -> shared = me fi };
#else
        atomic { shared == FREE -> shared = me };
#endif
#if M != 4
        dead = open_(other);
#endif
        if
        :: dead && M != 3 ->
#if M == 6
                atomic { service[other] == FREE -> service[other] = me };
#endif
                settle(other);
#if M == 6
                service[other] = FREE
#else
                skip
#endif
        :: else
        fi;
#if M != 2
        seen = s[0];
#endif
        /* nothing half, and nothing that may yet be taken back, is ever seen */
        assert(s[0] == s[1]);
        assert(((seen >> other) & 1) == has(COMMIT, other));

        atomic { put(INTENT, me); cap[me] = seen }; CR();
#if M == 8
        s[0] = seen | (1 << me); CR();
        s[1] = seen | (1 << me); CR();
#else
        block = s[0]; s[0] = block | (1 << me); CR();
        block = s[1]; s[1] = block | (1 << me); CR();
#endif
#if M == 1 || M == 8
        shared = FREE;
#endif
        if
        :: put(COMMIT, me); CR(); goto close
        :: goto reverse /* the health check says no */
        fi;

reverse:
#if M == 9
        dead = open_(me);
#endif
#if M != 5
        if
        :: shared == me
        :: atomic { shared == FREE -> shared = me }
        fi;
#endif
        /* someone who needed the thing may have settled it meanwhile */
        if
#if M == 9
        :: dead -> settle(me)
#else
        :: open_(me) -> settle(me)
#endif
        :: else
        fi;

close:
        drop_locks();
        put(END, me);
        goto done;

crash:
        drop_locks();
        dead = 0; seen = 0; block = 0;
        if
        :: goto start
        :: goto done /* nobody comes */
        fi;

done:
        stopped[me] = 1
}

init
{
        atomic { run flow(0); run flow(1) };
        (stopped[0] && stopped[1]);
        /* what is closed is wholly there or wholly gone */
        assert(!has(END, 0) || ((s[0] & 1) == has(COMMIT, 0) && (s[1] & 1) == has(COMMIT, 0)));
        assert(!has(END, 1) || ((s[0] >> 1) == has(COMMIT, 1) && (s[1] >> 1) == has(COMMIT, 1)))
}
