# Shared by the end-to-end tests, which source it: servers and workers in folders of their own, waiting
# for what happens, counting what holds. bash; needs STEPPE_BUILD, the absolute build folder.
#
#   world NAME                      a fresh folder $world with a state folder and a socket; stops the world before
#   server_start [VAR=VALUE ...]    starts the server, with ${server_options[@]}, and waits until it answers
#   worker_start NAME THREADS [VAR=VALUE ...]
#   worker_gated NAME THREADS JOB STEP          its results of this step ("STEP TURN") and later ones wait (gate.py) until
#   gate_at NAME JOB STEP | gate_open NAME      lets them on to another step, or for good; gate_holds NAME: one waits
#   stop_hard NAME | stop_soft NAME [SECONDS]   kill -9 | SIGTERM, and wait for its end ("server" or a worker's name)
#   exit_of NAME [SECONDS]          waits for the end of a process and prints its exit status
#   steppe ...                      the command
#   domain_pictures FOLDER          200 + 50 pictures of ten classes in two domains (domains.py)
#   run COMMAND ...                 sets $out, $err and $rc
#   await SECONDS COMMAND ...       tries until it is true; otherwise false
#   json TEXT PATH                  one value, as sqlite3's json_extract sees it
#   ok NAME | fail NAME [WHY] | skip NAME WHY | is NAME WANT GOT | has NAME PART TEXT | lacks NAME PART TEXT
#   refused NAME STATUS PART COMMAND ...   the command's exit status, and a part of what it says on stderr
#   finish                          stops everything, prints the closing line and leaves
#
# No sleep stands for "long enough": a test waits for a state, and a time limit only ends what hangs. On a machine that
# has much else to do little takes long: no limit is below $hang_s.
set -u
hang_s=600
: "${STEPPE_BUILD:?the absolute build folder}"

# What a test may use without asking for it; whatever else it needs, it looks for and skips without.
for tool in sqlite3 python3 nanocat awk sed grep find xargs diff cmp timeout nproc od shuf stat sort taskset; do
    command -v $tool >/dev/null || { echo "FAIL $0: $tool is missing (deploy/install-deps --test)" && exit 1; }
done

passed=0 failed=0 skipped=0
names=()   # of the processes of this world
server_options=()
world=""
scratch=$(mktemp -d "${TMPDIR:-/tmp}/stp.XXXXXX")
trap 'status=$?; world_end; rm -rf "$scratch"; exit $status' EXIT
trap 'exit 130' INT TERM HUP
# A command that is not there fails the test, also where its failure is what the test is after.
command_not_found_handle() {
    echo "$1" >>"$scratch/not-found"
    echo "$1: command not found" >&2
    return 127
}
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE STEPPE_FAILPOINT

ok() { passed=$((passed + 1)); echo "ok   $1"; }
skip() { skipped=$((skipped + 1)); echo "skip $1: $2"; }
fail() {
    failed=$((failed + 1))
    echo "FAIL $1${2:+: $2}"
}
is() { if [ "$2" = "$3" ]; then ok "$1"; else fail "$1" "is \"$3\", wanted \"$2\""; fi; }
has() { case $3 in *"$2"*) ok "$1" ;; *) fail "$1" "\"$3\" lacks \"$2\"" ;; esac; }
lacks() { case $3 in *"$2"*) fail "$1" "\"$3\" has \"$2\"" ;; *) ok "$1" ;; esac; }

run() {
    out=$("$@" 2>"$scratch/err")
    rc=$?
    err=$(cat "$scratch/err")
}

refused() {
    local name=$1 status=$2 part=$3
    shift 3
    run "$@"
    if [ "$rc" != "$status" ]; then
        fail "$name" "exit status $rc, wanted $status: $out $err"
    else
        has "$name" "$part" "$err"
    fi
}

await() {
    local end=$((SECONDS + ($1 < hang_s ? hang_s : $1)))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.03 # between two looks
    done
}

steppe() { timeout $hang_s "$STEPPE_BUILD/steppe" "$@"; }
json() { sqlite3 :memory: "select json_extract('${1//\'/\'\'}', '$2')"; }

# --- processes ---

alive() { [ -n "${1:-}" ] && kill -0 "$1" 2>/dev/null; }
pid_of() { cat "$world/$1.pid" 2>/dev/null; }
ended() { [ -s "$world/$1.exit" ]; }

# Starts a daemon under a shell that keeps its exit status; what it says goes to NAME.log.
spawn() {
    local name=$1
    shift
    rm -f "$world/$name.pid" "$world/$name.exit"
    # shellcheck disable=SC2016
    bash -c 'at=$0; "$@" >>"$at.log" 2>&1 & echo $! >"$at.pid.new"; mv "$at.pid.new" "$at.pid"
        wait $!; echo $? >"$at.exit.new"; mv "$at.exit.new" "$at.exit"' \
        "$world/$name" "$@" >/dev/null 2>&1 </dev/null &
    disown
    case " ${names[*]-} " in *" $name "*) ;; *) names+=("$name") ;; esac
    await 10 test -s "$world/$name.pid" || fail "start $name" "no process came up"
}

exit_of() {
    if await "${2:-30}" ended "$1"; then cat "$world/$1.exit"; else echo "still running"; fi
}
stop_hard() {
    kill -9 "$(pid_of "$1")" 2>/dev/null
    exit_of "$1" >/dev/null
}
stop_soft() {
    kill -TERM "$(pid_of "$1")" 2>/dev/null
    exit_of "$1" "${2:-30}" >/dev/null
}

world_end() {
    local name
    [ -n "$world" ] || return 0
    for name in ${names[@]+"${names[@]}"}; do
        ended "$name" || kill -9 "$(pid_of "$name")" 2>/dev/null
    done
    for name in ${names[@]+"${names[@]}"}; do exit_of "$name" >/dev/null; done
    names=()
    # What a sanitizer or an assertion had to say fails the test, whatever the test looked at.
    if grep -hE 'runtime error:|(ERROR|WARNING): [A-Za-z]*Sanitizer|Assertion .* failed' "$world"/*.log \
        >"$scratch/reports" 2>/dev/null; then
        fail "$(basename "$world"): the logs" "$(head -n 3 "$scratch/reports")"
    fi
    world=""
}

world() {
    world_end
    world=$scratch/${1//[!A-Za-z0-9]/-} # short and plain: it is part of a socket's address
    rm -rf "$world" && mkdir "$world"
    export STEPPE_SERVER=ipc://$world/s
}

answers() { steppe ping >/dev/null 2>&1; }
answers_or_ended() { ended server || answers; }

server_start() {
    spawn server env "$@" "$STEPPE_BUILD/steppe-server" --state "$world/state" --listen "$STEPPE_SERVER" --http none \
        ${server_options[@]+"${server_options[@]}"}
    await 30 answers_or_ended
    ended server || return 0
    fail "start server" "$(tail -n 3 "$world/server.log")"
    return 1
}

worker_start() {
    local name=$1 threads=$2
    shift 2
    spawn "$name" env "$@" "$STEPPE_BUILD/steppe-worker" --connect "$STEPPE_SERVER" --name "$name" \
        --threads "$threads" --cache "$scratch/cache"
}

worker_gated() {
    gate_at "$1" "$3" "$4"
    spawn "$1-gate" python3 "$(dirname "${BASH_SOURCE[0]}")/gate.py" "$world/$1.gate" "$world/s" "$world/$1.rule"
    await 30 test -S "$world/$1.gate"
    STEPPE_SERVER=ipc://$world/$1.gate worker_start "$1" "$2"
}
gate_rule() { echo "$2" >"$world/$1.rule.new" && mv "$world/$1.rule.new" "$world/$1.rule"; }
gate_at() { gate_rule "$1" "$2 $3"; }
gate_open() { gate_rule "$1" open; }
gate_holds() { [ -e "$world/$1.rule.held" ]; }

# --- jobs ---

domain_pictures() { PYTHONDONTWRITEBYTECODE=1 python3 "$(dirname "${BASH_SOURCE[0]}")/domains.py" "$@"; }
# Hands a job file in and prints its number.
submit() { json "$(steppe submit "$1" --json)" '$.job'; }
row() { steppe show "$1" --json; }                     # all that is known of a job, JSON
field() { json "$(row "$1")" "$2"; }                    # e.g. field 1 $.model_sha256
state() { field "$1" '$.job.state'; }
state_is() { [ "$(state "$1")" = "$2" ]; }
are_done() { # jobs, which run beside each other: the last one may be the first to end
    local job
    for job; do state_is "$job" done || return 1; done
}
rows() { sqlite3 -readonly "$world/state/difficulty.db" "$1"; }

finish() {
    world_end
    [ ! -s "$scratch/not-found" ] || fail "commands that are not there" "$(sort -u "$scratch/not-found" | xargs)"
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ] && [ "$passed" -gt 0 ]
    exit
}
