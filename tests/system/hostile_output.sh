#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Whatever a program prints, names or leaves behind: going back is written, the terminal is not written to, and nothing of it runs on.
. "$SRC/tests/lib/system.sh"

cp "$BUILD/examples/web-v1" .
expect 0 pawl deploy ./web-v1 --name web -v v1

bad() {
        printf '#!/bin/sh\n%s\nexit 1\n' "$2" >"bad-$1"
        chmod +x "bad-$1"
        expect 4 pawl upgrade web --source "./bad-$1" --version "$1"
        says "v1 is running again"
        [ "$(answer)" = "hello from v1" ] || fail "v1 does not answer after $1"
        expect 0 pawl recover --dry-run
        says_not "web"
}
bad bytes "printf 'caf\\351 not found\\n'"
bad cut "printf '%0399d\\303\\251\\n' 0"
bad escapes "printf '\\033]0;title\\007\\033[2J\\233 gone\\n'"
if grep -q "$(printf '\033')" "$dir/all"; then fail "an escape sequence reached the terminal"; fi
say "three programs that print what is not text: each put back"

printf '#!/bin/sh\nsetsid sh -c "PORT= exec sleep 321.5" &\nexec ./web-v1\n' >stray
cp stray web-v1 "$dir" 2>/dev/null || true
mkdir tree && cp web-v1 tree/web-v1 && cp stray tree/web && chmod +x tree/web
expect 0 pawl upgrade web --source ./tree --version stray
pgrep -f 'sleep 321.5' >/dev/null || fail "the stray did not start"
expect 0 pawl remove web --purge --yes
if pgrep -f 'sleep 321.5' >/dev/null; then fail "what left the session runs on"; fi
say "what left the session of the service ended with it"
