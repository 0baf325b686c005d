#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What pawl asks systemd, and what it makes of the answer, of no answer, and of one that got lost.
. "$SRC/tests/lib/system.sh"
. "$SRC/tests/lib/machine.sh"

bus() { machine_exec /srv/build/tests/test-bus "$@"; }
# shellcheck disable=SC2016 # its own argument
unit() { machine_exec sh -c 'cat >"/etc/systemd/system/$1"' unit "$1"; }

machine_boot
unit good.service <<'END'
[Service]
Type=exec
ExecStart=/bin/sh -c 'for i in 1 2 3 4 5; do echo line $i; done; exec sleep 1000'
[Install]
WantedBy=multi-user.target
END
unit broken.service <<'END'
[Service]
Type=exec
ExecStart=/nowhere/program
END
unit dies.service <<'END'
[Service]
ExecStart=/bin/sh -c 'echo its last word; exit 3'
END
unit slow.service <<'END'
[Service]
Type=oneshot
ExecStart=/bin/sleep 2
END
unit picky.service <<'END'
[Unit]
ConditionPathExists=/nowhere
[Service]
ExecStart=/bin/sleep 1000
END
expect 0 bus reload

expect 0 bus unit nobody.service
says 'load=not-found active=inactive'
expect 2 bus restart nobody.service
says 'not-found: systemd refuses "nobody.service": Unit nobody.service not found.'
expect 0 bus reset nobody.service

expect 0 bus restart good.service
expect 0 bus unit good.service
says 'load=loaded active=active sub=running result=success file=/etc/systemd/system/good.service drop-ins=0'
says 'invoked=1 exit=""'
expect 0 bus restart good.service
machine_exec journalctl --sync
expect 0 bus logs good.service 2
[ "$(wc -l <out)" -eq 3 ] || fail "not the last two lines"
expect 0 bus logs good.service 0
says 'Started good.service.'
[ "$(grep -c '^line' out)" -eq 10 ] || fail "not every line of the unit is there"
machine_exec sh -c 'mkdir /etc/systemd/system/good.service.d; printf "[Service]\nNice=1\n" >/etc/systemd/system/good.service.d/nice.conf'
expect 0 bus reload
expect 0 bus unit good.service
says 'drop-ins=1'
expect 0 bus stop good.service
expect 0 bus unit good.service
says 'active=inactive'

expect 2 bus restart broken.service
says 'program: systemd could not restart "broken.service": it failed'
expect 0 bus unit broken.service
says 'active=failed sub=failed result=exit-code'
expect 0 bus reset broken.service
expect 0 bus unit broken.service
says 'active=inactive'
expect 0 bus restart dies.service
wait_for 5 machine_exec systemctl is-failed -q dies.service
expect 0 bus unit dies.service
says 'result=exit-code'
says 'exit="exited with status 3"'
expect 0 bus restart picky.service # a condition that does not hold is no failure
expect 0 bus unit picky.service
says 'active=inactive'

expect 2 bus restart slow.service 200
says 'timeout: systemd takes too long to restart "slow.service"'
machine_exec systemctl stop slow.service

# Without the message bus: systemd's own socket is enough, also when it dies in the middle.
bus restart slow.service >during 2>&1 &
sleep 0.5
machine_exec systemctl kill --signal=KILL dbus.service
wait $! || fail "a job needs the message bus: $(cat during)"

# systemd closes every connection when it executes itself anew: the job goes on, how it ends is not heard.
bus restart slow.service >during 2>&1 &
sleep 0.5
machine_exec systemctl daemon-reexec
status=0
wait $! || status=$?
[ "$status" -eq 1 ] || fail "a lost answer is taken for something else: $status $(cat during)"
machine_exec journalctl -q -u slow.service -o cat | grep -q 'Finished slow.service' || fail "the job was not waited for"

# The other way round: only the message bus.
machine_exec rm /run/systemd/private
expect 0 bus restart good.service
expect 0 bus reload
machine_remove

# No systemd at all.
expect 2 "$BUILD/tests/test-bus" unit good.service
says 'unsupported: systemd does not answer'
say "systemd answers as expected"
