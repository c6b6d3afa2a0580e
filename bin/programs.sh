# Read by the scripts beside it, which have followed the symbolic links to themselves in `self`.
# Sets `home`, the folder above bin/, and finds the programs that the scripts start.

home=$(CDPATH='' cd -- "$(dirname -- "$self")/.." && pwd -P)

# Where a program may be: a release folder keeps them in lib/, a source tree where cargo builds them.
places="$home/lib
${CARGO_TARGET_DIR:-$home/target}/release
${CARGO_TARGET_DIR:-$home/target}/debug"

# Prints every path at which program $1 exists, the preferred one first.
program_paths() {
    printf '%s\n' "$places" | while IFS= read -r place; do
        if [ -f "$place/$1" ] && [ -x "$place/$1" ]; then
            printf '%s/%s\n' "$(cd -- "$place" && pwd -P)" "$1"
        fi
    done
}

# Prints the path of program $1, or says what to do and ends the script.
find_program() {
    found=$(program_paths "$1" | head -n 1)
    if [ -z "$found" ]; then
        printf 'There is no program "%s" in any of:\n%s\n' "$1" "$places" >&2
        printf 'In a source tree, build it with: cargo build --release\n' >&2
        exit 1
    fi
    printf '%s\n' "$found"
}

# As RocketMQ's own scripts: the folder above bin/ unless it is set.
ROCKETMQ_HOME=${ROCKETMQ_HOME:-$home}
export ROCKETMQ_HOME
