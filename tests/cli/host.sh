#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What is pawl's own on a host: made by init, judged by doctor, told by config. And a service that is started and stopped.
# shellcheck source=tests/lib/cli.sh
. "$SRC/tests/lib/cli.sh"

examples
run init
status 0
err </dev/null
has out '  made   DIR/root/etc/pawl/pawl.yaml'
has out '  made   DIR/root/var/lib/pawl/journal'
lacks out '  there  '
run init # finds what it made, and goes on
status 0
err </dev/null
has out '  there  DIR/root/var/lib/pawl/journal'
lacks out '  made   '
run -q init
status 0
out </dev/null
lacks out nginx
check "nothing is made for an nginx that is not there" test ! -e "$ROOT/etc/nginx"

# Where nginx is, the file that a server block can include for routes by path; what is in it already stays.
mkdir -p "$ROOT/etc/nginx"
: >"$ROOT/etc/nginx/nginx.conf"
run init
status 0
has out '  made   DIR/root/etc/nginx/pawl-paths.conf'
check "it says what it is for, and nothing to nginx" test "$(grep -c '^#' "$ROOT/etc/nginx/pawl-paths.conf")" = "$(wc -l <"$ROOT/etc/nginx/pawl-paths.conf")"
echo 'location /mine { }' >>"$ROOT/etc/nginx/pawl-paths.conf"
run init
status 0
has out '  there  DIR/root/etc/nginx/pawl-paths.conf'
check "what is in it stays" grep -q '^location /mine' "$ROOT/etc/nginx/pawl-paths.conf"

run config --show-origin
status 0
has out 'wait: 0s  # default'
has out 'ports.range: [PORT,PORT]  # PAWL_PORTS_RANGE'
printf 'retention.releases: 5\n' >"$ROOT/etc/pawl/pawl.yaml"
PAWL_WAIT=7s run --set notify.attempts=2 config --show-origin
has out 'retention.releases: 5  # /etc/pawl/pawl.yaml'
has out 'wait: 7s  # PAWL_WAIT'
has out 'notify.attempts: 2  # --set'

run -q deploy "$FILES/web-v1" -v v1 -n web
status 0
run -q stop web
status 0
err </dev/null
out <<'E'
✓ web stopped
E
run stop web
status 0
out <<'E'
No changes: web is stopped
E
run -q restart web
status 0
out <<'E'
✓ web restarted
E
run start web
status 0
out <<'E'
No changes: web is running
E
run -q stop web
run -q start web
status 0
out <<'E'
✓ web started
E
run -q restart web
status 0
out <<'E'
✓ web restarted
  down DUR
E
