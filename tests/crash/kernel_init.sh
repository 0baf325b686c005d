#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The first program of a kernel of its own (kernel.sh): recovers, judges, and goes on with flows until the power goes. The host's root lies
# below it, read-only; pawl works on an ext4 of this kernel's. What it says begins with "@ ", on the console.
#
#   PAWL_WORK     a folder of the host: `told` says what was seen last, state.N are the states that an undisturbed run went through
#   PAWL_PROGRAM  pawl, with crash points or without
#   PAWL_SERVICE  web-v1, web-v2 and web-v3 are there
set -u
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/
disk=/mnt
work=$disk/host
root=$disk/root

say() { echo "@ $*"; }
# Nothing more is written: whoever waits has read it, and takes the power away.
end() {
        say "$*"
        while :; do sleep 1000; done
}

mount -t proc proc /proc
mount -t ext4 -o noatime /dev/ubda "$disk" || end "FAILED: the disk cannot be mounted"
mkdir -p "$work" "$root"
mount -t hostfs none "$work" -o "$PAWL_WORK"
ip link set lo up

pawl() { "$PAWL_PROGRAM" --root "$root" --set 'ports.range=[3000,3010]' "$@"; }
answer() { curl -s --max-time 5 http://127.0.0.1:3000/; }

# Every path with what is in it; not the journal, what is volatile, and what names a transaction.
state_now() {
        (
                cd "$root" || exit
                find . \( -path ./var/lib/pawl -o -path ./run -o -path './var/log/pawl/*' -o -name .pawl-release \) -prune -o \
                        \( -type l -printf '%p %m %u -> %l\n' -o -printf '%p %m %u %y\n' \)
                find . \( -path ./var/lib/pawl -o -path ./run -o -path ./var/log/pawl -o -name .pawl-release \) -prune -o -type f -exec sha256sum '{}' +
        ) | LC_ALL=C sort
        echo "answers: $(answer)"
        echo "version: $(pawl status web 2>/dev/null | sed -n 's/^Version: *//p')"
}
last_record() { pawl journal list -n 1 | awk 'END { print $1 + 0 }'; }

# ---- Flows: after the N-th the host is in state N, after the last one in the first

n_flows=$(wc -l <"$work/flows")
flow() {
        begun=$1:$(last_record)
        say "begun:$begun"
        expected=$(sed -n "$1s/^[^ ]* *\([0-9]*\) .*/\1/p" "$work/flows")
        # shellcheck disable=SC2046 # words on purpose
        (
                cd "$PAWL_SERVICE" || exit
                pawl -q --request-id "cut-$begun" $(sed -n "$1s/^[^ ]* *[0-9]* //p" "$work/flows") >/dev/null 2>"$disk/error"
        )
        status=$?
        [ "$status" -eq "$expected" ] || end "FAILED: flow $1 ends with $status: $(tr '\n' ' ' <"$disk/error")"
        say "told:$1"
}

learn() {
        pawl -q init >/dev/null
        state_now >"$work/state.0"
        for n in $(seq "$n_flows"); do
                flow "$n"
                state_now >"$work/state.$n"
        done
        cmp -s "$work/state.0" "$work/state.$n_flows" ||
                end "FAILED: the last flow does not lead back: $(diff "$work/state.0" "$work/state.$n_flows" | tr '\n' ' ')"
        sync "$work"/state.*
        sync -f "$disk"
        end "learnt"
}

# ---- The judge

# By its request: recovery has transactions of its own.
is_committed() {
        tx=$(pawl journal export | sed -n "/\"request\":\"cut-$1\"/s/^{\"seq\":[0-9]*,\"kind\":\"begin\",\"tx\":\([0-9]*\),.*/\1/p")
        [ -n "$tx" ] && pawl journal list --from "$tx" -n 1000 | awk -v tx="$tx" '$4 == tx && $5 == "commit" { found = 1 } END { exit !found }'
}
wanted() {
        n=${told#*:}
        case $told in
        told:*) echo "$n" ;;
        begun:*) if is_committed "$n"; then echo "${n%:*}"; else echo $((${n%:*} - 1)); fi ;;
        esac
}
is_state() {
        state_now >"$disk/now"
        cmp -s "$work/state.$1" "$disk/now"
}
judge() {
        say "recovering"
        pawl -q recover >"$disk/out" 2>&1 || end "FAILED: recover ends with $?: $(tr '\n' ' ' <"$disk/out")"
        state=$(wanted)
        is_state "$state" || end "FAILED: not in state $state: $(diff "$work/state.$state" "$disk/now" | tr '\n' ' ')"
        pawl recover >"$disk/out" 2>&1 || end "FAILED: a second recover ends with $?: $(tr '\n' ' ' <"$disk/out")"
        grep -q 'Nothing to recover' "$disk/out" || end "FAILED: a second recover has something to do: $(tr '\n' ' ' <"$disk/out")"
        pawl -q journal verify >"$disk/out" 2>&1 || end "FAILED: the journal: $(tr '\n' ' ' <"$disk/out")"
        case $(cat "$work/state.$state") in
        *"version: v"*) pawl -q check web >"$disk/out" 2>&1 || end "FAILED: check ends with $?: $(tr '\n' ' ' <"$disk/out")" ;;
        esac
        left=$(find "$root" ! -path "$root/run/*" \( -name '.pawl-*' ! -name .pawl-release ! -name .pawl-manifest ! -name .pawl-new-journal.head \
                -o -path "$root/var/lib/pawl/open/*" \))
        [ -z "$left" ] || end "FAILED: left over: $left"
        say "judged:$state"
}

told=$(cat "$work/told")
[ "$told" != new ] || learn
judge
while :; do
        state=$((state % n_flows + 1))
        flow "$state"
done
