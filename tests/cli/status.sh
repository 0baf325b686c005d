#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Looking at services: list, status with its exit status, inspect, logs, check.
# shellcheck source=tests/lib/cli.sh
. "$SRC/tests/lib/cli.sh"

examples
run list
status 0
out <<'E'
No services deployed. Run 'pawl deploy <path>' to get started.
E
check "looking makes nothing" test -z "$(ls -A "$ROOT")"

run -q deploy "$FILES/web-v1" -v v1 -n web -e API_TOKEN=abc123 -e LOG=debug
status 0
run list
out <<'E'
NAME  VERSION  PORT   ROUTE  STATUS
web   v1       PORT  —      running
E
LC_ALL=C run list
has out 'web   v1       PORT  -      running'

run status web
status 0
out <<'E'
Service:     web
Source:      DIR/files/web-v1
Version:     v1
Port:        PORT
URL:         http://127.0.0.1:PORT
Data:        DIR/root/var/lib/pawl-data/web
Status:      running
PID:         PID
Since:       TIME
Deployed:    TIME
Updated:     TIME
E
run -q upgrade web --source "$FILES/web-v2" -v v2
run -q stop web
run status web
status 3
has out 'Previous:    v1'
has out 'Status:      stopped'
run --exit-codes simple status web
status 1
run status nix
status 4
out </dev/null
run status
status 0
has out 'NAME'

run inspect web
status 0
has out '(DIR/root/etc/pawl/web/env) ==='
has out 'LOG=debug'
has out 'API_TOKEN=****'
lacks out abc123
rm "$ROOT/etc/pawl/web/env"
run inspect web
status 0
has out '(not found: DIR/root/etc/pawl/web/env)'
run check
status 9
has out 'DIR/root/etc/pawl/web/env'
has err '1 of the artifacts differs from what was committed'
has out 'web  drift'

run logs web
status 0
out <<'E'
web v1 listens on port PORT
web v2 listens on port PORT
E
run logs web -n 1
out <<'E'
web v2 listens on port PORT
E
run --json logs web -n 1
has out '"lines"'
run logs nix
status 2
# Nobody reads any more: it ends, and does not wait for ever.
last="logs -f | head"
timeout 20 sh -c "$PAWL --root $ROOT logs -f web 2>/dev/null </dev/null | head -n 1" >"$T/out"
status=$?
status 0
has out 'web v1 listens'

# What is dead is started, not applied.
run -q remove web
run -q deploy "$FILES/web-v1" -v v1 -n web
kill -9 "$("$PAWL" --root "$ROOT" --json status web | sed -n 's/.*"pid": \([0-9]*\).*/\1/p')"
run check
status 9
has out 'process web: the program is not running'
err <<'E'
pawl: 1 of the artifacts differs from what was committed
  try: pawl start web
E
: >"$ROOT/var/log/pawl/web.log"
run logs web
status 0
out </dev/null
err <<'E'
web has printed nothing yet.
E
