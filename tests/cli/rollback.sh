#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Rolling back: to the release before, with the spec it ran with; what was left is held.
# shellcheck source=tests/lib/cli.sh
. "$SRC/tests/lib/cli.sh"

examples
printf 'pawl: 1\nname: web\nsource: %s\nversion: v1\nenv: {COLOUR: red}\n' "$FILES/web-v1" >web.yaml
run -q apply web.yaml
status 0

run rollback web
status 2
out </dev/null
has err 'pawl: '

printf 'pawl: 1\nname: web\nsource: %s\nversion: v2\nenv: {COLOUR: blue}\n' "$FILES/web-v2" >web.yaml
run -q apply web.yaml
status 0
check "blue with v2" grep -qx COLOUR=blue "$ROOT/etc/pawl/web/env"

run rollback web
status 0
out <<'E'
✓ web rolled back to v1
  down DUR
E
check "v1 answers" test "$(answer web)" = "hello from v1"
check "red with v1" grep -qx COLOUR=red "$ROOT/etc/pawl/web/env"

# The timer's next apply does not bring back what a person rolled back from.
run apply web.yaml
status 0
has out 'web: v2 is held ('
check "v1 still answers" test "$(answer web)" = "hello from v1"

run rollback web -v v7
status 2
has err 'pawl: web v7 was never deployed'
has err 'a new version comes with "pawl upgrade web --version v7".'
mv "$ROOT/opt/pawl/web/releases/v2" gone
run rollback web -v v2
status 2
has err 'pawl: web v2 is not kept any more'
has err 'try: Upgrade to it instead: "pawl upgrade web --version v2".'
mv gone "$ROOT/opt/pawl/web/releases/v2"
run rollback nix
status 2
has err 'there is no service "nix"'
