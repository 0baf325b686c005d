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
ok       specs: 0 in "/etc/pawl/services.d"
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
has out 'ok       directories: 10 directories with the right owner and mode'
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
: >"$ROOT/etc/pawl/pawl.yaml"

# What root would obey, and others could have written: named with the way out, and refused by whatever is not doctor. Nobody else asks.
obey() { # WHAT RULE HINT EXIT COMMAND...: refused by the command
        wanted="\"$1\" $2, and root would do what it says"
        hint=$3
        code=$4
        shift 4
        run -q doctor
        status 1
        has out "$wanted"
        has out "try: $hint"
        run "$@"
        status "$code"
        has err "$wanted"
        has err "try: $hint"
}
closed='Look at it, then close it: chmod go-w.' given='Look at it, then give it to root: chown root.'
if [ "$(id -u)" -eq 0 ]; then
        yaml=$ROOT/etc/pawl/pawl.yaml late=$ROOT/etc/pawl/conf.d/late.yaml spec=$ROOT/etc/pawl/services.d/web.yaml
        chmod 0666 "$yaml"
        obey /etc/pawl/pawl.yaml 'can be written by others than root (mode 0666)' "$closed" 10 list
        chmod 0664 "$yaml"
        obey /etc/pawl/pawl.yaml 'can be written by others than root (mode 0664)' "$closed" 10 recover
        chmod 0644 "$yaml"
        chown 1234 "$yaml"
        obey /etc/pawl/pawl.yaml 'belongs to user 1234' "$given" 10 upgrade web
        chown 0 "$yaml"
        : >"$late"
        chmod 0602 "$late"
        obey /etc/pawl/conf.d/late.yaml 'can be written by others than root (mode 0602)' "$closed" 10 list
        chmod 0600 "$late"
        chmod 1777 "$ROOT/etc/pawl/conf.d"
        obey /etc/pawl/conf.d 'can be written by others than root (mode 1777)' "$closed" 10 list
        chmod 0755 "$ROOT/etc/pawl/conf.d"
        printf 'pawl: 1\nsource: ./web-v1\n' >"$spec"
        chown 1234 "$spec"
        run doctor
        status 1
        has out 'problem  specs: "/etc/pawl/services.d/web.yaml" belongs to user 1234, and root would do what it says'
        run apply
        status 10
        err <<'END'
pawl: "DIR/root/etc/pawl/services.d/web.yaml" belongs to user 1234, and root would do what it says
  try: Look at it, then give it to root: chown root.
END
        run plan "$spec" # named, so somebody has looked at it
        status 10
        lacks err 'belongs to user'
        rm "$spec" "$late"

        # Early recovery needs the journal alone.
        chmod 0666 "$yaml"
        run -q recover --early
        status 0
        err <<'END'
warning: "/etc/pawl/pawl.yaml" can be written by others than root (mode 0666), and root would do what it says; going on with the defaults
END
        chmod 0644 "$yaml"
fi
echo 'ports: {rage: [1, 2]}' >"$ROOT/etc/pawl/pawl.yaml"
run -q recover --early
status 0
err <<'END'
warning: /etc/pawl/pawl.yaml:1:9: there is no key "ports.rage"; going on with the defaults
END
run recover --late
status 10
echo 'ports: {range: [3000, 3100]}' >"$ROOT/etc/pawl/pawl.yaml"
run --json doctor
status 0
has out '"command": "doctor"'
has out '"name": "recovery"'
has out '"problems": 0'
