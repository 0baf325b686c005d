#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A wrong spec is told with its place, before anything is made.
# shellcheck source=tests/lib/cli.sh
. "$SRC/tests/lib/cli.sh"

# wrong TEXT MESSAGE: the spec (printf) is refused with 10, the message, and nothing is made
wrong() {
        # shellcheck disable=SC2059
        printf "$1" >web.yaml
        run apply web.yaml
        status 10
        out </dev/null
        has err "$2"
        run plan web.yaml
        status 10
        run deploy web.yaml
        status 10
        check "nothing is made" test -z "$(ls -A "$ROOT")"
}

wrong 'pawl: 1\nsource: ./x\nprot: 3\n' 'web.yaml:3:1: there is no key "prot"'
has err 'Did you mean "port"?'
wrong 'pawl: 1\nsource: ./x\nuser: web\n' 'web.yaml:3:1: there is no key "user"'
has err 'try: "user" belongs under "runtime".'
wrong 'pawl: 1\nsource: ./x\nruntime: {exec: [x, "{prot}"]}\n' 'web.yaml:3:21: there is no place "{prot}"'
has err 'Did you mean {port}?'
wrong 'pawl: 1\nsource: ./x\nport: high\n' 'web.yaml:3:'
wrong 'pawl: 1\nsource: ./x\nport: 70000\n' 'web.yaml:3:'
wrong 'pawl: 1\nsource: ./x\nsource: ./y\n' 'web.yaml:3:'
wrong 'pawl: 1\nsource: ./x\ndns: {}\n' '"dns" is not supported by pawl 0.1'
wrong 'pawl: 1\n' 'source'
wrong 'pawl: 2\nsource: ./x\n' 'web.yaml:1:'
wrong 'pawl: 1\nsource: [\n' 'web.yaml:'
wrong '' 'web.yaml'
wrong 'pawl: 1\nname: Web_1\nsource: ./x\n' 'web.yaml:2:'
wrong 'pawl: 1\nsource: http://127.0.0.1/x\n' 'sha256'

run apply no-such.yaml
status 10
has err 'no-such.yaml'

# The host's own configuration as well.
mkdir -p "$ROOT/etc/pawl"
printf 'ports.rnage: [1, 2]\n' >"$ROOT/etc/pawl/pawl.yaml"
run list
status 10
has err 'pawl.yaml:1:'
run doctor
status 1
has out 'problem  configuration: /etc/pawl/pawl.yaml:1:1: there is no key "ports.rnage"'
has out 'ok       ports: '

# A folder that a unit file could not say as it is.
rm "$ROOT/etc/pawl/pawl.yaml"
for folder in '/srv/web ' '/srv/web\\' '/srv\nUser=root'; do
        printf 'pawl: 1\nsource: ./web\nruntime: {directory: "%s"}\n' "$folder" | sed 's/\\$/\\\\/' >web.yaml
        run plan web.yaml
        status 10
        has err 'web.yaml:3:22: "runtime.directory" cannot end in a blank or a backslash, nor have several lines'
done
