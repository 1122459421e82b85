#!/bin/sh
# The protocol with one rule taken out, in the smallest scenario in which that rule matters: each has to break.
cd "$(dirname "$0")" && made=$(mktemp -d) && trap 'rm -r "$made"' EXIT
${CXX:-g++} -O3 -std=c++17 -o "$made/tk" tk.cpp || exit 2
missed=0
while read -r rule scenario; do
    # shellcheck disable=SC2086 # several settings
    if "$made/tk" "$rule" $scenario traces=0 >"$made/out"; then
        missed=$((missed + 1)) && echo "NOT MISSED  $rule $scenario"
    else
        sed -n "s/^  BROKEN: /breaks  $rule $scenario: /p" "$made/out"
    fi
done <<'RULES'
save=0 n=2 prov=1 hk=1
save=1 n=2 rel=1
save=1 n=2 rev=1
save=1 n=2 del=1
save=2 n=2 rel=1 omitrt=1
save=2 n=2 rev=1
save=2 n=2 pause=1
keeprt=0 n=2 prov=1 rel=1 omitrt=1
keeprt=0 n=2 prov=2 rel=1 omitrt=2
jrt=0 n=2 prov=2 samehost=1 crash=1 rel=1 omitrt=2 old=1
loginclaim=0 n=2 prov=1 rel=1 omitrt=1 old=1
loginclaim=0 n=2 prov=2 rel=1 omitrt=1 exp=1
perm=0 n=2 prov=1 rel=1 extrev=1
perm=1 n=3 prov=2 pause=1
lift=0 n=2 prov=2 pause=1
lift=1 n=2 prov=0 pause=1 extrev=1
mintat=0 n=2 budget=1 trans=1
ownimage=1 n=3 budget=2 pause=1 exp=1
sweepcond=0 n=1 sweep=1 rel=1
nonce=0 n=1 rel=1 rev=1 unk=1
laterevoke=0 n=2 prov=2 rev=1
journal=0 n=2 prov=1 samehost=1 crash=1
jlook=0 n=2 prov=1 samehost=1 crash=1
recheck=0 n=2 prov=1 samehost=1 crash=1
precheck=0 n=2 prov=1 pause=1
RULES
echo "$missed rules are not missed"
exit "$missed"
