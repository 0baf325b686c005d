#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints what a whole host is made of, a line per thing, sorted: files with mode, owner and content, users and groups, unit files and whether they are enabled,
# what runs and what failed, who listens, what nginx serves. Two prints are equal when nothing is left of what was done in between:
#
#   machine_exec sh /srv/src/tests/lib/snapshot.sh >before; ...; machine_exec sh /srv/src/tests/lib/snapshot.sh | diff before -
#
# Left out: pawl's own journal, logs, what systemd and the package manager keep for themselves, and the copies (passwd-, group-) that the programs which change
# users leave of the state before.
set -u
export LC_ALL=C

shape='file %p %m %u:%g'
listed() {
        find "$@" -type l -printf "$shape -> %l\n" -o -type f -printf "$shape %s\n" -o -printf "$shape %y\n"
}

# Content where pawl writes; elsewhere mode, owner and size say enough, and beyond a few levels nothing is pawl's.
files() {
        listed /home /opt /root /usr/local -xdev -maxdepth 3
        listed /etc /opt/pawl /var -xdev \( -path /var/lib/pawl -o -path /var/log -o -path /var/cache -o -path /var/tmp -o -path /var/lib/apt -o -path /var/lib/dpkg \
                -o -path /var/lib/systemd -o -path /var/lib/docker -o -path /var/lib/containerd -o -path /var/lib/private -o -path '/etc/*-' \) -prune -o
        find /etc /opt/pawl /var/lib/pawl-data -xdev -path '/etc/*-' -prune -o -type f -exec sha256sum '{}' + | sed 's/^/content /'
}

# nginx first: it makes folders for itself when it is asked.
everything() {
        [ ! -d /etc/nginx ] || nginx -T 2>/dev/null | sed 's/^/nginx /'
        files
        sed 's/^/user /' /etc/passwd
        sed 's/^/group /' /etc/group
        systemctl list-unit-files --plain --no-legend --no-pager | sed 's/^/unit-file /'
        systemctl list-units --all --plain --no-legend --no-pager --state=active,failed,activating --type=service,socket,timer,target |
                awk '{ print "unit", $1, $2, $3, $4 }'
        grep -h ' 0A ' /proc/net/tcp /proc/net/tcp6 | awk '{ print "listens", $2, $8 }'
}

everything | sort
