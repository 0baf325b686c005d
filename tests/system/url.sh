#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Artifacts from a web server: only with the right content, not again when it is the same, and to the end over a line that breaks.
. "$SRC/tests/lib/system.sh"
need curl sha256sum
sha() { sha256sum "$1" | cut -d ' ' -f 1; }
for v in 1 2 3; do cp "$BUILD/examples/web-v$v" "$dir/"; done
mkdir pack
cp web-v2 pack/web
head -c 300000 /dev/urandom >pack/data
tar -czf web-v2.tar.gz -C pack web data
spec() { # spec VERSION URL [MORE-OF-SOURCE]
        printf 'pawl: 1\nname: web\nversion: %s\nsource: {url: "%s"%s}\nruntime: {exec: [web]}\n' "$1" "$2" "${3:-}" >web.yaml
}
nothing_new() {
        tree_of "$root" >after
        diff before after || fail "$1: something is left"
        expect 0 pawl recover
        says "Nothing to recover"
}

# http
serve plain
page "path=/v1 file=$dir/web-v1"
page "path=/v2.tar.gz file=$dir/web-v2.tar.gz cuts=3 cut_at=70000 etag=\"a\""
expect 0 pawl init
tree_of "$root" >before
spec v1 "$url/v1"
expect 10 pawl apply web.yaml
says "sha256"
spec v1 "$url/v1" ", sha256: $(sha web-v2)"
expect 8 pawl apply web.yaml
says "$(sha web-v2)"
says "$(sha web-v1)"
nothing_new "a wrong sha256"
spec v1 "$url/none" ", sha256: $(sha web-v1)"
expect 1 pawl apply web.yaml
says "the server answered 404"
nothing_new "404"
spec v1 "$url/v2.tar.gz" ", sha256: $(sha web-v2.tar.gz), max_size: 100KB"
expect 1 pawl apply web.yaml
nothing_new "too large"
expect 10 pawl deploy "ftp://127.0.0.1/web-v1" --name web
nothing_new "ftp://"
say "refused: no sha256, a wrong one, 404, more than max_size, another scheme"

expect 0 pawl deploy "file://$dir/web-v1" --name filed -v v1
expect 0 pawl remove filed --purge --yes
say "file:// is a source like another"

spec v1 "$url/v1" ", sha256: $(sha web-v1)"
expect 0 pawl apply web.yaml
[ "$(answer)" = "hello from v1" ] || fail "v1 does not answer"
n=$(requests plain " /v1 ")
expect 0 pawl apply web.yaml
says "No changes"
[ "$(requests plain " /v1 ")" -eq "$n" ] || fail "what is there was downloaded again"
page "path=/v2.tar.gz file=$dir/web-v2.tar.gz cuts=2 cut_at=70000 etag=\"a\""
spec v2 "$url/v2.tar.gz" ", sha256: $(sha web-v2.tar.gz)"
expect 0 pawl apply web.yaml
[ "$(answer)" = "hello from v2" ] || fail "v2 does not answer"
[ "$(requests plain "GET /v2.tar.gz range=.bytes=70000-")" -eq 1 ] || fail "the cut download does not go on where it ended: $(cat plain.log)"
[ "$(requests plain "GET /v2.tar.gz range=.bytes=140000-")" -eq 1 ] || fail "the cut download does not go on where it ended: $(cat plain.log)"
cmp pack/data "$root/opt/pawl/web/current/data" || fail "the data is another"
say "http: nothing is downloaded twice; a download cut twice goes on at 70000 and 140000"

# An upgrade whose content is not as announced leaves what runs alone.
tree_of "$root" >before
spec v3 "$url/v1" ", sha256: $(sha web-v3)"
expect 8 pawl apply web.yaml
nothing_new "a wrong sha256 of an upgrade"
[ "$(answer)" = "hello from v2" ] || fail "v2 does not answer any more"
expect 0 pawl remove web --purge --yes

# https, without a digest: the server's word that nothing changed is enough.
serve secure tls
page "path=/web file=$dir/web-v1 etag=\"one\""
spec v1 "$url/web"
expect 1 pawl apply web.yaml
says "certificate"
spec v1 "$url/web" ", ca_file: $certificate"
expect 0 pawl apply web.yaml
[ "$(answer)" = "hello from v1" ] || fail "v1 does not answer"
[ "$(requests secure "GET /web ")" -eq 1 ] || fail "one download was expected: $(cat secure.log)"
expect 0 pawl apply web.yaml
says "No changes"
[ "$(requests secure "GET /web ")" -eq 1 ] || fail "what the server calls unchanged was downloaded again: $(cat secure.log)"
[ "$(requests secure "HEAD /web ")" -ge 1 ] || fail "the server was not asked"
page "path=/web file=$dir/web-v2 etag=\"two\""
expect 0 pawl plan web.yaml
spec v2 "$url/web" ", ca_file: $certificate"
expect 0 pawl apply web.yaml
[ "$(answer)" = "hello from v2" ] || fail "v2 does not answer"
page "path=/web file=$dir/web-v3 etag=\"three\""
expect 4 pawl upgrade web
says "other content"
[ "$(answer)" = "hello from v2" ] || fail "v2 is not back"
expect 0 pawl upgrade web
says held
expect 4 pawl upgrade web --retry
[ "$(answer)" = "hello from v2" ] || fail "v2 is not back"
expect 0 pawl remove web --purge --yes
expect 0 pawl journal verify
[ -z "$(programs)" ] || fail "a program is left"
say "https: one GET per content, a HEAD otherwise; an untrusted certificate is refused"
