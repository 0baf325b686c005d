#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The route of a service in a real nginx: by host and by path, through its whole life; and everything an operator or a broken nginx can do to it.
. "$SRC/tests/lib/system.sh"
. "$SRC/tests/lib/nginx.sh"
for v in 1 2; do cp "$BUILD/examples/web-v$v" "$dir/"; done
spec() { # spec VERSION ROUTE
        printf 'pawl: 1\nname: web\nversion: v%s\nsource: ./web-v%s\nruntime: {exec: [web]}\nroute: %s\n' "$1" "$1" "$2" >web.yaml
}
reaches() { # reaches HOST PATH TEXT
        [ "$(visit "$1" "$2")" = "$3" ] || fail "$1$2 answers \"$(visit "$1" "$2")\", not \"$3\""
}
reaches_not() { [ "$(visit_status "$1" "$2")" = 404 ] || fail "$1$2 answers $(visit_status "$1" "$2"): $(cat "$dir/page")"; }
is_as_before() {
        nginx_dump >after.conf
        diff before.conf after.conf || fail "$1: the configuration of nginx is not as before"
}
is_whole() { ! find "$root/etc/nginx" -name '.pawl-*' | grep . || fail "$1: something is left beside the files of nginx"; }

# By host, through its life
nginx_make sites
nginx_start
nginx_dump >before.conf
tree_of "$root/etc/nginx" >before.tree
spec 1 web.example.org
expect 0 pawl apply web.yaml
says "Route:    web.example.org → localhost:$port"
reaches web.example.org / "hello from v1"
reaches_not plain.test /
says_not warning
[ "$(stat -c %a "$root/etc/nginx/sites-available/pawl-web.conf")" = 644 ] || fail "the vhost is not 0644"
[ "$(readlink "$root/etc/nginx/sites-enabled/pawl-web.conf")" = ../sites-available/pawl-web.conf ] || fail "the link leads elsewhere"
expect 0 pawl apply web.yaml
says "No changes"
expect 0 pawl list
says "web.example.org  running"
expect 0 pawl inspect web
says 'server_name "web.example.org";'
expect 0 pawl check web
spec 2 web.example.org
workers=$(pgrep -P "$(cat "$root/run/nginx.pid")" | sort)
expect 0 pawl apply web.yaml
reaches web.example.org / "hello from v2"
[ "$(pgrep -P "$(cat "$root/run/nginx.pid")" | sort)" = "$workers" ] || fail "an upgrade that changes nothing of the route reloads nginx"
expect 0 pawl rollback web
reaches web.example.org / "hello from v1"
say "by host: deploy, upgrade, rollback; no reload where nothing changes"

spec 1 '{host: "other.example.org", path: /app}'
expect 0 pawl apply web.yaml --retry
reaches other.example.org /app "hello from v1"
reaches other.example.org /app/deep "hello from v1"
[ "$(visit_status other.example.org /apple)" = 404 ] || fail "/apple is taken for /app"
reaches_not web.example.org /
say "the route changes"

# What the operator adds
mkdir -p "$root/etc/nginx/pawl.d/web"
echo 'add_header X-Operator yes always;' >"$root/etc/nginx/pawl.d/web/headers.conf"
nginx_reload
wait_for 5 sh -c "curl -si -H 'Host: other.example.org' http://127.0.0.1:$nginx_port/app | grep -q '^X-Operator: yes'" || fail "pawl.d is not included"
rm -r "$root/etc/nginx/pawl.d"

# By path: nothing includes it, then something does
spec 1 /tool
expect 0 pawl apply web.yaml
told <<'END'
  warning: route: nothing in the configuration of nginx includes "/etc/nginx/pawl-paths.conf"
END
expect 0 pawl list
says "running, no route"
reaches other.example.org /app "hello from v1" # the old one is back
expect 0 pawl -q init
cp "$root/etc/nginx/pawl-paths.conf" paths.expected
echo "# the operator's" >>paths.expected
nginx_plain "include $root/etc/nginx/pawl-paths.conf;"
expect 0 pawl apply web.yaml
says "Route:    /tool → localhost:$port"
reaches plain.test /tool "hello from v1"
reaches plain.test /tool/x "hello from v1"
reaches_not plain.test /tools
expect 0 pawl list
says_not "no route"
echo "# the operator's" >>"$root/etc/nginx/pawl-paths.conf"
[ ! -e "$root/etc/nginx/sites-available/pawl-web.conf" ] || fail "the old vhost is left"
say "by path: an include that is missing is told, and the next apply finds it"

expect 0 pawl remove web --purge --yes
cmp -s paths.expected "$root/etc/nginx/pawl-paths.conf" || fail "the shared file is not what the operator left: $(cat "$root/etc/nginx/pawl-paths.conf")"
reaches_not plain.test /tool
nginx_plain ""
rm "$root/etc/nginx/pawl-paths.conf"
is_as_before remove
tree_of "$root/etc/nginx" | diff before.tree - || fail "the files of nginx are not as before"
say "removed, and nginx is as before"

# A configuration that is broken already
spec 1 web.example.org
nginx_plain "no_such_directive on;"
expect 0 pawl apply web.yaml
told <<'END'
  warning: route: the configuration of nginx was broken before pawl touched it: unknown directive "no_such_directive" in ROOT/etc/nginx/conf.d/plain.conf:1
END
says_not "Route:"
[ "$(answer)" = "hello from v1" ] || fail "the service does not run without its route"
expect 0 pawl status web
says "running, no route"
expect 4 pawl apply web.yaml --strict
told <<'END'
  warning: route: the configuration of nginx was broken before pawl touched it: unknown directive "no_such_directive" in ROOT/etc/nginx/conf.d/plain.conf:1
pawl: web is without its route
  try: The warning says why; "pawl apply" tries again.
END
expect 4 pawl list --strict
nginx_plain ""
expect 0 pawl apply web.yaml --strict
expect 0 pawl list --strict
reaches web.example.org / "hello from v1"
say "an error that was there before is told apart; the next apply tries again"

# A name that somebody else has: nginx would only warn
nginx_plain "server_name taken.example.org;"
nginx_reload
spec 1 taken.example.org
expect 0 pawl apply web.yaml
told <<'END'
  warning: route: another server block of nginx has the name "taken.example.org"
END
reaches web.example.org / "hello from v1"
nginx_plain ""

# nginx does not run
nginx_stop
spec 2 new.example.org
expect 0 pawl apply web.yaml
told <<'END'
  warning: route: nginx is not running
END
[ "$(answer)" = "hello from v2" ] || fail "v2 does not run"
nginx_start
reaches web.example.org / "hello from v2"
expect 0 pawl apply web.yaml
reaches new.example.org / "hello from v2"
reaches_not web.example.org /
say "a name that is taken, an nginx that does not run"

# Edited by hand
vhost=$root/etc/nginx/sites-available/pawl-web.conf
sed -i 's/# Written/# Edited/' "$vhost"
spec 1 new.example.org
expect 0 pawl apply web.yaml
told <<'END'
  warning: file etc/nginx/sites-available/pawl-web.conf was edited by hand and is left as it is
END
reaches new.example.org / "hello from v1"
spec 1 web.example.org
expect 9 pawl apply web.yaml
told <<'END'
pawl: file etc/nginx/sites-available/pawl-web.conf was edited by hand, and this would write over it
  try: Take the edit into the spec, or write over it with --overwrite.
END
grep -q "# Edited" "$vhost" || fail "the edit is gone"
spec 1 /tool
expect 9 pawl apply web.yaml
told <<'END'
pawl: /etc/nginx/sites-available/pawl-web.conf was edited by hand, and the spec has it no more
  try: Take it away yourself, or let it go with --overwrite.
END
spec 1 web.example.org
expect 0 pawl apply web.yaml --overwrite
reaches web.example.org / "hello from v1"
say "an edit is kept, and stands in the way of who must write"

# Required: then it is all or nothing
nginx_stop
spec 2 '{host: must.example.org, required: true}'
expect 1 pawl apply web.yaml
told <<'END'
pawl: web: apply v1 → v2 failed: nginx is not running
  put back: v1 is running again; down DUR; nothing left over
  try: Start it ("systemctl start nginx"), then apply again.
END
[ "$(answer)" = "hello from v1" ] || fail "v1 is not back"
nginx_start
reaches web.example.org / "hello from v1"
is_whole "a required route that fails"
# nginx refuses what was written: files and program go back, and nginx reads the old ones again.
tree_of "$root/etc" >before.tree
mkdir tls
for file in cert key; do echo nothing >"tls/$file"; done
spec 2 "{host: must.example.org, required: true, tls: {cert: $dir/tls/cert, key: $dir/tls/key}}"
expect 1 pawl apply web.yaml
told <<'END'
pawl: web: apply v1 → v2 failed: nginx refuses the new configuration: cannot load certificate "DIR/tls/cert": PEM_read_bio_X509_AUX() failed (SSL: WHY)
  put back: v1 is running again; down DUR; nothing left over
  try: "nginx -t" shows what it has against the rest.
END
tree_of "$root/etc" | diff before.tree - || fail "a required route that nginx refuses leaves something"
[ "$(answer)" = "hello from v1" ] || fail "v1 is not back"
reaches web.example.org / "hello from v1"
reaches_not must.example.org /
expect 0 pawl check web
# A first deploy: nothing is left of it.
spec 2 '{host: new.example.org, required: true}'
sed -e 's/^name: web/name: new/' -e 's/exec: \[web\]/exec: [new]/' web.yaml >new.yaml
mkdir -p "$root/etc/nginx/pawl.d/new"
echo 'no_such_directive on;' >"$root/etc/nginx/pawl.d/new/mistake.conf"
tree_of "$root/etc" >before.tree
expect 1 pawl apply new.yaml
told <<'END'
pawl: new: apply v2 failed: nginx refuses the new configuration: unknown directive "no_such_directive" in ROOT/etc/nginx/pawl.d/new/mistake.conf:1
  put back: nothing is left of it
  try: "nginx -t" shows what it has against the rest.
END
tree_of "$root/etc" | diff before.tree - || fail "a first deploy with a required route leaves something"
expect 4 pawl status new
rm -r "$root/etc/nginx/pawl.d"
spec 2 '{host: must.example.org, required: true}'
expect 0 pawl apply web.yaml
reaches must.example.org / "hello from v2"
say "a required route is all or nothing"

# One host, one service
sed 's/^name: web/name: two/' web.yaml >two.yaml
expect 1 pawl apply two.yaml
told <<'END'
pawl: two.yaml: the route must.example.org belongs to the service web
  try: Choose another, or remove that service first.
END

# A broken nginx does not keep a service
nginx_plain "no_such_directive on;"
expect 0 pawl remove web --purge --yes
told <<'END'
  warning: nginx was not reloaded and still has the old route: nginx refuses the new configuration: unknown directive "no_such_directive" in ROOT/etc/nginx/conf.d/plain.conf:1
END
nginx_plain ""
is_as_before "the end"
is_whole "the end"

# The other layout
nginx_stop
rm -r "$root/etc/nginx"
nginx_make conf.d
nginx_start
spec 1 web.example.org
expect 0 pawl apply web.yaml
reaches web.example.org / "hello from v1"
[ -f "$root/etc/nginx/conf.d/pawl-web.conf" ] || fail "the vhost is not in conf.d"
expect 0 pawl remove web
is_whole "conf.d"
say "conf.d"
