#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# pawl dies at a boundary between two records, or in the middle of a step, while it changes a service under a real systemd; half of the time the power goes
# with it; or a call of the bus fails, before systemd has heard it or with its answer lost (tests/crash/libcalls_shim.c). After `pawl recover` the whole host must be as before the flow or as after it, and the service must do what that state says.
#
#   PAWL_SEED=N      the same sample again         PAWL_FULL=1   every point of every flow (many minutes)
. "$SRC/tests/lib/system.sh"
. "$SRC/tests/lib/machine.sh"

port=3000
seed=${PAWL_SEED:-$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')}
say "seed $seed"

# flow, the state it starts from, the one it ends in, the command
flows='deploy   none    one     deploy /root/web-v1 -n web -v v1
upgrade  one     two     upgrade web --source /root/web-v2 -v v2
failing  one     one     upgrade web --source /root/web-v3 -v v3 --retry
stop     one     stopped stop web
start    stopped one     start web
restart  one     one     restart web
rollback two     back    rollback web
adopt    foreign adopted adopt shop -v v1
remove   one     none    remove web -y --purge'
points='journal-commit-before journal-commit-after apply-after revert-after unit-before-restart unit-after-restart user-half-made'

# Without the marks that name a transaction. What runs beside the service says nothing about it: systemd starts the message bus when somebody asks for it.
state_now() {
        machine_snapshot all
        sed -e '/^unit \(dbus\|systemd-\)/d' -e '/\.pawl-release\>/d' -e '/ \/etc\/passwd\>/d' -e '/^file \/root/d' -e 's/:pawl [0-9a-f]*-[0-9]*:/:pawl MARK:/' all >"$1"
}
# A unit somebody wrote by hand.
foreign_up() {
        machine_exec sh -c 'cat >/etc/systemd/system/shop.service' <<'END'
[Service]
ExecStart=/usr/local/bin/shop
Environment=PORT=3000
Nice=3
[Install]
WantedBy=multi-user.target
END
        machine_exec systemctl enable -q --now shop.service
        wait_for 5 answer || fail "the shop does not open"
}
foreign_down() {
        machine_exec rm -rf /etc/systemd/system/pawl-shop.service.d # what adopting left to its operator
        machine_exec test -e /etc/systemd/system/shop.service || return 0
        machine_exec systemctl disable -q --now shop.service
        machine_exec rm /etc/systemd/system/shop.service
        machine_exec systemctl daemon-reload
}
reach() {
        for service in web shop; do pawl -q remove "$service" -y --purge >/dev/null 2>&1 || true; done
        foreign_down
        case $1 in
        none) return ;;
        foreign | adopted) foreign_up ;;
        *) pawl -q deploy /root/web-v1 -n web -v v1 >/dev/null ;;
        esac
        case $1 in
        stopped) pawl -q stop web >/dev/null ;;
        two | back) pawl -q upgrade web --source /root/web-v2 -v v2 >/dev/null ;;
        adopted) pawl -q adopt shop -v v1 >/dev/null ;;
        esac
        [ "$1" != back ] || pawl -q rollback web >/dev/null
}

# The host is as in state NAME, and so is what can be asked of it.
# shellcheck disable=SC2119
is_state() {
        cmp -s "$dir/is" "$dir/state.$1" || return 1
        case $1 in
        none) ! pawl -q status web >/dev/null 2>&1 ;;
        stopped) pawl -q check web >/dev/null 2>&1 && [ -z "$(answer)" ] ;;
        one | back) pawl -q check web >/dev/null 2>&1 && [ "$(answer)" = 'hello from v1' ] ;;
        foreign) ! pawl -q status shop >/dev/null 2>&1 && [ "$(answer)" = 'hello from v1' ] ;;
        adopted) pawl -q check shop >/dev/null 2>&1 && [ "$(answer)" = 'hello from v1' ] ;;
        two) pawl -q check web >/dev/null 2>&1 && [ "$(answer)" = 'hello from v2' ] ;;
        esac
}

judge() {
        status=0
        machine_exec pawl recover >out 2>err || status=$?
        [ "$status" -eq 0 ] || fail "$1: recovery ends with $status"
        state_now is
        is_state "$2" || is_state "$3" || {
                diff -U0 "$dir/state.$2" "$dir/is" >out || true
                diff -U0 "$dir/state.$3" "$dir/is" >err || true
                { pawl list && pawl check && answer; } >>err 2>&1 || true
                fail "$1: neither \"$2\" nor \"$3\""
        }
}

# bus:N:ERRNO:before|after, or a crash point
how() {
        case $1 in
        bus:*) echo "LD_PRELOAD=/srv/build/tests/crash/liblibcalls_shim.so ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0" \
                "LIBCALL_ONLY=sd_bus LIBCALL_FAIL_AT=${1#bus:}" ;;
        *) echo "PAWL_CRASH_AT=$1" ;;
        esac
}

# One point: 0 when pawl died there, 1 when the flow is over before.
strike() {
        flow=$1 from=$2 to=$3 at=$4 cut=$5
        shift 5
        reach "$from"
        died=0
        # shellcheck disable=SC2046 # words on purpose
        machine_exec env $(how "$at") pawl-testing "$@" >out 2>err || died=$?
        if grep -q 'Sanitizer\|runtime error:' err; then fail "$flow, $at: a sanitizer complains"; fi
        n_points=$((n_points + 1))
        if [ "$died" -eq 137 ] && [ "$cut" = yes ]; then
                machine_cut
                machine_boot
        fi
        case $died in # what it said of itself must be so
        0) from=$to ;;
        1) to=$from ;;
        esac
        judge "$flow, struck at $at, cut: $cut, status $died (seed $seed)" "$from" "$to"
        [ "$died" -eq 137 ]
}

machine_boot
for v in 1 2 3; do machine_put "$BUILD/examples/web-v$v" "/root/web-v$v"; done
machine_put "$BUILD/examples/web-v1" /usr/local/bin/shop
machine_exec sh -c 'chmod 755 /root/web-v* /usr/local/bin/shop'
pawl -q init >/dev/null
reach one # from now on the service has its number
for state in none one stopped two back foreign adopted; do
        reach "$state"
        state_now "state.$state"
        cp "state.$state" is
        is_state "$state" || fail "the state \"$state\" is not what it should be"
done
cmp -s state.one state.two && fail "the states cannot be told apart"

n_points=0
sweep() {
        echo "$flows" | while read -r flow from to command; do
                for point in $points; do
                        n=1
                        # shellcheck disable=SC2086 # words on purpose
                        while strike "$flow" "$from" "$to" "$point:$n" "$([ $((n % 2)) -eq 0 ] && echo yes || echo no)" $command </dev/null; do n=$((n + 1)); done
                done
                for n in $(seq 1 30); do
                        for answer_of_bus in -107:before -110:after; do
                                # shellcheck disable=SC2086
                                strike "$flow" "$from" "$to" "bus:$n:$answer_of_bus" no $command </dev/null || true
                        done
                done
        done
}
# The last three points are in the middle of one step, and are met once in a flow.
sample() {
        echo "$flows" | awk -v seed="$seed" -v points="$points" 'BEGIN { srand(seed); n = split(points, point, " ") }
                rand() < 0.7 { i = int(rand() * n) + 1; print $1, $2, $3, point[i] ":" (i > 4 ? 1 : int(rand() * 9) + 1), rand() < 0.5 ? "yes" : "no", substr($0, index($0, $4)) }
                rand() < 0.5 { print $1, $2, $3, "bus:" int(rand() * 12) + 1 ":" (rand() < 0.5 ? "-107:before" : "-110:after"), "no", substr($0, index($0, $4)) }' >sample
        while read -r flow from to at cut command; do
                # shellcheck disable=SC2086
                strike "$flow" "$from" "$to" "$at" "$cut" $command </dev/null || true
        done <sample
        [ "$n_points" -gt 0 ] || fail "nothing was struck"
        say "$n_points points"
}
if [ -n "${PAWL_FULL:-}" ]; then sweep; else sample; fi
