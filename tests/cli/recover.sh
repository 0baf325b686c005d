#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# After pawl was killed in the middle of a flow: recovery, or the next command, puts back.
# shellcheck source=tests/lib/cli.sh
. "$SRC/tests/lib/cli.sh"

examples
run recover
status 0
out <<'E'
Nothing to recover.
E
run -q deploy "$FILES/web-v1" -v v1 -n web
status 0

start 'wait for an answer' upgrade web --source "$FILES/web-v4" -v v4
kill -9 "$pid"
ended
status 137
run list
status 0
has out 'running, interrupted ('
has out ': run "pawl recover"'
lacks out 'on hold'
run --json list
has out '"interrupted": '
run history web
check "what has not ended stands in front" sh -c 'sed -n 2p "$1" | grep -q " interrupted "' - "$T/out"
run doctor
status 1
has out 'was interrupted'
mv "$ROOT/etc/pawl/web/env" env
run check
status 9
has err 'try: Run "pawl recover": a flow was interrupted.'
mv env "$ROOT/etc/pawl/web/env"
run status web
has out 'Open: '
run recover --dry-run
status 0
has out 'web  upgrade v1 → v4'
run list
has out 'interrupted ('

run recover
status 0
has out 'TX  web  upgrade v1 → v4  put back'
run history web
check "nobody measured how long it was down" grep -Eq 'put back .* \?  +\?  +pawl was interrupted' "$T/out"
check "v1 answers" test "$(answer web)" = "hello from v1"
check "v4 is gone" test ! -e "$ROOT/opt/pawl/web/releases/v4"
run recover
status 0
out <<'E'
Nothing to recover.
E

# The prologue of the next command does the same.
start 'wait for an answer' upgrade web --source "$FILES/web-v4" -v v4
kill -9 "$pid"
ended
run upgrade web --source "$FILES/web-v2" -v v2
status 0
has err 'was open: put back'
has out '✓ web upgraded v1 → v2'
check "v2 answers" test "$(answer web)" = "hello from v2"

# Something foreign in the way: on hold, with the ways to decide; and both decisions work.
for decision in keep restore; do
        start 'wait for an answer' upgrade web --source "$FILES/web-v4" -v "v4-$decision"
        kill -9 "$pid"
        ended
        ln -sfn /nowhere "$ROOT/opt/pawl/web/current"
        run recover
        status 6
        has err 'decide: pawl recover TX --keep'
        has err 'opt/pawl/web/current'
        run upgrade web --source "$FILES/web-v1" -v v9
        status 7
        has err 'web is on hold'
        run restart web
        status 7
        run stop web # what is there can be ended all the same
        status 0
        has out '✓ web stopped'
        has err 'warning: web is on hold: "pawl recover --dry-run" shows why'
        run list
        status 0
        has out 'on hold ('
        has out ': "pawl recover --dry-run" shows why'
        lacks out interrupted
        run doctor
        has out 'is on hold'
        run list
        tx=$(sed -n 's/.*on hold (\([0-9]*\)).*/\1/p' "$T/out")
        run recover "$tx" "--$decision" all
        status 0
        run list
        lacks out 'on hold'
        [ "$decision" = restore ] || ln -sfn releases/v2 "$ROOT/opt/pawl/web/current"
        run -q start web
        status 0
done
check "what was captured is back" test "$(readlink "$ROOT/opt/pawl/web/current")" = releases/v2
run recover 999999 --keep all
status 2
