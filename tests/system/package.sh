#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The Debian package in a machine with a real systemd: installed, it gives a working `pawl doctor` and recovery at boot; installed over itself, removed and
# purged, it touches nothing that runs and no data. Of the build that is tested, whatever its compiler.
. "$SRC/tests/lib/system.sh"
. "$SRC/tests/lib/machine.sh"
need dpkg-deb dpkg-shlibdeps
units="pawl-recover.service pawl-recover-late.service pawl-recover-late.timer pawl-apply.service pawl-apply.timer pawl-upgrade.service pawl-upgrade.timer"

deb=$(sh "$SRC/package/build" "$BUILD" "$dir/package") || fail "there is no package"
machine_boot
machine_exec rm -f /usr/local/bin/pawl /usr/sbin/policy-rc.d # the package's is meant; a machine of its own may start what it installs
machine_put "$deb" /root/pawl.deb

# A service that has nothing to do with it runs through all of this.
machine_exec systemd-run -q --unit=other sleep 1000
other=$(machine_exec systemctl show -P MainPID other)

is_enabled() { machine_exec systemctl is-enabled "$1" 2>/dev/null || true; }
expect 0 machine_exec apt-get install -q -y --no-install-recommends /root/pawl.deb
for unit in pawl-recover.service pawl-recover-late.service pawl-recover-late.timer; do
        [ "$(is_enabled $unit)" = enabled ] || fail "$unit is not enabled"
done
for unit in pawl-apply.timer pawl-upgrade.timer; do
        [ "$(is_enabled $unit)" = disabled ] || fail "$unit is $(is_enabled $unit)"
done
expect 0 machine_exec systemctl is-active pawl-recover-late.timer
# shellcheck disable=SC2086
expect 0 machine_exec systemd-analyze verify --man=yes $units
[ ! -s "$dir/all" ] || fail "systemd has something to say about the units"
expect 0 machine_exec dpkg --verify pawl
[ ! -s "$dir/all" ] || fail "what is installed is not what is in the package"
expect 0 machine_exec man -P cat pawl
says "pawl - deploys services as transactions"
expect 0 machine_exec sh -c 'man -P cat pawl.yaml && man -P cat pawl-spec'
expect 0 machine_exec bash -c '. /usr/share/bash-completion/completions/pawl; complete -p pawl'

expect 0 machine_exec pawl doctor
says "recovery"

expect 0 machine_exec pawl -q init
expect 0 machine_exec pawl doctor
says "ok       systemd: it runs this host"
says "ok       recovery: before the services, after them, and by a timer"
machine_exec sh -c 'printf "#!/bin/sh\nexec sleep 1000\n" >/root/tick && chmod +x /root/tick'
expect 0 machine_exec pawl deploy /root/tick --name tick --health none --user daemon
before=$(machine_exec pawl --json status tick | grep '"pid"')

# Once more over itself, then a boot.
expect 0 machine_exec dpkg -i /root/pawl.deb
[ "$(machine_exec pawl --json status tick | grep '"pid"')" = "$before" ] || fail "a new installation touched what runs"
machine_cut
machine_boot
expect 0 machine_exec systemctl is-active pawl-recover.service
wait_for 20 pawl status tick || fail "what was told to run does not run after a boot"
expect 0 machine_exec systemctl --failed --quiet
[ ! -s "$dir/out" ] || fail "something failed"

# Removed: everything it knows stays. Installed again: it goes on. Purged with a service in the way, and without.
tick=$(machine_exec pgrep -f 'sleep 1000' | head -n 1)
expect 0 machine_exec dpkg -r pawl
machine_exec test -d /var/lib/pawl/journal || fail "removing took the journal"
machine_exec test -e "/proc/$tick" || fail "removing ended a service"
expect 0 machine_exec dpkg -i /root/pawl.deb
expect 0 machine_exec pawl status tick
[ "$(is_enabled pawl-recover.service)" = enabled ] || fail "recovery is not enabled again"
expect 0 machine_exec dpkg -P pawl
says "services are left in /opt/pawl"
machine_exec test -d /var/lib/pawl/journal || fail "purging took the journal of a service that is there"
expect 0 machine_exec dpkg -i /root/pawl.deb
expect 0 machine_exec pawl remove tick
expect 0 machine_exec dpkg -P pawl
expect 1 machine_exec test -e /var/lib/pawl
expect 1 machine_exec test -e /etc/pawl
machine_exec test -d /var/lib/pawl-data/tick || fail "purging deleted data"
expect 0 machine_exec systemctl --failed --quiet
[ ! -s "$dir/out" ] || fail "something failed"
[ -n "$other" ]
say "installed, booted, removed, installed again, purged"
