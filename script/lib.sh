# Shared by the scripts in this folder; sourced, never run. POSIX sh.
#
# Contract: `root` is the checkout, and the caller already runs with `set -eu`. Everything a person
# should read goes to standard error, so that a script's standard output stays usable as data.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
export root

say() { printf '%s\n' "$*" >&2; }

# die MESSAGE... : one line an argument, then exit 1.
die() {
    printf '%s\n' "$@" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# Where what is downloaded once and shared by checkouts is kept.
cache_folder() {
    printf '%s\n' "${SPIRIT_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/spirit-admin}"
}

# hash_of FILE... : one word which changes when a file's name or content does.
hash_of() { cksum "$@" | cksum | tr ' ' '-'; }

# is_fresh STAMP WORD : true when STAMP was written for exactly WORD.
is_fresh() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }

# write_stamp STAMP WORD : atomically, so that an interrupted run never counts as done.
write_stamp() {
    printf '%s\n' "$2" >"$1.$$"
    mv -f "$1.$$" "$1"
}

# take_lock FILE : waits for, then holds until this process ends, a lock. The kernel frees it after
# any kind of death, so there is no stale lock to clear by hand. Descriptor 9 is the lock: a long
# lived child has to be started with 9>&- .
take_lock() {
    mkdir -p "$(dirname -- "$1")"
    exec 9>"$1"
    if ! flock -n 9; then
        say "Another setup is at work; waiting for it ($1)."
        flock 9
    fi
}

# can_be_root : root already, or sudo without a password.
can_be_root() { [ "$(id -u)" -eq 0 ] || { have sudo && sudo -n true 2>/dev/null; }; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

# refresh_packages : apt's lists, once in a run, when we may.
refresh_packages() {
    if [ -n "${apt_updated:-}" ] || ! have apt-get || ! can_be_root; then return 0; fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update >&2 ||
        say "apt-get update failed; trying with the package lists that are here."
    apt_updated=yes
}

# first_available PACKAGE... : the first that apt could install, else the first.
first_available() {
    for package in "$@"; do
        if have apt-cache && apt-cache policy "$package" | grep -q 'Candidate: [0-9]'; then
            printf '%s\n' "$package"
            return
        fi
    done
    printf '%s\n' "$1"
}

# install_packages WHY PACKAGE... : through apt, or a message with the exact command.
install_packages() {
    why=$1
    shift
    if ! have apt-get; then
        die "$why is missing, and there is no apt-get to install it with." \
            "Install what your system calls these Debian packages, then run this again: $*"
    fi
    if ! can_be_root; then
        die "$why is missing, and installing it needs root. Run this, then this script again:" \
            "    sudo apt-get update && sudo apt-get install -y --no-install-recommends $*"
    fi
    say "Installing $*"
    refresh_packages
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -q install -y --no-install-recommends "$@" >&2 ||
        die "apt-get could not install: $*" "Nothing else was changed. Mend that, then run this again."
}

browsers="chromium chromium-browser google-chrome"

# find_browser : the path of a Chromium that runs, or nothing. It is really run: Ubuntu's package is
# a stand-in that only tells to install a snap.
find_browser() {
    for browser in $browsers; do
        path=$(command -v "$browser" 2>/dev/null) || continue
        if "$path" --version >/dev/null 2>&1; then
            printf '%s\n' "$path"
            return
        fi
    done
}
