#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Booting after a power cut, with a real systemd: the machine's power goes at a crash point of a flow, it boots, and recovery runs by itself, early and late.
# The service that ran runs again, the host is not degraded, people are told once. And early recovery itself is cut, or dies.
#
# The points are a sample: PAWL_SEED=N repeats it, PAWL_POINTS=N takes more.
. "$SRC/tests/lib/system.sh"
. "$SRC/tests/lib/machine.sh"
seed=${PAWL_SEED:-$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')}
n_points=${PAWL_POINTS:-2}
runtime=${PAWL_RUNTIME:-$([ $((seed % 3)) -eq 0 ] && echo process || echo systemd)}
say "PAWL_SEED=$seed PAWL_RUNTIME=$runtime"

machine_boot
DESTDIR=$dir/tree cmake --install "$BUILD" --prefix /usr/local >/dev/null || fail "cannot be installed"
machine_exec rm -f /usr/local/bin/pawl /usr/local/bin/pawl-testing
(cd "$dir/tree" && tar -c usr/local/lib) | machine_exec tar -x -C /
# The program with crash points, or a wrapper that crashes where a file says so: what units run cannot be told by their environment.
machine_exec sh -c 'cat >/usr/local/bin/pawl && chmod +x /usr/local/bin/pawl' <<'END'
#!/bin/sh
case "$*" in *--early*) [ ! -e /etc/crash-early ] || . /etc/crash-early ;; esac
exec /srv/build/pawl-testing "$@"
END
machine_exec systemctl daemon-reload
machine_exec systemctl enable -q pawl-recover.service pawl-recover-late.service pawl-recover-late.timer
for v in 1 2; do machine_exec cp "/srv/build/examples/web-v$v" /root/; done
# shellcheck disable=SC2016 # its own argument
machine_exec sh -c 'printf "pawl: 1\nname: web\nversion: v1\nsource: /root/web-v1\nport: 3000\nruntime: {type: $1, user: daemon}\n" >/root/web.yaml' - "$runtime"
port=3000
expect 0 pawl -q apply /root/web.yaml
[ "$(answer $port)" = "hello from v1" ] || fail "v1 does not answer"

late() { machine_exec journalctl -b -q -o cat -u pawl-recover-late.service; }
late_ended() {
        [ "$(machine_exec systemctl show -P ActiveState pawl-recover-late.service)" != activating ] &&
                [ "$(machine_exec systemctl show -P ExecMainExitTimestampMonotonic pawl-recover-late.service)" != 0 ]
}
# Cuts, boots, and waits until late recovery has come to its end. The boot itself fails the test when the host is degraded.
reboot() {
        machine_cut
        machine_boot
        wait_for 30 late_ended || fail "late recovery did not end: $(machine_exec systemctl status pawl-recover-late.service || true)"
}
settled() {
        wait_for 10 answer $port || fail "nobody answers after the boot"
        [ "$(answer $port)" = "hello from $1" ] || fail "after the boot \"$(answer $port)\" answers, not $1"
        expect 0 pawl check web
        quiet
}
quiet() {
        expect 0 pawl recover
        says "Nothing to recover."
        [ -z "$(machine_exec ls -A /var/lib/pawl/open)" ] || fail "a mark is left"
}
version_now() { pawl status web 2>/dev/null | sed -n 's/^Version: *\([^ ]*\).*/\1/p'; }

# A boot without anything to say says nothing.
reboot
settled v1
! late | grep -q 'put back\|on hold' || fail "late recovery has something to say: $(late)"

! machine_exec journalctl -b -q -o cat _PID=1 | grep -q '^Reloading' || fail "systemd read its units again for nothing"

# Killed at a point of a flow, and the power goes with it. Before, the host is as v1; what is put back is told in one line, and what is done says nothing.
pick() { echo "$1" | tr ' ' '\n' | sed -n "$(($2 % $(echo "$1" | wc -w) + 1))p"; }
flows="upgrade rollback remove deploy"
points="intent-before:2 apply-before:2 apply-after:2 apply-after:3 apply-after:4 commit-before commit-after mark-end"
run() { # FLOW, with what stands before it done already
        case $1 in
        upgrade) set -- upgrade web --source /root/web-v2 --version v2 --retry ;;
        rollback) set -- rollback web ;;
        remove) set -- remove web ;;
        deploy) set -- deploy /root/web.yaml ;;
        esac
        machine_exec env PAWL_CRASH_AT="$at" /srv/build/pawl-testing -q "$@" >"$dir/flow" 2>&1 || true
}
n=0
while [ $n -lt "$n_points" ]; do
        at=$(pick "$points" $((seed / 4 + n * 3)))
        flow=$(pick "$flows" $((seed + n)))
        case $flow in
        rollback) expect 0 pawl -q upgrade web --source /root/web-v2 --version v2 --retry ;;
        deploy) expect 0 pawl -q remove web ;;
        esac
        old=$(version_now)
        run "$flow"
        reboot
        new=$(version_now)
        if [ -n "$new" ]; then
                settled "$new"
        else
                quiet
                [ -z "$(answer $port)" ] || fail "$flow, $at: it is removed, and answers"
        fi
        lines=$(late | grep -c "^web .* put back .* after a power cut ($flow" || true)
        [ "$new" != "$old" ] || [ "$lines" -eq 1 ] || fail "$flow, $at: it was told $lines times that it was put back: $(late)"
        [ "$new" = "$old" ] || [ "$lines" -eq 0 ] || fail "$flow, $at: it was told that it was put back, and is done: $(late)"
        say "$flow cut at $at: ${old:-nothing} → ${new:-nothing}"
        expect 0 pawl -q apply --retry /root/web.yaml
        n=$((n + 1))
done
settled v1

# What `start` enabled before the power went is put back, and the boot that had read it does not start it.
expect 0 pawl -q stop web
machine_exec env PAWL_CRASH_AT=commit-before /srv/build/pawl-testing -q start web >"$dir/flow" 2>&1 || true
reboot
[ -z "$(answer $port)" ] || fail "a start that was put back runs after the boot"
expect 0 pawl check web
quiet
late | grep -q '^web  v1  stopped  put back .* (start to v1' || fail "it was not told that it stands still: $(late)"
expect 0 pawl -q start web
settled v1
say "a start that is put back stays down"

# Early recovery is cut in the middle, boots again, and dies there three times: it is held, people are told, and the host is up all the same.
machine_exec env PAWL_CRASH_AT=commit-before /srv/build/pawl-testing -q upgrade web --source /root/web-v2 --version v2 --retry >"$dir/flow" 2>&1 || true
machine_exec sh -c 'echo "export PAWL_CRASH_AT=revert-before" >/etc/crash-early'
reboot
machine_exec rm /etc/crash-early
settled v1
say "early recovery died: late recovery did its work"

# The power goes again while early recovery is at work.
machine_exec env PAWL_CRASH_AT=commit-before /srv/build/pawl-testing -q upgrade web --source /root/web-v2 --version v2 --retry >"$dir/flow" 2>&1 || true
machine_exec sh -c 'cat >/etc/crash-early' <<'END'
PAWL_CRASH_AT=revert-before /srv/build/pawl-testing "$@"
touch /run/early-died
exec sleep 1000
END
machine_cut
machine_power_on
wait_for 20 machine_exec test -e /run/early-died || fail "early recovery does not come to its crash point"
machine_exec rm /etc/crash-early
reboot
settled v1
say "the power went in the middle of early recovery, and the next boot did it"

# A service with a mark: systemd reads its units again before they may start.
machine_exec env PAWL_CRASH_AT=commit-before /srv/build/pawl-testing -q upgrade web --source /root/web-v2 --version v2 --retry >"$dir/flow" 2>&1 || true
machine_exec touch /var/lib/pawl/open/web
reboot
settled v1
machine_exec journalctl -b -q -o cat _PID=1 | grep -q '^Reloading' || fail "systemd did not read its units again"
say "early recovery has systemd read again what was put back"

# A service with a unit, by hand: its mark keeps it down until its files are whole.
machine_exec sh -c 'cat >/etc/systemd/system/marked.service' <<'END'
[Unit]
After=pawl-recover.service
ConditionPathExists=|!/var/lib/pawl/open/marked
ConditionPathExists=|/run/pawl/whole/marked
[Service]
ExecStart=sleep 1000
[Install]
WantedBy=multi-user.target
END
machine_exec systemctl enable -q --now marked.service
machine_exec touch /var/lib/pawl/open/marked
machine_exec sh -c 'echo "kill -KILL \$\$" >/etc/crash-early'
reboot
expect 3 machine_exec systemctl is-active marked.service
machine_exec sh -c 'rm /etc/crash-early; touch /var/lib/pawl/open/marked'
reboot
expect 0 machine_exec systemctl is-active marked.service
expect 1 machine_exec test -e /var/lib/pawl/open/marked
say "a mark keeps a unit down when early recovery dies, and goes when nothing is open"

# Somebody is told by webhook, once per boot: of what was put back, and of what is on hold.
machine_exec sh -c 'cat >/root/hooks.py' <<'END'
import http.server

class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with open("/var/log/hooks", "ab") as log:
            log.write(body + b"\n")
        self.send_response(204)
        self.end_headers()

http.server.HTTPServer(("127.0.0.1", 8099), Hook).serve_forever()
END
machine_exec sh -c 'cat >/etc/systemd/system/hooks.service' <<'END'
[Unit]
Before=multi-user.target
[Service]
ExecStart=python3 /root/hooks.py
ExecStartPost=sh -c 'until curl -s -o /dev/null http://127.0.0.1:8099/; do sleep 0.05; done'
[Install]
WantedBy=multi-user.target
END
machine_exec systemctl daemon-reload
machine_exec systemctl enable -q --now hooks.service
machine_exec sh -c 'echo "notify: {url: \"http://127.0.0.1:8099/\"}" >>/etc/pawl/pawl.yaml'
told() { machine_exec grep -c "\"event\": *\"recovered\".*\"result\": *\"$1\"" /var/log/hooks || true; }
machine_exec env PAWL_CRASH_AT=commit-before /srv/build/pawl-testing -q upgrade web --source /root/web-v2 --version v2 --retry >"$dir/flow" 2>&1 || true
reboot
settled v1
[ "$(told 'put back')" -eq 1 ] || fail "the webhook is not told once of what was put back: $(machine_exec cat /var/log/hooks)"
machine_exec systemctl start pawl-recover-late.service
[ "$(told 'put back')" -eq 1 ] || fail "the webhook is told again"

# What somebody else made since cannot be put back: it is left, on hold, and said at each boot once.
machine_exec env PAWL_CRASH_AT=apply-after:3 /srv/build/pawl-testing -q upgrade web --source /root/web-v2 --version v2 --retry >"$dir/flow" 2>&1 || true
current=$(machine_exec readlink /opt/pawl/web/current)
machine_exec ln -sfn releases/elsewhere /opt/pawl/web/current
reboot
late | grep -q '^web .* on hold .* after a power cut (upgrade to v2' || fail "a hold is not said: $(late)"
[ "$(told 'on hold')" -eq 1 ] || fail "the webhook is not told of a hold: $(machine_exec cat /var/log/hooks)"
machine_exec systemctl start pawl-recover-late.service
[ "$(told 'on hold')" -eq 1 ] || fail "the webhook is told of the same hold again"
[ "$(machine_exec readlink /opt/pawl/web/current)" = releases/elsewhere ] || fail "what somebody else made is gone"
machine_exec ln -sfn "$current" /opt/pawl/web/current
expect 0 pawl recover
settled v1
say "a webhook is told once of what was put back, and of what is on hold"

# A configuration with a mistake does not keep a service down: early recovery needs the journal alone. All else waits for whoever made the mistake.
if [ "$runtime" = systemd ]; then
        machine_exec env PAWL_CRASH_AT=commit-before /srv/build/pawl-testing -q upgrade web --source /root/web-v2 --version v2 --retry >"$dir/flow" 2>&1 || true
        machine_exec sh -c 'echo "ports: {rnage: [1, 2]}" >>/etc/pawl/pawl.yaml'
        machine_cut
        machine_power_on
        wait_for 30 late_ended || fail "late recovery did not end"
        wait_for 10 answer $port || fail "nobody answers after the boot"
        [ "$(answer $port)" = "hello from v1" ] || fail "after the boot \"$(answer $port)\" answers, not v1"
        machine_exec journalctl -b -q -o cat -u pawl-recover.service | grep -q 'there is no key "ports.rnage"; going on with the defaults' ||
                fail "early recovery does not say that the configuration cannot be read"
        expect 10 pawl upgrade web --source /root/web-v2 --version v2
        machine_exec sed -i '/rnage/d' /etc/pawl/pawl.yaml
        expect 0 pawl recover
        settled v1
        say "a mistake in the configuration does not keep a service down"
fi
