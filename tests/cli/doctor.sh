#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# init and doctor, whole: on nothing, after init, and where something is wrong. What each hint says puts it right.
. "$SRC/tests/lib/cli.sh"
# What differs from host to host: whose user, which file system, how much room, which LMDB.
plain() {
        sed -i -E -e 's/^(ok|warning) +file system: .*/FILE SYSTEM/' -e 's/ [0-9.]+ [KMGT]iB/ SIZE/g' -e 's/LMDB [0-9.]+/LMDB/' -e 's/of [0-9]+ keys/of N keys/' \
                -e 's/all [0-9]+ kinds/all N kinds/' \
                -e 's/^ok +(rights|nginx): .*/ok       \1/' -e '/ext4, xfs and btrfs are/d' "$T/out"
}

run doctor
status 0
plain
out <<'END'
ok       version: pawl 0.1.0
ok       rights
FILE SYSTEM
ok       free space: SIZE free
ok       clock: TIME
ok       systemd: not for a root of its own; pawl starts programs itself
ok       nginx
ok       recovery: not for a root of its own: run "pawl recover" after a power cut
ok       configuration: 1 of N keys set, the others at their defaults
ok       directories: not made yet
ok       managers: all N kinds of artifacts can be made
ok       seal key: not made yet
ok       journal: none yet; "pawl init" or the first deploy makes it
ok       database: no journal is open
ok       transactions: every transaction is settled
ok       ports: PORT to PORT, 0 in use
END
err </dev/null
check "doctor makes nothing" test -z "$(ls -A "$ROOT")"

run init
status 0
out <<'END'
  made   DIR/root/etc/pawl
  made   DIR/root/etc/pawl/pawl.yaml
  made   DIR/root/opt/pawl
  made   DIR/root/var/lib/pawl
  made   DIR/root/var/lib/pawl/seal.key
  made   DIR/root/var/lib/pawl/journal
  made   DIR/root/var/lib/pawl-data
  made   DIR/root/var/log/pawl
END
err </dev/null
run -q init
status 0
out </dev/null

run doctor
status 0
has out 'ok       directories: 8 directories with the right owner and mode'
has out 'ok       seal key: there, for its owner alone'
has out 'ok       journal: 1 records verify'
lacks out problem

chmod 0644 "$ROOT/var/lib/pawl/seal.key"
chmod 0777 "$ROOT/opt/pawl"
echo 'ports: {rage: [1, 2]}' >"$ROOT/etc/pawl/pawl.yaml"
run -q doctor
status 1
plain
sed -i '/^FILE SYSTEM/d' "$T/out"
out <<'END'
problem  configuration: /etc/pawl/pawl.yaml:1:9: there is no key "ports.rage"
         try: Did you mean "ports.range"?
problem  directories: "/opt/pawl" is open to others (mode 0777)
         try: chmod go-w closes it.
problem  seal key: "/var/lib/pawl/seal.key" is open to others (mode 0644)
         try: chmod 0600 closes it; what was sealed with it should be changed.
END
err <<'END'
pawl: 3 of the checks found a problem
END
chmod 0600 "$ROOT/var/lib/pawl/seal.key"
chmod go-w "$ROOT/opt/pawl"
echo 'ports: {range: [3000, 3100]}' >"$ROOT/etc/pawl/pawl.yaml"
run --json doctor
status 0
has out '"command": "doctor"'
has out '"name": "recovery"'
has out '"problems": 0'
