#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `pawl torture SPEC` as installed: it finds its program, needs no root, leaves nothing, and says what it saw.
set -u

T=$(mktemp -d "${TMPDIR:-/tmp}/pawl-torture.XXXXXX")
# The programs of the spec that executes another one: they have this directory in their words, wherever they lie and live.
programs() {
        for proc in /proc/[0-9]*; do
                if { tr '\0' ' ' <"$proc/cmdline"; } 2>/dev/null | grep -q "^busybox httpd .*$T/www"; then echo "${proc#/proc/}"; fi
        done
}
listener=
finish() {
        for pid in $listener $(programs); do kill -KILL "$pid"; done
        rm -rf "$T"
}
trap finish EXIT
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
# A program that executes another one, which lies elsewhere and leaves for elsewhere: it is found and ended all the same.
# Two of them at once, with `port: auto`, do not meet.
mkdir "$T/www" "$T/site"
cat >"$T/site/serve" <<E
#!/bin/sh
exec busybox httpd -f -p "127.0.0.1:\$PORT" -h "$T/www"
E
chmod 755 "$T/site/serve"
printf 'pawl: 1\nname: site\nsource: ./serve\nversion: v1\nport: auto\nhealth: gc\n' >"$T/site/site.yaml"
torture_site() { as "$T/usr/libexec/pawl/pawl-torture" --quick --json --seed "$1" "$T/site/site.yaml" >"$T/out.$1" 2>"$T/err"; }
torture_site 2 &
other=$!
torture_site 1 || fail "a program that executes another one: exit status $?"
wait "$other" || fail "the other of two: exit status $?"
for n in 1 2; do
        python3 - "$T/out.$n" <<'E' || fail "of a program that executes another one the answer is not as meant"
import json, sys
result = json.load(open(sys.argv[1]))["result"]
assert result["failures"] == 0
assert all(row["done"] and row["judged"] > 0 for row in result["flows"][:2])
E
done
[ -z "$(programs)" ] || fail "a program of the service lives on"
# Also when torture is ended from outside.
python3 - "$T/usr/libexec/pawl/pawl-torture" "$T/site/site.yaml" "$T/www" >"$T/out" 2>"$T/err" <<'E' || fail "ended by SIGTERM it leaves something, or does not end"
import glob, signal, subprocess, sys, time
def lives():
    found = 0
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            words = open(path, "rb").read()
        except OSError:
            continue
        found += words.startswith(b"busybox\0httpd") and sys.argv[3].encode() in words
    return found
torture = subprocess.Popen([sys.argv[1], sys.argv[2]])
until = time.monotonic() + 20
while not lives():
    assert time.monotonic() < until, "the program never ran"
torture.terminate()
assert torture.wait(timeout=20) == 128 + signal.SIGTERM
assert lives() == 0, "a program lives on"
assert glob.glob("/dev/shm/pawl-crash.%d.*" % torture.pid) == []
E
# tells MESSAGE HINT: so does the error of the last answer, and what is for people
tells() {
        python3 - "$T/out" "$@" <<'E' || fail "it does not tell: $1"
import json, sys
error = json.load(open(sys.argv[1]))["error"]
assert sys.argv[2] in error["message"] and error["hint"] == sys.argv[3], error
E
        grep -qF "$1" "$T/err" || fail "people are not told: $1"
        grep -qF "try: $2" "$T/err" || fail "people are not told: $2"
}
# A port that the spec names, and somebody else has.
python3 -c 'import socket, time
s = socket.create_server(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
time.sleep(60)' >"$T/port" &
listener=$!
while [ ! -s "$T/port" ]; do sleep 0.05; done
port=$(cat "$T/port")
sed "s/auto/$port/" "$T/shop.yaml" >"$T/taken.yaml"
"$T/usr/bin/pawl" torture --quick --json "$T/taken.yaml" >"$T/out" 2>"$T/err"
[ $? -eq 1 ] || fail "a port that is taken: not 1"
tells "port $port is in use by another program" "Choose another port, or stop that program."
"$T/usr/bin/pawl" torture "$T/none.yaml" >"$T/out" 2>"$T/err"
[ $? -eq 10 ] || fail "a spec that is not there: not 10"
printf 'pawl: 1\nsource: ./none\n' >"$T/bad.yaml"
"$T/usr/bin/pawl" torture --quick --json "$T/bad.yaml" >"$T/out" 2>"$T/err"
[ $? -eq 10 ] || fail "a spec that cannot be deployed: not 10"
tells "the spec cannot be deployed in a scratch root: bad.yaml: the source \"$T/none\"" \
        "A path in a spec is relative to the spec's directory."
rm "$T/usr/libexec/pawl/pawl-torture"
if "$T/usr/bin/pawl" torture "$T/shop.yaml" >"$T/out" 2>"$T/err"; then
        fail "without its program it succeeds"
fi
grep -q 'is not installed' "$T/err" || fail "that its program is missing is not told"
