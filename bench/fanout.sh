#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# fanout.sh [DIR]: what a page written after a snapshot costs, and dropping the
# snapshot then, in instructions and cache misses per page written, for each
# width of the nodes and each place of the share count. DIR is for what is built.

set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=${here%/*}
out=${1:-$top/build/bench/fanout}
command -v valgrind >/dev/null || { echo 'fanout.sh: no valgrind' >&2; exit 1; }

# A core of today, with its share of the last level.
caches='--I1=32768,8,64 --D1=32768,8,64 --LL=8388608,16,64'
mib64=16384 gib=262144

build()	# LEAF INNER SHARES
{
	local dir=$out/$1-$2-$3

	mkdir -p "$dir"
	cp "$top"/module/{engine.h,page.h,page_tree.[ch],cow_pages.[ch]} "$dir/"
	sed -i "s/^\(#define VMO_INNER_SHIFT\).*/\1 $2/" "$dir/page_tree.h"
	${CC:-gcc} -std=gnu11 -O2 -Wall -Wextra -Wno-unused-parameter -Werror \
		-DVMO_LEAF_SHIFT="$1" -DSHARES="$3" -I"$dir" -I"$here" \
		-include "$here/fanout_engine.h" -o "$dir/fanout" \
		"$here"/fanout{,_shim}.c "$dir"/{page_tree,cow_pages}.c
}

count()	# LEAF-INNER-SHARES ARGUMENT... : instructions, D1 misses, LL misses
{
	local dir=$out/$1

	shift
	# shellcheck disable=SC2086 # several words
	valgrind -q --tool=cachegrind --cache-sim=yes $caches \
		--cachegrind-out-file="$dir/counts" "$dir/fanout" "$@" 2>/dev/null
	# Ir I1mr ILmr Dr D1mr DLmr Dw D1mw DLmw
	awk '$1 == "summary:" { print $2, $6 + $9, $7 + $10 }' "$dir/counts"
}

rows()	# LEAF INNER SHARES PAGES NAME PATTERN [shuffled]
{
	local key=$1-$2-$3 pages=$4 name=$5 pattern=$6 how=${7:-} stage place
	local stages='snapshot write drop'

	[ "$pattern" != lone ] || stages='snapshot write'

	place=$(sed -n "${3}p" <<<$'private\nreference\noutside')
	for stage in $stages; do
		# shellcheck disable=SC2086 # a word or none
		echo "$stage $(count "$key" "$pages" "$pattern" "$stage" $how)"
	done | awk -v OFS='\t' -v object="$name" -v pattern="$pattern${how:+-$how}" \
		-v leaf=$((1 << $1)) -v inner=$((1 << $2)) -v place="$place" -v n=$((pages / 64)) '
		NR > 1 {
			printf "%s\t%s\t%d\t%d\t%s\t%s\t%.0f\t%.1f\t%.1f\n", object, pattern, leaf,
				inner, place, $1, ($2 - i) / n, ($3 - d) / n, ($4 - l) / n
		}
		{ i = $2; d = $3; l = $4 }'
}

printf 'object\tpattern\tleaf\tinner\tshares\tstage\tinsns\tD1\tLL\n'
for leaf in 4 5 6; do
	build $leaf 6 1
	for pattern in random stride run dense lone; do
		rows $leaf 6 1 $mib64 64M $pattern
		rows $leaf 6 1 $gib 1G $pattern
	done
done
for inner in 4 5 7 8; do
	build 5 $inner 1
	for pattern in random lone; do
		rows 5 $inner 1 $mib64 64M $pattern
		rows 5 $inner 1 $gib 1G $pattern
	done
done
for leaf in 5 6; do
	for place in 1 2 3; do
		build $leaf 6 $place
		rows $leaf 6 $place $gib 1G stride
		rows $leaf 6 $place $gib 1G stride shuffled
	done
done
