# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# A machine for tests/system/*.sh: a real systemd as PID 1 of its own namespaces, on an overlay of this host's root. Source it behind system.sh:
#
#   . "$SRC/tests/lib/system.sh"
#   . "$SRC/tests/lib/machine.sh"
#   machine_boot                 until `systemctl is-system-running` says so; fails when it says anything but "running" (half a second)
#   machine_power_on             the same, without waiting for more than a systemd that answers
#   machine_exec COMMAND...      runs it inside, as root, with a clean environment; stdin, output and status are its own
#   machine_cut                  the power goes: its PID 1 is killed and the kernel ends everything in it at once; machine_boot boots it again
#   machine_remove               cut, and everything it had is gone; done by itself at the end of a test
#   machine_put FILE PATH        copies a file of the test into the machine
#   machine_snapshot FILE        what the machine is made of (tests/lib/snapshot.sh); machine_is_as FILE fails with the difference to now
#
# Inside, /srv/build and /srv/src are the build's and the project's folders, `pawl` and `pawl-testing` are in the path, nothing but the system itself is
# enabled, and the network is a loopback of its own: every port is free. /run and /tmp are lost by a cut, all else is kept. What a cut does not lose is what
# was written but not synced, since the host's memory outlives it.
# What the machine changes lies in $machine/disk, which may be a file system of its own, mounted there before the first boot. Folders named in $machine_solid
# ("/etc /opt") are then no overlays but folders of that file system; of those named in $machine_hollow only their own folders are taken over, without files.
# `pawl`, `field` and `answer` of system.sh are about the machine's root from here on; $port need not be looked for.
#
# The machine's processes, mounts, network and cgroups are its own and go with it, so several may run at a time.
need_root
need unshare nsenter pivot_root ip pgrep
[ -x /lib/systemd/systemd ] || fail "there is no /lib/systemd/systemd: install systemd and dbus"

# shellcheck disable=SC2154 # of system.sh
machine=$dir/machine
machine_name=$(basename "$dir" | tr ._ --)
at_exit="machine_remove ${at_exit:-}"
machine_solid='' machine_hollow=''

# The folder of each cgroup hierarchy of the host: one where there is only version 2.
machine_hierarchies() {
        if [ -e /sys/fs/cgroup/cgroup.procs ]; then
                echo /sys/fs/cgroup
                return
        fi
        for folder in /sys/fs/cgroup/*; do
                [ -L "$folder" ] || [ ! -e "$folder/cgroup.procs" ] || echo "$folder"
        done
}

# A cpuset has no processors until it is told.
machine_make_cgroups() {
        while read -r folder; do
                mkdir -p "$folder/$machine_name"
                for set in cpuset.cpus cpuset.mems; do
                        [ ! -e "$folder/$machine_name/$set" ] || [ "${folder##*/}" != cpuset ] || cat "$folder/$set" >"$folder/$machine_name/$set"
                done
                [ "${folder##*/}" != cpuset ] || echo 1 >"$folder/$machine_name/cgroup.clone_children"
        done <"$machine/cgroups"
}

# Only when its last process is gone does the kernel let a cgroup go.
machine_remove_cgroups() {
        while read -r folder; do
                wait_for 5 machine_remove_cgroup "$folder/$machine_name" || echo "a cgroup is left: $folder/$machine_name" >&2
        done <"$machine/cgroups"
}
machine_remove_cgroup() {
        [ ! -d "$1" ] || find "$1" -depth -type d -exec rmdir '{}' ';'
        [ ! -d "$1" ]
}

# Runs in a subshell that enters the machine's cgroups and becomes its namespaces' first program.
machine_start() {
        while read -r folder; do
                sh -c 'echo $PPID' >"$folder/$machine_name/cgroup.procs"
        done <"$machine/cgroups"
        exec setsid unshare --pid --fork --mount --uts --ipc --net --cgroup --propagation private --kill-child=KILL \
                sh "$SRC/tests/lib/machine_init.sh" "$machine" "$machine_name" "$BUILD" "$SRC" "$machine_solid" "$machine_hollow" </dev/null >"$machine/console" 2>&1
}

# Its PID 1 as the host numbers it, as soon as that is systemd on the machine's root and answers.
machine_is_up() {
        machine_pid=$(pgrep -P "$machine_holder" -x systemd) && [ -S "/proc/$machine_pid/root/run/systemd/private" ]
}

machine_power_on() {
        mkdir -p "$machine/disk/upper" "$machine/disk/work" "$machine/root"
        machine_hierarchies >"$machine/cgroups"
        machine_make_cgroups
        machine_start &
        machine_holder=$!
        wait_for 20 machine_is_up || fail "the machine does not boot: $(cat "$machine/console")"
        machine_pid=$(pgrep -P "$machine_holder" -x systemd)
}

machine_boot() {
        machine_power_on
        machine_is_running=$(machine_exec timeout 60 systemctl is-system-running --wait || true)
        [ "$machine_is_running" = running ] || {
                machine_exec systemctl --failed --no-pager || true
                fail "the machine is \"$machine_is_running\", not \"running\""
        }
}

machine_exec() {
        nsenter --target "$machine_pid" --mount --uts --ipc --net --pid --cgroup --root --wd -- env -i HOME=/root TERM=dumb LANG=C.UTF-8 TZ=UTC \
                PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
                ASAN_OPTIONS="${ASAN_OPTIONS:-}" UBSAN_OPTIONS="${UBSAN_OPTIONS:-}" "$@"
}

# Waiting for the holder is waiting for the kernel to have ended everything in the machine.
machine_cut() {
        kill -KILL "$machine_pid"
        wait "$machine_holder" 2>/dev/null || true
        machine_holder=
}

machine_remove() {
        [ -z "${machine_holder:-}" ] || machine_cut
        [ ! -e "$machine/cgroups" ] || machine_remove_cgroups
        rm -rf "$machine"
}

# shellcheck disable=SC2016 # its own arguments
machine_put() { machine_exec sh -c 'mkdir -p "$(dirname "$1")" && cat >"$1"' put "$2" <"$1"; }

machine_snapshot() { machine_exec sh /srv/src/tests/lib/snapshot.sh >"$1"; }
machine_is_as() {
        machine_snapshot "$dir/now"
        diff -u "$1" "$dir/now" >"$dir/out" || fail "the machine is not as it was"
}

pawl() { machine_exec pawl "$@"; }
# shellcheck disable=SC2154 # a test sets it
answer() { machine_exec curl -s --max-time 5 "http://127.0.0.1:${1:-$port}/"; }
