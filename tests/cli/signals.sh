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
        case $signal in INT:*) why=interrupted ;; *) why='ended by SIGTERM' ;; esac
        err <<E
  make opt/pawl/web/releases/v4 from DIR/files/web-v4
  be ready to restart web
  point opt/pawl/web/current to releases/v4
  restart web
  wait for an answer on 127.0.0.1:PORT
  error: $why; putting back
pawl: web: upgrade v1 → v4 failed: $why
  put back: v1 is running again; down DUR; nothing left over
E
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

# v6 is slow to come back: the second signal finds pawl putting back, and recovery goes on from there.
run -q upgrade web --source "$FILES/web-v4" -v v6
status 0
start 'wait for an answer' upgrade web --source "$FILES/web-v4" -v v7
kill -INT "$pid"
sleep 0.5
kill -INT "$pid"
ended
status 130
lacks err 'put back: '
run list
has out 'interrupted ('
run recover
status 0
has out 'TX  web  upgrade v6 → v7  put back'
check "v6 answers" test "$(answer web)" = "hello from v4"
check "v7 is gone" test ! -e "$ROOT/opt/pawl/web/releases/v7"
