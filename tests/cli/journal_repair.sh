#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# After the journal was repaired every service is on hold until it was compared with what is left of the journal.
# shellcheck source=tests/lib/cli.sh
. "$SRC/tests/lib/cli.sh"

examples
J=$ROOT/var/lib/pawl/journal

# A bit of the journal's state is another; the rest of the database is whole.
damage() {
        LC_ALL=C sed -i 's/journal\x01\x00\x00\x00\x00/journal\x01\x00\x00\x00\x01/g' "$J/data.mdb"
}

# What was damaged is found, and nothing is changed on it.
run -q deploy "$FILES/web-v1" -v v1 -n web
status 0
run -q deploy "$FILES/web-v1" -v v1 -n api
status 0
damage
run upgrade web --source "$FILES/web-v2" -v v2
status 7
out </dev/null
err <<'E'
pawl: the journal is damaged: the checksum of its state does not match
  try: Run: pawl journal verify, then: pawl journal repair
E
check "it is marked" test -e "$ROOT/var/lib/pawl/journal.bad"

# Everything was in the segments: nothing is lost, and nothing differs.
run journal repair
status 0
has out 'repaired: true'
has out 'on_hold: 2'
err <<'E'
  warning: every service is on hold until "pawl check" has compared it
E
check "the damaged journal is kept" test -d "$J.damaged-1"
run list
status 0
out <<'E'
NAME  VERSION  PORT   ROUTE  STATUS
api   v1       PORT  —      running, on hold since the journal was repaired: run "pawl check"
web   v1       PORT  —      running, on hold since the journal was repaired: run "pawl check"
E
run upgrade web --source "$FILES/web-v2" -v v2
status 7
out </dev/null
err <<'E'
pawl: web is on hold: the journal was repaired
  try: "pawl check web" compares it with the journal, and lifts the hold where nothing differs.
E
for command in 'status web' 'logs web' 'inspect web' 'history web'; do
        # shellcheck disable=SC2086 # words
        run $command
        status 0
done
run doctor
status 1
has out 'problem  transactions: on hold since the journal was repaired: 2 of the services'
run stop web
status 0
has out '✓ web stopped'
has err 'warning: web is on hold: the journal was repaired'
run -q start web
status 0
run remove api
status 7

# One by one, or all; each once.
run check api
status 0
out <<'E'
api  ok
api  no longer on hold
E
run -q check
status 0
out <<'E'
web  no longer on hold
E
run check
out <<'E'
api  ok
web  ok
E
run -q remove api
status 0
cp -a "$ROOT/var/lib/pawl" kept
run -q upgrade web --source "$FILES/web-v2" -v v2
status 0
run journal rebuild
status 0
run list
has out 'running'
lacks out 'on hold'

# Records are lost (the journal is an older copy): the host has v2, the journal v1. The hold stays until a person accepts it.
rm -r "$J"
cp -a kept/journal "$J"
run -q upgrade web --source "$FILES/web-v4" -v v4
status 7
run journal repair
status 0
has err 'are lost'
run rollback web
status 7
has err 'the journal was repaired, and what followed its record'
run check web
status 9
has out 'web  drift'
has out 'web  on hold since the journal was repaired'
has err 'try: "pawl check web --accept" takes it as it is and lifts its hold; then "pawl apply" brings it back to its spec.'
run restart web
status 7
run check --accept
status 2
err <<'E'
pawl: --accept needs a SERVICE
  try: What differs is accepted service by service.
E
run --json check web --accept
status 0
has out '"hold": "accepted"'
run journal list
has out 'web is taken as it is, by ACTOR'
printf 'pawl: 1\nname: web\nversion: v1\nsource: %s\n' "$FILES/web-v1" >web.yaml
run -q apply web.yaml --overwrite
status 0
run check
status 0
out <<'E'
web  ok
E

# A flow that was cut short, of a service that is known from nothing else.
start 'wait for an answer' deploy "$FILES/web-v4" -v v4 -n new
kill -9 "$pid"
ended
damage
run journal repair
status 0
run recover
status 6
has err 'new is on hold: the journal was repaired'
run check new
status 9
has out 'new  drift  transaction'
has err '--keep all" leaves what is there, "--restore all" puts back what was.'
run list
tx=$("$PAWL" --root "$ROOT" --json list | sed -n 's/.*"hold": \([0-9]*\).*/\1/p')
run recover "$tx" --restore all
status 0
run check
status 0
out <<'E'
web  ok
web  no longer on hold
E
run -q deploy "$FILES/web-v1" -v v1 -n new
status 0

# The keys of secrets outlive the database: one comparison, and all goes on.
for loss in 'rm' 'truncate -s 0' 'truncate -s 20000' 'shred -n 1 -s 8192'; do
        # shellcheck disable=SC2086 # words
        $loss "$J/data.mdb"
        run journal repair
        status 0
        # A part of the database may still tell of the records behind the last flow.
        [ "$loss" != rm ] || lacks err 'are lost'
        has err 'is the last that is known of; whether others followed it cannot be told'
        run check new
        status 0
        out <<'E'
new  ok
new  no longer on hold
E
        run -q upgrade new --source "$FILES/web-v2" -v v2 --retry
        status 0
        run -q rollback new
        status 0
        run -q check
        status 0
done

# Where those beside it are lost as well, what needs none still works; and at once it is told what to do.
rm "$J/data.mdb" "$J/segments/keys"
run journal repair
status 0
run check new
status 7
has out 'new  on hold since the journal was repaired'
err <<'E'
pawl: 1 service could not be compared in full, and stays on hold
  try: "pawl check new --accept" takes it as it is and lifts its hold. Its secrets cannot be read any more: "pawl remove new" then keeps its data, and it can be deployed again.
E
run -q check new --accept
status 0
run -q upgrade new --source "$FILES/web-v2" -v v2
status 7
err <<'E'
pawl: the key of the secrets in "service/new" is gone
  try: "pawl remove" works without it and keeps the data; then deploy the service again.
E
run -q stop new
status 0
run -q start new
status 0
run -q remove new
status 0
run -q deploy "$FILES/web-v2" -v v2 -n new
status 0

# A journal that is gone is no empty host, and there is nothing to repair it from.
mv "$J" aside
for command in 'list' 'history' 'journal list' 'journal verify' 'journal repair' 'init' 'recover' 'upgrade web'; do
        # shellcheck disable=SC2086 # words
        run $command
        status 7
        has err 'try: Put the journal back from a copy; pawl makes no new one in its place.'
        check "\"$command\" makes no other" test ! -e "$J"
done
run doctor
status 1
has out 'journal: there was a journal in "var/lib/pawl", and it is gone'
lacks out 'pawl journal repair'
mv aside "$J"
run list
status 0

# Without a copy: a new beginning, on what is there.
run -q stop web
status 0
rm -r "$J" "$J.head"
run list
out <<'E'
No services deployed. Run 'pawl deploy <path>' to get started.
E
run -q deploy "$FILES/web-v2" -v v2 -n new
status 0
run check
out <<'E'
new  ok
E
