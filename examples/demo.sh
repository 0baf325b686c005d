#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The life of a service, in a temporary root and without any privilege: deploy, upgrade, a release that does not start, a SIGKILL in the middle of an upgrade,
# recovery, removal. Every claim that is printed is also checked.
#
# usage: demo.sh PAWL EXAMPLES      (the program, and the folder with web-v1 ... web-v4)
set -eu

pawl=${1:-${PAWL:?say which program: demo.sh PAWL [EXAMPLES]}}
examples=${2:-$(dirname "$(readlink -f "$pawl")")/examples}
dir=$(mktemp -d "${TMPDIR:-/tmp}/pawl-demo.XXXXXX")
trap 'finish' EXIT
trap 'exit 130' INT TERM

finish() {
        status=$?
        trap - EXIT
        if [ -x "$dir/pawl" ]; then "$dir/pawl" --root "$dir/host" -q remove web >/dev/null 2>&1 || true; fi
        rm -rf "$dir"
        if [ "$status" -ne 0 ]; then echo "demo: FAILED (exit $status)" >&2; fi
        exit "$status"
}

# As root the demo gives its rights away first: nothing in it needs them.
if [ "$(id -u)" -eq 0 ] && [ -z "${PAWL_DEMO_DROPPED:-}" ] && command -v setpriv >/dev/null; then
        mkdir "$dir/bin"
        cp "$pawl" "$dir/bin/pawl"
        cp "$examples"/web-v1 "$examples"/web-v2 "$examples"/web-v3 "$examples"/web-v4 "$0" "$dir/bin/"
        chmod -R a+rX "$dir"
        TMPDIR=/tmp PAWL_DEMO_DROPPED=1 setpriv --reuid=65534 --regid=65534 --clear-groups \
                sh "$dir/bin/$(basename "$0")" "$dir/bin/pawl" "$dir/bin"
        exit $?
fi

mkdir "$dir/host" "$dir/files"
cp "$pawl" "$dir/pawl"
cp "$examples"/web-v[1-4] "$dir/files/"
cd "$dir/files"
printf 'pawl: 1\nsource: ./web-v1\nversion: v1\n' >web.yaml

say() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
if [ ! -t 1 ] || [ -n "${NO_COLOR:-}" ]; then say() { printf '\n# %s\n' "$*"; }; fi
fail() { echo "demo: $*" >&2; exit 1; }

# pawl, shown as a person would type it
p() {
        printf '$ pawl %s\n' "$*"
        "$dir/pawl" --root "$dir/host" "$@" 2>&1
}

command -v curl >/dev/null || fail "curl is needed to ask the service"
# What the service answers now.
answer() {
        port=$("$dir/pawl" --root "$dir/host" --json status web | sed -n 's/.*"port": *\([0-9][0-9]*\).*/\1/p' | head -n 1)
        curl -s --max-time 5 "http://127.0.0.1:$port/"
}
expect() {
        got=$(answer || true)
        printf '$ curl the service\n%s\n' "$got"
        [ "$got" = "hello from $1" ] || fail "expected \"hello from $1\""
}

say "A service from a spec of three lines"
cat web.yaml
p apply web.yaml
expect v1

say "The same again changes nothing"
p apply web.yaml | tee "$dir/out"
grep -q "No changes" "$dir/out" || fail "a second apply changed something"

say "A new version"
p upgrade web --source ./web-v2 --version v2
expect v2

say "A version that does not start: it is put back, and held so that no timer tries it every night"
if p upgrade web --source ./web-v3 --version v3; then fail "v3 was accepted"; fi
expect v2
p upgrade web --source ./web-v3 --version v3 | tee "$dir/out"
grep -q "held" "$dir/out" || fail "v3 is not held"

say "The power goes in the middle of an upgrade (kill -9; v4 takes three seconds to start)"
"$dir/pawl" --root "$dir/host" upgrade web --source ./web-v4 --version v4 >"$dir/out" 2>&1 &
victim=$!
sleep 1.5
kill -KILL "$victim" 2>/dev/null || fail "the upgrade was over before it could be killed"
wait "$victim" 2>/dev/null || true
sed 's/^/  | /' "$dir/out"
printf '$ kill -KILL %s\n' "$victim"
p status web || true
p recover
expect v2
p recover | tee "$dir/out"

say "What happened, from the journal"
p history web
p journal verify

say "Removed: all but its data"
touch "$dir/host/var/lib/pawl-data/web/keep-me"
p remove web
left=$(cd "$dir/host" && find opt etc/pawl var/lib/pawl-data -mindepth 1 | grep web || true)
printf '$ find what is left of it\n%s\n' "$left"
[ "$left" = "var/lib/pawl-data/web
var/lib/pawl-data/web/keep-me" ] || fail "something else than the data is left"
p list

printf '\ndemo: all of this was checked: deploy, upgrade, put back, held, killed, recovered, removed\n'
