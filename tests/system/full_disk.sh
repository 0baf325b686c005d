#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The disk fills up, at every moment of a flow. For K = 0, 4, 8, ... KiB free until the flow succeeds: a clear error, everything put back, the journal
# sound, and success as soon as there is room. The same with inodes, on tmpfs and on ext4.
. "$SRC/tests/lib/system.sh"
need_root
need curl truncate mkfs.ext4 fallocate
host=$dir/host
mkdir "$host" spec
probe=$dir/probe
mkdir "$probe"
mount -t tmpfs -o size=64k none "$probe" 2>/dev/null || skip "mounting is not permitted"
umount "$probe"

make_program() { # make_program FILE VERSION: a program, and 48 KiB that differ from version to version
        mkdir -p "spec/$1"
        cp "$BUILD/examples/$2" "spec/$1/web"
        for i in 1 2 3; do (echo "$2 $i" && head -c 16000 /dev/zero) >"spec/$1/data$i"; done
}
make_program v1 web-v1
make_program v2 web-v2
for v in v1 v2; do
        printf 'pawl: 1\nname: web\nversion: %s\nsource: ./%s\nruntime: {exec: [web]}\n' "$v" "$v" >"spec/$v.yaml"
done

on_host() { "$PAWL" --root "$host/root" --set "ports.range=[$port,$port_end]" "$@"; }
free_kib() { df --output=avail -k "$host" | tail -n 1 | tr -d ' '; }
free_inodes() { df --output=iavail "$host" | tail -n 1 | tr -d ' '; }
fill_bytes() { # leaves $1 KiB
        n=$(($(free_kib) - $1))
        [ "$n" -le 0 ] || fallocate -l "${n}K" "$host/fill" 2>/dev/null || head -c "${n}K" /dev/zero >"$host/fill" 2>/dev/null || true
        # what the file's own blocks and indirect blocks took or left
        while n=$(($(free_kib) - $1)) && [ "$n" -gt 0 ]; do
                head -c "${n}K" /dev/zero >>"$host/fill2" 2>/dev/null || break
        done
}
fill_inodes() { # leaves $1
        mkdir -p "$host/inodes"
        n=$(($(free_inodes) - $1))
        if [ "$n" -gt 0 ]; then (cd "$host/inodes" && seq "$n" | xargs -n 2000 touch 2>/dev/null) || true; fi
}
unfill() { rm -rf "$host/fill" "$host/fill2" "$host/inodes"; }

# One level: the flow on a disk with $2 left. Sets done_at_level. flow ... what is run.
level() { # level KIND LEFT STATUS_FILE COMMAND...
        kind=$1 left=$2
        shift 2
        tree_of "$host/root" >"$dir/before"
        "fill_$kind" "$left"
        got=0
        "$@" >"$dir/out" 2>"$dir/err" || got=$?
        cat "$dir/out" "$dir/err" >"$dir/all"
        if grep -q "Sanitizer\|runtime error:" "$dir/all"; then fail "a sanitizer complains"; fi
        levels=$((levels + 1))
        if [ "$got" -eq 0 ]; then
                unfill
                succeeded=yes
                return
        fi
        what="$kind: $left left: \"$*\" exits $got"
        case $got in 1 | 6 | 7) ;; *) fail "$what" ;; esac
        grep "^pawl: " "$dir/err" | grep -q "No space left\|of room" || fail "$what: the error does not say why"
        [ "$(grep -c "^pawl: " "$dir/err")" -eq 1 ] || fail "$what: not one error but several"
        grep -o "^pawl: .*" "$dir/err" | sed 's/\.pawl-[0-9]*-/.pawl-N-/; s/^/  /' >>"$dir/messages"
        settled=0
        on_host recover >"$dir/out2" 2>&1 || settled=$?
        case $settled in
        0) ;;
        6 | 7) n_open=$((n_open + 1)) ;;
        *) complain "$what: recover exits $settled on the full disk" ;;
        esac
        unfill
        if [ "$settled" -ne 0 ]; then on_host recover >"$dir/out2" 2>&1 || complain "$what: recover fails with room enough"; fi
        on_host recover --dry-run >"$dir/out2" 2>&1 || complain "$what: recover --dry-run"
        grep -q "Nothing to recover" "$dir/out2" || complain "$what: something is still open"
        tree_of "$host/root" >"$dir/after"
        diff "$dir/before" "$dir/after" || fail "$what: not everything is put back"
        on_host journal verify >"$dir/out2" 2>&1 || complain "$what: the journal does not verify"
}

sweep() { # sweep KIND STEP COMMAND...
        kind=$1 step=$2
        shift 2
        left=0 levels=0 succeeded=''
        while [ -z "$succeeded" ]; do
                level "$kind" "$left" "$@"
                left=$((left + step))
                [ "$levels" -lt 400 ] || fail "it never succeeds"
        done
}

# pawl's own files: what an init that failed left must not stand in the way of the next.
beginnings() {
        left=0 step=512
        [ "$1" = bytes ] || step=2
        while rm -rf "$host/root" && mkdir "$host/root" && "fill_$1" "$left" && ! on_host init >"$dir/out" 2>"$dir/err"; do
                grep -q "No space left\|of room" "$dir/err" || fail "init with $left left: the error does not say why"
                unfill
                on_host list >"$dir/out2" 2>&1 || complain "list after an init that failed"
                on_host init >"$dir/out2" 2>&1 || complain "init after an init that failed with $left left"
                on_host journal verify >"$dir/out2" 2>&1 || complain "the journal does not verify after such an init"
                left=$((left + step))
        done
        unfill
        [ "$left" -gt 0 ] || fail "the disk was not full"
        say "$2: init succeeds with $left left"
}

flows() { # flows KIND STEP NAME
        : >"$dir/messages"
        n_open=0
        beginnings "$1" "$3"
        rm -rf "$host/root"
        mkdir "$host/root"
        on_host init >/dev/null
        sweep "$1" "$2" on_host apply spec/v1.yaml
        first=$levels
        [ "$first" -gt 3 ] || fail "the disk was not full"
        [ "$(answer)" = "hello from v1" ] || fail "v1 does not answer"
        sweep "$1" "$2" on_host apply spec/v2.yaml
        second=$levels
        [ "$second" -gt 3 ] || fail "the disk was not full"
        [ "$(answer)" = "hello from v2" ] || fail "v2 does not answer"
        on_host check web >/dev/null || fail "check after the upgrade"
        on_host journal verify >/dev/null || fail "journal verify"
        on_host remove web --purge --yes >/dev/null 2>&1
        say "$3: $first levels until the first apply succeeds, $second until the upgrade does, $n_open left something open until there was room; for example:"
        sed "s|$host/root/||" "$dir/messages" | sort -u | awk 'NR % 6 == 1' | head -n 4
}

mount -t tmpfs -o size=24m,nr_inodes=2000 none "$host"
flows bytes 8 "tmpfs, KiB"
flows inodes 1 "tmpfs, inodes"
umount "$host"

truncate -s 32M "$dir/image"
mkfs.ext4 -q -m 0 -N 256 "$dir/image"
if mount -o loop "$dir/image" "$host" 2>"$dir/err"; then
        flows bytes 16 "ext4, KiB"
        flows inodes 2 "ext4, inodes"
        umount "$host"
else
        say "no ext4 here: $(cat "$dir/err")"
fi
