# Puts what the role is given where it reads it: regular files of its own, which nobody else can write. What Kubernetes mounts are
# links in folders that are open to all, and those ullage refuses. What has not changed is left alone; what is gone is taken away.
#     sh give.sh once     all of it, before the role starts
#     sh give.sh change   public halves, sites and channels
#     sh give.sh stay     these, three times a minute
# A name is that of a credential: `.` stands for the folders that a ConfigMap cannot have.
set -eu
line='
'
umask 077
GIVEN=${GIVEN:-/given} DATA=${DATA:-/data/ullage} RUN=${RUN:-/run/ullage/given}

put() { # FILE TARGET
    cmp -s "$1" "$2" && return
    mkdir -p "$(dirname "$2")"
    cp "$1" "$2.new"
    mv "$2.new" "$2"
}

folder() { # GIVEN TARGET: the same files in both
    test -d "$1" || return 0
    mkdir -p "$2"
    for file in "$1"/*; do if test -f "$file"; then put "$file" "$2/$(basename "$file")"; fi; done
    for file in "$2"/*; do if test -f "$file" && ! test -f "$1/$(basename "$file")"; then rm "$file"; fi; done
}

public() { # takes away only what it gave before: match makes and removes public halves of its own
    test -d "$GIVEN/public" || return 0
    now=$line
    for file in "$GIVEN"/public/*; do
        test -f "$file" || continue
        name=$(basename "$file")
        case $name in
        seal.*.pub) target=seal/${name#seal.} ;;
        signers.captures.*.pub* | signers.findings.*.pub* | signers.sheets.*.pub*)
            topic=${name#signers.} && topic=${topic%%.*}
            target=signers/$topic/${name#signers."$topic".}
            ;;
        *) echo "give: $name of the ConfigMap of public halves is neither seal.*.pub nor signers.*.*.pub" >&2 && return 1 ;;
        esac
        put "$file" "$DATA/keys/$target"
        now=$now$target$line
    done
    list=$DATA/keys/given
    if test -f "$list"; then
        while IFS= read -r target; do
            case $now in *"$line$target$line"*) continue ;; esac
            test -f "$DATA/keys/${target%%.pub*}.key" || rm -f "$DATA/keys/$target"
        done <"$list"
    fi
    mkdir -p "$DATA/keys"
    printf '%s' "${now#"$line"}" >"$list.new"
    mv "$list.new" "$list"
}

change() {
    public
    folder "$GIVEN/sites" "$DATA/sites.d"
    folder "$GIVEN/channels" "$DATA/channels.d"
}

case ${1:-} in
once)
    mkdir -p "$DATA" "$RUN"
    put "$GIVEN/config/ullage.toml" "$DATA/ullage.toml"
    folder "$GIVEN/secret" "$RUN"
    change
    ;;
change) change ;;
stay)
    trap 'exit 0' TERM
    while :; do
        sleep 20 &
        wait $!
        sh "$0" change || echo "give: not all of it is in place; tried again in 20 s" >&2
    done
    ;;
*) echo "give: say once, change or stay" >&2 && exit 2 ;;
esac
