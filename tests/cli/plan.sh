#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A plan says what would be done, and changes nothing.
# shellcheck source=tests/lib/cli.sh
. "$SRC/tests/lib/cli.sh"

examples
printf 'pawl: 1\nsource: %s\nversion: v1\n' "$FILES/web-v1" >web.yaml

run plan web.yaml
status 0
err </dev/null
has out 'web: '
has out 'point opt/pawl/web/current to releases/v1'
check "planning makes nothing" test -z "$(ls -A "$ROOT")"

run -q apply web.yaml
status 0
# Whoever reads the journal may note that it was sound; nothing is changed by that.
things() {
        find "$ROOT" ! -name 'journal[.-]verified' | sort
}
things >before
run plan web.yaml
status 0
out <<'E'
No changes: web is up to date (v1)
E
run plan upgrade web --source "$FILES/web-v2" -v v2
status 0
has out 'web: upgrade v1 → v2'
has out 'owe: '
has out 'pay: '
run plan remove web
status 0
has out 'web: remove v1'
run plan remove web --purge
status 0
run plan stop web
status 0
run plan upgrade --all
status 0
out <<'E'
No changes: web is up to date (v1)
E
run plan deploy "$FILES/web-v2" -n two
status 0
run plan rollback nix
status 2
printf 'pawl: 1\nsauce: x\n' >bad.yaml
run plan bad.yaml web.yaml missing.yaml
status 10
has err 'bad.yaml:2:1'
has err 'missing.yaml'
out <<'E'
No changes: web is up to date (v1)
E
run --json plan bad.yaml web.yaml
status 10
has out '"file": "bad.yaml"'
has out '"result": "unchanged"'
mkdir -p "$ROOT/etc/pawl/services.d"
printf 'pawl: 1\nsource: %s\nversion: v1\n' "$FILES/web-v1" >"$ROOT/etc/pawl/services.d/web.yml"
run plan
status 0
out <<'E'
No changes: web is up to date (v1)
E
rm "$ROOT/etc/pawl/services.d/web.yml"
run --json plan upgrade web --source "$FILES/web-v2" -v v2
status 0
has out '"plans"'
has out '"result": "plan"'
things >after
check "planning changes nothing" cmp before after
