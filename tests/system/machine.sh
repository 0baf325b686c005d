#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The machine that other tests stand on: a real systemd that boots, keeps what was written over a power cut, and leaves nothing behind.
. "$SRC/tests/lib/system.sh"
. "$SRC/tests/lib/machine.sh"

mounts_before=$(wc -l </proc/mounts)
machine_boot
[ "$(machine_exec systemctl is-system-running)" = running ] || fail "it is not running"
[ "$(machine_exec ps -o comm= -p 1)" = systemd ] || fail "its first process is not systemd"
[ "$(machine_exec hostname)" = "$machine_name" ] || fail "it has not its own name"
expect 3 machine_exec sh -c 'exit 3'
first_boot=$(machine_exec cat /proc/sys/kernel/random/boot_id)
first_pid=$machine_pid

# A unit that is enabled, with a limit; what it writes to the journal and to the disk is there after the cut.
machine_exec sh -c 'cat >/etc/systemd/system/ticker.service' <<'END'
[Service]
ExecStart=/bin/sh -c 'echo tick; exec sleep 1000'
DynamicUser=yes
MemoryMax=30M
[Install]
WantedBy=multi-user.target
END
machine_exec systemctl enable -q --now ticker.service
machine_exec sh -c 'echo kept >/etc/kept; echo lost >/run/lost; journalctl --sync'
machine_exec journalctl -q -u ticker.service -o cat | grep -qx tick || fail "the unit's output is not in the journal"
expect 0 machine_exec pawl --version

machine_cut
[ ! -e "/proc/$first_pid" ] || fail "its first process outlives the cut"
machine_boot
[ "$(machine_exec cat /etc/kept)" = kept ] || fail "the disk is not kept"
expect 1 machine_exec test -e /run/lost
machine_exec systemctl is-active -q ticker.service || fail "what was enabled does not run again"
[ "$(machine_exec cat /proc/sys/kernel/random/boot_id)" != "$first_boot" ] || fail "it is not another boot"
machine_exec journalctl -q -b -1 -u ticker.service -o cat | grep -qx tick || fail "the journal of the boot before is lost"

# Two at a time, each with its own ports and files.
(
        # shellcheck disable=SC2030,SC2031 # on purpose: the first one's are still needed
        machine=$dir/second machine_name=$machine_name-second machine_holder=
        trap machine_remove EXIT
        machine_boot
        expect 1 machine_exec test -e /etc/kept
)
machine_exec systemctl is-active -q ticker.service || fail "one machine ends another"

# shellcheck disable=SC2031
holder=$machine_holder
machine_remove
[ ! -e "/proc/$holder" ] || fail "a process is left"
{ [ ! -e "$dir/machine" ] && [ ! -e "$dir/second" ]; } || fail "files are left"
[ "$(wc -l </proc/mounts)" -eq "$mounts_before" ] || fail "a mount is left"
# shellcheck disable=SC2031
[ -z "$(find /sys/fs/cgroup -maxdepth 2 -name "$machine_name*")" ] || fail "a cgroup is left"
