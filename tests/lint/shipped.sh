#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Shipped code has no crash points: nobody can stop a real deployment by an environment variable.
set -u
for program in "$PAWL" "$PAWL_TESTING"; do
        if [ ! -x "$program" ]; then
                echo "lint.shipped: there is no \"$program\" yet"
                exit 77
        fi
done
if grep -qa -e PAWL_CRASH_AT -e PAWL_MUTANT "$PAWL"; then
        echo "lint.shipped: \"$PAWL\" contains crash points"
        exit 1
fi
# The same search finds them where they are.
if ! grep -qa PAWL_CRASH_AT "$PAWL_TESTING"; then
        echo "lint.shipped: \"$PAWL_TESTING\" contains no crash points: is this test looking for the right thing?"
        exit 1
fi
