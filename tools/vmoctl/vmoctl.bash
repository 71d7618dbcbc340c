# SPDX-License-Identifier: GPL-2.0
# Completion of vmoctl for bash: commands, their options, PID/FD and ids of objects, files.

_vmoctl()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} word command='' words

	# bash takes "--svg=file" for three words.
	case $prev:$cur in
	--svg:*|=:*) compopt -o default; COMPREPLY=(); return ;;
	esac

	for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		case $word in
		-*|*/*) ;;
		*) command=$word; break ;;
		esac
	done
	case $command:$cur in
	*:-*)
		words=$(vmoctl help ${command:+"$command"} 2>/dev/null | sed -n 's/^  \(--[a-z-]*\)[ =].*/\1/p')
		[ -n "$command" ] || words='--json --pretty --help --version'
		;;
	:*)
		words="$(vmoctl help 2>/dev/null | sed -n 's/^[ *] \([a-z][a-z-]*\) .*/\1/p')
			$(_vmoctl_objects)"
		;;
	help:*) words=$(vmoctl help 2>/dev/null | sed -n 's/^[ *] \([a-z][a-z-]*\) .*/\1/p') ;;
	watch:*) words=$(vmoctl list 2>/dev/null | awk '$1 ~ /^[0-9]+$/ { print $1 }') ;;
	stat:*) COMPREPLY=(); return ;;
	run:*|dump:*|pager:*) compopt -o default; COMPREPLY=(); return ;;
	*) words=$(_vmoctl_objects) ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

_vmoctl_objects()
{
	vmoctl list 2>/dev/null | grep -oE ' [0-9]+/[0-9]+ '
}

complete -F _vmoctl vmoctl
