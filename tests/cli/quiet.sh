#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# -q prints changes and errors, so that cron stays silent.
# shellcheck source=tests/lib/cli.sh
. "$SRC/tests/lib/cli.sh"

examples
cp "$FILES/web-v1" web-v1
printf 'pawl: 1\nsource: ./web-v1\nversion: v1\n' >web.yaml

run -q apply web.yaml
status 0
err </dev/null
out <<'E'
✓ web v1 deployed
  Port:     PORT
  URL:      http://127.0.0.1:PORT
  Data:     DIR/root/var/lib/pawl-data/web
E

for _ in 1 2; do
        run -q apply web.yaml
        status 0
        out </dev/null
        err </dev/null
done
run -q upgrade web
status 0
out </dev/null
err </dev/null
run -q recover
status 0
out </dev/null
run -q check
status 0
out </dev/null
run -q start web
status 0
out </dev/null
err </dev/null

run -q upgrade web --source "$FILES/web-v3" -v v3
status 4
out </dev/null
err <<'E'
pawl: web: upgrade v1 → v3 failed: no answer on 127.0.0.1:PORT: the program exited with status 1 after DUR
    web v3: cannot read the configuration: no such key "database"
  put back: v1 is running again; down DUR; nothing left over
  try: pawl logs web
E
printf 'pawl: 1\nversion: v3\nsource: %s\n' "$FILES/web-v3" >web.yaml
run -q apply web.yaml # held
status 0
out </dev/null
err </dev/null

# Where the locale has no such marks.
LC_ALL=C run -q upgrade web --source "$FILES/web-v2" -v v2
status 0
out <<'E'
ok web upgraded v1 -> v2
  down DUR
E
# A stdout that fails changes nothing about what is done, nor about what is told.
"$PAWL" --root "$ROOT" -q stop web >/dev/full 2>"$T/err"
status=$?
status 0
run -q status web
status 3
run -q remove web
status 0
