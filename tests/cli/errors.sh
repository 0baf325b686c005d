#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Ways to fail, with the whole of what is said and the exit status. README.md beside this file maps every rule to its test.
# shellcheck source=tests/lib/cli.sh
. "$SRC/tests/lib/cli.sh"

examples

# fails STATUS ARGUMENTS <<E: on stderr stands what is given, and on stdout nothing
fails() {
        wanted=$1
        shift
        run "$@"
        status "$wanted"
        err
        [ ! -s "$T/out" ] || failed "something on stdout"
}

# ---- Nothing is there yet ----

fails 2 rollback web <<'E'
pawl: there is no service "web"
  try: Run "pawl list" to see the services, "pawl deploy" to make one.
E
fails 2 show 12 <<'E'
pawl: there is no transaction TX
  try: Run "pawl history" to see the transactions.
E
fails 2 show 0 <<'E'
pawl: there is no transaction TX
  try: Run "pawl history" to see the transactions.
E
fails 1 -q deploy "https://127.0.0.1:${BASE}98/web.tar.gz" -n web <<'E'
pawl: could not download "https://127.0.0.1:PORT/web.tar.gz": cannot connect: Connection refused
  try: See whether the server works, and can be reached from this host.
E
fails 1 -q deploy "file://$T/nothing.tar.gz" -n web <<'E'
pawl: could not download "file://DIR/nothing.tar.gz": there is no such file, or it cannot be read
  try: See whether the path is right.
E
fails 8 -q deploy "$FILES/web-v1" -n web --sha256 "$(printf '%064d' 0)" <<E
pawl: checksum of "DIR/files/web-v1" does not match: expected $(printf '%064d' 0), got $(sha256sum "$FILES/web-v1" | cut -d' ' -f1)
  try: Get the file again, or correct sha256 if this is the one that is meant.
E
mkdir a && cp "$FILES/web-v1" a/web && tar czf evil.tar.gz -P --transform 's,a/web,../web,' a/web
fails 1 -q deploy ./evil.tar.gz -n web -v v1 <<'E'
pawl: web: deploy v1 failed: cannot unpack "DIR/evil.tar.gz": the entry "../web" leads out of the release
  put back: nothing is left of it
  try: Pack it again without that.
E
mkdir -p "$ROOT/opt/pawl/web/releases/v1"
fails 1 -q deploy "$FILES/web-v1" -v v1 -n web <<'E'
pawl: web: deploy v1 failed: "opt/pawl/web/releases/v1" is there already and is not the release that was to be made
  put back: nothing is left of it
  try: Move it away, or deploy under another version.
E
rm -r "$ROOT/opt/pawl"
printf 'pawl: 1\nsource: ./files/web-v1\nprot: 3\n' >web.yaml
fails 10 apply web.yaml <<'E'
pawl: web.yaml:3:1: there is no key "prot"
  try: Did you mean "port"?
E
printf 'pawl: 1\nsource: ./files/web-v1\ndns: {}\n' >web.yaml
fails 10 apply web.yaml <<'E'
pawl: web.yaml:3:1: "dns" is not supported by pawl 0.1
  try: Leave it out, or use a newer pawl.
E
fails 10 --set ports.rnage=1 list <<'E'
pawl: --set: there is no key "ports.rnage"
  try: Did you mean "ports.range"?
E

# ---- A service is there ----

run -q deploy "$FILES/web-v1" -v v1 -n web
status 0
port=$("$PAWL" --root "$ROOT" --json status web | sed -n 's/^    "port": \([0-9]*\).*/\1/p')
fails 1 -q deploy "$FILES/web-v1" -v v1 -n two -p "$port" <<'E'
pawl: port PORT belongs to another service
  try: Choose another, or port: auto.
E
port=$("$PAWL" --root "$ROOT" --json status web | sed -n 's/^    "port": \([0-9]*\).*/\1/p' | head -n 1)
fails 1 --set "ports.range=[$port, $((port + 1))]" -q deploy "$FILES/web-v2" -n two <<'E'
pawl: no free port from PORT to PORT
  try: Remove a service, or widen ports.range in /etc/pawl/pawl.yaml.
E
fails 2 rollback web <<'E'
pawl: web has no version before v1
  try: There must have been an upgrade before.
E
printf 'pawl: 1\nname: web\nversion: v4\nsource: ./files/web-v4\ntimeout: 1s\n' >slow.yaml
fails 1 -q apply slow.yaml <<'E'
pawl: web: apply v1 → v4 failed: the time for this flow is over
  put back: v1 is running again; down DUR; nothing left over
  try: Give it longer: "timeout" in the spec.
E
"$PAWL" --root "$ROOT" upgrade web --source "$FILES/web-v4" -v v4 >other 2>&1 </dev/null &
pid=$!
until grep -q 'wait for an answer' other; do sleep 0.1; done
fails 3 -q restart web <<'E'
pawl: web: another pawl (pid PID) is at work on it
  try: Wait until it is done, or let this command wait: --wait 60s.
E
kill -INT "$pid"
ended
status 130
ln -sfn /nowhere "$ROOT/opt/pawl/web/current"
fails 9 -q upgrade web --source "$FILES/web-v2" -v v2 <<'E'
pawl: link opt/pawl/web/current was edited by hand, and this would write over it
  try: Take the edit into the spec, or write over it with --overwrite.
E
ln -sfn releases/v1 "$ROOT/opt/pawl/web/current"
cp "$ROOT/run/pawl/web.proc" proc
echo broken >"$ROOT/run/pawl/web.proc"
fails 1 -q restart web <<'E'
pawl: the file "run/pawl/web.proc" does not name a process
  try: Remove the file if the program it belongs to does not run.
E
cp proc "$ROOT/run/pawl/web.proc"
fails 1 -q upgrade web --source /etc/passwd -v v5 <<'E'
pawl: web: upgrade v1 → v5 failed: could not start "DIR/root/opt/pawl/web/current/web": Exec format error
  put back: v1 is running again; down DUR; nothing left over
  try: The file must exist, be executable, and be made for this machine.
E
start 'wait for an answer' upgrade web --source "$FILES/web-v4" -v v6
kill -9 "$pid"
ended
ln -sfn /nowhere "$ROOT/opt/pawl/web/current"
run recover
status 6
err <<'E'
  warning: web: it is on hold, and is not started
  - step 3, point opt/pawl/web/current to releases/v6: it is neither as it was nor as pawl wrote it
  - step 2, be ready to restart web: something that stands on it stays
  - step 1, make opt/pawl/web/releases/v6 from DIR/files/web-v4: something that stands on it stays
  decide: pawl recover TX --keep 3 | --restore 3 (or all)
pawl: something could not be put back or finished
  try: Decide for each: "pawl recover TX --keep STEP" or "--restore STEP".
E
ln -sfn releases/v6 "$ROOT/opt/pawl/web/current"
run -q recover
status 0
run -q stop web
status 0
mv "$ROOT/opt/pawl/web/releases/v1/web" .
fails 1 -q start web <<'E'
pawl: "DIR/root/opt/pawl/web/current/web" cannot be started: No such file or directory
  try: "pawl check web" shows what is not as it was made; "pawl upgrade web --overwrite" makes it anew.
E
mv web "$ROOT/opt/pawl/web/releases/v1/web"

# What somebody else changes while pawl writes it: the program dies before pawl has read back that it runs.
printf 'pawl: 1\nname: quiet\nversion: v1\nsource: ./files/web-v1\nhealth: none\n' >quiet.yaml
run -q apply quiet.yaml
run -q stop quiet
: >pause
PAWL_PAUSE_AT=apply-after:1@$T/pause "$PAWL_TESTING" --root "$ROOT" -q start quiet >"$T/out" 2>"$T/err" </dev/null &
pid=$!
last="start quiet"
until [ -e pause.reached ]; do sleep 0.1; done
program=$(sed -n 's/.*"pid":\([0-9]*\).*/\1/p' "$ROOT/run/pawl/quiet.proc")
kill -9 "$program"
while [ -e "/proc/$program" ] && ! grep -q '^State:.Z' "/proc/$program/status"; do sleep 0.1; done
rm pause
ended
status 4
out </dev/null
err <<'E'
pawl: quiet: start v1 failed: start quiet: it does not read back as written: the program is not running
  put back: v1 is in place, not running; nothing left over
  try: Look at its log, then start it.
E

# ---- pawl's own ----

mv "$ROOT/var/lib/pawl/seal.key" .
run doctor
status 1
err <<'E'
pawl: 1 of the checks found a problem
E
fails 7 -q start web <<'E'
pawl: the key "/var/lib/pawl/seal.key" is missing
  try: Put the key back from a backup; without it the secrets in the journal cannot be read.
E
mv seal.key "$ROOT/var/lib/pawl/"
mv "$ROOT/var/lib/pawl/journal" .
fails 7 -q start web <<'E'
pawl: there was a journal in "var/lib/pawl", and it is gone
  try: Put the journal back from a copy; pawl makes no new one in its place. Where there is none: remove journal.head and journal.bad there, and deploy each service again. Their data stays.
E
mv journal "$ROOT/var/lib/pawl/"
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
        chmod 755 "$T"
        last="start web, by another user"
        setpriv --reuid=65534 --regid=65534 --clear-groups "$PAWL" --root "$ROOT" start web >"$T/out" 2>"$T/err" </dev/null
        status=$?
        status 77
        err <<'E'
pawl: "DIR/root" belongs to user 0
  try: Run it as that user.
E
fi
