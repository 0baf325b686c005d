#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Deploying: from a program, a spec or a url; what is in the way is told before anything is made.
# shellcheck source=tests/lib/cli.sh
. "$SRC/tests/lib/cli.sh"

examples

run deploy "$FILES/web-v1" -v v1 -n web -e LOG=debug -e EMPTY=
status 0
out <<'E'
✓ web v1 deployed
  Port:     PORT
  URL:      http://127.0.0.1:PORT
  Data:     DIR/root/var/lib/pawl-data/web
E
has err '  point opt/pawl/web/current to releases/v1'
check "it answers" test "$(answer web)" = "hello from v1"
check "its environment holds -e" grep -qx LOG=debug "$ROOT/etc/pawl/web/env"
check "an empty value is a value" grep -qx EMPTY= "$ROOT/etc/pawl/web/env"

run deploy "$FILES/web-v2" -n web
status 2
out </dev/null
err <<'E'
pawl: the service "web" exists already
  try: "pawl upgrade" brings a new version, "pawl apply" a new spec.
E

# The name from the file's: without folder and version tail.
run -q deploy "$FILES/web-v2" -v v2 -n other -p "${BASE}77"
status 0
check "-p chooses the port" grep -qx "PORT=${BASE}77" "$ROOT/etc/pawl/other/env"
run -q deploy "$FILES/web-v1" -n third -p "${BASE}77"
status 1
has err 'port PORT'
run list
status 0
out <<'E'
NAME   VERSION  PORT   ROUTE  STATUS
other  v2       PORT  —      running
web    v1       PORT  —      running
E
cp "$FILES/web-v1" Some_Tool-v1.2
run plan deploy ./Some_Tool-v1.2
status 0
has out 'some-tool: deploy'

# With a spec file -v, -p and -e win over what it says; others do not go with it.
printf 'pawl: 1\nsource: %s\nversion: v1\nenv: {A: one, B: two}\n' "$FILES/web-v1" >spec.yaml
run -q deploy spec.yaml -v v9 -p "${BASE}78" -e A=1
status 0
has out '✓ spec v9 deployed'
check "-e over the spec" grep -qx A=1 "$ROOT/etc/pawl/spec/env"
check "the rest of the spec's" grep -qx B=two "$ROOT/etc/pawl/spec/env"
run deploy spec.yaml -n x
status 2
has err '--name does not go with a spec file'

# Behind "--" is the program.
mkdir tree
cp "$FILES/web-v1" tree/server
run -q deploy ./tree -v v1 -- ./server --flag '{port}'
status 0
run inspect tree
has out '"--flag"'

# A deploy that fails leaves nothing.
find "$ROOT/opt" "$ROOT/etc" "$ROOT/var/lib/pawl-data" | sort >before
run -q deploy "$FILES/web-v3" -v v3 -n bad
status 4
out </dev/null
has err 'pawl: bad: deploy v3 failed: no answer on 127.0.0.1:PORT'
has err '  put back: nothing is left of it'
find "$ROOT/opt" "$ROOT/etc" "$ROOT/var/lib/pawl-data" | sort >after
check "a failed deploy leaves nothing" cmp before after
run status bad
status 4

run deploy "$FILES/web-v1" -e FOO -n x
status 2
err <<'E'
pawl: invalid env var "FOO": must be KEY=VALUE
E

# From a url, checked by its digest.
if command -v busybox >/dev/null && busybox httpd --help 2>/dev/null >&2; then
        mkdir www fetched
        cp "$FILES/web-v1" fetched/server
        tar czf www/app-v1.tar.gz fetched
        url=http://127.0.0.1:${BASE}99/app-v1.tar.gz
        busybox httpd -f -p "127.0.0.1:${BASE}99" -h www &
        helpers="$helpers $!"
        sleep 0.5
        run -q deploy "$url" -- ./fetched/server
        status 10
        has err sha256
        run -q deploy "$url" --sha256 "$(printf '%064d' 0)" -- ./fetched/server
        status 8
        run -q deploy "$url" --sha256 "$(sha256sum www/app-v1.tar.gz | cut -d' ' -f1)" -v v1 -- ./fetched/server
        status 0
        has out '✓ app v1 deployed'
        check "what was fetched answers" test "$(answer app)" = "hello from v1"
fi

# What is called an archive and is none would be taken for a program.
cp "$FILES/web-v1" "$FILES/late.tar.gz"
run deploy "$FILES/late.tar.gz"
status 1
out </dev/null
err <<'END'
pawl: the source "DIR/files/late.tar.gz": it is called an archive and is none
  try: Make it again; a program has to have another name.
END
check "nothing is left of it" test ! -e "$ROOT/opt/pawl/late"

# What is filled in, and what stands for itself.
cat >quoted.yaml <<'END'
pawl: 1
version: v1
source: files/web-v1
runtime: {exec: [quoted]}
env: {LITERAL: 'a $${HOME} $$ $${', FILLED: '$${NAME} is ${FILL}'}
END
FILL=filled run deploy quoted.yaml
status 0
check "a reference written twice stands for itself" grep -qxF 'LITERAL="a \${HOME} \$\$ \$\${"' "$ROOT/etc/pawl/quoted/env"
check "beside one that is filled in" grep -qxF 'FILLED="\${NAME} is filled"' "$ROOT/etc/pawl/quoted/env"
run inspect quoted
has out 'FILLED=****'
has out 'LITERAL='
lacks out 'is filled'
