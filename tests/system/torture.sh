#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `pawl torture SPEC` as installed: it finds its program, needs no root, leaves nothing, and says what it saw.
set -u

T=$(mktemp -d "${TMPDIR:-/tmp}/pawl-torture.XXXXXX")
trap 'rm -rf "$T"' EXIT
fail() {
        echo "FAILED: $*"
        cat "$T/out" "$T/err"
        exit 1
}

cmake --install "$BUILD" --prefix "$T/usr" >"$T/out" 2>"$T/err" || fail "it could not be installed"
[ -x "$T/usr/libexec/pawl/pawl-torture" ] || fail "pawl-torture is not installed"
if grep -qa PAWL_CRASH_AT "$T/usr/bin/pawl"; then
        fail "the installed pawl contains crash points"
fi
cp "$BUILD/examples/web-v1" "$T/"
cat >"$T/shop.yaml" <<'E'
pawl: 1
name: shop
source: ./web-v1
version: v1
port: auto
health: gc
secrets:
  - name: TOKEN
    generate: 32
E
chmod 755 "$T"
as() {
        if [ "$(id -u)" -eq 0 ]; then
                setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
        else
                "$@"
        fi
}
unset PAWL_TESTING
# Ten seconds, or at most as many more as a machine needs that is busy with other tests.
start=$(date +%s)
as "$T/usr/bin/pawl" torture --quick --json --seed 7 "$T/shop.yaml" >"$T/out" 2>"$T/err" || fail "exit status $?"
seconds=$(($(date +%s) - start))
echo "pawl torture --quick: $seconds s"
[ "$seconds" -le 20 ] || fail "--quick took $seconds s"
python3 - "$T/out" <<'E' || fail "the answer is not as meant"
import json, sys
answer = json.load(open(sys.argv[1]))
result = answer["result"]
assert answer["pawl"] == 1 and answer["command"] == "torture" and answer["error"] is None
assert result["service"] == "shop" and result["seed"] == 7 and result["failures"] == 0
assert result["states"] >= result["judged"] > 0 and result["exposure_usec"] > 0
first = result["flows"][:2]
assert [row["tier"] for row in first] == ["kill", "power"]
for row in first:
    assert row["flow"] == "deploy" and row["done"] and row["points"] > row["judged"] > 0
E
# Of a pawl that makes a mistake it says so; of one that syncs too little, only who cuts the power can.
# makes_fail MISTAKE TIER...: the tiers in which its deploy is wrong
makes_fail() {
        as "$T/usr/libexec/pawl/pawl-torture" --quick --json --seed 7 --mutant "$1" "$T/shop.yaml" >"$T/out" 2>"$T/err"
        [ $? -eq 1 ] || fail "with the mistake \"$1\": not 1"
        python3 - "$T/out" "$@" <<'E' || fail "with the mistake \"$1\" the answer is not as meant"
import json, sys
rows = json.load(open(sys.argv[1]))["result"]["flows"]
assert [row["tier"] for row in rows if row["flow"] == "deploy" and row["failures"] > 0] == sys.argv[3:]
E
}
makes_fail effect-before-intent kill power
makes_fail no-dir-fsync power
"$T/usr/bin/pawl" torture "$T/none.yaml" >"$T/out" 2>"$T/err"
[ $? -eq 10 ] || fail "a spec that is not there: not 10"
printf 'pawl: 1\nsource: ./none\n' >"$T/bad.yaml"
if "$T/usr/bin/pawl" torture --quick "$T/bad.yaml" >"$T/out" 2>"$T/err"; then
        fail "a spec that cannot be deployed passes"
fi
grep -q 'cannot be deployed in a scratch root' "$T/err" || fail "why is not told"
rm "$T/usr/libexec/pawl/pawl-torture"
if "$T/usr/bin/pawl" torture "$T/shop.yaml" >"$T/out" 2>"$T/err"; then
        fail "without its program it succeeds"
fi
grep -q 'is not installed' "$T/err" || fail "that its program is missing is not told"
