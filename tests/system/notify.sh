#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Telling a webhook how it ended: every flow once, failed ones too, tried again when it is busy, and never the reason for a failure.
. "$SRC/tests/lib/system.sh"
need curl
for v in 1 2 3; do cp "$BUILD/examples/web-v$v" "$dir/"; done
echo ok >page
serve hooks
page "path=/all file=$dir/page"
page "path=/failures file=$dir/page"
page "path=/busy file=$dir/page failing=2 fail_status=503"
page "path=/refused file=$dir/page status=500"
cat >web.yaml <<END
pawl: 1
name: web
version: v1
source: ./web-v1
notify:
  - $url/all
  - {url: "$url/failures", events: [failed]}
END
seen() { # seen N PATTERN
        [ "$(requests hooks "$2")" -eq "$1" ] || {
                sed 's/^/  hooks | /' hooks.log >&2
                fail "not $1 request(s) like \"$2\""
        }
}

expect 0 pawl apply web.yaml
seen 1 '^POST /all .*"event":"completed"'
seen 0 '^POST /failures'
grep -q '"service":"web".*"version":"v1"\|"version":"v1".*"service":"web"' hooks.log || fail "the body does not say what it is about"
mark=$(sed -n 's/^POST \/all .*mark=\[\([^]]*\)\].*/\1/p' hooks.log)
case $mark in ????????-*) ;; *) fail "the mark of the transaction is \"$mark\"" ;; esac
expect 0 pawl apply web.yaml
says "No changes"
seen 1 '^POST /all'
expect 0 pawl upgrade web --source ./web-v2 --version v2
seen 1 '^POST /all .*"from":"v1"'
expect 4 pawl upgrade web --source ./web-v3 --version v3
seen 1 '^POST /all .*"event":"failed"'
seen 1 '^POST /failures .*"event":"failed"'
seen 1 '^POST /all .*"version":"v3"'
[ "$(answer)" = "hello from v2" ] || fail "v2 is not back"
[ "$(sed -n 's/.*mark=\[\([^]]*\)\].*/\1/p' hooks.log | sort -u | wc -l)" -eq 3 ] || fail "three transactions, but not three marks"
say "one POST for each flow that changed something, with its transaction; failed ones to those who asked for them"

# Busy twice, with three attempts.
sed "s|$url/all|{url: \"$url/busy\", attempts: 3}|; s/^version: v1/version: v2/; s/web-v1/web-v2/" web.yaml >busy.yaml
expect 0 pawl apply busy.yaml
expect 0 pawl restart web
expect 0 pawl recover
[ "$(requests hooks '^POST /busy')" -ge 3 ] || fail "a busy webhook is not tried again: $(cat hooks.log)"
say "a busy webhook was tried again"

# Dead or refusing: a warning, exit 0, and the password in its address is not told.
closed=$((port_end - 1))
sed "s|  - $url/all|  - {url: \"http://127.0.0.1:$closed/\", attempts: 1, timeout: 1s}|; s/^version: v1/version: v2/; s/web-v1/web-v2/" web.yaml >dead.yaml
expect 0 pawl apply dead.yaml
expect 0 pawl restart web
says "warning"
says "could not notify"
expect 0 pawl --json restart web
says '"result": "done"'
says 'could not notify'
expect 0 pawl recover
says "Nothing to recover"
expect 4 pawl upgrade web --source ./web-v3 --version v4
says "put back: v2 is running again"
says "could not notify"
sed "s|  - $url/all|  - {url: \"http://me:pw4711@${url#http://}/refused\", attempts: 2}|; s/^version: v1/version: v2/; s/web-v1/web-v2/" web.yaml >refused.yaml
expect 0 pawl apply refused.yaml
says_not pw4711
expect 0 pawl restart web
says "the server answered 500"
says_not pw4711
[ "$(requests hooks '^POST /refused')" -ge 2 ] || fail "a webhook that refuses is not tried again"
expect 0 pawl recover
expect 0 pawl check web
expect 0 pawl --set "notify.url=$url/all" stop web
seen 1 '^POST /all .*"flow":"stop"'
expect 0 pawl remove web --purge --yes
expect 0 pawl journal verify
[ -z "$(programs)" ] || fail "a program is left"
say "a dead webhook is a warning; the host's own webhook is told too"
