#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The first signal asks the flow to put back and end; the second ends pawl at once, and recovery does the rest.
# shellcheck source=tests/lib/cli.sh
. "$SRC/tests/lib/cli.sh"

examples
# The test itself may run where SIGHUP is ignored.
printf '#!/bin/sh\nexec env --default-signal=HUP "%s" "$@"\n' "$PAWL" >pawl-at-terminal
chmod +x pawl-at-terminal
PAWL=$T/pawl-at-terminal
run -q deploy "$FILES/web-v1" -v v1 -n web
status 0

for signal in INT:130 TERM:143 HUP:129; do
        start 'wait for an answer' upgrade web --source "$FILES/web-v4" -v v4
        kill -"${signal%:*}" "$pid"
        ended
        status "${signal#*:}"
        case $signal in
        INT:*) why=interrupted ;;
        TERM:*) why='ended by SIGTERM' ;;
        HUP:*) why='ended by SIGHUP' ;;
        esac
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

# A lost terminal says so more than once, and a manager of sessions adds to it: pawl goes on putting back.
start 'wait for an answer' upgrade web --source "$FILES/web-v4" -v v6
kill -HUP "$pid"
kill -HUP "$pid"
kill -TERM "$pid"
kill -HUP "$pid"
ended
case $status in 129 | 143) ;; *) status 129 ;; esac
has err 'put back: v5 is running again'

# Under nohup the flow goes on to its end.
printf '#!/bin/sh\nexec env --ignore-signal=HUP "%s" "$@"\n' "$BUILD/pawl" >pawl-nohup
chmod +x pawl-nohup
PAWL=$T/pawl-nohup
start 'wait for an answer' upgrade web --source "$FILES/web-v4" -v v4
kill -HUP "$pid"
ended
status 0
has out '✓ web upgraded v5 → v4'
PAWL=$T/pawl-at-terminal

# v6 is slow to come back: the second signal finds pawl putting back, and recovery goes on from there.
run -q upgrade web --source "$FILES/web-v4" -v v6
status 0
start 'wait for an answer' upgrade web --source "$FILES/web-v4" -v v7
kill -INT "$pid"
sleep 0.5
kill -INT "$pid"
ended
status 75
lacks err 'put back: '
has err 'pawl: stopped at once; what it had begun is left as it is: run "pawl recover"'
run list
has out 'interrupted ('
run recover
status 0
has out 'TX  web  upgrade v6 → v7  put back'
check "v6 answers" test "$(answer web)" = "hello from v4"
check "v7 is gone" test ! -e "$ROOT/opt/pawl/web/releases/v7"

start "wait for an answer" --set exit_codes=simple upgrade web --source "$FILES/web-v4" -v v7
kill -TERM "$pid"
sleep 0.5
kill -INT "$pid"
ended
status 1
has err 'stopped at once'
run recover
status 0
