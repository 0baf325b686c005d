# SPDX-License-Identifier: Apache-2.0
# For tests/system/*.sh to source: a directory of the test's own, a root in it, ports nobody else uses, and an end that leaves nothing behind.
#
#   . "$SRC/tests/lib/system.sh"
#
# gives  $dir $root        removed at the end, with every program that was started from it, every mount in it and its loop devices
#        $port $port_end   sixteen ports; pawl's `port: auto` takes the first
#        pawl ...          the program, on $root
#        expect STATUS pawl ...        runs it; the output goes to $dir/out (stdout), $dir/err (stderr) and $dir/all (both)
#        says TEXT, says_not TEXT      about the last output
#        told <<END                    the whole of what it told beside its steps
#        tree_of ROOT      every path below it with mode, owner, and digest or target: what "put back" is measured by
#        wait_for SECONDS COMMAND...   tries until it succeeds
set -eu
umask 022
: "${PAWL:?}" "${PAWL_TESTING:?}" "${SRC:?}" "${BUILD:?}"
export LC_ALL=C.UTF-8
subject=$(basename "$0" .sh)
dir=$(mktemp -d "${TMPDIR:-/tmp}/pawl-$subject.XXXXXX")
root=$dir/root
mkdir "$root"
cd "$dir"

fail() {
        echo "$subject: FAILED: $*" >&2
        for f in out err; do
                if [ -s "$dir/$f" ]; then sed "s/^/  $f | /" "$dir/$f" >&2; fi
        done
        exit 1
}
say() { printf '%s: %s\n' "$subject" "$*"; }
skip() {
        echo "$subject: skipped: $*"
        exit 77
}
need() {
        for program in "$@"; do command -v "$program" >/dev/null || skip "there is no $program"; done
}
need_root() { [ "$(id -u)" -eq 0 ] || skip "needs root"; }

# The programs that were started from this directory, whatever became of those who started them.
programs() {
        for proc in /proc/[0-9]*; do
                case $(readlink "$proc/exe" 2>/dev/null || true) in
                "$dir"/*) echo "${proc#/proc/}" ;;
                esac
        done
}

mounts() { awk -v dir="$dir/" 'index($2, dir) == 1 { print $2 }' /proc/mounts | sort -r; }

finish() {
        status=$?
        trap - EXIT
        set +e
        cd /
        for command in ${at_exit:-}; do "$command"; done
        for pid in $(programs) ${servers:-}; do kill -KILL "$pid" 2>/dev/null; done
        wait 2>/dev/null
        for mount in $(mounts); do umount "$mount" 2>/dev/null || { sleep 0.3; umount "$mount" || umount -l "$mount"; }; done
        chmod -R u+rwX "$dir" 2>/dev/null
        rm -rf "$dir"
        exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM
servers= # pids of what a test starts itself
at_exit= # functions to call at the end

# Below the range from which the kernel gives ports to those who do not ask for one.
is_listening() { grep -q "^ *[0-9]*: [0-9A-F]*:$(printf %04X "$1") [0-9A-F:]* 0A " /proc/net/tcp; }
port=$(shuf -i 1250-2000 -n 1)0
while is_listening "$port" || is_listening $((port + 1)); do port=$(shuf -i 1250-2000 -n 1)0; done
port_end=$((port + 10))

pawl() { "$PAWL" --root "$root" --set "ports.range=[$port,$port_end]" "$@"; }

expect() {
        expected=$1
        shift
        got=0
        "$@" >"$dir/out" 2>"$dir/err" || got=$?
        cat "$dir/out" "$dir/err" >"$dir/all"
        if grep -q "Sanitizer\|runtime error:" "$dir/all"; then fail "$*: a sanitizer complains"; fi
        [ "$got" -eq "$expected" ] || fail "\"$*\" exits $got, not $expected"
}
says() { grep -qF -- "$1" "$dir/all" || fail "it does not say \"$1\""; }
says_not() { if grep -qF -- "$1" "$dir/all"; then fail "it says \"$1\""; fi; }

# The whole of what the last output told beside its steps: warnings, the error, what the program said, what was put back, what to do. Places, ports, times,
# numbers and digests have names; what systemd and OpenSSL say of it differs from version to version and is left out.
told() {
        cat >"$dir/wanted"
        grep -E '^(  warning: |pawl: |  put back: |  try: |    |[a-z]+: FAILED)' "$dir/err" |
                grep -vE '^    (pawl-[a-z]+\.service: |Starting |Started |Failed to start |Stopp)' |
                sed -E -e "s|$root|ROOT|g" -e "s|$dir|DIR|g" -e "s/\b$port\b/PORT/g" -e 's/\b[0-9]+(\.[0-9]+)? (ms|s|min)\b/DUR/g' \
                        -e 's/transaction [0-9]+/transaction TX/g' -e 's/\.pawl-[0-9]+-[0-9]+/.pawl-TX-STEP/g' -e 's/\bpid [0-9]+/pid PID/g' \
                        -e 's/(127\.0\.0\.1|localhost):[0-9]+/\1:PORT/g' -e 's/\b[0-9a-f]{64}\b/SHA256/g' -e 's/\b[0-9A-F]{16}\b/KEY/g' \
                        -e 's/\(SSL[^)]*\)/(SSL: WHY)/' >"$dir/told" || true
        diff -u "$dir/wanted" "$dir/told" || fail "it tells something else"
}

# What the journal, its lock files and volatile state are is nobody's release.
tree_of() {
        (cd "$1" && find . \( -path ./var/lib/pawl -o -path ./run -o -path ./lost+found \) -prune -o -path './var/log/pawl/*' -prune -o \
                \( -type d -printf '%p %m %u d\n' -o -type l -printf '%p %m %u -> %l\n' -o -type f -printf '%p %m %u ' -exec sha256sum '{}' ';' \
                -o -printf '%p %m %u %y\n' \) | LC_ALL=C sort)
}

wait_for() {
        seconds=$1
        shift
        end=$(($(date +%s) + seconds + 1))
        until "$@" >/dev/null 2>&1; do
                [ "$(date +%s)" -lt "$end" ] || return 1
                sleep 0.05
        done
}

# A field of a service's status: field web port
field() { pawl --json status "$1" | sed -n "s/^    \"$2\": *\"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" | head -n 1; }
answer() { curl -s --max-time 5 "http://127.0.0.1:$port/"; }

# A web server of the test's own: serve NAME [tls] sets $url and, with tls, $certificate; $dir/NAME.log has a line per request.
serve() {
        mkfifo "$dir/$1.in" "$dir/$1.out"
        certificate=
        [ "${2:-}" != tls ] || certificate=$dir/$1.pem
        # shellcheck disable=SC2086
        "$BUILD/tests/test-http_server" "$dir/$1.log" $certificate <"$dir/$1.in" >"$dir/$1.out" 2>"$dir/$1.err" &
        servers="$servers $!"
        exec 8>"$dir/$1.in" 9<"$dir/$1.out"
        read -r url <&9 || fail "the web server does not start: $(cat "$dir/$1.err")"
}
# The newest page of a path counts: page path=/web file=/tmp/web etag="1" status=200 cuts=1 cut_at=1000 failing=2 fail_status=503
page() {
        echo "$*" >&8
        read -r ok <&9 || fail "the web server is gone"
        [ "$ok" = ok ] || fail "the web server says \"$ok\""
}
# How many requests of the log match: requests NAME PATTERN
requests() { sleep 0.1 && grep -c -- "$2" "$dir/$1.log" || true; }
