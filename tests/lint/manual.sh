#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The manual as built: every verb, flag, key and exit status is in it, and nothing in it is wrong to troff.
set -eu
: "${PAWL:?}" "${BUILD:?}"
export LC_ALL=C.UTF-8 MANWIDTH=200 MAN_KEEP_FORMATTING=
[ -f "$BUILD/man/pawl.1" ] || { echo "lint.manual: skipped: there is no scdoc"; exit 77; }
command -v man >/dev/null || { echo "lint.manual: skipped: there is no man"; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/pawl-manual.XXXXXX")
trap 'rm -rf "$work"' EXIT
status=0
finding() {
        echo "lint.manual: $*" >&2
        status=1
}

page() {
        man --warnings -l "$BUILD/man/$1" >"$work/raw" 2>"$work/warnings"
        col -bx <"$work/raw" >"$work/$1"
        [ ! -s "$work/warnings" ] || finding "$1: $(cat "$work/warnings")"
}
# has PAGE WORD...: as whole words
has() {
        p=$1
        shift
        for word in "$@"; do
                grep -qwF -- "$word" "$work/$p" || finding "$p does not say \"$word\""
        done
}

for p in pawl.1 pawl.yaml.5 pawl-spec.5; do page $p; done

"$PAWL" help >"$work/help"
sed -n '/^usage/d; s/^  \([a-z][a-z ]*[a-z]\)  .*/\1/p' "$work/help" >"$work/verbs"
[ "$(wc -l <"$work/verbs")" -gt 20 ] || finding "\"pawl help\" lists too few verbs to be true"
while read -r verb; do
        has pawl.1 "$verb"
        # shellcheck disable=SC2046,SC2086 # words on purpose
        has pawl.1 $("$PAWL" help $verb | sed -n 's/.* \(--[a-z0-9-]*\).*/\1/p')
done <"$work/verbs"

mkdir "$work/root"
"$PAWL" --root "$work/root" config | sed 's/: .*//' >"$work/keys"
[ "$(wc -l <"$work/keys")" -gt 5 ] || finding "\"pawl config\" lists too few keys to be true"
while read -r key; do has pawl.yaml.5 "$key"; done <"$work/keys"

# The keys of the spec: those of maps are indented under them.
"$PAWL" help spec | sed -n '/^ *[a-z][a-z0-9_]* /p' | awk '$1 == "key" { next } { match($0, /^ */); depth = RLENGTH / 2; path[depth] = $1; name = path[0]
        for (i = 1; i <= depth; i++) name = name "." path[i]; print name }' >"$work/spec"
[ "$(wc -l <"$work/spec")" -gt 30 ] || finding "\"pawl help spec\" lists too few keys to be true"
while read -r key; do has pawl-spec.5 "$key"; done <"$work/spec"

sed -n 's/^ERROR([A-Z_]*, *"\([a-z-]*\)".*/\1/p' "$SRC/core/base/errors.def" >"$work/slugs"
while read -r slug; do has pawl.1 "$slug"; done <"$work/slugs"
exit $status
