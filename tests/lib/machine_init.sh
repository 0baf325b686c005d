#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The first program of a test machine (tests/lib/machine.sh): runs as PID 1 of its namespaces, makes the machine's root, and becomes its systemd.
#
#   machine_init.sh STATE NAME BUILD SRC SOLID HOLLOW
#
# STATE holds disk/ (what the machine has changed, kept over cuts), root/ (where the root is put together) and cgroups (a line per hierarchy:
# how it is mounted). All mounts are of this mount namespace and end with it.
set -eu
state=$1 name=$2 build=$3 src=$4 solid=$5 hollow=$6
root=$state/root disk=$state/disk

# What is enabled on the host would start in the machine as well: a test enables what it is about. Links to init scripts become kill links instead of
# going away, or enabling such a unit fails.
nothing_enabled() {
        for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer man-db.timer e2scrub_all.timer e2scrub_reap.service \
                systemd-timesyncd.service systemd-tmpfiles-clean.timer console-getty.service getty@.service getty.target \
                systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-sysusers.service systemd-modules-load.service \
                systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket systemd-udev-trigger.service \
                kmod-static-nodes.service machines.target dev-hugepages.mount sys-fs-fuse-connections.mount sys-kernel-debug.mount \
                sys-kernel-tracing.mount sys-kernel-config.mount; do
                ln -sfn /dev/null "$root/etc/systemd/system/$unit"
        done
        rm -f "$root"/etc/systemd/system/*.wants/*
        for script in "$root"/etc/rc[2-5S].d/S*; do
                [ ! -e "$script" ] || mv -f "$script" "${script%/*}/K${script##*/S}"
        done
}

# Once in the life of a machine.
prepare() {
        mkdir -p "$root/etc/systemd/system" "$root/etc/systemd/journald.conf.d" "$root/var/log/journal" "$root/srv/build" "$root/srv/src"
        nothing_enabled
        printf '[Journal]\nSystemMaxUse=16M\nSystemMaxFileSize=2M\nRuntimeMaxUse=8M\n' >"$root/etc/systemd/journald.conf.d/small.conf"
        rm -f "$root/etc/machine-id" # the host's
        tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
        echo "$name" >"$root/etc/hostname"
        : >"$root/etc/fstab"
        for program in pawl pawl-testing; do
                ln -sfn "/srv/build/$program" "$root/usr/local/bin/$program"
        done
        for folder in $solid; do
                copied "$folder" -xdev
        done
        for folder in $hollow; do
                copied "$folder" -xdev -maxdepth 3 '(' -type d -o -type l ')'
        done
        touch "$state/prepared"
}

# copied FOLDER FIND-EXPRESSION...: onto the disk itself, as it is.
copied() {
        folder=${1#/}
        shift
        (cd "$root" && find "$folder" "$@" -print0 | tar -c --no-recursion --null -T - 2>/dev/null) | tar -x -C "$disk"
}

mount_devices() {
        mount -t tmpfs -o mode=755,nosuid tmpfs "$root/dev"
        mkdir "$root/dev/pts" "$root/dev/shm"
        mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5,nosuid,noexec devpts "$root/dev/pts"
        mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/dev/shm"
        ln -s pts/ptmx "$root/dev/ptmx"
        ln -s /proc/self/fd "$root/dev/fd"
        for stream in 0:stdin 1:stdout 2:stderr; do
                ln -s "fd/${stream%:*}" "$root/dev/${stream#*:}"
        done
        for device in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
                number=${device#*:}
                mknod -m 666 "$root/dev/${device%%:*}" c "${number%:*}" "${number#*:}"
        done
}

# The view of the cgroup namespace: each hierarchy begins at the machine's own folder.
mount_cgroups() {
        if [ "$(wc -l <"$state/cgroups")" -eq 1 ]; then
                mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$root/sys/fs/cgroup"
                return
        fi
        mount -t tmpfs -o mode=755,nosuid,nodev,noexec tmpfs "$root/sys/fs/cgroup"
        while read -r folder; do
                controllers=${folder##*/}
                mkdir "$root/sys/fs/cgroup/$controllers"
                case $controllers in
                unified) mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup/$controllers" ;;
                systemd) mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/$controllers" ;;
                *) mount -t cgroup -o "$controllers" cgroup "$root/sys/fs/cgroup/$controllers" ;;
                esac
        done <"$state/cgroups"
        mount -o remount,ro "$root/sys/fs/cgroup"
}

# /proc/sys read-only, or the machine's boot writes the host's settings.
mount_kernel() {
        mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
        mount --bind "$root/proc/sys" "$root/proc/sys"
        mount --bind "$root/proc/sys/net" "$root/proc/sys/net"
        mount -o remount,bind,ro "$root/proc/sys"
        mount -t sysfs -o nosuid,nodev,noexec,ro sysfs "$root/sys"
}

# The kernel has one boot id for all its namespaces; each boot of a machine has its own.
new_boot() {
        cat /proc/sys/kernel/random/uuid >"$root/run/boot_id"
        mount --bind "$root/run/boot_id" "$root/proc/sys/kernel/random/boot_id"
}

mount -t overlay -o "lowerdir=/,upperdir=$disk/upper,workdir=$disk/work" machine "$root"
[ -e "$state/prepared" ] || prepare
for folder in $solid $hollow; do
        mount --bind "$disk$folder" "$root$folder"
done
mount --bind "$build" "$root/srv/build"
mount --bind "$src" "$root/srv/src"
mount_kernel
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$root/run"
new_boot
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/tmp"
mount_devices
mount_cgroups
hostname "$name"
ip link set lo up
cd "$root"
pivot_root . mnt
# Shared, as systemd makes it on a host of its own and counts on: what it mounts for a unit (credentials) is to be seen there.
# shellcheck disable=SC2016 # of the machine, not of the host
exec chroot . /bin/sh -c 'umount -l /mnt && mount --make-rshared / && exec env -i container=pawl-test "container_uuid=$(cat /etc/machine-id)" \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
        /lib/systemd/systemd --system --unit=multi-user.target --show-status=no'
