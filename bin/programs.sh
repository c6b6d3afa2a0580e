# Read by the scripts beside it, which have followed the symbolic links to themselves in `self`.
# Sets `home`, the folder above bin/, and finds the programs that the scripts start.

home=$(CDPATH='' cd -- "$(dirname -- "$self")/.." && pwd -P) || exit 1

# Where cargo builds. It takes a relative CARGO_TARGET_DIR from the folder that it is run in, which is the tree's.
target=${CARGO_TARGET_DIR:-target}
case $target in /*) ;; *) target=$home/$target ;; esac

# Where a program may be: a release folder keeps them in lib/, a source tree where cargo builds them.
places="$home/lib
$target/release
$target/debug"

# Prints every path at which program $1 exists, the preferred one first.
program_paths() {
    printf '%s\n' "$places" | while IFS= read -r place; do
        if [ -f "$place/$1" ] && [ -x "$place/$1" ]; then
            printf '%s/%s\n' "$(CDPATH='' cd -- "$place" && pwd -P)" "$1"
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

# As RocketMQ's own scripts: the folder above bin/ unless it is set. Java does not start where it is misspelt, as some guides have it.
if [ -n "${ROCKETMQ_HOME-}" ] && [ ! -d "$ROCKETMQ_HOME" ]; then
    printf 'warning: ROCKETMQ_HOME=%s is no folder; %s is taken\n' "$ROCKETMQ_HOME" "$home" >&2
    ROCKETMQ_HOME=
fi
ROCKETMQ_HOME=${ROCKETMQ_HOME:-$home}
export ROCKETMQ_HOME

# Prints the user's home; boot scripts leave HOME unset.
user_home() {
    printf '%s\n' "${HOME:-$(getent passwd "$(id -u)" 2>/dev/null | cut -d : -f 6)}"
}

# Prints the folder that the logback file of server $1 names, if it is another than the default. Guides replace
# ${user.home} in conf/*.xml; files of a Java RocketMQ (4.x and 5.x) are read as well.
edited_log_folder() {
    for file in "$ROCKETMQ_HOME/conf/rmq.$1.logback.xml" "$ROCKETMQ_HOME/conf/logback_$1.xml"; do
        if [ -r "$file" ]; then
            folder=$(sed -n 's/\r$//
                s#\${file\.separator}#/#g
                s#\${[A-Za-z.]*:-\([^{}]*\)}#\1#g
                s#//*#/#g
                /<file>.*\/.*<\/file>/ {
                    s#^.*<file>[[:space:]]*\(.*\)/[^/]*</file>.*$#\1#p
                    q
                }' "$file")
            break
        fi
    done
    case ${folder-} in
        '' | '${user.home}/logs/rocketmqlogs') return ;;
        '${user.home}'*) folder=$(user_home)${folder#'${user.home}'} ;;
    esac
    case $folder in
        *'${'*) printf 'warning: the folder of %s is not known: %s\n' "$file" "$folder" >&2 ;;
        *) printf '%s\n' "$folder" ;;
    esac
}

# Says which variables of Java's images and scripts are given: a -D among them may be one that somebody relies on.
tell_of_java() {
    given=
    for name in JAVA_OPT JAVA_OPTS JAVA_OPT_EXT JAVA_TOOL_OPTIONS MAX_POSSIBLE_HEAP MAX_POSSIBLE_RAM HEAP_NEWSIZE MAX_HEAP_SIZE \
        Xms Xmx Xmn MaxDirectMemorySize; do
        eval "value=\${$name-}"
        if [ -n "$value" ]; then given="$given $name"; fi
    done
    if [ -n "$given" ]; then
        printf 'note:%s: without effect, there is no JVM and no heap to size; what a -D says belongs into the properties file\n' \
            "$given" >&2
    fi
}

# Becomes the server that is program $1, with the arguments behind it.
become_server() {
    program=$(find_program "$1") || exit 1
    tell_of_java
    # --log-to and the environment count more than an edited file.
    if [ -z "${ROCKETMQ_LOG_TO-}" ]; then
        ROCKETMQ_LOG_TO=$(edited_log_folder "$1")
        export ROCKETMQ_LOG_TO
        if [ -z "$ROCKETMQ_LOG_TO" ]; then unset ROCKETMQ_LOG_TO; fi
    fi
    shift
    exec "$program" "$@"
}
