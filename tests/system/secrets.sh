#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Secrets stay where they belong: in etc/pawl/<service>/env with mode 0600, and nowhere else: no output, no argument list, no file of the journal.
. "$SRC/tests/lib/system.sh"
need curl ps
token=tok-$(head -c 18 /dev/urandom | od -An -tx1 | tr -d ' \n')
password=pw-$(head -c 18 /dev/urandom | od -An -tx1 | tr -d ' \n')
for v in 1 2 3 4; do cp "$BUILD/examples/web-v$v" .; done
printf 'SMTP_PASSWORD=%s\nSMTP_HOST=mail.example.com\n' "$password" >web.env
chmod 0600 web.env
cat >web.yaml <<'END'
pawl: 1
name: web
version: v1
source: ./web-v1
secrets:
  - {name: DB_PASSWORD, generate: 32}
  - {name: API_TOKEN, from: [env]}
env: {DATABASE: "postgres://web:${API_TOKEN}@db/web", LOG: debug}
env_file: ./web.env
health: {preset: gc}
END

log=$dir/everything
args=$dir/args
: >"$log"
: >"$args"
generated=
# Runs a command, keeps all it prints, and meanwhile all that ps shows of it and of what it started.
kept() { # kept STATUS COMMAND...
        status=$1
        shift
        got=0
        API_TOKEN=$token "$PAWL" --root "$root" --set "ports.range=[$port,$port_end]" "$@" >"$dir/out" 2>"$dir/err" &
        pid=$!
        while kill -0 "$pid" 2>/dev/null; do
                ps -e -o args >>"$args"
                sleep 0.1
        done
        wait "$pid" || got=$?
        cat "$dir/out" "$dir/err" >"$dir/all"
        cat "$dir/all" >>"$log"
        [ "$got" -eq "$status" ] || fail "\"pawl $*\" exits $got, not $status"
}
env_value() { sed -n "s/^$1=//p" "$root/etc/pawl/web/env" | tr -d '"'; }
env_is_right() {
        [ "$(stat -c %a "$root/etc/pawl/web/env")" = 600 ] || fail "$1: the environment has not mode 0600"
        [ "$(env_value API_TOKEN)" = "$token" ] || fail "$1: API_TOKEN is another"
        [ "$(env_value SMTP_PASSWORD)" = "$password" ] || fail "$1: SMTP_PASSWORD is another"
        [ "$(env_value DATABASE)" = "postgres://web:$token@db/web" ] || fail "$1: DATABASE is another"
        [ "$(env_value DB_PASSWORD)" = "$generated" ] || fail "$1: DB_PASSWORD is another"
}

kept 0 plan web.yaml
kept 0 --json plan web.yaml
kept 0 apply web.yaml
grep -q "DB_PASSWORD: generated" "$log" || fail "it does not say that it generated one"
generated=$(env_value DB_PASSWORD)
[ ${#generated} -eq 32 ] || fail "the generated password is \"$generated\""
env_is_right "after apply"
program=$(programs)
tr '\0' '\n' <"/proc/$program/environ" | grep -qxF "API_TOKEN=$token" || fail "the program was not given it"
kept 0 apply web.yaml
says "No changes"
kept 0 upgrade web --source ./web-v2 --version v2
env_is_right "after the upgrade"
kept 0 plan upgrade web --source ./web-v4 --version v4
kept 0 upgrade web --source ./web-v4 --version v4
env_is_right "after the slow upgrade"
kept 4 upgrade web --source ./web-v3 --version v3
env_is_right "after the failed upgrade"
kept 0 rollback web
env_is_right "after the rollback"
kept 0 restart web
env_is_right "after the restart"

# A change of the spec that needs no step is a transaction of its own, whose key the rows need from then on.
sed 's/^version: v1/version: v2/; s/web-v1/web-v2/' web.yaml >same.yaml
kept 0 apply --retry same.yaml
echo "timeout: 5m" >>same.yaml
kept 0 apply --retry same.yaml
says_not "No changes"
kept 0 restart web
env_is_right "after a change without steps"

# One that dies in the middle, with the plan and its secrets in the journal, and one that is not allowed its secret.
cp web.env web.env.old
printf 'MORE=1\n' >>web.env
sed 's/^version: v1/version: v4/; s/web-v1/web-v4/; s/^health:.*/health: {preset: gc, deadline: 9s}/' web.yaml >v4.yaml
API_TOKEN=$token "$PAWL" --root "$root" --set "ports.range=[$port,$port_end]" apply --retry v4.yaml >"$dir/out" 2>&1 &
pid=$!
wait_for 10 grep -q MORE "$root/etc/pawl/web/env" || fail "the apply that is to be killed does not begin"
ps -e -o args >>"$args"
kill -KILL "$pid"
wait "$pid" 2>/dev/null || true
cat "$dir/out" >>"$log"
kept 0 recover --dry-run
kept 0 --json recover
env_is_right "after a kill and recovery"
sed 's/API_TOKEN, from/OTHER_TOKEN, generate: false, from/' web.yaml >missing.yaml
kept 10 apply missing.yaml
kept 10 --json apply missing.yaml

# Everything that can be asked.
for ask in "list" "status web" "inspect web" "history web" "journal list --lines 1000" "journal verify" "check" "config" "doctor" "logs web" \
        "plan rollback web" "plan remove web"; do
        for json in "" --json; do
                expect=0
                [ "$ask" != doctor ] || expect=any
                # shellcheck disable=SC2086
                API_TOKEN=$token pawl $json $ask >"$dir/out" 2>"$dir/err" || [ "$expect" = any ] || fail "pawl $json $ask"
                cat "$dir/out" "$dir/err" >>"$log"
        done
done
kept 0 inspect web
says "DB_PASSWORD=****"
pawl journal export >"$dir/export" 2>>"$log" || fail "journal export"
cat "$dir/export" >>"$log"
last=$(sed -n 's/^{"seq":\([0-9]*\),.*/\1/p; s/.*"seq": *\([0-9]*\).*/\1/p' "$dir/export" | sort -n | tail -n 1)
n=0
for seq in $(seq 1 "$last"); do
        pawl journal show "$seq" >>"$log" 2>&1 || fail "journal show $seq"
        pawl --json journal show "$seq" >>"$log" 2>&1 || fail "journal show $seq"
done
for tx in $(pawl --json history | sed -n 's/^ *"tx": *\([0-9]*\),*$/\1/p' | sort -un); do
        pawl show "$tx" >>"$log" 2>&1 || fail "show $tx"
        pawl --json show "$tx" >>"$log" 2>&1 || fail "show $tx"
        n=$((n + 1))
done
[ "$n" -ge 8 ] || fail "only $n transactions"

leaks() { # leaks WHERE FILE...
        where=$1
        shift
        for secret in "$token" "$password" "$generated"; do
                if grep -aqF -- "$secret" "$@"; then fail "a secret is in $where: $(grep -alF -- "$secret" "$@" | tr '\n' ' ')"; fi
        done
}
leaks "what was printed" "$log"
leaks "an argument list" "$args"
# shellcheck disable=SC2046
leaks "a file" $(find "$root" -type f ! -path '*/etc/pawl/web/env')
grep -aqF -- "$token" "$root/etc/pawl/web/env" || fail "this test searches for the wrong thing"
grep -q "web-v4" "$args" || grep -q "apply" "$args" || fail "this test looks at the wrong argument lists"
say "$(wc -l <"$log") lines of output of $n transactions, $last records, $(wc -l <"$args") argument lists and the journal's files: no secret"

# What a program prints when it dies is shown and kept, but not its secrets.
# shellcheck disable=SC2016
printf '#!/bin/sh\necho "$SMTP_PASSWORD and $DB_PASSWORD, by $API_TOKEN"\nexit 1\n' >web-telltale
chmod +x web-telltale
kept 4 upgrade web --source ./web-telltale --version telltale
says '**** and ****, by ****'
kept 0 history web
pawl journal export >"$dir/export"
grep -qF '**** and ****, by ****' "$dir/export" || fail "the journal does not say what the program printed"
leaks "what a program printed" "$log" "$dir/export"

kept 0 remove web --yes
# shellcheck disable=SC2046
leaks "a file, after the removal" $(find "$root" -type f)
if grep -aqF -- "$password" "$root"/var/lib/pawl/journal/data.mdb; then fail "the journal"; fi
[ ! -e "$root/etc/pawl/web" ] || fail "etc/pawl/web is left"
kept 0 apply web.yaml
[ "$(env_value DB_PASSWORD)" != "$generated" ] || fail "a removed service's password came back"
kept 0 remove web --purge --yes
[ -z "$(programs)" ] || fail "a program is left"
say "generated once, the same through upgrade, failure, rollback and a kill; gone with the service"
