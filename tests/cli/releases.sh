#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Releases of a forge: deploying from and upgrading to them, and every message about one that cannot be had.
# shellcheck source=tests/lib/cli.sh
. "$SRC/tests/lib/cli.sh"
# shellcheck source=tests/lib/releases.sh
. "$SRC/tests/lib/releases.sh"

examples
for v in 1 2; do asset acme/web "v$v.0.0" web-linux-amd64 "$FILES/web-v$v"; done
[ "$(uname -m)" = x86_64 ] || export PAWL_RELEASES_ASSET=web-linux-amd64
releases_start

# Addresses and numbers of assets are others each time.
ask() {
        run "$@"
        sed -i -E -e "s|$api|API|g" -e "s|$contents|CONTENTS|g" -e 's|/assets/[0-9]+|/assets/ID|g' "$T/out" "$T/err"
}
sum() { sha256sum "$1" | cut -d ' ' -f 1; }
made() { find "$ROOT/opt" "$ROOT/etc" "$ROOT/var/lib/pawl-data" 2>/dev/null | sort; }

# ---- What is there -----------------------------------------------------------------------------------------------
ask deploy acme/web -v v1.0.0
status 0
out <<'E'
✓ web v1.0.0 deployed
  Port:     PORT
  URL:      http://127.0.0.1:PORT
  Data:     DIR/root/var/lib/pawl-data/web
E
has err '  fetch web-linux-amd64 of acme/web v1.0.0'
check "it runs" test "$(answer web)" = "hello from v1"
ask -q upgrade web
status 0
has out '✓ web upgraded v1.0.0 → v2.0.0'
check "the newest runs" test "$(answer web)" = "hello from v2"

# Unchanged is one conditional request and nothing else.
forget
ask upgrade web
status 0
out <<'E'
No changes: web is up to date (v2.0.0)
E
check "one request" test "$(asked .)" -eq 1
check "it is answered with 304" test "$(asked '/releases/latest 304')" -eq 1
forget
ask upgrade --all
status 0
check "one request for all of one service" test "$(asked 304)" -eq "$(asked .)"

ask status web
has out 'Source:      web-linux-amd64 of acme/web v2.0.0'
ask -q upgrade web -v v1.0.0
status 0
has out '✓ web upgraded v2.0.0 → v1.0.0'
ask -q rollback web
status 0
has out '✓ web rolled back to v2.0.0'
ask -q remove web --purge --yes
status 0

# The owner may be the host's, the name is the repository's.
asset acme/Web_App.io v1 Web_App.io-linux-amd64 "$FILES/web-v1"
ask deploy Web_App.io
status 2
err <<'E'
pawl: there is no "Web_App.io"
  try: Give a spec (.yaml), a program, a directory, an archive, a url, or owner/name on GitHub.
E
ask -q --set github.owner=acme --set 'releases.asset={name}-linux-amd64' deploy Web_App.io
status 0
has out '✓ web-app-io v1 deployed'
ask -q remove web-app-io --purge --yes

# ---- What is not -------------------------------------------------------------------------------------------------
ask deploy acme/web -v v9
status 1
out </dev/null
err <<'E'
pawl: GitHub has no release "v9" of "acme/web"
  try: A private repository is there only for those whose token may read it.
E
ask deploy acme/none
status 1
err <<'E'
pawl: GitHub has no release of "acme/none"
  try: A private repository is there only for those whose token may read it.
E
ask deploy acme/web --asset '{name}-{version}.tar.gz'
status 1
err <<'E'
pawl: release "v2.0.0" of "acme/web" has no asset "web-v2.0.0.tar.gz"
    it has web-linux-amd64
  try: Set source.asset to what it is called: {name}, {version}, {os} and {arch} are filled in.
E
mkdir -p "$forge/acme/empty/v1"
ask deploy acme/empty
status 1
err <<'E'
pawl: release "v1" of "acme/empty" has no assets
E
ask deploy acme/web --asset '{nam}'
status 10
err <<'E'
pawl: command line: "source.asset" must be a file name in which {name}, {version}, {os} and {arch} are filled in, not "{nam}"
E
ask deploy gitea:acme/web
status 10
err <<'E'
pawl: "source.url" is missing: where is the Gitea server?
  try: Write url: https://... there, or set gitea.url for this host.
E
ask --set gitea.url=https://user:secret@127.0.0.1 deploy gitea:acme/web
status 10
err <<'E'
pawl: the address of the Gitea server has a user, ? or # in it
  try: A token goes into a file: see token_file.
E
ask --set gitea.url=http://127.0.0.1:1 deploy gitea:acme/web
status 10
err <<'E'
pawl: "http://127.0.0.1:1" is not https
  try: Only the host's configuration can allow it: gitea.allow_http.
E
ask deploy github:web
status 10
err <<'E'
pawl: whose repository is "web"? There is no github.owner
  try: Write owner/name, or set the owner for this host.
E

# A service that runs is left alone by a release that is not there.
ask -q deploy acme/web -v v1.0.0
made >with
ask upgrade web -v v9
status 1
err <<'E'
pawl: GitHub has no release "v9" of "acme/web"
  try: A private repository is there only for those whose token may read it.
E
made >after
check "nothing changes" cmp with after
check "it still runs" test "$(answer web)" = "hello from v1"

# With a spec, the command line's version wins; "latest" is the newest.
spec() { # spec NAME [MORE-OF-SOURCE]
        printf 'pawl: 1\nname: %s\nsource: {repo: acme/web%s}\n' "$1" "${2:-}" >web.yaml
}
spec new ", version: v1.0.0"
ask plan deploy web.yaml
status 0
has out 'fetch web-linux-amd64 of acme/web v1.0.0'
ask plan deploy web.yaml -v latest
has out 'fetch web-linux-amd64 of acme/web v2.0.0'
ask plan deploy acme/web -n new -v latest
has out 'fetch web-linux-amd64 of acme/web v2.0.0'

# ---- A forge that will not ---------------------------------------------------------------------------------------
fault limit 1 /releases/latest 754
ask upgrade web
status 1
err <<'E'
pawl: could not read "API/repos/acme/web/releases/latest": the server takes no more requests until TIME (for DUR)
  try: Run it again then, or give a token, which raises the limit: github.token_file.
E
no_faults
fault wait 9 /releases/latest 90
forget
ask upgrade web
status 1
err <<'E'
pawl: could not read "API/repos/acme/web/releases/latest": the server takes no more requests until TIME (for DUR)
  try: Run it again then, or give a token, which raises the limit: github.token_file.
E
check "a server that says 90 s is not asked again" test "$(asked .)" -eq 1
no_faults
fault status 1 /releases/latest 503
forget
ask -q upgrade web
status 0
has out '✓ web upgraded v1.0.0 → v2.0.0'
check "503 is tried again" test "$(asked '/releases/latest 503')" -eq 1
no_faults
fault cut 1 /releases/latest 100
forget
ask plan deploy acme/web -n new
status 0
check "half a reply is asked for again" test "$(asked '/releases/latest')" -eq 2
no_faults
fault status 9 /releases/latest 502
ask upgrade web
status 1
err <<'E'
pawl: could not read "API/repos/acme/web/releases/latest": the server answered 502
  try: See whether the server works, and can be reached from this host.
E
no_faults
fault loop 99 /releases/latest
ask upgrade web
status 1
err <<'E'
pawl: could not read "API/repos/acme/web/releases/latest": more than 5 redirects
  try: See whether the server works, and can be reached from this host.
E
no_faults
fault status 9 /releases/latest 401
ask upgrade web
status 1
err <<'E'
pawl: could not read "API/repos/acme/web/releases/latest": the server answered 401
  try: The token that GitHub got is not one of its, or has run out.
E

# What it says need not be true.
lie() {
        no_faults
        cat >"$T/lie"
        fault body 9 /releases/latest "$T/lie"
        ask upgrade web
        status 1
}
lie <<'E'
<html>Bad gateway</html>
E
err <<'E'
pawl: could not read "API/repos/acme/web/releases/latest": malformed JSON at line 1, column 1: invalid token
  try: See whether the server works, and can be reached from this host.
E
lie <<'E'
[{"tag_name": "v3"}]
E
err <<'E'
pawl: could not read "API/repos/acme/web/releases/latest": that is not a release: it has no tag_name
  try: Is that the address of its API?
E
lie <<'E'
{"tag_name": "v3", "id": 1, "assets": [{"id": 1, "name": "../web-linux-amd64", "size": 1}, {"id": -1, "name": "x", "size": 1}]}
E
err <<'E'
pawl: release "v3" of "acme/web" has no assets
E
head -c 5000000 /dev/zero | tr '\0' ' ' >"$T/large"
lie <"$T/large"
has err 'it is larger than 4 MiB'
no_faults
check "it still runs" test "$(answer web)" = "hello from v2"

# ---- The content -------------------------------------------------------------------------------------------------
right=$(sum "$FILES/web-v3") wrong=$(sum "$FILES/web-v1")
asset acme/web v3.0.0 web-linux-amd64 "$FILES/web-v3"
made >with
echo "$wrong  web-linux-amd64" >"$forge/acme/web/v3.0.0/SHA256SUMS"
spec web
ask apply web.yaml
status 8
err <<E
pawl: web.yaml: checksum of "web-linux-amd64 of acme/web v3.0.0" does not match: GitHub says $right, SHA256SUMS says $wrong
  try: One of the two was changed, or was made for another file.
E
: >"$forge/acme/web.no_digest"
ask -q apply web.yaml
status 8
err <<E
pawl: web: apply v2.0.0 → v3.0.0 failed: checksum of "web-linux-amd64 of acme/web v3.0.0" does not match: expected $wrong, got $right
  put back: v2.0.0 is running again; nothing left over
  try: See what lies there: it is not the file that was announced.
E
spec web ", checksums: sums"
ask apply web.yaml
status 8
err <<'E'
pawl: web.yaml: release "v3.0.0" of "acme/web" has no checksums "sums"
  try: source.checksums names it; none does without.
E
spec web ", checksums: SHA256SUMS"
echo "$wrong  another" >"$forge/acme/web/v3.0.0/SHA256SUMS"
ask apply web.yaml
status 8
err <<'E'
pawl: web.yaml: "SHA256SUMS" of release "v3.0.0" has no checksum of "web-linux-amd64"
E
spec web ", max_size: 1KB"
ask apply web.yaml
status 1
err <<'E'
pawl: web.yaml: "web-linux-amd64" of release "v3.0.0" is larger than source.max_size
  try: Raise source.max_size if it may be that large.
E
made >after
check "nothing of it is kept" cmp with after

# A content that breaks off is read on from there.
asset acme/big v1 big-linux-amd64 "$FILES/web-v1"
head -c 300000 /dev/urandom >>"$forge/acme/big/v1/big-linux-amd64"
fault cut 2 /content/acme/big 100000
forget
ask -q deploy acme/big --asset big-linux-amd64
status 0
check "it goes on where it broke" test "$(asked 'contents .*range=.bytes=100000-')" -eq 1
check "and once more" test "$(asked 'contents .*range=.bytes=200000-')" -eq 1
check "it runs" test "$(answer big)" = "hello from v1"
