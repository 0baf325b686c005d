# SPDX-License-Identifier: Apache-2.0
#
# A trail of the model (spin -t -p) as a schedule of kills on the real program: one line, the crash points of fault.h at
# which one process after the other dies. A point is where the model's process was when it died: behind its n-th commit,
# its n-th apply, its n-th revert, or COMMIT itself; a loss of power is a kill here.
#
#   awk -v commit=NUMBER -f schedule.awk     NUMBER: that of RECORD_COMMIT in names.h

function begin() {
        n_commits = n_applied = n_reverted = 0
        point = "journal-commit-before:1"
}

BEGIN { begin() }

# Everything in one atomic step of the model is one commit.
{ step = $1 }
/\(pawl:/ || /proc/ {
        if (match($0, /\[J\[[0-9]+\] = \(J\[[0-9]+\]\|\(1<<[0-9]+\)\)\]/) || match($0, /tries\[[0-9]+\] = /)) {
                kind = $0
                sub(/.*<</, "", kind)
                sub(/\).*/, "", kind)
                if (step != last_step)
                        n_commits++
                last_step = step
                if (kind == commit)
                        committed_at = step
                point = committed_at == step ? "commit-after:1" : "journal-commit-after:" n_commits
        }
        if (match($0, /\[vis\[[^]]*\] = 1\]/))
                point = "apply-after:" (++n_applied)
        if (match($0, /\[vis\[[^]]*\] = 0\]/))
                point = "revert-after:" (++n_reverted)
        if (match($0, /\[crashes = \(crashes\+1\)\]/)) {
                schedule = schedule " " point
                n_crashes++
                forward = forward || (n_crashes > 1 && n_applied > 0)
                begin()
        }
}

END { if (n_crashes > 0) print (forward ? "forward" : "back") schedule }
