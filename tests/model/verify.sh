#!/bin/sh
# Looks for a run in which a protocol breaks. Nothing but the known windows may be found.
#   ./verify.sh          both models, about 20 minutes on 2 cores, 4 GB of memory
#   ./verify.sh rows     only who writes rows, about 8 minutes
#   ./verify.sh tk       only the renewal, about 10 minutes
#   ./verify.sh all      both, with the largest scenarios of the renewal: hours, 20 GB
cd "$(dirname "$0")" && made=$(mktemp -d) && trap 'rm -r "$made"' EXIT
${CXX:-g++} -O3 -std=c++17 -o "$made/tk" tk.cpp && ${CXX:-g++} -O3 -std=c++17 -o "$made/rows" rows/rows.cpp || exit 2

renewals() {
    for prov in 0 1 2 3; do
        for samehost in 0 1; do
            with="prov=$prov samehost=$samehost maxstates=100000000"
            [ "$1" = all ] && echo "tk n=3 crash=2 pause=1 lost=1 delay=1 trans=1 unk=1 $with"
            echo "tk n=2 crash=2 pause=1 lost=1 delay=1 trans=1 unk=1 $with"
            echo "tk n=3 rev=1 rel=1 crash=1 pause=1 unk=1 $with"
            echo "tk n=3 del=1 rel=1 crash=1 pause=1 unk=1 idreuse=1 $with"
            echo "tk n=3 sweep=1 rel=1 rev=1 hk=1 crash=1 $with"
            echo "tk n=3 extrev=1 rel=1 pause=1 crash=1 hk=1 $with"
            echo "tk n=2 budget=2 crash=1 pause=1 lost=1 trans=1 unk=1 exp=2 hk=1 $with"
            # Deliberate renewals of what needs a login, and rejections that were wrong.
            echo "tk n=3 insist=1 extrev=1 rel=1 pause=1 trans=1 $with"
            echo "tk n=2 insist=2 wrong=1 crash=1 pause=1 trans=1 lost=1 unk=1 hk=1 $with"
            echo "tk n=2 insist=1 wrong=1 rel=1 omitrt=3 rev=1 del=1 trans=1 unk=1 $with"
            # Saves that bring an access token and leave the refresh token as it is.
            echo "tk n=3 rel=1 omitrt=3 crash=1 pause=1 $with"
            echo "tk n=3 rel=1 omitrt=3 crash=1 pause=1 old=1 $with"
            echo "tk n=2 rel=2 omitrt=3 crash=1 pause=1 exp=1 $with"
            echo "tk n=2 rel=1 omitrt=3 crash=1 pause=1 exp=1 unk=1 $with"
            echo "tk n=2 rel=1 omitrt=3 crash=1 lost=1 delay=1 trans=1 exp=1 $with"
            [ "$1" = all ] && echo "tk n=2 rel=2 omitrt=3 crash=1 lost=1 delay=1 trans=1 exp=1 $with"
            echo "tk n=3 rel=1 omitrt=3 rev=1 del=1 hk=1 exp=1 $with"
            echo "tk n=2 rel=2 omitrt=3 rev=1 del=1 sweep=1 crash=1 unk=1 $with"
            echo "tk n=2 rel=2 omitrt=3 extrev=1 rev=1 crash=1 pause=1 $with"
        done
        with="prov=$prov maxstates=100000000"
        echo "tk n=4 exp=1 hk=1 rev=1 rel=1 del=1 $with"
        echo "tk n=4 exp=1 rel=1 omitrt=3 $with"
        [ "$1" = all ] && echo "tk n=4 exp=2 hk=2 unk=1 $with"
    done
    echo "tk n=3 prov=0 journal=0 crash=2 pause=1 rel=1 maxstates=100000000"
}

rows() {
    # Every pair of roles on everything that may be stored; then with a sweep in between; then every three.
    for byowner in 0 1; do
        echo "rows all=2 crash=2 unk=1 down=1 byowner=$byowner"
        for part in 0 1 2 3; do
            echo "rows all=2 sweeper=1 crash=1 unk=1 down=1 byowner=$byowner parts=4 part=$part"
        done
    done
    for part in 0 1 2 3 4 5 6 7; do
        echo "rows all=3 crash=1 parts=8 part=$part"
    done
    # First logins with one code.
    echo "rows a=19 b=19 c=19 d=19 crash=2 unk=1"
}

scenarios() {
    [ "$1" = tk ] || rows
    [ "$1" = rows ] || renewals "$1"
}

scenarios "$1" | MADE="$made" xargs -P "$(nproc)" -I '{}' sh -c '
    found=$("$MADE"/{} traces=0) && echo "ok  {}: ${found%%
*}" || { echo "BAD {}: $found"; exit 1; }'
status=$?
[ $status = 0 ] && echo "nothing but known windows"
exit $status
