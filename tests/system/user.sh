#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The user a service gets: made and removed with it, told from one that somebody else made, and never with a number that another service had.
. "$SRC/tests/lib/system.sh"
. "$SRC/tests/lib/machine.sh"

port=3000
uid_of() { machine_exec id -u "$1"; }

machine_boot
machine_put "$BUILD/examples/web-v1" /root/web-v1
machine_put "$BUILD/examples/web-v3" /root/web-v3
machine_exec chmod 755 /root/web-v1 /root/web-v3
expect 0 pawl init

# ---- Somebody else's, user or group, stays.
machine_exec useradd --system --comment "a person's" pawl-web
machine_snapshot before
expect 1 pawl deploy /root/web-v1 -n web -v v1
says 'the user or group "pawl-web" is there already, and pawl did not make it'
says 'runtime.user'
machine_is_as before
machine_exec userdel pawl-web
machine_exec groupadd --system pawl-web
machine_snapshot before
expect 1 pawl deploy /root/web-v1 -n web -v v1
machine_is_as before
machine_exec groupdel pawl-web

# ---- One that the spec names is used and not touched.
machine_exec useradd --system --user-group operator-web
machine_snapshot before
machine_exec sh -c 'cat >/root/web.yaml' <<'END'
pawl: 1
source: /root/web-v1
version: v1
runtime: {user: operator-web}
END
expect 0 pawl deploy /root/web.yaml
[ "$(machine_exec ps -o user= -p "$(machine_exec systemctl show -P MainPID pawl-web)")" = operator-web ] || fail "it runs as somebody else"
expect 0 pawl remove web -y --purge
machine_exec rm /root/web.yaml
machine_is_as before
machine_exec userdel operator-web

# ---- The number stays the service's: with the data it left, and never for another.
machine_snapshot before
expect 0 pawl deploy /root/web-v1 -n web -v v1
first=$(uid_of pawl-web)
expect 0 pawl remove web -y
expect 1 machine_exec id pawl-web
[ "$(machine_exec stat -c %u /var/lib/pawl-data/web)" = "$first" ] || fail "the data belongs to somebody else"
expect 0 pawl deploy /root/web-v1 -n other -v v1
[ "$(uid_of pawl-other)" != "$first" ] || fail "the number of one service is given to another"
expect 0 pawl deploy /root/web-v1 -n web -v v1
[ "$(uid_of pawl-web)" = "$first" ] || fail "the service does not get its number back"
[ "$(machine_exec stat -c %U /var/lib/pawl-data/web)" = pawl-web ] || fail "the service has lost its data"

# ---- Changed by hand: seen, and not taken for ours.
machine_exec usermod --comment "taken over" pawl-other
expect 9 pawl check other
says 'the user "pawl-other" is not as pawl made it'
expect 9 pawl remove other -y
says 'the user "pawl-other" is not the one pawl made'
says 'put back'
expect 0 pawl status other
tag=$(machine_exec getent passwd pawl-web | cut -d: -f5 | sed 's/-.*/-1/')
machine_exec usermod --comment "$tag" pawl-other
expect 0 pawl remove other -y --purge
expect 0 pawl remove web -y --purge
machine_is_as before

# ---- Its number went to somebody else while it was not there: it gets another and keeps that; its data is not mixed with theirs.
machine_exec groupadd --system --gid "$first" operator-late
machine_exec useradd --system --uid "$first" --gid "$first" operator-late
expect 0 pawl deploy /root/web-v1 -n web -v v1
second=$(uid_of pawl-web)
[ "$second" != "$first" ] || fail "two users have the number $first"
machine_exec userdel operator-late
expect 0 pawl restart web
expect 0 pawl remove web -y
expect 0 pawl deploy /root/web-v1 -n web -v v1
[ "$(uid_of pawl-web)" = "$second" ] || fail "the service has its first number back, which its data does not belong to"
expect 0 pawl remove web -y
machine_exec groupadd --system --gid "$second" operator-late
machine_snapshot held
expect 1 pawl deploy /root/web-v1 -n web -v v1
says "the number $second, to which the data in /var/lib/pawl-data/web belongs, is now that of \"operator-late\""
says "name a user in runtime.user"
machine_is_as held
machine_exec groupdel operator-late
expect 0 pawl remove web -y --purge
machine_is_as before

# ---- The files of users are locked by somebody who goes on; by one who died with the power, whose number the first process of this boot has.
machine_exec sh -c 'printf %s $$ >/etc/group.lock; sleep 3; rm /etc/group.lock' &
wait_for 5 machine_exec test -s /etc/group.lock
expect 0 pawl deploy /root/web-v1 -n web -v v1
wait $!
machine_exec sh -c 'for file in passwd group; do printf 1 >/etc/$file.lock; touch -d "1 day ago" /etc/$file.lock; done'
expect 0 pawl remove web -y --purge
machine_is_as before

# ---- A deploy that fails takes the user with it.
expect 4 pawl deploy /root/web-v3 -n bad -v v3
machine_is_as before
say "made, kept apart, and removed"
