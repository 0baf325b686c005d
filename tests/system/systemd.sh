#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A service under a real systemd, from its first deploy to its removal, after which the host is as it was before; and what is said and done when something
# fails on the way.
. "$SRC/tests/lib/system.sh"
. "$SRC/tests/lib/machine.sh"
exporter=/usr/bin/prometheus-node-exporter
[ -x "$exporter" ] || fail "there is no $exporter: install prometheus-node-exporter"

port=3000
unit=pawl-web.service
show() { machine_exec systemctl show -P "$1" "$unit"; }
# shellcheck disable=SC2119
is_answer() { [ "$(answer)" = "$1" ] || fail "it answers \"$(answer)\", not \"$1\""; }

machine_boot
for v in 1 2 3 4; do machine_put "$BUILD/examples/web-v$v" "/root/web-v$v"; done
machine_exec sh -c 'chmod 755 /root/web-v*'
expect 0 pawl init
machine_snapshot before

# ---- From deploy to remove.
expect 0 pawl deploy /root/web-v1 -n web -v v1
says '✓ web v1 deployed'
is_answer 'hello from v1'
[ "$(show ActiveState)" = active ] || fail "the unit is $(show ActiveState)"
machine_exec systemctl is-enabled -q "$unit" || fail "it would not start with the next boot"
machine_exec systemd-analyze verify "/etc/systemd/system/$unit" >out 2>&1 || fail "systemd complains about the unit file"
[ ! -s out ] || fail "systemd complains about the unit file"
main=$(show MainPID)
[ "$(machine_exec ps -o user= -p "$main")" = pawl-web ] || fail "it does not run as a user of its own"
machine_exec grep -q '^NoNewPrivs:.1$' "/proc/$main/status" || fail "it may gain rights"
machine_exec grep -q '^CapBnd:.0*$' "/proc/$main/status" || fail "it has capabilities"
[ "$(machine_exec stat -c '%U %a' /var/lib/pawl-data/web)" = "pawl-web 750" ] || fail "its data is not its own"
[ "$(machine_exec stat -c '%U %a' /etc/pawl/web/env)" = "root 600" ] || fail "its environment can be read"
expect 0 pawl list
says 'web   v1       3000  —      running'
expect 0 pawl status web
says "PID:         $main"
expect 0 pawl inspect web
says "=== $unit (/etc/systemd/system/$unit) ==="
expect 0 pawl logs web
says 'web v1 listens on port 3000'
expect 0 pawl check web

# An upgrade is one restart of the unit, and systemd need not read anything again.
expect 0 pawl upgrade web --source /root/web-v2 -v v2
says '✓ web upgraded v1 → v2'
says_not 'reload systemd'
is_answer 'hello from v2'

# One that fails goes back by itself, and shows what the program said last.
expect 4 pawl upgrade web --source /root/web-v3 -v v3
told <<'END'
pawl: web: upgrade v2 → v3 failed: no answer on 127.0.0.1:PORT: the program exited with status 1 after DUR
    web v3: cannot read the configuration: no such key "database"
  put back: v2 is running again; down DUR; nothing left over
  try: pawl logs web
END
is_answer 'hello from v2'
expect 0 pawl check web

expect 0 pawl rollback web
is_answer 'hello from v1'
expect 0 pawl stop web
expect 3 pawl status web
[ "$(machine_exec systemctl is-enabled "$unit")" = disabled ] || fail "a service that was told to stop would start with the next boot"
expect 0 pawl check web
expect 0 pawl start web
is_answer 'hello from v1'
expect 0 pawl restart web
is_answer 'hello from v1'
expect 0 pawl check web

# The next boot starts what was told to run, and only that.
expect 0 pawl deploy /root/web-v2 -n idle -v v2
expect 0 pawl stop idle
machine_cut
machine_boot
wait_for 5 answer || fail "it does not run after a power cut"
expect 0 pawl status web
expect 3 pawl status idle
expect 0 pawl recover
expect 3 pawl status idle

expect 0 pawl remove web -y --purge
expect 0 pawl remove idle -y --purge
machine_is_as before

# ---- A program from elsewhere, with arguments and limits.
machine_exec cp "$exporter" /root/exporter
machine_exec sh -c 'cat >/root/exporter.yaml' <<'END'
pawl: 1
source: /root/exporter
version: v1
runtime: {exec: [./exporter, "--web.listen-address=127.0.0.1:{port}", "--collector.textfile.directory={data}"], unit: {after: [network-online.target], restart_sec: 200ms}}
resources: {memory: 200MiB, cpu: 0.5}
env: {TRICKY: 'a "b" $c %d \e'}
health: {type: http, path: /metrics}
END
expect 0 pawl deploy /root/exporter.yaml
machine_exec curl -sf http://127.0.0.1:3000/metrics | grep -q '^node_load1' || fail "the program does not measure"
unit=pawl-exporter.service
[ "$(show MemoryMax)" = 209715200 ] || fail "MemoryMax is $(show MemoryMax)"
[ "$(show CPUQuotaPerSecUSec)" = 500ms ] || fail "CPUQuota is $(show CPUQuotaPerSecUSec)"
# shellcheck disable=SC2016 # as it is
machine_exec sh -c "tr '\\0' '\\n' <\"/proc/$(show MainPID)/environ\"" | grep -qxF 'TRICKY=a "b" $c %d \e' || fail "a variable does not arrive as it was written"
# It is started again when it dies.
main=$(show MainPID)
machine_exec kill -KILL "$main"
wait_for 5 machine_exec curl -sf http://127.0.0.1:3000/metrics || fail "it is not started again"
expect 0 pawl check exporter
expect 0 pawl remove exporter -y --purge
machine_exec rm /root/exporter /root/exporter.yaml
machine_is_as before

# ---- A deploy that fails leaves nothing.
expect 4 pawl deploy /root/web-v3 -n bad -v v3
told <<'END'
pawl: bad: deploy v3 failed: no answer on 127.0.0.1:PORT: the program exited with status 1 after DUR
    web v3: cannot read the configuration: no such key "database"
  put back: nothing is left of it
END
machine_is_as before
say "deployed, upgraded, put back, rolled back, stopped, started, cut, removed"
