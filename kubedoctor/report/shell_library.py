"""The functions of the script that `plan_shell` makes: POSIX sh, for Linux."""

from __future__ import annotations

LIBRARY = r"""
set -eu
umask 077
SECONDS_TO_READY=120

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

need() {
    for tool; do
        command -v "$tool" >/dev/null || fail "there is no $tool"
    done
}

# Components as "pid signal tenths name", the last one started first: they are stopped in that order.
running=''

# A child that has ended stays a zombie until it is waited for, and can be signalled: its state tells.
alive() {
    state=$( { cat "/proc/$1/stat"; } 2>/dev/null ) || return 1
    case ${state##*) } in
    Z* | X* | '') return 1 ;;
    esac
}

# A tenth of a second; POSIX knows whole seconds only. As a child, so that a signal is acted on at once.
tick() {
    sleep 0.1 2>/dev/null &
    wait "$!" || sleep 1
}

stop_all() {
    trap '' INT TERM HUP
    trap - EXIT
    printf '%s\n' "$running" | while read -r pid signal tenths name; do
        [ -n "$pid" ] && alive "$pid" || continue
        printf 'stopping %s\n' "$name"
        kill -s "$signal" "$pid" 2>/dev/null || continue
        while [ "$tenths" -gt 0 ] && alive "$pid"; do
            sleep 0.1
            tenths=$((tenths - 1))
        done
        alive "$pid" && kill -s KILL "$pid"
    done || :
    wait || :
}

on_signal() {
    stop_all
    exit "$1"
}
trap 'code=$?; stop_all; exit $code' EXIT
trap 'on_signal 130' INT
trap 'on_signal 143' TERM
trap 'on_signal 129' HUP

# start NAME SIGNAL TENTHS LOG COMMAND...
start() {
    name=$1 log=$4
    printf 'starting %s\n' "$name"
    signal=$2 tenths=$3
    shift 4
    "$@" >>"$log" 2>&1 </dev/null &
    pid=$!
    running="$pid $signal $tenths $name
$running"
}

# ready WHAT COMMAND...: until the command succeeds, the one started last ends, or time is up.
ready() {
    what=$1
    shift
    deadline=$(($(date +%s) + SECONDS_TO_READY))
    until "$@"; do
        alive "$pid" || ended "$name" "$log"
        [ "$(date +%s)" -lt "$deadline" ] || fail "$what is not ready after $SECONDS_TO_READY s; its log is $log"
        tick
    done
    alive "$pid" || ended "$name" "$log"
}

ended() {
    tail -n 3 "$2" >&2
    fail "$1 ended; its log is $2"
}

# answers TEXT CURL-OPTIONS... URL: 200, and TEXT in the body.
answers() {
    text=$1
    shift
    body=$(curl --silent --fail --noproxy '*' --max-time 2 "$@") || return 1
    case $body in
    *"$text"*) ;;
    *) return 1 ;;
    esac
}

# listens HOST:PORT: 7 is curl's status for a connection that is refused.
listens() {
    code=0
    curl --silent --noproxy '*' --max-time 1 --output /dev/null "telnet://$1" </dev/null || code=$?
    [ "$code" -ne 7 ]
}

# apply JSON CURL-OPTIONS... URL
apply() {
    object=$1
    shift
    curl --silent --fail --noproxy '*' --max-time 10 --output /dev/null --request PATCH \
        --header 'Content-Type: application/apply-patch+yaml' --data-binary "$object" "$@"
}

there() {
    [ -s "$PKI/$1.crt" ] && [ -s "$PKI/$1.key" ]
}

# authority NAME SUBJECT DAYS. NEW_KEY is several words on purpose.
authority() {
    there "$1" && return
    # shellcheck disable=SC2086
    openssl req -x509 -newkey $NEW_KEY -nodes -keyout "$PKI/$1.key" -out "$PKI/$1.crt" -days "$3" -subj "$2" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null ||
        fail "openssl cannot make $PKI/$1.crt"
}

# authority_of NAME CERT KEY: one that is there already.
authority_of() {
    there "$1" && return
    cp "$2" "$PKI/$1.crt"
    cp "$3" "$PKI/$1.key"
}

# leaf NAME AUTHORITY SUBJECT USAGE NAMES DAYS
leaf() {
    there "$1" && return
    {
        printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature,keyEncipherment\n'
        printf 'extendedKeyUsage=%s\n' "$4"
        [ -z "$5" ] || printf 'subjectAltName=%s\n' "$5"
    } >"$PKI/$1.ext"
    # shellcheck disable=SC2086
    openssl req -new -newkey $NEW_KEY -nodes -keyout "$PKI/$1.key" -out "$PKI/$1.csr" -subj "$3" 2>/dev/null &&
        openssl x509 -req -in "$PKI/$1.csr" -out "$PKI/$1.crt" -CA "$PKI/$2.crt" -CAkey "$PKI/$2.key" \
            -set_serial "0x$(openssl rand -hex 16)" -days "$6" -sha256 -extfile "$PKI/$1.ext" 2>/dev/null ||
        fail "openssl cannot make $PKI/$1.crt"
    rm -f "$PKI/$1.csr" "$PKI/$1.ext"
}

service_account() {
    [ -s "$PKI/service-account.key" ] ||
        openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$PKI/service-account.key" 2>/dev/null ||
        fail 'openssl cannot make a key'
    [ -s "$PKI/service-account.pub" ] ||
        openssl pkey -in "$PKI/service-account.key" -pubout -out "$PKI/service-account.pub"
}

# Until one of them ends or a signal comes.
watch() {
    while :; do
        while read -r pid signal tenths name; do
            [ -z "$pid" ] || alive "$pid" || fail "$name ended"
        done <<END
$running
END
        tick
    done
}
"""
"""`start`, `ready`, `stop_all` and their kin."""
