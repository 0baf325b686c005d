#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# crash.host: the power of a whole host, cut for real. A machine with systemd (tests/lib/machine.sh) keeps all it writes on an ext4 whose device
# remembers every write and flush (device.h); flows run on it once, a service behind nginx as a systemd unit. Then the disk is made again as a
# power cut before any of these writes would have left it, what was not flushed lost or torn; a machine boots on it, recovery runs by itself,
# early and late, and the judge asks:
#
#   the host is not degraded; its files, users, units, programs, ports, routes and answers are those of before the flow, or of behind it where
#   the journal has its COMMIT or pawl had said so; recovery has nothing more to do; the journal is sound; nothing is left over
#
# A part of the boots is recorded in turn, and cut as well. All this is in namespaces of its own, whose end is the end of its processes and mounts.
usage() {
        cat <<'END'
usage: host.sh [OPTION]...
  --flow NAME      only cuts in this flow; --list shows them
  --cuts N         so many cuts (5)
  --full           every place of every flow, half of them with losses; one in four of the boots is cut in turn
  --at N           only the cut before record N; with --loss S, what was not flushed is lost by that seed
  --seed S         which cuts, and what is lost in them
  --again FOLDER   a cut that failed once more, from what was kept of it
  --mutant NAME    what is recorded makes this mistake (mutants.def)
  --jobs N         taken and not used: this is one machine
exit status: 0, 1 a failure, 77 this cannot be done here
END
}
: "${SRC:=$(cd "$(dirname "$0")/../.." && pwd)}"
: "${BUILD:=$SRC/build/dev}"
: "${PAWL:=$BUILD/pawl}" "${PAWL_TESTING:=$BUILD/pawl-testing}"
export SRC BUILD PAWL PAWL_TESTING
if [ "$(id -u)" -eq 0 ] && [ "${1:-}" != --inside ]; then
        unshare --mount --pid --fork true 2>/dev/null || {
                echo "host: skipped: no namespaces here"
                exit 77
        }
        exec unshare --mount --pid --fork --kill-child=KILL --mount-proc --propagation private sh "$0" --inside "$@"
fi
[ $# -eq 0 ] || [ "$1" != --inside ] || shift
. "$SRC/tests/lib/system.sh"
. "$SRC/tests/lib/machine.sh"
. "$SRC/tests/lib/cuts.sh"
need mkfs.ext4 nginx curl
{ [ -e /dev/fuse ] && [ -e /dev/loop-control ]; } || skip "there is no FUSE, or there are no loop devices"

# name, exit status, command. The names are those of flows.c where there are such flows.
flows='apply    0 apply /root/web.yaml
upgrade  0 upgrade web --source /root/web-v2 -v v2
broken   4 upgrade web --source /root/web-v3 -v v3
stop     0 stop web
start    0 start web
rollback 0 rollback web
restart  0 restart web
purge    0 remove web --purge --yes'
n_flows=$(echo "$flows" | wc -l)
flow_name() { echo "$flows" | sed -n "$1s/ .*//p"; }

only='' n_cuts=5 at='' loss=0 again='' mutant='' is_full=no
seed=${PAWL_SEED:-$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')}
while [ $# -gt 0 ]; do
        case $1 in
        --list)
                echo "$flows"
                exit
                ;;
        --full)
                is_full=yes
                shift
                continue
                ;;
        --flow | --cuts | --at | --loss | --seed | --again | --mutant | --jobs) [ $# -gt 1 ] || { usage >&2 && exit 2; } ;;
        *)
                usage >&2
                exit 2
                ;;
        esac
        case $1 in
        --flow) only=$2 ;;
        --cuts) n_cuts=$2 ;;
        --at) at=$2 ;;
        --loss) loss=$2 ;;
        --seed) seed=$2 ;;
        --again) again=$2 ;;
        --mutant) mutant=$2 ;;
        esac
        shift 2
done
[ -z "$only" ] || echo "$flows" | grep -q "^$only " || {
        say "there is no flow \"$only\" here"
        exit 0
}

# ---- The device

device=$dir/device second=$dir/second
ask() {
        echo "$*" >&8
        read -r word value <&9 || fail "the device is gone: $(cat "$dir/device.err")"
        [ "$word" = ok ] || fail "the device: $*: $word $value"
}
mark() { printf '%s ' "$1" >"$device/mark"; }
device_begin() {
        mkdir "$device" "$second"
        mkfifo "$dir/device.in" "$dir/device.out"
        "$BUILD/tests/test-device" "$device" 256 <"$dir/device.in" >"$dir/device.out" 2>"$dir/device.err" &
        exec 8>"$dir/device.in" 9<"$dir/device.out"
        ask image
        mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 "$value"
        mounted mount
}
# mounted REQUEST...: what the device mounts then is the machine's disk. Looking at files must not write to it.
mounted() {
        ask "$@" "$machine/disk" ext4 data=ordered
        mount -o remount,noatime "$machine/disk"
}
power_off() {
        [ -z "${machine_holder:-}" ] || machine_cut
        umount "$machine/disk" 2>/dev/null || true
}
device_end() {
        power_off
        exec 8>&- 9<&-
}
at_exit="device_end $at_exit"
mkdir "$machine" "$machine/disk"
machine_solid=/etc machine_hollow="/opt /var"

# ---- What a host is at a moment

# What runs beside the service says nothing about it (systemd starts the message bus when somebody asks for it), nor does what this host's
# people do at home. Nor is gshadow.437 pawl's: the program that removes a user makes its lock under such a name, and forgets it when it dies.
state_now() {
        machine_snapshot all
        {
                sed -e '/^unit \(dbus\|systemd-\)/d' -e '/^file \/\(home\|root\|usr\)/d' \
                        -e '/ \/etc\/\(passwd\|shadow\|group\|gshadow\)\.[0-9]*\( \|$\)/d' all
                echo "answers on its port: $(answer 3000 || true)"
                echo "answers by its route: $(machine_exec curl -s --max-time 5 -H 'Host: web.example.org' http://127.0.0.1/ || true)"
                echo "version: $(pawl status web 2>/dev/null | sed -n 's/^Version: *//p')"
        } >"$1"
}

install() {
        DESTDIR=$dir/tree cmake --install "$BUILD" --prefix /usr/local >/dev/null || fail "it could not be installed"
        (cd "$dir/tree" && tar -c usr/local/lib) | machine_exec tar -x -C /
        machine_exec systemctl daemon-reload
        machine_exec systemctl enable -q pawl-recover.service pawl-recover-late.service pawl-recover-late.timer
        machine_exec systemctl enable -q nginx.service 2>/dev/null
        for v in 1 2 3; do machine_put "$BUILD/examples/web-v$v" "/root/web-v$v"; done
        machine_exec sh -c 'chmod 755 /root/web-v*'
        printf 'pawl: 1\nname: web\nversion: v1\nsource: /root/web-v1\nport: 3000\nroute: web.example.org\n' >web.yaml
        machine_put web.yaml /root/web.yaml
        expect 0 pawl -q init
}

# ---- The recording: state.0, tx.1, state.1, tx.2, ... and bounds: how many records there are behind each flow

flow() {
        if [ -n "$mutant" ]; then machine_exec env PAWL_MUTANT="$mutant" pawl-testing -q "$@"; else pawl -q "$@"; fi
}
record() {
        device_begin
        machine_boot
        install
        machine_cut
        machine_boot
        wait_for 30 late_ended || fail "late recovery did not end"
        state_now "$states/state.0"
        machine_exec sync
        ask record
        echo 0 >"$states/bounds"
        i=0
        echo "$flows" >"$states/flows"
        while read -r _ status command; do
                i=$((i + 1))
                mark "begun:$i"
                # shellcheck disable=SC2086 # words on purpose
                expect "$status" flow --request-id "flow-$i" $command </dev/null
                mark "told:$i"
                pawl journal list -n 1 | awk 'END { print $4 }' >"$states/tx.$i"
                state_now "$states/state.$i"
                ask count
                echo "$value" >>"$states/bounds"
        done <"$states/flows"
        ask stop
        power_off
        cmp -s "$states/state.1" "$states/state.2" && fail "the states cannot be told apart"
        n_records=$(tail -n 1 "$states/bounds")
        say "$n_flows flows, $n_records records"
}

# ---- The judge

late_ended() {
        [ "$(machine_exec systemctl show -P ActiveState pawl-recover-late.service)" = inactive ] &&
                [ "$(machine_exec systemctl show -P ExecMainExitTimestampMonotonic pawl-recover-late.service)" != 0 ]
}
# is_committed TX N: recovery has transactions of its own, and one of them may have got the number of what was lost.
is_committed() {
        pawl journal show "$1" 2>/dev/null | grep -q "request: flow-$2\$" &&
                pawl journal list --from "$1" -n 1000 | awk -v tx="$1" '$4 == tx && $5 == "commit" { found = 1 } END { exit !found }'
}

# Which state must be there: told is what was marked last.
wanted() {
        flow=${told#*:}
        case $told in
        told:*) echo "$flow" ;;
        begun:*) if is_committed "$(cat "$states/tx.$flow")" "$flow"; then echo "$flow"; else echo $((flow - 1)); fi ;;
        *) echo 0 ;;
        esac
}

# A subshell's work: it ends with the first thing that is not as promised.
judge() {
        is=$(machine_exec timeout 60 systemctl is-system-running --wait || true)
        [ "$is" = running ] || fail "the host is \"$is\": $(machine_exec systemctl --failed --no-pager --plain --no-legend)"
        wait_for 60 late_ended || fail "late recovery did not end"
        state=$(wanted)
        # What has just been started may not answer yet.
        wait_for 5 is_state "$state" || {
                diff -U0 "$states/state.$state" now >out || true
                fail "recovered, the host is not in state $state"
        }
        expect 0 pawl recover
        says "Nothing to recover."
        expect 0 pawl journal verify
        [ "$state" -eq 0 ] || [ "$state" -eq "$n_flows" ] || expect 0 pawl check web
        # The anchor is replaced by one name, which its next move takes again.
        left=$(machine_exec find /etc /opt /root /usr/local /var -xdev '(' -name '.pawl-*' ! -name .pawl-release ! -name .pawl-manifest \
                ! -path /var/lib/pawl/.pawl-new-journal.head -o -path '/var/lib/pawl/open/*' ')')
        [ -z "$left" ] || fail "left over: $left"
}
is_state() { state_now now && cmp -s "$states/state.$1" now; }

# keep RECORD LOSS NAME: the disk of a failure, and what it is judged by. A machine's writes never come twice in the same order, so the numbers
# do not repeat it.
keep() {
        [ "$n_kept" -lt 10 ] || return 0
        n_kept=$((n_kept + 1))
        kept=$BUILD/tests/crash.host.kept/$3
        mkdir -p "$kept"
        cp "$states"/* "$kept/"
        echo "$told" >"$kept/told"
        ask keep "$1" "$2" "$kept/disk"
        echo "    again: $0 --again $kept"
}

# ---- One cut

# Boots on what is mounted, and judges. failures counts.
boot_and_judge() {
        machine_power_on
        if ! (judge) 2>complaint; then
                n_failed=$((n_failed + 1))
                echo "FAILED $1"
                sed 's/^/    /' complaint
                return 1
        fi
}

# The cut before record N, with what is lost by seed S, and whether the boot behind it is cut as well, by that seed.
cut() {
        n=$1 loss=$2 nested=$3 begun=$(date +%s%N)
        place="cut before record $n of $n_records$([ "$loss" -eq 0 ] || echo ", what was not flushed lost or torn by seed $loss")"
        ask marks "$n"
        told=${value##* }
        [ -n "$told" ] || told=begun:0
        flow=$(flow_of "$n")
        n_failed=0
        if [ "$nested" -eq 0 ]; then
                mounted cut "$n" "$loss"
        else
                ask again "$n" "$loss" "$second"
                mounted mount
                ask record
        fi
        boot_and_judge "$flow, $place" || kept_cut "$n" "$loss"
        [ "$nested" -eq 0 ] || cut_boot "$nested"
        power_off
        echo "$flow $((nested != 0)) $n_failed $((($(date +%s%N) - begun) / 1000000))" >>results
}
# The boot of a cut that failed is not cut.
kept_cut() {
        if [ "$nested" -ne 0 ]; then ask back; fi
        keep "$1" "$2" "$1-$2"
        nested=0
}
# The second cut, anywhere in the boot that was just judged.
cut_boot() {
        ask stop
        ask count
        m=$(awk -v seed="$1" -v n="$value" 'BEGIN { srand(seed); print int(rand() * n) }')
        power_off
        mounted cut "$m" "$1"
        boot_and_judge "$flow, $place; its boot cut before record $m of $value" || keep "$m" "$1" "$n-$loss-$m"
        power_off
        ask back
}

flow_of() { flow_name "$(awk -v n="$1" 'NR > 1 && n <= $1 && !flow { flow = NR - 1 } END { print flow ? flow : NR - 1 }' "$states/bounds")"; }

# ---- Which cuts: lines of record, loss, seed of the second cut (0: none)

# As many as were asked for, spread over the flows; every second one with losses, every third one twice.
sample() {
        awk -v seed="$seed" -v cuts="$n_cuts" -v first="$1" -v last="$2" '{ bound[NR - 1] = $1 } END {
                srand(seed)
                skip = int(rand() * 1000)
                for (i = 0; i < cuts; i++) {
                        flow = first + (i + skip) % (last - first + 1)
                        n = bound[flow - 1] + 1 + int(rand() * (bound[flow] - bound[flow - 1]))
                        print n, i % 2 ? int(rand() * 1000000) + 1 : 0, i % 3 == 1 ? int(rand() * 1000000) + 1 : 0
                } }' "$states/bounds"
}
every() {
        awk -v seed="$seed" -v first="$1" -v last="$2" '{ bound[NR - 1] = $1 } END {
                srand(seed)
                for (n = bound[first - 1] + 1; n <= bound[last]; n++)
                        print n, rand() < 0.5 ? int(rand() * 1000000) + 1 : 0, rand() < 0.25 ? int(rand() * 1000000) + 1 : 0
                }' "$states/bounds"
}
choose() {
        first=1 last=$n_flows
        [ -z "$only" ] || first=$(echo "$flows" | awk -v name="$only" '$1 == name { print NR }') last=$first
        if [ -n "$at" ]; then
                echo "$at $loss 0"
        elif [ "$is_full" = yes ]; then
                every "$first" "$last"
        else
                sample "$first" "$last"
        fi
}
# A place that leaves what the one before it left gives way to the next one that does not; of all places, it falls away.
matters() {
        ask matters "$n" "$loss"
        while [ "$value" = no ] && [ "$is_full" = no ] && [ "$n" -lt "$n_records" ]; do
                n=$((n + 1))
                ask matters "$n" "$loss"
        done
        [ "$value" = yes ]
}

n_kept=0
states=$dir/states
: >results
if [ -n "$again" ]; then
        states=$again told=$(cat "$again/told")
        cp --sparse=always "$again/disk" disk
        mount -o loop,noatime disk "$machine/disk"
        touch "$machine/prepared"
        n_failed=0
        boot_and_judge "once more" || exit 1
        say "no failure"
        exit
fi
mkdir "$states"
rm -rf "$BUILD/tests/crash.host.kept"
record
choose >chosen
while read -r n loss nested <&7; do
        if matters; then cut "$n" "$loss" "$nested"; fi
done 7<chosen
cuts_report host results "$seed" "$is_full"
