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
has out 'on hold ('
run status web
has out 'Open: '
run recover --dry-run
status 0
has out 'web  upgrade v1 → v4'
run list
has out 'on hold ('

run recover
status 0
has out 'TX  web  upgrade v1 → v4  put back'
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
        run list
        status 0
        has out 'on hold ('
        tx=$(sed -n 's/.*on hold (\([0-9]*\)).*/\1/p' "$T/out")
        run recover "$tx" "--$decision" all
        status 0
        run list
        lacks out 'on hold'
        [ "$decision" = restore ] || ln -sfn releases/v2 "$ROOT/opt/pawl/web/current"
done
check "what was captured is back" test "$(readlink "$ROOT/opt/pawl/web/current")" = releases/v2
run recover 999999 --keep all
status 2
