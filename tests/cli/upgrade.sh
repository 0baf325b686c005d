#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Upgrades: forward, back when the new one does not start, held afterwards, and quiet where there is nothing to do.
# shellcheck source=tests/lib/cli.sh
. "$SRC/tests/lib/cli.sh"

examples
run -q deploy "$FILES/web-v1" -v v1 -n web
status 0

run upgrade web --source "$FILES/web-v2" -v v2
status 0
out <<'E'
✓ web upgraded v1 → v2
  down DUR
E
check "v2 answers" test "$(answer web)" = "hello from v2"

run upgrade web --source "$FILES/web-v2" -v v2
status 0
out <<'E'
No changes: web is up to date (v2)
E
run upgrade web
status 0
out <<'E'
No changes: web is up to date (v2)
E

run upgrade web --source "$FILES/web-v3" -v v3
status 4
out </dev/null
has err 'pawl: web: upgrade v2 → v3 failed: no answer on 127.0.0.1:PORT: the program exited with status 1'
has err '  put back: v2 is running again; down DUR; nothing left over'
has err '  try: pawl logs web'
check "v2 answers again" test "$(answer web)" = "hello from v2"
check "the release that failed is gone" test ! -e "$ROOT/opt/pawl/web/releases/v3"

# Who names it is told no; a timer passes over it.
run upgrade web --source "$FILES/web-v3" -v v3
status 7
out </dev/null
err <<'E'
pawl: web v3 is held: no answer on 127.0.0.1:PORT: the program exited with status 1 after DUR
  try: "--retry" tries it again.
E
printf 'pawl: 1\nversion: v3\nsource: %s\n' "$FILES/web-v3" >web.yaml
run apply web.yaml
status 0
err </dev/null
out <<'E'
web: v3 is held (no answer on 127.0.0.1:PORT: the program exited with status 1 after DUR); --retry tries it again
E
run upgrade web --source "$FILES/web-v3" -v v3 --retry
status 4

run -q stop web
status 0
run upgrade web --source "$FILES/web-v1" -v v5
status 0
out <<'E'
✓ web upgraded v2 → v5 (stopped; not started)
E
run -q start web
status 0
check "what was upgraded while stopped answers" test "$(answer web)" = "hello from v1"

run upgrade wbe
status 2
err <<'E'
pawl: there is no service "wbe"
  try: Did you mean "web"? "pawl list" shows all services.
E
# A path has no versions to choose from: the same program is not given another name, another program is.
run upgrade web -v v77
status 2
out </dev/null
err <<'E'
pawl: "DIR/files/web-v1" is what runs already as v5; v77 would be another name for it
  try: Put the new program there first, or say where it is: --source.
E
run upgrade web -v 'a/b'
status 10
out </dev/null

# --all goes through every service and ends with the worst.
run -q deploy "$FILES/web-v1" -v v1 -n two
run upgrade --all
status 0
out <<'E'
No changes: two is up to date (v1)
No changes: web is up to date (v5)
E

# The same request id is one upgrade.
run -q --request-id abc upgrade two --source "$FILES/web-v2" -v v2
status 0
run -q --request-id abc upgrade two --source "$FILES/web-v2" -v v2
status 0
run -q --request-id abc upgrade two --source "$FILES/web-v1" -v v3
status 2
has err 'the request id "abc" was used for two v2 already'
check "the second answer is the first" test "$(answer two)" = "hello from v2"

# Another pawl at work on the same service.
start 'wait for an answer' upgrade web --source "$FILES/web-v4" -v v4
other=$pid
run -q upgrade web --source "$FILES/web-v2" -v v6
status 3
run -q --wait 30s upgrade web --source "$FILES/web-v2" -v v6
status 0
has out '✓ web upgraded v4 → v6'
pid=$other
ended
status 0
