#!/bin/sh
# Each rule taken out of its protocol, in the smallest scenario in which it matters: each has to break.
cd "$(dirname "$0")" && made=$(mktemp -d) && trap 'rm -r "$made"' EXIT
${CXX:-g++} -O3 -std=c++17 -o "$made/tk" tk.cpp && ${CXX:-g++} -O3 -std=c++17 -o "$made/rows" rows/rows.cpp || exit 2
missed=0
while read -r model rule scenario; do
    # shellcheck disable=SC2086 # several settings
    if "$made/$model" "$rule" $scenario traces=0 >"$made/out"; then
        missed=$((missed + 1)) && echo "NOT MISSED  $model $rule $scenario"
    else
        sed -n "s/^  BROKEN: /breaks  $model $rule $scenario: /p
                s/^all: .*NOT EVERY RUN ENDS.*/breaks  $model $rule $scenario: not every run ends/p" "$made/out"
    fi
done <<'RULES'
tk save=0 n=2 prov=1 hk=1
tk save=1 n=2 rel=1
tk save=1 n=2 rev=1
tk save=1 n=2 del=1
tk save=2 n=2 rel=1 omitrt=1
tk save=2 n=2 rev=1
tk save=2 n=2 pause=1
tk keeprt=0 n=2 prov=1 rel=1 omitrt=1
tk keeprt=0 n=2 prov=2 rel=1 omitrt=2
tk jrt=0 n=2 prov=2 samehost=1 crash=1 rel=1 omitrt=2 old=1
tk loginclaim=0 n=2 prov=1 rel=1 omitrt=1 old=1
tk loginclaim=0 n=2 prov=2 rel=1 omitrt=1 exp=1
tk perm=0 n=2 prov=1 rel=1 extrev=1
tk perm=1 n=3 prov=2 pause=1
tk lift=0 n=2 prov=2 pause=1
tk lift=1 n=2 prov=0 pause=1 extrev=1
tk mintat=0 n=2 budget=1 trans=1
tk ownimage=1 n=3 budget=2 pause=1 exp=1
tk sweepcond=0 n=1 sweep=1 rel=1
tk nonce=0 n=1 rel=1 rev=1 unk=1
tk laterevoke=0 n=2 prov=2 rev=1
tk journal=0 n=2 prov=1 samehost=1 crash=1
tk jlook=0 n=2 prov=1 samehost=1 crash=1
tk again=2 n=2 budget=1 trans=1
tk again=3 n=2 prov=1 trans=1 pause=1
tk putback=0 n=2 extrev=1 insist=1 trans=2
tk putback=2 n=2 extrev=1 insist=1 trans=2 rel=1 omitrt=1
tk recheck=0 n=2 prov=1 samehost=1 crash=1
tk precheck=0 n=2 prov=1 pause=1
rows freeze=0 N=1 U=1 a=2 crash=1
rows seenlogin=0 N=1 U=1 a=2 b=4 crash=1
rows seenstatus=0 N=1 U=1 a=2 b=10 crash=1
rows rotation=0 a=1 b=2 c=16 rotates=1
rows aliasended=0 N=1 U=1 a=2 b=12
rows past=0 U=1 a=2 b=8
rows credential=0 N=1 a=1 b=5
rows ended=0 U=1 a=4 b=12
rows endedfound=0 U=2 consent=1 a=8 b=12
rows endedfound=0 N=1 U=1 a=2 b=8 c=11
rows endedowner=0 N=1 a=5 b=11 c=2
rows staleid=0 N=1 a=6 b=11
rows look=0 a=2 b=3
rows withdraw=0 a=2 b=3
rows insists=0 V=1 a=2 b=3 c=18
rows unlooked=0 a=1 b=2 crash=1
rows bylogin=0 a=2 b=3 c=16 vfirst=1 crash=1
rows spentfound=0 a=1 b=2 c=15 rotates=1 byowner=1 crash=1
rows grace=0 a=2 b=3 c=16 vfirst=1
rows renewlook=0 a=1 b=2 c=16 rotates=1 crash=1
rows replacing=0 U=1 a=4
rows newer=0 U=2 consent=1 a=4
rows endlogin=0 U=1 a=14 b=4
rows endonce=0 U=1 a=14 b=4 c=10
rows makersfirst=0 N=1 a=2 b=12 byowner=1 crash=1
rows superseded=0 U=1 rotates=1 a=4 b=16
rows takeback=0 U=1 rotates=1 a=10 b=16
rows latefollow=0 N=1 U=1 rotates=1 a=2 b=15
rows leasedead=0 a=19 b=19
rows leaselook=0 a=19 b=19
RULES
echo "$missed rules are not missed"
exit "$missed"
