# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# For tests to source behind cli.sh or system.sh: a forge that speaks the release APIs of GitHub and Gitea (tests/programs/release_server.c).
#
#   asset OWNER/REPO TAG NAME FILE   puts a copy of FILE into the release
#   releases_start [tls]             serves them: $api and $contents are addresses, $certificate a file; GitHub is there from now on
#   fault KIND TIMES PART [ARG]      something goes wrong with requests whose path has PART in it (release_server.c has the kinds)
#   no_faults
#   asked PATTERN                    how many requests of the log match; forget empties it
#
# All of it lies in the folder `forge` of the test's folder, the log in forge.log.
forge=$PWD/forge
mkdir "$forge"
unset GITHUB_TOKEN GITEA_TOKEN CREDENTIALS_DIRECTORY http_proxy https_proxy all_proxy

asset() {
        mkdir -p "$forge/$1/$2"
        cp "$4" "$forge/$1/$2/$3"
}

# shellcheck disable=SC2120 # the word may be left out
releases_start() {
        certificate=
        [ "${1:-}" != tls ] || certificate=$PWD/forge.pem
        : >forge.log
        : >forge.out # else it may not be there yet
        # shellcheck disable=SC2086 # nothing, or one word
        "$BUILD/tests/test-release_server" "$forge" "$PWD/forge.log" $certificate >forge.out 2>forge.err &
        forge_pid=$!
        helpers="${helpers:-} $forge_pid"
        servers="${servers:-} $forge_pid"
        tries=0
        while [ "$(wc -l <forge.out)" -lt 2 ] && [ "$tries" -lt 100 ]; do
                tries=$((tries + 1))
                sleep 0.05
        done
        api=$(sed -n 1p forge.out) contents=$(sed -n 2p forge.out)
        [ -n "$contents" ] || { echo "the release server does not start: $(cat forge.err)" >&2; exit 1; }
        export PAWL_GITHUB_URL="$api"
        if [ -n "$certificate" ]; then export PAWL_GITHUB_CA_FILE="$certificate"; else export PAWL_GITHUB_ALLOW_HTTP=true; fi
}

fault() { echo "$*" >>"$forge/faults"; }
no_faults() { rm -f "$forge/faults"; }
asked() { grep -c -e "$1" forge.log || true; }
forget() { : >forge.log; }
