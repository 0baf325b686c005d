#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A file system that the kernel has made read-only after an error: looking works, what would change something says why it cannot, nothing is called unknown
# that was never begun, and writable again it goes on.
. "$SRC/tests/lib/system.sh"
need_root
need mount
expect 0 pawl -q deploy "$BUILD/examples/web-v1" -v v1 -n web
tree_of "$root" >"$dir/before"

# Over the place, as the service has files there open for writing.
mount --bind "$root" "$root" 2>/dev/null || skip "mounting is not permitted"
mount -o remount,bind,ro "$root"
for command in 'restart web' 'stop web' recover init 'journal rebuild'; do
        # shellcheck disable=SC2086 # words
        expect 1 pawl $command
        told <<'END'
pawl: could not open the journal's database: Read-only file system
  try: The file system is mounted read-only. Mount it writable (mount -o remount,rw), then run the command again.
END
done
expect 0 pawl list
says running
expect 0 pawl check

umount "$root"
tree_of "$root" >"$dir/after"
diff "$dir/before" "$dir/after" || fail "something was changed"
expect 0 pawl restart web
expect 0 pawl -q remove web
