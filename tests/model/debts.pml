/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debts, and the order of booting. Steps: 0 owe, 1 and 2 two files the service loads together, 3 pay; then a health
 * check, COMMIT. "loaded" is what the running process has loaded: volatile, lost by a power cut, not by a kill.
 *
 * After a power cut: early recovery (files only) → services → late recovery (everything). Early recovery itself may be
 * killed (time limit, no memory): the boot goes on without it. Somebody may edit file 2 by hand.
 *
 * A mark (durable) says that the service has a flow that has not ended; "whole" (lost with the boot) that its files are
 * wholly before or wholly after. A unit starts only where there is no mark, or where whole is said.
 *
 * M1   debts: owe pays in reverse, after the files are back; pay does not
 * M2   debts: pay comes after the last change
 * M3   debts: an open bracket (owe missing) is refused
 * M4   volatile: facts hold within one boot only; in another they are looked at again
 * M5   boot: early recovery comes before every managed unit
 * M6   boot: a marked service of which nobody says that its files are whole does not start
 * M7   boot: whole is said when the files are whole, not before
 * M8   boot: a service whose early recovery did not end does not start (fail closed)
 * M9   boot: late recovery starts what the mark kept down
 * M10  depends: what a STUCK step stands on is left as it is; a debt is not paid over it
 * M11  boot: early recovery leaves the debt to late recovery; it starts nothing
 * M12  hold: while STUCK is not RESOLVED whole is not said
 * M13  boot: the mark is durable before BEGIN, and so before any effect
 * M14  boot: the mark goes when the files are whole for good
 * M15  boot: early recovery never writes END: what it left to late would be forgotten
 * M16  boot: the living flow says whole, or it could not start its own unit
 * M17  boot: late recovery says whole before it pays the debt
 * M18  boot: a mark without an open transaction goes, or the service stays down
 * M19  boot: early recovery puts files back under a volatile step: what that one did is gone with the boot
 */
#include "world.pml"

#define TX 4
#define OLD 0
#define NEW 1
#define HALF 2
#define DOWN 3

int J[5];
byte f[3];       /* f[1] and f[2]: 0 before, 1 after, 2 edited by hand */
byte loaded = OLD;
byte i;
bool theirs;
bool newboot;    /* this process lives in another boot than the one that wrote BEGIN */
bool mark;       /* /var/lib/pawl/open/<service> */
bool whole;      /* /run/pawl/whole/<service> */
bool ended;      /* ghost: early recovery came to its end in this boot */
bool ack, half;  /* ghost half: a process has loaded files that do not belong together */

#define mixed (f[1] != f[2])
#define unresolved (has(STUCK, 2) && !has(RESOLVED, 2))
#define begun (has(BEGIN, TX) && !has(END, TX))

/* (Re)start or reload: the process now has what the files say. */
inline load()
{
        atomic {
                if
                :: f[1] == 0 && f[2] == 0 -> loaded = OLD
                :: f[1] == 1 && f[2] == 1 -> loaded = NEW
                :: else -> loaded = HALF; half = half || !has(RESOLVED, 2) /* unreached in most places */
                fi
        }
}

/* The unit's own conditions stand before every start. */
inline start()
{
        if
        :: !mark || whole -> load()
        :: else
        fi
}

/* A file is put back by compare and exchange. */
inline putback(n)
{
        if
        :: has(INTENT, n) && !has(UNDONE, n) && !has(STUCK, n) ->
                atomic {
                        if
                        :: f[n] == 2 -> put(STUCK, n)
                        :: else -> f[n] = 0
                        fi
                };
                CR();
                if
                :: !has(STUCK, n) -> put(UNDONE, n); CR()
                :: else
                fi
        :: else
        fi
}

active proctype somebody()
{
        if
        :: atomic { has(INTENT, 2) && !has(DONE, 2) && !has(ABORT, TX) ->
                theirs = 1; f[2] = 2 }
        :: skip
        fi
}

active proctype pawl()
{
#if M != 16
        whole = 1; CR();
#endif
#if M != 13
        mark = 1; CR();
#endif
        atomic { put(BEGIN, TX); put(INTENT, 0) }; CR();
#if M == 13
        f[1] = 1; CR(); mark = 1; CR();
#endif
        atomic { put(DONE, 0); put(INTENT, 1) }; CR(); /* owe: forward, nothing */
        f[1] = 1; CR();
#if M == 2
        start(); CR();
#endif
        atomic { put(DONE, 1); put(INTENT, 2) }; CR();
        atomic {
                if
                :: f[2] == 2 -> goto abort
                :: else -> f[2] = 1
                fi
        };
        CR();
        if
        :: skip
        :: goto abort
        fi;
        atomic {
                if
                :: f[2] == 2 -> goto abort
                :: else -> put(DONE, 2); put(INTENT, 3)
                fi
        };
        CR();
#if M != 2
        start(); CR(); /* pay */
#endif
        if
        :: skip
        :: goto abort /* the health check says no */
        fi;
        atomic { put(DONE, 3); put(COMMIT, TX) }; CR();
        ack = 1;
        goto finish;

crash:
        i = 0;
        if
        :: skip /* kill: by timer, command or prologue, everything at once */
        :: atomic { loaded = DOWN; whole = 0; ended = 0; newboot = 1 }; goto boot
        fi;

late:
        if
        :: !begun -> goto up
        :: begun && has(COMMIT, TX) -> goto finish
        :: else
        fi;

abort:
        put(ABORT, TX); CR();
#if M == 14
        mark = 0; CR();
#endif
#if M == 1
        if
        :: has(INTENT, 3) && !has(UNDONE, 3) -> load(); CR(); put(UNDONE, 3); CR()
        :: else
        fi;
#else
        if
        :: has(INTENT, 3) && !has(UNDONE, 3) -> put(UNDONE, 3); CR() /* pay: in reverse, nothing */
        :: else
        fi;
#endif
        putback(2);
        putback(1);
        if
        :: unresolved -> goto stuck
        :: else
        fi;
owe:
        /* what was recorded about processes in another boot is not believed */
#if M == 1 || M == 3
        skip;
#elif M == 4
        if
        :: has(INTENT, 3) -> load(); CR()
        :: else /* pay was never begun, so the old process must still be running */
        fi;
#else
#if M != 17
        whole = 1; CR();
#endif
        if
        :: newboot && M == 9 -> skip
        :: else -> start(); assert(loaded != DOWN); CR()
        fi;
#endif
        put(UNDONE, 0); CR();

finish:
        put(END, TX); CR();
up:
#if M != 18
        mark = 0; CR();
#endif
        whole = 0; CR();
        if
        :: loaded == DOWN && M != 9 && M != 4 -> start() /* told to run, and does not since the machine stopped under it */
        :: else
        fi;
        goto judge;

stuck:
        whole = 0; CR();
#if M == 10
        load(); CR();
#endif
        if
        :: goto judge
        :: put(RESOLVED, 2); CR(); goto owe                 /* --keep */
        :: theirs = 0; f[2] = 0; put(RESOLVED, 2); CR(); goto owe /* --restore */
        fi;

boot:
#if M == 5
        load();
#endif
        /* early: local files only; it starts, stops and waits for nothing */
#if M == 8
        whole = 1; /* taken back where it is found untrue: a death in between leaves it */
#endif
        if
        :: crashes < MAXC -> crashes++; goto services /* killed before it did anything */
        :: skip
        fi;
        if
        :: has(COMMIT, TX) && begun -> whole = 1; goto services
        :: !begun -> mark = (M == 18 && mark); goto services
        :: else
        fi;
        put(ABORT, TX);
#if M == 7
        whole = 1;
#endif
        /* its own death here is a crash of its own kind: the boot goes on */
        if
        :: crashes < MAXC -> crashes++; goto services
        :: skip
        fi;
#if M != 19
        i = 2;
#endif
        do
        :: i > 0 ->
                if
                :: has(INTENT, i) && !has(UNDONE, i) && !has(STUCK, i) ->
                        atomic {
                                if
                                :: f[i] == 2 -> put(STUCK, i)
                                :: else -> f[i] = 0; put(UNDONE, i)
                                fi
                        };
                        if
                        :: crashes < MAXC -> crashes++; goto services
                        :: crashes < MAXC -> crashes++; goto crash
                        :: skip
                        fi
                :: else
                fi;
#if M == 11
                load();
#endif
                i--
        :: else -> break
        od;
        whole = ((!mixed || has(RESOLVED, 2)) && !unresolved);
#if M == 12
        whole = 1;
#endif
#if M == 15
        put(END, TX); mark = 0;
#endif
        ended = 1;

services:
#if M == 6
        load();
#else
        start();
#endif
        assert(!ended || unresolved || loaded != DOWN);
        CR();
        goto late;

judge:
        atomic {
                assert(!half);
                assert(!ack || has(COMMIT, TX));
                if
                :: has(COMMIT, TX) -> assert(f[1] == 1 && f[2] == 1 && loaded == NEW)
                :: !has(COMMIT, TX) && unresolved -> assert(f[2] == 2 && loaded != HALF && !has(END, TX))
                :: !has(COMMIT, TX) && has(RESOLVED, 2) -> assert(f[1] == 0 && loaded != DOWN)
                :: else -> assert(f[1] == 0 && f[2] == 0 && loaded == OLD)
                fi
        }
}
