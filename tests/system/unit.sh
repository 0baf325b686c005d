#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What an operator and a bad day do to a unit: edits, drop-ins, a taken port, a program that does not stop, a message bus that dies, a full disk. Each ends with
# one clear message and its exit status, and nothing foreign is touched.
. "$SRC/tests/lib/system.sh"
. "$SRC/tests/lib/machine.sh"

port=3000
unit=pawl-web.service
file=/etc/systemd/system/$unit
show() { machine_exec systemctl show -P "$1" "$unit"; }
# shellcheck disable=SC2119
is_answer() { [ "$(answer)" = "$1" ] || fail "it answers \"$(answer)\", not \"$1\""; }
# shellcheck disable=SC2016
spec() { machine_exec sh -c 'cat >"/root/$1"' spec "$1"; }

machine_boot
for v in 1 2 3 4; do machine_put "$BUILD/examples/web-v$v" "/root/web-v$v"; done
machine_exec sh -c 'chmod 755 /root/web-v*'
expect 0 pawl init
machine_snapshot before

# ---- Secrets as files, only for the program.
spec web.yaml <<'END'
pawl: 1
source: /root/web-v1
version: v1
secrets: [DB_PASSWORD]
runtime: {credentials: true}
END
expect 0 machine_exec env DB_PASSWORD=s3cr3t-word pawl deploy /root/web.yaml
main=$(show MainPID)
[ "$(machine_exec nsenter -t "$main" -m cat "/run/credentials/$unit/DB_PASSWORD")" = s3cr3t-word ] || fail "the program does not get its secret"
expect 1 machine_exec grep -q s3cr3t "/proc/$main/environ"
expect 1 machine_exec grep -rq s3cr3t "$file" /etc/pawl/web/env /var/log/journal
[ "$(machine_exec stat -c '%U %a' /etc/pawl/web/secret-DB_PASSWORD)" = "root 600" ] || fail "the secret can be read"
expect 0 pawl inspect web
says_not s3cr3t-word

# ---- A word of the command is what the spec says, whatever stands in it.
spec words.yaml <<'END'
pawl: 1
kind: worker
source: /root/web-v1
version: v1
runtime: {exec: [/bin/sh, -c, "printf %s \"$1\" >{data}/word\nexec sleep 1000", words, "a\tb\nUser=root %h $HOME \\"]}
END
expect 0 pawl deploy /root/words.yaml
machine_exec sh -c "printf 'a\tb\nUser=root %%h \$HOME \\\\' | cmp - /var/lib/pawl-data/words/word" || fail "the program is given another word"
expect 0 pawl remove words -y --purge
machine_exec rm /root/words.yaml

# ---- Where nothing is left of a service, its output is still to be found.
machine_exec sh -c 'echo no program >/root/text && chmod 755 /root/text'
expect 1 pawl deploy /root/text -n text -v v1
told <<'END'
pawl: text: deploy v1 failed: systemd could not restart "pawl-text.service": it failed: the program exited with status 203 (it cannot be executed)
  put back: nothing is left of it
  try: See "journalctl -u pawl-text.service".
END
machine_exec journalctl -q -u pawl-text.service | grep -q 'status=203/EXEC' || fail "why it did not start is not to be found"
machine_exec rm /root/text

# ---- A drop-in counts and stays.
machine_exec mkdir "$file.d"
machine_exec sh -c "printf '[Service]\nEnvironment=FROM_DROP_IN=yes\n' >'$file.d/more.conf'"
expect 0 pawl restart web
says 'reload systemd'
machine_exec grep -zq '^FROM_DROP_IN=yes$' "/proc/$(show MainPID)/environ" || fail "the drop-in does not count"
expect 0 pawl check web
machine_exec sh -c "printf '[Service]\n' >'$file.d/first.conf'; : >'$file.d/notes.txt'"
expect 0 pawl status web
says "Drop-ins:    $file.d/first.conf"
says "             $file.d/more.conf"
says_not notes.txt
expect 0 pawl inspect web
says "$file.d/more.conf"
says_not FROM_DROP_IN
machine_exec rm "$file.d/first.conf" "$file.d/notes.txt"

# ---- A unit edited by hand: kept with a warning where it need not be written, in the way where it must.
machine_exec sed -i 's/^RestartSec=.*/RestartSec=1s/' "$file"
expect 0 pawl upgrade web --source /root/web-v2 -v v2
told <<'END'
  warning: file etc/systemd/system/pawl-web.service was edited by hand and is left as it is
END
machine_exec grep -q '^RestartSec=1s$' "$file" || fail "the edit is gone"
is_answer 'hello from v2'
expect 9 pawl check web
spec web.yaml <<'END'
pawl: 1
source: /root/web-v2
version: v2
secrets: [DB_PASSWORD]
runtime: {credentials: true, unit: {restart: always}}
END
expect 9 pawl apply /root/web.yaml
told <<'END'
pawl: file etc/systemd/system/pawl-web.service was edited by hand, and this would write over it
  try: Take the edit into the spec, or write over it with --overwrite.
END
is_answer 'hello from v2'
expect 0 pawl apply /root/web.yaml --overwrite
[ "$(show Restart)" = always ] || fail "the new spec does not count"
machine_exec test -e "$file.d/more.conf" || fail "the drop-in is gone"
expect 0 pawl check web

# ---- From one runtime to the other: refused.
machine_exec sh -c "sed -i 's/^runtime:.*/runtime: process/' /root/web.yaml"
expect 10 pawl apply /root/web.yaml
told <<'END'
pawl: /root/web.yaml: web runs under the runtime systemd and cannot be moved to process
  try: Remove it and deploy it again: its data is kept.
END
expect 0 pawl remove web -y --purge
machine_exec rm -r "$file.d" /root/web.yaml
machine_is_as before

# ---- A port that another program has.
machine_exec systemd-run -q --unit=taken.service python3 -m http.server -b 127.0.0.1 3000
wait_for 10 machine_exec curl -s http://127.0.0.1:3000/ || fail "the other program does not listen"
expect 1 pawl deploy /root/web-v1 -n web -v v1 -p 3000
told <<'END'
pawl: web: deploy v1 failed: port PORT is in use by another program (pid PID, python3)
  put back: nothing is left of it
  try: Choose another port, or stop that program.
END
machine_exec systemctl is-active -q taken.service || fail "the other program is gone"
machine_exec systemctl stop taken.service
machine_is_as before

# ---- A program that another one answers for: the unit runs, the port is somebody else's.
spec sleeper.yaml <<'END'
pawl: 1
source: /root/web-v1
version: v1
port: 3001
runtime: {exec: [/bin/sh, -c, "sleep 0.5; exec sleep 1000"], stop_timeout: 300ms}
health: {deadline: 2s}
END
(sleep 1 && machine_exec systemd-run -q --unit=taken.service python3 -m http.server -b 127.0.0.1 3001) &
expect 4 pawl deploy /root/sleeper.yaml
wait $! || true
told <<'END'
pawl: sleeper: deploy v1 failed: no good answer on 127.0.0.1:PORT for DUR: another program (pid PID, python3) has that port
  put back: nothing is left of it
  try: See "pawl logs sleeper"; what is slow to start needs a longer health.deadline in the spec.
END
machine_exec systemctl stop taken.service
machine_exec rm /root/sleeper.yaml
machine_is_as before

# ---- A program that cannot be executed: the start fails, not the health check.
spec broken.yaml <<'END'
pawl: 1
source: /root/web-v1
version: v1
runtime: {exec: [/nowhere/program]}
END
expect 1 pawl deploy /root/broken.yaml
told <<'END'
pawl: broken: deploy v1 failed: systemd could not restart "pawl-broken.service": it failed: the program exited with status 203 (it cannot be executed)
  put back: nothing is left of it
  try: See "journalctl -u pawl-broken.service".
END
machine_exec rm /root/broken.yaml
machine_is_as before

# ---- A program that does not listen to the polite signal is ended by the other one.
spec stubborn.yaml <<'END'
pawl: 1
source: /root/web-v1
version: v1
kind: worker
runtime: {exec: [/bin/sh, -c, "trap '' TERM; while :; do sleep 0.1; done"], stop_timeout: 500ms}
END
expect 0 pawl deploy /root/stubborn.yaml
expect 0 pawl stop stubborn
expect 0 pawl remove stubborn -y --purge
machine_exec rm /root/stubborn.yaml
machine_is_as before

# ---- The message bus dies in the middle; systemd executes itself anew in the middle.
expect 0 pawl deploy /root/web-v1 -n web -v v1
machine_exec systemctl kill --signal=KILL dbus.service
expect 0 pawl upgrade web --source /root/web-v2 -v v2
is_answer 'hello from v2'
machine_exec systemctl reset-failed dbus.service
machine_exec systemctl start dbus.service # as it was: nobody may have asked for it since
(sleep 0.1; machine_exec systemctl daemon-reexec) &
expect 0 pawl upgrade web --source /root/web-v4 -v v4
wait $! || true
is_answer 'hello from v4'
expect 0 pawl check web

# ---- No room for the unit file: put back, and the old one runs on.
machine_exec sh -c 'mkdir /root/units && cp -a /etc/systemd/system/. /root/units && mount -t tmpfs -o size=1m,mode=755 tmpfs /etc/systemd/system &&
        cp -a /root/units/. /etc/systemd/system && ! dd if=/dev/zero of=/etc/systemd/system/full bs=4k 2>/dev/null'
expect 1 pawl deploy /root/web-v1 -n other -v v1
told <<'END'
pawl: other: deploy v1 failed: could not write to "/etc/systemd/system/.pawl-TX-STEP": No space left on device
  put back: nothing is left of it
  try: Free some space or inodes on the file system, then run the command again.
END
machine_exec sh -c 'rm -r /root/units; umount /etc/systemd/system'
is_answer 'hello from v4'
expect 0 pawl check web
expect 0 pawl remove web -y --purge
machine_is_as before
say "edits, drop-ins, taken ports, stubborn programs and lost answers are told apart"
