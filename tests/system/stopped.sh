#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Services that do not run: told to stop, crashed, killed by a reboot. A reboot is the end of a PID namespace and the beginning of another, which is what
# pawl calls a boot (with the kernel's boot id).
. "$SRC/tests/lib/system.sh"
need curl
for v in 1 2 3; do cp "$BUILD/examples/web-v$v" .; done
printf 'pawl: 1\nname: web\nversion: v1\nsource: ./web-v1\n' >web.yaml
pid_of() { pawl --json status web | sed -n 's/^ *"pid": *\([0-9]*\),*$/\1/p'; }

# Told to stop.
expect 0 pawl apply web.yaml
expect 0 pawl stop web
says "web stopped"
expect 0 pawl stop web
says "No changes"
expect 0 pawl upgrade web --source ./web-v2 --version v2
says "web upgraded v1 → v2 (stopped; not started)"
[ -z "$(programs)" ] || fail "the upgrade started what was stopped"
expect 3 pawl status web
says "Status:      stopped"
expect 0 pawl --json list
says '"state": "stopped"'
expect 0 pawl recover
[ -z "$(programs)" ] || fail "recover started what was stopped"
expect 0 pawl rollback web
says "(stopped; not started)"
expect 0 pawl upgrade web --source ./web-v2 --version v2 --retry
expect 0 pawl start web
says "web started"
[ "$(answer)" = "hello from v2" ] || fail "v2 does not answer after start"
expect 0 pawl check web
say "stopped: upgraded and rolled back without being started, then started as v2"

# Crashed.
kill -KILL "$(pid_of)"
wait_for 5 sh -c "! '$PAWL' --root '$root' status web" || fail "status does not see that it died"
expect 3 pawl status web
says "Status:      failed"
expect 0 pawl list
says failed
sed 's/v1/v2/g' web.yaml >v2.yaml
expect 0 pawl plan v2.yaml
says "restart web"
expect 0 pawl apply v2.yaml
says_not "No changes"
[ "$(answer)" = "hello from v2" ] || fail "apply did not start it again"
expect 0 pawl apply v2.yaml
says "No changes"
kill -KILL "$(pid_of)"
wait_for 5 sh -c "! '$PAWL' --root '$root' status web" || fail "status does not see that it died"
expect 0 pawl restart web
[ "$(answer)" = "hello from v2" ] || fail "restart did not start it again"
kill -KILL "$(pid_of)"
wait_for 5 sh -c "! '$PAWL' --root '$root' status web" || fail "status does not see that it died"
expect 4 pawl upgrade web --source ./web-v3 --version v3
expect 0 pawl remove web --purge --yes
[ -z "$(programs)" ] || fail "a program is left"
say "crashed: seen by status and list; started again by apply and restart"

# Rebooted.
[ "$(id -u)" -eq 0 ] || skip "the reboot needs root for a PID namespace"
unshare --pid --fork --mount-proc true 2>/dev/null || skip "the reboot needs a PID namespace"
cat >boot.sh <<'END'
set -eu
pawl() { "$PAWL" --root "$root" --set "ports.range=[$port,$port_end]" "$@"; }
case $1 in
deploy)
        pawl apply "$dir/web.yaml"
        pawl deploy "$dir/web-v1" --name halted
        pawl stop halted
        curl -s "http://127.0.0.1:$port/"
        ;;
interrupted)
        pawl recover >/dev/null
        sed "s/v1/v4/g" "$dir/web.yaml" >"$dir/v4.yaml"
        cp "$BUILD/examples/web-v4" "$dir/"
        pawl apply "$dir/v4.yaml" &
        until [ "$(readlink "$root/opt/pawl/web/current")" = releases/v4 ]; do sleep 0.05; done
        sleep 0.5
        kill -KILL $!
        ;;
look)
        pawl list
        pawl status web || true
        ;;
recover)
        pawl list
        pawl recover
        curl -s "http://127.0.0.1:$port/"
        pawl list
        pawl check web
        pawl recover
        ;;
esac
END
# The namespace ends with its first process, and with it everything that was started in it.
boot() { env root="$root" dir="$dir" port="$port" port_end="$port_end" unshare --pid --fork --kill-child --mount-proc sh "$dir/boot.sh" "$1"; }
sleep 0.1
expect 0 boot deploy
says "hello from v1"
# shellcheck disable=SC2016
wait_for 5 sh -c '! curl -s "http://127.0.0.1:$1/"' sh "$port" || fail "the reboot left the program"
expect 0 boot look
says_not "✓"
grep -q "^web .*running" "$dir/out" && fail "list says that it runs after a reboot"
expect 0 boot recover
says "web started"
says "hello from v1"
says_not "halted started"
grep -q "^halted .*stopped" "$dir/out" || fail "what was told to stop is not stopped after the reboot"
grep -q "^web .*running" "$dir/out" || fail "list does not say that it runs"
says "Nothing to recover."
say "rebooted: recover starts what was told to run, says so, and leaves what was stopped"

expect 0 boot interrupted
expect 0 boot recover
says "hello from v1"
[ "$(readlink "$root/opt/pawl/web/current")" = releases/v1 ] || fail "current does not lead to v1"
expect 0 boot look
expect 0 pawl journal verify
expect 0 pawl remove web --purge --yes
expect 0 pawl remove halted --purge --yes
[ -z "$(programs)" ] || fail "a program is left"
say "rebooted in the middle of an upgrade: v1 is back and runs"
