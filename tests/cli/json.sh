#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# With --json there is one object on stdout and nothing else, also when something is wrong.
# shellcheck source=tests/lib/cli.sh
. "$SRC/tests/lib/cli.sh"

examples

run --json version
status 0
err </dev/null
out <<E
{
  "pawl": 1,
  "command": "version",
  "result": {
    "version": "$("$PAWL" version | sed 's/pawl //')"
  },
  "warnings": [],
  "error": null
}
E

run --json delpoy
status 2
err </dev/null
out <<'E'
{
  "pawl": 1,
  "command": null,
  "result": null,
  "warnings": [],
  "error": {
    "code": "usage",
    "message": "there is no command \"delpoy\"",
    "hint": "Did you mean \"pawl deploy\"?",
    "exit": 2
  }
}
E

run --json status nix
status 4
err </dev/null
has out '"code": "no-service"'
has out '"exit": 4'

run --json deploy "$FILES/web-v1" -v v1 -n web
status 0
err </dev/null
has out '"result": "done"'
has out '"url": "http://127.0.0.1:PORT"'
has out '"error": null'

run --json upgrade web --source "$FILES/web-v3" -v v3
status 4
err </dev/null
has out '"result": "put back"'
has out '"put_back": "v1 is running again"'
has out '"code": "health"'
has out '"exit": 4'

run --json history
status 0
has out '"started": "TIME"'

printf 'pawl: 1\nname: two\nsauce: x\n' >bad.yaml
run --json apply bad.yaml
status 10
err </dev/null
has out '"file": "bad.yaml"'
has out '"code": "spec"'
check "there is one object" test "$(grep -c '^{' "$T/out")" -eq 1

run --json remove web --purge
status 2
has out '"code": "refused"'
run --json remove web
status 0
