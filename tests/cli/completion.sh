#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The completions load, and complete commands and flags.
# shellcheck source=tests/lib/cli.sh
. "$SRC/tests/lib/cli.sh"

for shell in bash zsh fish; do
        bare completion "$shell"
        status 0
        has out upgrade
        has out journal
        if command -v "$shell" >/dev/null; then
                check "the completions are $shell" "$shell" -n "$T/out"
        fi
done
bare completion tcsh
status 2

bare completion bash
# shellcheck disable=SC1091
. "$T/out"
# completes WORD... : what the last word becomes
completes() {
        COMP_WORDS=(pawl "$@")
        COMP_CWORD=$#
        COMPREPLY=()
        _pawl
        echo "${COMPREPLY[*]}"
}
last="completion bash"
check "a command" test "$(completes upg)" = upgrade
check "a flag" test "$(completes upgrade --ret)" = --retry
check "a common flag" test "$(completes list --js)" = --json
check "a second word" test "$(completes journal ver)" = verify
check "a flag behind two words" test "$(completes journal list --fr)" = --from
check "a shell" test "$(completes completion f)" = fish
check "flags of others are not offered" test -z "$(completes list --ret)"
