#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A program that nobody wrote for pawl: busybox's web server, deployed from an archive, a directory and a spec of three lines.
. "$SRC/tests/lib/system.sh"
need busybox curl tar
busybox=$(command -v busybox)
busybox httpd --help >/dev/null 2>&1 || skip "this busybox has no httpd (install busybox-static)"

pack() { # pack VERSION TEXT
        rm -rf pack && mkdir -p pack/bin pack/www
        cp "$busybox" pack/bin/busybox
        echo "$2" >pack/www/index.html
        tar -czf "web-$1.tar.gz" -C pack bin www
}
pack v1 "page one"
pack v2 "page two"
cat >web.yaml <<'END'
pawl: 1
name: web
version: v1
source: {type: path, path: ./web-v1.tar.gz}
runtime: {type: process, exec: [bin/busybox, httpd, -f, -p, "127.0.0.1:{port}", -h, "{release}/www"]}
port: auto
health: {preset: gc}
END

expect 0 pawl init
tree_of "$root" >before
expect 0 pawl apply web.yaml
says "✓ web"
[ "$(answer)" = "page one" ] || fail "v1 does not answer"
[ "$(field web port)" = "$port" ] || fail "it is not on the first free port"
expect 0 pawl apply web.yaml
says "No changes: web is up to date (v1)"
say "deployed from a tar.gz, answers on port $port"

expect 0 pawl upgrade web --source ./web-v2.tar.gz --version v2
says "web upgraded v1 → v2"
[ "$(answer)" = "page two" ] || fail "v2 does not answer"
[ "$(readlink "$root/opt/pawl/web/current")" = releases/v2 ] || fail "current does not lead to v2"
expect 0 pawl rollback web
says "rolled back to v1"
[ "$(answer)" = "page one" ] || fail "v1 is not back"
expect 0 pawl check web
expect 7 pawl upgrade web --source ./web-v2.tar.gz --version v2
says "web v2 is held: it was rolled back from"
[ "$(answer)" = "page one" ] || fail "a held version was deployed"
say "upgraded, rolled back, and v2 is held"

echo scribble >>"$root/opt/pawl/web/releases/v1/www/index.html"
expect 9 pawl check web
says "www/index.html"
expect 0 pawl remove web --purge --yes
[ -z "$(answer)" ] || fail "it still answers"
[ -z "$(programs)" ] || fail "a program is still there"
tree_of "$root" >after
diff before after || fail "remove --purge left something"
expect 0 pawl journal verify
say "an edit is seen by check; removed without a trace"

# The smallest spec: a program that listens on $PORT.
mkdir smallest www
cp "$busybox" busybox
echo smallest >www/index.html
cat >smallest/web-v1 <<END
#!$dir/busybox sh
exec $dir/busybox httpd -f -p 127.0.0.1:\$PORT -h $dir/www
END
chmod +x smallest/web-v1
printf 'pawl: 1\nsource: ./web-v1\n' >smallest/web.yaml
expect 0 pawl apply smallest/web.yaml
says "✓ web"
case $(field web version) in sha-????????????) ;; *) fail "the version is not made of the content" ;; esac
[ "$(answer)" = smallest ] || fail "the smallest spec does not answer"
expect 0 pawl remove web --purge --yes
diff before after || fail "remove --purge left something"

mkdir -p tree/www
cp "$busybox" tree/busybox
echo "from a directory" >tree/www/index.html
expect 0 pawl deploy ./tree --name site --version 1.10 -- busybox httpd -f -p '127.0.0.1:{port}' -h '{release}/www'
says "site 1.10 deployed"
[ "$(answer)" = "from a directory" ] || fail "the directory does not answer"
expect 0 pawl stop site
[ -z "$(programs)" ] || fail "stopped, and still there"
expect 3 pawl status site
expect 0 pawl start site
[ "$(answer)" = "from a directory" ] || fail "started, and no answer"
expect 0 pawl remove site --purge --yes
tree_of "$root" >after
diff before after || fail "remove --purge left something"
[ -z "$(programs)" ] || fail "a program is still there"
say "the smallest spec and a directory: deployed, stopped, started, removed"
