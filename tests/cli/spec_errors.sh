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

# What an editor puts in front of UTF-8 is no part of a spec, nor of an env_file; what steers a terminal is no value.
rm "$ROOT/etc/pawl/pawl.yaml"
printf '#!/bin/sh\n' >web
chmod +x web
printf '\357\273\277ports.range: [3000, 3001]\n' >"$ROOT/etc/pawl/pawl.yaml"
printf '\357\273\277pawl: 1\nsource: ./web\nenv_file: variables\n' >web.yaml
printf '\357\273\277A=1\n' >variables
run plan web.yaml
status 0
printf 'A=a\033[1m\n' >variables
run plan web.yaml
status 10
has err 'DIR/variables: the value of "A" cannot have control characters'
printf 'ports.range: [3000, 3000]\n' >"$ROOT/etc/pawl/pawl.yaml"
run plan web.yaml
status 10
has err '"ports.range" is empty: it must go from a lower to a higher number'
printf 'pawl: 1\nsource: ./web\nenv: {DBP: chosen}\nsecrets: [DBP]\n' >web.yaml
rm "$ROOT/etc/pawl/pawl.yaml"
run plan web.yaml
status 10
has err 'web.yaml:3:7: "env.DBP" is named by "secrets" as well'

# A pipe is refused wherever a file is named, and not waited for.
mkfifo pipe
PAWL_HURRY=$PAWL
PAWL=$T/hurry
printf '#!/bin/sh\nexec timeout -s KILL 20 "%s" "$@"\n' "$PAWL_HURRY" >"$PAWL"
chmod +x "$PAWL"
# pipe_in LINE MESSAGE EXIT
pipe_in() {
        printf 'pawl: 1\nname: web\nport: 1234\n%b\n' "$1" >web.yaml
        run plan web.yaml
        status "$3"
        has err "$2"
}
pipe_in 'source: ./web\nenv_file: pipe' 'the env_file "DIR/pipe" is not a file' 10
pipe_in 'source: ./pipe' '"DIR/pipe" is neither a file nor a directory' 10
pipe_in "source: file://$T/pipe" 'could not download "file://DIR/pipe": that is not a file' 10
pipe_in 'source: {url: "https://127.0.0.1:1/web", ca_file: pipe}' 'the file of trusted certificates "DIR/pipe" is not a file' 10
for forge in github gitea; do
        printf '%s: {url: "https://127.0.0.1:1", token_file: %s}\n' $forge "$T/pipe" >"$ROOT/etc/pawl/pawl.yaml"
        pipe_in "source: $forge:acme/web" 'the file of the token "DIR/pipe" is not a file' 10
        printf '%s: {url: "https://127.0.0.1:1", ca_file: %s}\n' $forge "$T/pipe" >"$ROOT/etc/pawl/pawl.yaml"
        pipe_in "source: $forge:acme/web" 'the file of trusted certificates "DIR/pipe" is not a file' 10
done
printf 'http: {ca_file: %s}\n' "$T/pipe" >"$ROOT/etc/pawl/pawl.yaml"
pipe_in 'source: https://127.0.0.1:1/web' 'the file of trusted certificates "DIR/pipe" is not a file' 10
rm "$ROOT/etc/pawl/pawl.yaml"
run plan pipe
status 10
has err 'the spec "pipe" is not a file'
mkfifo "$ROOT/etc/pawl/pawl.yaml"
run plan web.yaml
status 10
has err '"/etc/pawl/pawl.yaml" is not a file'
PAWL=$PAWL_HURRY

# A folder that a unit file could not say as it is.
rm "$ROOT/etc/pawl/pawl.yaml"
for folder in '/srv/web ' '/srv/web\\' '/srv\nUser=root'; do
        printf 'pawl: 1\nsource: ./web\nruntime: {directory: "%s"}\n' "$folder" | sed 's/\\$/\\\\/' >web.yaml
        run plan web.yaml
        status 10
        has err 'web.yaml:3:22: "runtime.directory" cannot end in a blank or a backslash, nor have several lines'
done
