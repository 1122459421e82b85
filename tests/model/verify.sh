#!/bin/sh
# Looks for a run in which the protocol breaks. Nothing but the windows of docs/renewal.md may be found.
#   ./verify.sh          about 10 minutes on 2 cores, 4 GB of memory
#   ./verify.sh all      with the largest scenarios: hours, 20 GB
cd "$(dirname "$0")" && made=$(mktemp -d) && trap 'rm -r "$made"' EXIT
${CXX:-g++} -O3 -std=c++17 -o "$made/tk" tk.cpp || exit 2

scenarios() {
    for prov in 0 1 2 3; do
        for samehost in 0 1; do
            with="prov=$prov samehost=$samehost"
            [ "$1" = all ] && echo "n=3 crash=2 pause=1 lost=1 delay=1 trans=1 unk=1 $with"
            echo "n=2 crash=2 pause=1 lost=1 delay=1 trans=1 unk=1 $with"
            echo "n=3 rev=1 rel=1 crash=1 pause=1 unk=1 $with"
            echo "n=3 del=1 rel=1 crash=1 pause=1 unk=1 idreuse=1 $with"
            echo "n=3 sweep=1 rel=1 rev=1 hk=1 crash=1 $with"
            echo "n=3 extrev=1 rel=1 pause=1 crash=1 hk=1 $with"
            echo "n=2 budget=2 crash=1 pause=1 lost=1 trans=1 unk=1 exp=2 hk=1 $with"
            # Saves that bring an access token and leave the refresh token as it is.
            echo "n=3 rel=1 omitrt=3 crash=1 pause=1 $with"
            echo "n=3 rel=1 omitrt=3 crash=1 pause=1 old=1 $with"
            echo "n=2 rel=2 omitrt=3 crash=1 pause=1 exp=1 $with"
            echo "n=2 rel=1 omitrt=3 crash=1 pause=1 exp=1 unk=1 $with"
            echo "n=2 rel=1 omitrt=3 crash=1 lost=1 delay=1 trans=1 exp=1 $with"
            [ "$1" = all ] && echo "n=2 rel=2 omitrt=3 crash=1 lost=1 delay=1 trans=1 exp=1 $with"
            echo "n=3 rel=1 omitrt=3 rev=1 del=1 hk=1 exp=1 $with"
            echo "n=2 rel=2 omitrt=3 rev=1 del=1 sweep=1 crash=1 unk=1 $with"
            echo "n=2 rel=2 omitrt=3 extrev=1 rev=1 crash=1 pause=1 $with"
        done
        echo "n=4 exp=1 hk=1 rev=1 rel=1 del=1 prov=$prov"
        echo "n=4 exp=1 rel=1 omitrt=3 prov=$prov"
        [ "$1" = all ] && echo "n=4 exp=2 hk=2 unk=1 prov=$prov"
    done
    echo "n=3 prov=0 journal=0 crash=2 pause=1 rel=1"
}

scenarios "$1" | TK="$made/tk" xargs -P "$(nproc)" -I '{}' sh -c '
    found=$("$TK" {} traces=0 maxstates=100000000) && echo "ok  {}: ${found%%
*}" || { echo "BAD {}: $found"; exit 1; }'
status=$?
[ $status = 0 ] && echo "nothing but known windows"
exit $status
