#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# fanout-guest.sh [DIR]: vmobench, in guest instructions, with leaves and inner nodes of
# several widths side by side. DIR is for what is built.

set -eu -o pipefail
# shellcheck source=../scripts/lib.sh
. "$(dirname "$0")/../scripts/lib.sh"

out=${1:-$top/build/bench/fanout}
entry=$("$top/scripts/kernels" debian-6.1)
for width in 5-6 6-6 5-5; do	# leaves and inner nodes, as shifts
	dir=$out/guest-$width
	mkdir -p "$dir"
	cp -r "$top"/{Kbuild,VERSION,module,uapi} "$dir/"
	sed -i "s/^\(#define VMO_LEAF_SHIFT\).*/\1 ${width%-*}/
		s/^\(#define VMO_INNER_SHIFT\).*/\1 ${width#*-}/" "$dir/module/page_tree.h"
	make -s -C "$(readlink -f "$entry/build")" M="$dir" modules >"$dir/log" 2>&1 ||
		{ cat "$dir/log" >&2; die "the module does not build"; }
	VMO_MODULE=$dir/module/vmo.ko "$top/scripts/vm" --kernel debian-6.1 --count \
		--timeout 900 -- "$top/build/bench/vmobench" >"$dir/table"
done
paste "$out"/guest-{5-6,6-6,5-5}/table | awk -F'\t' -v OFS='\t' '
	NR == 1 { print "case", "variant", "32, 64", "64, 64", "32, 32"; next }
	!seen[$1, $2]++ { print $1, $2, $3, $9, $15 }'
