#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Applying: makes what the specs say, all of services.d in order, and one that fails does not stop the others.
# shellcheck source=tests/lib/cli.sh
. "$SRC/tests/lib/cli.sh"

examples
run apply
status 2
has err '(*.yaml, *.yml) in "DIR/root/etc/pawl/services.d"'

mkdir -p "$ROOT/etc/pawl/services.d"
printf 'pawl: 1\nsource: %s\nversion: v1\n' "$FILES/web-v1" >"$ROOT/etc/pawl/services.d/b.yaml"
printf 'pawl: 1\nsource: %s\nversion: v3\n' "$FILES/web-v3" >"$ROOT/etc/pawl/services.d/a.yaml"
printf 'pawl: 1\nsauce: x\n' >"$ROOT/etc/pawl/services.d/c.yaml"
printf 'pawl: 1\nsource: %s\nversion: v2\n' "$FILES/web-v2" >"$ROOT/etc/pawl/services.d/d.yaml"
run -q apply
status 10
out <<'E'
✓ b v1 deployed
  Port:     PORT
  URL:      http://127.0.0.1:PORT
  Data:     DIR/root/var/lib/pawl-data/b
✓ d v2 deployed
  Port:     PORT
  URL:      http://127.0.0.1:PORT
  Data:     DIR/root/var/lib/pawl-data/d
E
has err 'pawl: a: apply v3 failed: '
has err 'c.yaml:2:1: there is no key "sauce"'
has err 'Did you mean "source"?'

rm "$ROOT/etc/pawl/services.d/a.yaml" "$ROOT/etc/pawl/services.d/c.yaml"
run apply
status 0
err </dev/null
out <<'E'
No changes: b is up to date (v1)
No changes: d is up to date (v2)
E

# A change of the spec alone.
printf 'pawl: 1\nsource: %s\nversion: v1\nenv: {A: one}\n' "$FILES/web-v1" >b.yaml
run apply b.yaml
status 0
out <<'E'
✓ b changed (v1)
  Port:     PORT
  URL:      http://127.0.0.1:PORT
  Data:     DIR/root/var/lib/pawl-data/b
  down DUR
E
printf 'pawl: 1\nsource: %s\nversion: v2\nenv: {A: one}\n' "$FILES/web-v2" >b.yaml
run -q apply b.yaml
status 0
has out '✓ b changed v1 → v2'

# A hand edit is not written over unasked.
echo B=two >>"$ROOT/etc/pawl/b/env"
printf 'pawl: 1\nsource: %s\nversion: v2\nenv: {A: two}\n' "$FILES/web-v2" >b.yaml
run -q apply b.yaml
status 9
has err 'was edited by hand'
check "the edit is still there" grep -qx B=two "$ROOT/etc/pawl/b/env"
run check b
status 9
has out 'drift'
run -q apply b.yaml --overwrite
status 0
check "the spec's" grep -qx A=two "$ROOT/etc/pawl/b/env"
run check b
status 0
out <<'E'
b  ok
E
