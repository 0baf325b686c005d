#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Routes on a whole host: Debian's nginx as its unit runs it, with pawl's defaults, on ports 80 and 443; and a power cut in the middle.
. "$SRC/tests/lib/system.sh"
. "$SRC/tests/lib/machine.sh"
need nginx curl openssl
visit() { machine_exec curl -sk --max-time 5 -H "Host: $1" "$2"; }
reaches() { [ "$(visit "$1" "$2")" = "$3" ] || fail "$1 at $2 answers \"$(visit "$1" "$2")\", not \"$3\""; }
spec() { # spec ROUTE
        printf 'pawl: 1\nname: web\nversion: v1\nsource: /srv/web-v1\nruntime: {exec: [web], user: nobody}\nroute: %s\n' "$1" >web.yaml
        machine_put web.yaml /srv/web.yaml
}
host_is_as_before() {
        machine_exec nginx -T >after.conf 2>/dev/null
        diff before.conf after.conf || fail "$1: nginx is not as before"
        [ -z "$(machine_exec find /etc/nginx -name '.pawl-*')" ] || fail "$1: something is left"
}

machine_boot
machine_put "$BUILD/examples/web-v1" /srv/web-v1
machine_exec chmod 755 /srv/web-v1
machine_exec systemctl start nginx
machine_exec nginx -T >before.conf 2>/dev/null
main=$(machine_exec systemctl show -p MainPID nginx)

spec web.example.org
expect 0 pawl apply /srv/web.yaml --strict
says "Route:    web.example.org → localhost:3000"
reaches web.example.org http://127.0.0.1/ "hello from v1"
if machine_exec test -s /proc/net/if_inet6; then reaches web.example.org "http://[::1]/" "hello from v1"; fi
[ "$(machine_exec systemctl show -p MainPID nginx)" = "$main" ] || fail "nginx was started anew, not reloaded"

machine_exec openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=web.example.org -keyout /srv/key.pem -out /srv/cert.pem >openssl.out 2>&1 ||
        fail "no certificate: $(cat openssl.out)"
spec '{host: web.example.org, tls: {cert: /srv/cert.pem, key: /srv/key.pem}}'
expect 0 pawl apply /srv/web.yaml --strict
reaches web.example.org https://127.0.0.1/ "hello from v1"
[ "$(machine_exec curl -s -o /dev/null -w '%{http_code} %{redirect_url}' -H 'Host: web.example.org' http://127.0.0.1/x)" = "301 https://web.example.org/x" ] ||
        fail "who comes without TLS is not sent there"
say "by host, with TLS: reloaded, not restarted"

expect 0 pawl remove web --purge --yes
host_is_as_before remove

# The power goes when everything is written and nothing loaded
spec web.example.org
last=$(pawl --json plan /srv/web.yaml | grep -o '"kind": *"effect"' | wc -l)
expect 137 machine_exec env PAWL_CRASH_AT="apply-before:$last" pawl-testing apply /srv/web.yaml
machine_exec test -e /etc/nginx/sites-enabled/pawl-web.conf || fail "it died too early"
machine_cut
machine_boot
expect 0 pawl recover
host_is_as_before "a power cut"
machine_exec systemctl start nginx
expect 0 pawl apply /srv/web.yaml --strict
reaches web.example.org http://127.0.0.1/ "hello from v1"
say "a power cut: as before, and it goes on"
