#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Removing: everything goes but the data, which goes only where somebody says so twice.
# shellcheck source=tests/lib/cli.sh
. "$SRC/tests/lib/cli.sh"

examples
run -q deploy "$FILES/web-v1" -v v1 -n web
status 0
echo precious >"$ROOT/var/lib/pawl-data/web/file"

run remove web
status 0
out <<'E'
✓ web removed
  Data is kept in DIR/root/var/lib/pawl-data/web (pawl remove --purge deletes it)
E
err <<'E'
  stop web
  remove opt/pawl/web
  remove etc/pawl/web
  remove var/log/pawl/web.log
  committed
E
check "the releases are gone" test ! -e "$ROOT/opt/pawl/web"
check "the configuration is gone" test ! -e "$ROOT/etc/pawl/web"
check "the data is there" test -e "$ROOT/var/lib/pawl-data/web/file"
check "no process is left" test -z "$(processes)"

run remove web
status 2
err <<'E'
pawl: there is no service "web"
  try: Run "pawl list" to see the services, "pawl deploy" to make one.
E

run -q deploy "$FILES/web-v1" -v v1 -n web
status 0
check "a new service of that name finds the data" test -e "$ROOT/var/lib/pawl-data/web/file"

run remove web --purge
status 2
out </dev/null
err <<'E'
pawl: remove --purge deletes the data of "web" and nobody is there to confirm it
  try: Add --yes.
E
check "nothing was removed" test "$(answer web)" = "hello from v1"

# At a terminal: only y and yes are yes.
if command -v script >/dev/null; then
        for word in n '' no maybe; do
                last="remove web --purge, answered \"$word\""
                printf '%s\n' "$word" | script -qec "$PAWL --root $ROOT remove web --purge" /dev/null >"$T/out" 2>&1
                status=$?
                status 2
                has out 'This will delete the data of "web" in DIR/root/var/lib/pawl-data/web. Continue? [y/N] '
                has out 'Aborted.'
                check "nothing was removed" test -e "$ROOT/opt/pawl/web"
        done
        last="remove web --purge, answered yes"
        printf 'yes\n' | script -qec "$PAWL --root $ROOT remove web --purge" /dev/null >"$T/out" 2>&1
        status=$?
        status 0
else
        run remove web --purge --yes
        status 0
fi
check "the data is gone" test ! -e "$ROOT/var/lib/pawl-data/web"
check "nothing of the service is left" test -z "$(find "$ROOT/opt" "$ROOT/etc" "$ROOT/var/lib/pawl-data" -name 'web*')"

run -q deploy "$FILES/web-v1" -v v1 -n web
run remove web --purge -y
status 0
check "--yes does not ask" test ! -e "$ROOT/var/lib/pawl-data/web"

run remove nix --purge --yes
status 2
has err 'there is no service "nix"'
