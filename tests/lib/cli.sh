# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
#
# For tests of the command line: a root of its own, whole outputs compared. Source it, then:
#
#   run deploy ./web-v1 -v v1       runs pawl below $ROOT; leaves $T/out, $T/err and $status
#   status 0                        what it ended with
#   out <<'E' … E                   the whole of stdout;  out </dev/null: nothing
#   err <<'E' … E                   the whole of stderr
#   has out|err TEXT                a part of one
#
# Compared texts have placeholders: DIR (the test's folder), PORT, TIME, DUR (durations), ACTOR, PID, TX (where it stands
# first in a line or behind "transaction" or "recover"). After `examples`, the example program is $FILES/web-v1 ... web-v4
# (v3 exits at once, v4 starts slowly).
# Whatever the test does, its services are ended and its folder is removed; a process that is still there fails the test.
set -u
umask 022

: "${PAWL:?}" "${BUILD:?}"
[ -x "$PAWL" ] || { echo "there is no $PAWL" >&2; exit 1; }
T=$(mktemp -d "${TMPDIR:-/tmp}/pawl-cli.XXXXXX")
T=$(readlink -f "$T")
ROOT=$T/root
FILES=$T/files
EXAMPLES=${EXAMPLES:-$BUILD/examples}
n_failed=0
n_checks=0
helpers= # processes of the test itself, ended with it

for variable in $(env | sed -n 's/^\(PAWL_[A-Z_]*\)=.*/\1/p'); do
        [ "$variable" = PAWL_TESTING ] || unset "$variable"
done
# A hundred ports that other tests running now do not use (it is not likely).
BASE=$(($(od -An -N2 -tu2 /dev/urandom) % 300 + 200))
export PAWL_PORTS_RANGE="[${BASE}00, ${BASE}99]"
export LC_ALL=C.UTF-8 TZ=UTC
unset NO_COLOR TERM

mkdir "$ROOT" "$FILES"
cd "$T" || exit 1

# Processes whose program lies below the test's folder.
processes() {
        for exe in /proc/[0-9]*/exe; do
                case $(readlink "$exe" 2>/dev/null) in
                "$T"/*) echo "$exe" | cut -d/ -f3 ;;
                esac
        done
}

finish() {
        result=$?
        trap - EXIT INT TERM
        for name in $("$PAWL" --root "$ROOT" list 2>/dev/null | awk 'NR > 1 { print $1 }'); do
                "$PAWL" --root "$ROOT" -q stop "$name" >/dev/null 2>&1
        done
        for pid in $(processes); do
                echo "a process of the test was still there: $pid $(tr '\0' ' ' <"/proc/$pid/cmdline")" >&2
                kill -9 "$pid"
                n_failed=$((n_failed + 1))
        done
        for pid in $helpers; do
                kill "$pid" 2>/dev/null
        done
        rm -rf "$T"
        [ "$n_failed" -eq 0 ] || { echo "$n_failed of $n_checks checks failed" >&2; exit 1; }
        [ "$result" -ne 0 ] || [ "$n_checks" -gt 0 ] || { echo "nothing was checked" >&2; exit 1; }
        exit "$result"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The example programs; skips the test where they are not built.
examples() {
        [ -x "$EXAMPLES/web-v1" ] || { echo "skipped: $EXAMPLES/web-v1 is not built"; exit 77; }
        cp "$EXAMPLES"/web-v[1-4] "$FILES/"
}

run() {
        last="$*"
        "$PAWL" --root "$ROOT" "$@" >"$T/out" 2>"$T/err" </dev/null
        status=$?
}

# pawl without --root, for what concerns the command line alone
bare() {
        last="$*"
        "$PAWL" "$@" >"$T/out" 2>"$T/err" </dev/null
        status=$?
}

failed() {
        n_failed=$((n_failed + 1))
        echo "FAILED: pawl $last: $*" >&2
}

status() {
        n_checks=$((n_checks + 1))
        [ "$status" -eq "$1" ] || {
                failed "ended with $status, not with $1"
                sed 's/^/  out: /' "$T/out" >&2
                sed 's/^/  err: /' "$T/err" >&2
        }
}

placeholders() {
        sed -E \
                -e "s|$T|DIR|g" \
                -e "s/\\b${BASE}[0-9][0-9]\\b/PORT/g" \
                -e 's/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z/TIME/g' \
                -e 's/[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}/TIME/g' \
                -e 's/\b[0-9]+ min [0-9]+ s\b/DUR/g' \
                -e 's/\b[0-9]+(\.[0-9]+)? (ms|s)\b/DUR/g' \
                -e 's/[a-z_][a-z0-9_-]*@[A-Za-z0-9._-]+( \(sudo\))?/ACTOR/g' \
                -e 's/(PID: +|pid )[0-9]+/\1PID/g' \
                -e 's/("(tx|pid|[a-z]+_usec)": )[0-9]+/\1N/g' \
                -e 's/(transaction|recover) [0-9]+/\1 TX/g' \
                -e 's/^[0-9]+  /TX  /' \
                "$1"
}

same() {
        n_checks=$((n_checks + 1))
        cat >"$T/wanted"
        placeholders "$T/$1" >"$T/got"
        cmp -s "$T/wanted" "$T/got" || {
                failed "other text on std$1 (- wanted, + got):"
                diff -u "$T/wanted" "$T/got" | sed '1,2d' >&2
        }
}

out() { same out; }
err() { same err; }

has() {
        n_checks=$((n_checks + 1))
        placeholders "$T/$1" >"$T/got"
        grep -qF -e "$2" "$T/got" || {
                failed "std$1 lacks \"$2\":"
                sed 's/^/  /' "$T/got" >&2
        }
}

lacks() {
        n_checks=$((n_checks + 1))
        ! grep -qF -e "$2" "$T/$1" || failed "std$1 has \"$2\""
}

# Any other condition: check "what it protects" test -e x
check() {
        n_checks=$((n_checks + 1))
        what=$1
        shift
        "$@" || failed "$what"
}

# What the service answers; "" when nobody is there.
answer() {
        port=$("$PAWL" --root "$ROOT" --json status "$1" 2>/dev/null |
                sed -n 's/^    "port": \([0-9]*\).*/\1/p' | head -n 1)
        [ -n "$port" ] || return 0
        printf 'GET / HTTP/1.0\r\n\r\n' |
                timeout 5 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port && cat >&3 && cat <&3" 2>/dev/null | tail -n 1
}

# Starts pawl in the background ($pid) and waits until its stderr says TEXT.
start() {
        text=$1
        shift
        last="$*"
        : >"$T/err" # else the text of the run before may be found
        "$PAWL" --root "$ROOT" "$@" >"$T/out" 2>"$T/err" </dev/null &
        pid=$!
        tries=0
        until grep -qF -e "$text" "$T/err"; do
                tries=$((tries + 1))
                { [ "$tries" -lt 300 ] && kill -0 "$pid" 2>/dev/null; } || { failed "never said \"$text\""; break; }
                sleep 0.1
        done
}

# Waits for what start() started.
ended() {
        wait "$pid" 2>/dev/null
        status=$?
}
