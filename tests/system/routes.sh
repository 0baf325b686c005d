#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2094 # what is read in a function is not what its caller writes
# Two services and one nginx: whoever is stopped or killed in the middle of a change of its route, the other never sees half of it; and whatever moment a flow
# with a route dies in, recovery leaves nginx as before or as after, in its files and in what it has loaded.
#
# PAWL_ROUTE_POINTS=all tries every crash point; otherwise as many as it says (8), chosen by PAWL_SEED.
. "$SRC/tests/lib/system.sh"
. "$SRC/tests/lib/nginx.sh"
need shuf
for v in 1 2; do cp "$BUILD/examples/web-v$v" "$dir/"; done
spec() { # spec NAME VERSION ROUTE
        printf 'pawl: 1\nname: %s\nversion: v%s\nsource: ./web-v%s\nruntime: {exec: [%s]}\nroute: %s\n' "$1" "$2" "$2" "$1" "$3" >"$1.yaml"
}
answers() { # answers HOST TEXT
        [ "$(visit "$1" /)" = "$2" ] || fail "$1 answers \"$(visit "$1" /)\", not \"$2\""
}
is_sound() { nginx_run -t >"$dir/nginx.out" 2>&1 || fail "$1: $(cat "$dir/nginx.out")"; }
nothing_beside() { ! find "$root/etc/nginx" -name '.pawl-*' | grep . || fail "$1: something is left beside the files of nginx"; }

nginx_pawl=$PAWL_TESTING
nginx_make sites
nginx_start
# A certificate that is not there: what is written is not what nginx takes, so whoever saw it would be stopped by it.
broken="{host: web.example.org, tls: {cert: $dir/none.pem, key: $dir/none.key}}"
spec web 1 "$broken"
spec two 1 two.example.org

# Which of its effects is the last of the route? The one in front of the reload has written everything.
effects() { pawl --json plan "$@" | grep -o '"kind": *"effect"' | wc -l; }
last=$(effects web.yaml)
say "$last steps change something"

# The living: two waits
gate=$dir/gate
at_exit="open_gate $at_exit"
open_gate() { rm -f "$gate"; }
: >"$gate"
(PAWL_PAUSE_AT="apply-before:$last@$gate" pawl apply web.yaml >web.out 2>&1) &
waiting=$!
wait_for 20 test -e "$gate.reached" || fail "web does not come to its last step: $(cat web.out)"
grep -q ssl_certificate "$root/etc/nginx/sites-enabled/pawl-web.conf" || fail "web has not written its vhost"
(pawl apply two.yaml >two.out 2>&1) &
second=$!
sleep 1
[ ! -e "$root/etc/nginx/sites-enabled/pawl-two.conf" ] || fail "two has not waited"
kill -0 "$second" || fail "two did not wait: $(cat two.out)"
rm "$gate"
wait "$waiting" || fail "web: $(cat web.out)"
wait "$second" || fail "two: $(cat two.out)"
grep -q "route: nginx refuses the new configuration: cannot load certificate" web.out || fail "web says: $(cat web.out)"
answers two.example.org "hello from v1"
grep -q warning two.out && fail "two saw what web had written: $(cat two.out)"
[ ! -e "$root/etc/nginx/sites-enabled/pawl-web.conf" ] || fail "web's vhost is left"
say "a living one is waited for"

# The dead: two puts back what it left, and nothing else of it
expect 0 pawl remove two --purge --yes
expect 0 pawl remove web --purge --yes
got=0
PAWL_CRASH_AT="apply-before:$last" pawl apply web.yaml >web.out 2>&1 || got=$?
[ "$got" -eq 137 ] || fail "web was not killed: $(cat web.out)"
[ -e "$root/etc/nginx/sites-enabled/pawl-web.conf" ] || fail "web left nothing"
expect 0 pawl apply two.yaml --strict
says "nginx: settling what a dead pawl left there"
answers two.example.org "hello from v1"
is_sound "behind a dead one"
[ ! -e "$root/etc/nginx/sites-enabled/pawl-web.conf" ] || fail "the dead one's vhost is left"
[ -d "$root/opt/pawl/web" ] || fail "more was put back than what is on nginx"
expect 0 pawl list
says "interrupted"
expect 0 pawl recover
[ ! -d "$root/opt/pawl/web" ] || fail "web was not put back"
answers two.example.org "hello from v1"
nothing_beside "the dead"
say "a dead one's half is put back first, without its lock"

# What cannot be put back holds nginx, and nothing else
got=0
PAWL_CRASH_AT="apply-before:$last" pawl apply web.yaml >web.out 2>&1 || got=$?
echo "# by hand" >>"$root/etc/nginx/sites-available/pawl-web.conf"
spec two 2 other.example.org
expect 0 pawl apply two.yaml
says "warning: route: what transaction "
says " of web left on nginx could not be put back: write etc/nginx/sites-available/pawl-web.conf (0644): "
expect 0 pawl list
says "running, no route"
expect 6 pawl recover
tx=$(pawl --json recover --dry-run | sed -n 's/.*"tx": *\([0-9]*\).*/\1/p' | head -n 1)
expect 0 pawl recover "$tx" --restore all
rm -f "$root/etc/nginx/sites-available/"*.pawl-conflict*
expect 0 pawl apply two.yaml --strict
answers other.example.org "hello from v2"
say "what somebody edited meanwhile is held"

# Dying anywhere
spec web 1 web.example.org
spec two 1 two.example.org
points() { # points N: the crash points of a flow with N effects
        n=1
        while [ "$n" -le "$1" ]; do
                for name in intent-before apply-before apply-after; do echo "$name:$n"; done
                n=$((n + 1))
        done
        echo commit-before:1
        echo commit-after:1
}
seed=${PAWL_SEED:-$(date +%s)}
wanted=${PAWL_ROUTE_POINTS:-8}
say "crash points chosen by PAWL_SEED=$seed"
random() { yes "$seed-$1" | head -c 100000; }
expect 0 pawl remove two --purge --yes

# The host as the flow finds it.
prepare() {
        pawl remove web --purge --yes >/dev/null 2>&1 || true
        case $1 in
        deploy) ;;
        *)
                spec web 1 web.example.org
                expect 0 pawl apply web.yaml --retry
                ;;
        esac
        case $1 in
        deploy) spec web 1 web.example.org ;;
        change) spec web 2 new.example.org ;;
        back) spec web 1 "$broken" ;;
        esac
}
run_flow() {
        case $1 in
        remove) pawl remove web ;;
        *) pawl apply web.yaml ;;
        esac
}
state() { # what nginx has, in its files and in its workers
        for host in web new; do echo "$host $(visit_status "$host.example.org" /)"; done
        (cd "$root/etc/nginx" && find sites-available sites-enabled -name 'pawl-*' | sort)
}
tried=0
for flow in deploy change back remove; do
        prepare "$flow"
        case $flow in remove) n_effects=$(effects remove web) ;; *) n_effects=$(effects web.yaml) ;; esac
        state >before
        run_flow "$flow" >flow.out 2>&1 || fail "$flow: $(cat flow.out)"
        state >after
        random "$flow" >random
        points "$n_effects" | shuf --random-source=random >points
        died=0
        is_ready=no
        while read -r point; do
                [ "$wanted" = all ] || [ "$died" -lt "$((wanted / 4))" ] || break
                [ "$is_ready" = yes ] || prepare "$flow"
                is_ready=no
                got=0
                PAWL_CRASH_AT=$point run_flow "$flow" >flow.out 2>&1 || got=$?
                if [ "$flow" = back ] && [ "$got" -eq 0 ]; then # a step that fails is not followed by what comes after it
                        state >now
                        cmp -s now after || fail "$flow, whole: not as after it: $(cat now)"
                        continue
                fi
                [ "$got" -eq 137 ] || fail "$flow does not come to $point: $(cat flow.out)"
                died=$((died + 1))
                expect 0 pawl recover
                state >now
                if cmp -s now before; then is_ready=yes; else cmp -s now after || fail "$flow dies at $point: neither before nor after: $(cat now)"; fi
                is_sound "$flow at $point"
                nothing_beside "$flow at $point"
                expect 0 pawl recover
                says "Nothing to recover"
        done <points
        tried=$((tried + died))
done
say "died at $tried points of four flows: before or after, in files and in workers"
