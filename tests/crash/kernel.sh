#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ./dev torture --machine: the power of a kernel of its own, cut for real. User Mode Linux boots on the host's root (read-only) with an ext4 of
# its own; inside, kernel_init.sh recovers, judges, and runs flows one behind the other. At a random moment, of a flow or of recovery, every
# process of that kernel is killed: what it had in memory is lost, and what its disk had not got yet. The next boot judges:
#
#   recovery succeeds; files, program, answer and version are those of before the flow, or of behind it where the journal has its COMMIT or pawl
#   had said so; recovery has nothing more to do; the journal is sound; nothing is left over
#
# When the power goes is a matter of time: the seed makes the same waits, not the same cuts. A failure keeps its disk.
usage() {
        cat <<'END'
usage: kernel.sh [OPTION]...
  --cuts N         so many (20)
  --seed S         when
  --again FOLDER   a disk that failed once more
  --mutant NAME    with this mistake (mutants.def)
exit status: 0, 1 a failure, 77 this cannot be done here
END
}
: "${SRC:=$(cd "$(dirname "$0")/../.." && pwd)}"
: "${BUILD:=$SRC/build/dev}"
: "${PAWL:=$BUILD/pawl}" "${PAWL_TESTING:=$BUILD/pawl-plain}"
export SRC BUILD PAWL PAWL_TESTING
. "$SRC/tests/lib/system.sh"
. "$SRC/tests/lib/cuts.sh"
need linux.uml mkfs.ext4 curl

# name, exit status, command. The last one leads back to where the first begins. They run in the folder of the programs.
flows='apply    0 apply web.yaml
upgrade  0 upgrade web --source ./web-v2 -v v2 --retry
broken   4 upgrade web --source ./web-v3 -v v3 --retry
stop     0 stop web
start    0 start web
rollback 0 rollback web
restart  0 restart web
purge    0 remove web --purge --yes'

n_cuts=20 again='' mutant='' seed=${PAWL_SEED:-$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')}
while [ $# -gt 0 ]; do
        [ $# -gt 1 ] || {
                usage >&2
                exit 2
        }
        case $1 in
        --cuts) n_cuts=$2 ;;
        --seed) seed=$2 ;;
        --again) again=$2 ;;
        --mutant) mutant=$2 ;;
        *)
                usage >&2
                exit 2
                ;;
        esac
        shift 2
done

# ---- The machine

work=$dir/work service=$dir/service console=$dir/console
mkdir "$work" "$service"
echo "$flows" >"$work/flows"
for v in 1 2 3; do cp "$BUILD/examples/web-v$v" "$service/"; done
printf 'pawl: 1\nname: web\nversion: v1\nsource: ./web-v1\nruntime: {type: process, user: nobody}\n' >"$service/web.yaml"
chmod 755 "$dir" "$service" "$service"/web-v*

# Its processes are a session of their own, and end together.
power_on() {
        : >"$console"
        HOME=$dir setsid linux.uml mem=256M "ubd0=$dir/disk" root=none rootfstype=hostfs rootflags=/ "init=$SRC/tests/crash/kernel_init.sh" \
                con=null con0=null,fd:1 con1=null quiet "PAWL_WORK=$work" "PAWL_PROGRAM=$PAWL_TESTING" "PAWL_SERVICE=$service" \
                ${mutant:+"PAWL_MUTANT=$mutant"} </dev/null >"$console" 2>&1 &
        kernel=$!
}
power_off() {
        [ -n "$kernel" ] || return 0
        kill -KILL "-$kernel" 2>/dev/null || true
        wait "$kernel" 2>/dev/null || true
        kernel=
}
kernel=
at_exit="power_off $at_exit"

# wait_says SECONDS WORD: until it says so, or FAILED; false then.
wait_says() {
        wait_for "$1" grep -q "^@ \($2\|FAILED\)" "$console" || fail "the kernel does not say \"$2\" within $1 s: $(tail -n 20 "$console")"
        ! grep -q '^@ FAILED' "$console"
}
last_said() { tr -d '\r' <"$console" | sed -n 's/^@ \(\(told\|begun\):[0-9:]*\)$/\1/p' | tail -n 1; }
flow_name() { sed -n "$1s/ .*//p" "$work/flows"; }

learn() {
        truncate -s 128M "$dir/disk"
        mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 "$dir/disk"
        echo new >"$work/told"
        begun=$(date +%s%N)
        power_on
        wait_says 120 learnt || fail "the flows: $(grep '^@ FAILED' "$console")"
        power_off
        # Half of them in the middle of the next flow, half behind it, or so.
        span=$((($(date +%s%N) - begun) / 500000 / $(wc -l <"$work/flows")))
        cp --sparse=always "$dir/disk" "$dir/first"
        begin_anew
}
begin_anew() {
        cp --sparse=always "$dir/first" "$dir/disk"
        echo "told:$(wc -l <"$work/flows")" >"$work/told"
}

# ---- A cut

failed() {
        n_failed=1
        echo "FAILED $flow, cut behind $told: $(tr -d '\r' <"$console" | sed -n 's/^@ FAILED: //p')"
        kept=$BUILD/tests/kernel.kept/$n_done
        mkdir -p "$kept"
        cp "$work"/* "$kept/"
        cp --sparse=always "$dir/cut" "$kept/disk"
        echo "    again: tests/crash/kernel.sh --again $kept"
}
now_msec() { echo $(($(date +%s%N) / 1000000)); }

# cut TWICE DELAY: boots, waits until it has judged the cut before, or where its recovery is to be cut, begun; waits DELAY ms; cuts. A row of results is a
# cut that was judged, of the flow that ran then, and whether recovery was cut as well.
cut() {
        cuts_recovery=$1 delay=$2 n_failed=0
        told=$(cat "$work/told")
        n=${told#*:}
        flow=$(flow_name "${n%:*}")
        cp --sparse=always "$dir/disk" "$dir/cut"
        power_on
        if [ "$cuts_recovery" -eq 1 ]; then
                wait_says 60 recovering || true
        else
                wait_says 60 judged || failed
                [ -z "$begun" ] || echo "$flow $was_twice $n_failed $(($(now_msec) - begun))" >>"$dir/results"
                begun=$(now_msec)
        fi
        was_twice=$cuts_recovery
        sleep "$(printf '%d.%03d' $((delay / 1000)) $((delay % 1000)))"
        power_off
        if [ "$n_failed" -eq 1 ]; then
                begin_anew
        elif [ -n "$(last_said)" ]; then
                last_said >"$work/told"
        fi
}

: >"$dir/results"
if [ -n "$again" ]; then
        cp "$again"/flows "$again"/told "$again"/state.* "$work/"
        cp --sparse=always "$again/disk" "$dir/disk"
        power_on
        wait_says 60 judged || fail "$(grep '^@ FAILED' "$console")"
        say "no failure"
        exit
fi
rm -rf "$BUILD/tests/kernel.kept"
learn
say "$n_cuts cuts, up to $span ms behind the boot"
begun='' was_twice=0 n_done=0
# One in four of the boots is cut in its recovery. What the last one left is judged as well.
awk -v seed="$seed" -v cuts="$n_cuts" -v span="$span" 'BEGIN {
        srand(seed)
        for (i = 0; i < cuts; i++) {
                twice = i % 4 == 3
                print twice, int(rand() * (twice ? span / 2 : span))
        }
        print 0, 0
}' >"$dir/chosen"
while read -r twice delay <&7; do
        cut "$twice" "$delay"
        n_done=$((n_done + 1))
done 7<"$dir/chosen"
cuts_report machine "$dir/results" "$seed" yes
