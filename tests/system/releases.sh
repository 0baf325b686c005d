#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A real program as the asset of a release, from a forge with TLS: signed or not, private or not, on GitHub and on Gitea; and where its token is seen.
. "$SRC/tests/lib/system.sh"
. "$SRC/tests/lib/releases.sh"
need curl minisign prometheus-node-exporter
name=node_exporter-linux-amd64
token=ghp_0123456789abcdefSECRET
for v in 1.0.0 1.1.0; do
        asset prometheus/node_exporter "v$v" "$name" "$(command -v prometheus-node-exporter)"
        echo "$v" >>"$forge/prometheus/node_exporter/v$v/$name" # other bytes behind a program do no harm
        (cd "$forge/prometheus/node_exporter/v$v" && sha256sum "$name" >SHA256SUMS)
done
releases_start tls
export PAWL_RELEASES_ASSET="$name"
program() { # program [MORE-OF-SOURCE]
        printf 'pawl: 1\nname: exporter\nsource: {repo: prometheus/node_exporter%s}\nruntime: {exec: ["{current}/exporter", "--web.listen-address=127.0.0.1:{port}"]}\n' \
                "${1:-}" >exporter.yaml
}
answers() { curl -s --max-time 5 "http://127.0.0.1:$port/metrics" | grep -q '^node_exporter_build_info'; }
nothing_new() {
        tree_of "$root" >after
        diff before after || fail "$1: something is left"
}

# A program of some size, deployed, upgraded, put back, removed.
expect 0 pawl init
tree_of "$root" >before
program
expect 0 pawl apply exporter.yaml
says "exporter v1.1.0 deployed"
answers || fail "the exporter does not answer"
expect 0 pawl remove exporter --purge --yes
program ", version: v1.0.0"
expect 0 pawl apply exporter.yaml
answers || fail "the exporter does not answer"
expect 0 pawl upgrade exporter
says "exporter upgraded v1.0.0 → v1.1.0"
answers || fail "the upgraded exporter does not answer"
cmp "$forge/prometheus/node_exporter/v1.1.0/$name" "$root/opt/pawl/exporter/current/exporter" || fail "another content"
expect 0 pawl rollback exporter
answers || fail "the exporter that was rolled back to does not answer"
expect 0 pawl upgrade --all
says "held"
expect 0 pawl check
say "deployed, upgraded, rolled back over TLS"

# An untrusted certificate, and http that only the host may allow.
(
        unset PAWL_GITHUB_CA_FILE
        expect 1 pawl upgrade exporter --retry
        told <<'END'
pawl: could not read "https://127.0.0.1:PORT/repos/prometheus/node_exporter/releases/latest": the server's certificate is not trusted (SSL: WHY)
  try: Name the file of the certificate authority with ca_file if it is a private one.
END
)
expect 10 pawl --set "github.url=http://127.0.0.1:1" upgrade exporter --retry
told <<'END'
pawl: "http://127.0.0.1:PORT" is not https
  try: Only the host's configuration can allow it: github.allow_http.
END
expect 0 pawl remove exporter --purge --yes

# Signatures, made by the real tool: prehashed and legacy, of the asset and of its checksums; whatever does not fit keeps nothing.
printf '\n\n' | minisign -G -p key.pub -s key.sec -W >/dev/null 2>&1 || fail "minisign makes no key"
printf '\n\n' | minisign -G -p other.pub -s other.sec -W >/dev/null 2>&1
key=$(tail -n 1 key.pub)
r=$forge/prometheus/node_exporter/v1.1.0
sign() { minisign -S "$@" -W >/dev/null 2>&1 </dev/null || minisign -S "$@" >/dev/null 2>&1 </dev/null || fail "minisign does not sign"; }
tree_of "$root" >before
refused() { # refused <<END, what is told END: exit 8, nothing kept
        expect 8 pawl apply exporter.yaml
        told
        nothing_new "what is refused"
}
program ", public_key: $key"
refused <<'END'
pawl: exporter.yaml: "node_exporter-linux-amd64 of prometheus/node_exporter v1.1.0" is not signed: the release has neither "node_exporter-linux-amd64.minisig" nor a signature of SHA256SUMS
  try: Without public_key the forge alone is trusted.
END
sign -s key.sec -m "$r/$name" -t "the first"
expect 0 pawl apply exporter.yaml
says "is signed by key"
says "the first"
answers || fail "the signed exporter does not answer"
forget
expect 0 pawl apply exporter.yaml
says "No changes"
[ "$(asked .)" -eq 1 ] || fail "what is unchanged is not verified again: $(cat forge.log)"
expect 0 pawl remove exporter --purge --yes
rm "$r/$name.minisig"
sign -l -s key.sec -m "$r/$name"
expect 0 pawl apply exporter.yaml
expect 0 pawl remove exporter --purge --yes
rm "$r/$name.minisig"
sign -s key.sec -m "$r/SHA256SUMS"
expect 0 pawl apply exporter.yaml
says "SHA256SUMS is signed by key"
expect 0 pawl remove exporter --purge --yes
tree_of "$root" >before
cp "$r/SHA256SUMS" sums
echo >>"$r/SHA256SUMS"
refused <<'END'
pawl: exporter.yaml: signature of "SHA256SUMS" does not match: its content is another
  try: The file is not the one that was signed.
END
cp sums "$r/SHA256SUMS"
rm "$r/SHA256SUMS.minisig"
sign -s other.sec -m "$r/$name"
refused <<'END'
pawl: exporter.yaml: signature of "node_exporter-linux-amd64 of prometheus/node_exporter v1.1.0" does not match: it is by key KEY, not by KEY
  try: If its makers have a new key, change public_key.
END
rm "$r/$name.minisig"
sign -s key.sec -m "$r/$name"
sed -i '3s/file:/File:/' "$r/$name.minisig"
refused <<'END'
pawl: exporter.yaml: signature of "node_exporter-linux-amd64 of prometheus/node_exporter v1.1.0" does not match: its trusted comment is another
  try: The signature's comment is not the one that was signed.
END
head -n 2 "$r/$name.minisig" >half && cp half "$r/$name.minisig"
refused <<'END'
pawl: exporter.yaml: "node_exporter-linux-amd64.minisig" of release "v1.1.0": that is not a minisign signature: its third line is not a trusted comment
END
rm "$r/$name.minisig"
sign -s key.sec -m "$r/$name"
cp "$r/$name" good
echo more >>"$r/$name"
(cd "$r" && sha256sum "$name" >SHA256SUMS)
refused <<'END'
pawl: exporter.yaml: signature of "node_exporter-linux-amd64 of prometheus/node_exporter v1.1.0" does not match: its content is another
  try: The file is not the one that was signed.
END
cp good "$r/$name"
cp sums "$r/SHA256SUMS"
rm "$r/$name.minisig"
say "signatures by minisign: two kinds, of the asset or of its checksums; six that do not fit keep nothing"

# A private repository: with the token alone, and the token is seen by the API alone.
echo "$token" >"$forge/prometheus/node_exporter.token"
program
tree_of "$root" >before
expect 1 pawl apply exporter.yaml
told <<'END'
pawl: exporter.yaml: GitHub has no release of "prometheus/node_exporter"
  try: A private repository is there only for those whose token may read it.
END
nothing_new "no token"
hunt() { # where the token must not be; but where the test itself put it
        if grep -rqF "$token" "$root" "$dir"/*.log "$dir/out" "$dir/err" exported; then
                grep -rlF "$token" "$root" "$dir"/*.log "$dir/out" "$dir/err" exported
                fail "the token is seen"
        fi
}
watch_argv() { # what any process's command line says while the command runs
        while [ ! -e watched ]; do
                if cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n' | grep -qF -f tokens/github-token && : >seen; then break; fi
                sleep 0.02
        done
}
with_token() { # with_token HOW COMMAND...
        how=$1
        shift
        rm -f watched seen
        watch_argv &
        watcher=$!
        case $how in
        environment) GITHUB_TOKEN=$(cat tokens/github-token) expect 0 "$@" ;;
        credential) CREDENTIALS_DIRECTORY=$dir/tokens expect 0 "$@" ;;
        file) PAWL_GITHUB_TOKEN_FILE=$dir/tokens/github-token expect 0 "$@" ;;
        esac
        : >watched
        wait "$watcher" || true
        [ ! -e seen ] || fail "the token is in a command line"
        hunt
        pawl journal export >exported
        hunt
}
mkdir -m 0700 tokens
echo "$token" >tokens/github-token
: >exported
for how in environment credential file; do
        forget
        with_token "$how" pawl apply exporter.yaml
        answers || fail "the private exporter does not answer"
        [ "$(asked 'api .*auth=right')" -ge 2 ] || fail "the API did not get the token: $(cat forge.log)"
        [ "$(asked 'contents .*auth=none')" -eq 2 ] || fail "the contents were not asked for without a token: $(cat forge.log)"
        [ "$(asked 'auth=wrong')" -eq 0 ] || fail "the token went elsewhere: $(cat forge.log)"
        with_token "$how" pawl upgrade exporter
        with_token "$how" pawl remove exporter --purge --yes
done
if tr '\0' '\n' <"$root/etc/pawl/pawl.yaml" | grep -qF "$token"; then fail "the token is in the configuration"; fi
printf 'two words' >tokens/github-token
export PAWL_GITHUB_TOKEN_FILE="$dir/tokens/github-token"
expect 10 pawl apply exporter.yaml
told <<'END'
pawl: exporter.yaml: what DIR/tokens/github-token holds is not a token
  try: A token is one word.
END
says_not "two words"
unset PAWL_GITHUB_TOKEN_FILE
rm "$forge/prometheus/node_exporter.token"
say "a private repository: by environment, credential and file; the token is in no file, output, export or command line, and went to the API alone"

# The same from Gitea, whose replies have neither digests nor tags of their own.
export PAWL_GITEA_URL="$api" PAWL_GITEA_CA_FILE="$certificate"
echo "$token" >"$forge/prometheus/node_exporter.token"
echo "$token" >tokens/gitea-token
export PAWL_GITEA_TOKEN_FILE="$dir/tokens/gitea-token"
program ", type: gitea"
forget
expect 0 pawl apply exporter.yaml
answers || fail "the exporter from Gitea does not answer"
[ "$(asked 'auth=wrong')" -eq 0 ] || fail "the token went elsewhere: $(cat forge.log)"
forget
expect 0 pawl upgrade exporter
says "No changes"
[ "$(asked .)" -eq 1 ] || fail "one request was expected: $(cat forge.log)"
expect 0 pawl remove exporter --purge --yes
# A server that a spec names gets no token.
export PAWL_GITEA_URL=https://gitea.invalid
program ", type: gitea, url: \"$api\""
forget
expect 1 pawl apply exporter.yaml
told <<'END'
pawl: exporter.yaml: Gitea has no release of "prometheus/node_exporter"
  try: A private repository is there only for those whose token may read it.
END
[ "$(asked 'auth=none')" -eq 1 ] || fail "a server that only the spec names was given a token: $(cat forge.log)"
rm "$forge/prometheus/node_exporter.token"
expect 0 pawl apply exporter.yaml
answers || fail "the exporter from the spec's server does not answer"
expect 0 pawl remove exporter --purge --yes
say "Gitea: by tag and newest, one request when nothing is new, no token for a server of the spec's"

# A proxy is asked, where there is one.
kill "$forge_pid"
releases_start
program
forget
PAWL_GITHUB_URL=http://api.invalid http_proxy=$api expect 0 pawl apply exporter.yaml
[ "$(asked 'api GET /repos/prometheus')" -ge 2 ] || fail "the proxy was not asked: $(cat forge.log)"
answers || fail "the exporter by proxy does not answer"
expect 0 pawl remove exporter --purge --yes

# More assets than a release itself shows.
i=0
while [ "$i" -lt 250 ]; do
        echo "$i" >"$forge/prometheus/node_exporter/v1.1.0/a-$(printf %03d "$i")"
        i=$((i + 1))
done
echo 30 >"$forge/prometheus/node_exporter.embedded"
expect 0 pawl apply exporter.yaml
expect 0 pawl remove exporter --purge --yes
program ", asset: nothing"
expect 1 pawl apply exporter.yaml
told <<'END'
pawl: exporter.yaml: release "v1.1.0" of "prometheus/node_exporter" has no asset "nothing"
    it has SHA256SUMS
    it has a-000
    it has a-001
    it has a-002
    it has a-003
    it has a-004
    it has a-005
    it has a-006
    it has a-007
    it has a-008
    it has a-009
    it has a-010
    it has a-011
    it has a-012
    it has a-013
    it has a-014
    it has a-015
    it has a-016
    it has a-017
    it has a-018
    and 232 more
  try: Set source.asset to what it is called: {name}, {version}, {os} and {arch} are filled in.
END
# What the release says of its content may be on a later page than the content.
rm "$r/SHA256SUMS"
cp "$r/$name" "$r/0-exporter"
echo "$(sha256sum sums | cut -d ' ' -f 1)  0-exporter" >"$r/zz_checksums.txt"
program ", asset: 0-exporter"
expect 8 pawl apply exporter.yaml
told <<'END'
pawl: exporter.yaml: checksum of "0-exporter of prometheus/node_exporter v1.1.0" does not match: GitHub says SHA256, zz_checksums.txt says SHA256
  try: One of the two was changed, or was made for another file.
END
expect 0 pawl journal verify
[ -z "$(programs)" ] || fail "a program is left"
say "by proxy; among 252 assets on three pages"
