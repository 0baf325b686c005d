#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The first signal asks the flow to put back and end; the second ends pawl at once, and recovery does the rest.
# shellcheck source=tests/lib/cli.sh
. "$SRC/tests/lib/cli.sh"

examples
run -q deploy "$FILES/web-v1" -v v1 -n web
status 0

for signal in INT:130 TERM:143; do
        start 'wait for an answer' upgrade web --source "$FILES/web-v4" -v v4
        kill -"${signal%:*}" "$pid"
        ended
        status "${signal#*:}"
        has err 'pawl: web: upgrade v1 → v4 failed: '
        has err '  put back: v1 is running again'
        check "v1 answers" test "$(answer web)" = "hello from v1"
        run list
        lacks out 'on hold'
done

# What was interrupted is not held: the next try is the first.
run -q upgrade web --source "$FILES/web-v4" -v v4
status 0
run -q upgrade web --source "$FILES/web-v1" -v v5
status 0

# Looking does not wait for anybody.
start 'wait for an answer' upgrade web --source "$FILES/web-v4" -v v6
other=$pid
run list
status 0
has out 'in progress ('
pid=$other
kill -INT "$pid"
ended
