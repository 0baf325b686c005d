#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Where output goes: to a disk that is full, to nobody, and to one file with the messages.
# shellcheck source=tests/lib/cli.sh
. "$SRC/tests/lib/cli.sh"

examples
run -q deploy "$FILES/web-v1" -v v1 -n web
status 0

# to COMMAND...: as run, with stdout where nothing can be written
to_full() {
        last="$* >/dev/full"
        : >"$T/out"
        "$PAWL" --root "$ROOT" "$@" >/dev/full 2>"$T/err" </dev/null
        status=$?
}

# ---- A full disk ----

# What looks is there for its output: a backup that is not whole must not pass for one.
for command in 'journal export' list 'status web' 'inspect web' 'history' 'journal list' 'journal show 1' config 'logs web' check doctor help version \
        'completion bash' '--json list' 'plan restart web' 'recover --dry-run' 'journal verify'; do
        # shellcheck disable=SC2086 # words
        to_full $command
        status 1
        err <<'END'
pawl: could not write to stdout: No space left on device
  try: What was printed is not complete: run it again, to another place.
END
done

# What changes the host has done so, and says what it could not tell.
to_full restart web
status 0
has err 'warning: could not write to stdout: No space left on device'
check "it answers" test "$(answer web)" = "hello from v1"
to_full -q stop web
status 0
err <<'END'
  warning: could not write to stdout: No space left on device
END
# The status says what it always says.
to_full status web
status 3
run -q start web

# ---- Nobody ----

# A reader who had enough is no failure.
last="journal export | head -n 1"
{
        "$PAWL" --root "$ROOT" journal export 2>"$T/err" </dev/null
        echo $? >"$T/status"
} | head -n 1 >"$T/out"
status=$(cat "$T/status")
status 0
err </dev/null

# A stream that is closed is not taken for the next file that pawl opens.
for command in list 'restart web'; do
        # shellcheck disable=SC2086 # words
        "$PAWL" --root "$ROOT" $command >&- 2>"$T/err" </dev/null
        status=$?
        last="$command >&-"
        case $command in list) status 1 ;; *) status 0 ;; esac
        has err 'could not write to stdout: Bad file descriptor'
done
last="restart web <&- >&- 2>&-"
"$PAWL" --root "$ROOT" restart web <&- >&- 2>&-
status=$?
status 0
run journal verify
status 0

# ---- One file for both ----

rm "$ROOT/etc/pawl/web/env"
last="check >out 2>&1"
"$PAWL" --root "$ROOT" check >"$T/out" 2>&1 </dev/null
status=$?
status 9
out <<'END'
web  drift  file DIR/root/etc/pawl/web/env: "DIR/root/etc/pawl/web/env" is not as it was written: it is missing
pawl: 1 of the artifacts differs from what was committed
  try: "pawl apply" brings it back to its spec; hand edits are kept unless --overwrite is given.
END
