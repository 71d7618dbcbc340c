# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034,SC2016
# Common parts of the rig's shell scripts; sourced, never run.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${VMO_CACHE:-/var/cache/vmo}

die()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

note()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# need_tools TOOL:PACKAGE... : install the Debian packages of the tools that are
# not there. Says so; asks no registry when nothing is missing.
need_tools()
{
	local pair missing=()

	for pair; do
		case ${pair%%:*} in
		/*) [ -e "${pair%%:*}" ] && continue ;;
		*) command -v "${pair%%:*}" >/dev/null 2>&1 && continue ;;
		esac
		missing+=("${pair#*:}")
	done
	[ ${#missing[@]} -eq 0 ] && return 0
	note "installing ${missing[*]}"
	apt_install "${missing[@]}"
}

apt_install()
{
	local log

	log=$(mktemp)
	mkdir -p "$cache"
	if ! { flock 8 && apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq \
		install -y --no-install-recommends "$@"; } 8>"$cache/apt.lock" >"$log" 2>&1 </dev/null; then
		cat "$log" >&2
		rm -f "$log"
		die "apt-get could not install: $*"
	fi
	rm -f "$log"
}

# in_sid ROOT DIR COMMAND...: run in the sid tree ROOT, with DIR at /build. The
# mounts are of a namespace of their own and vanish with the command.
in_sid()
{
	unshare -m sh -c 'root=$1 dir=$2
		shift 2
		mount -t proc proc "$root/proc" && mount --bind "$dir" "$root/build" &&
			cd / && exec chroot "$root" "$@"' sh "$@"
}
