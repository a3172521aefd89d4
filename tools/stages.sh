#!/usr/bin/env bash
# Runs the stages of a suite, which are targets of the Makefile, and ends with a table of what ran and how long it took:
#
#     tools/stages.sh fmt-check vet lint                  one after another
#     tools/stages.sh fmt-check vet --beside e2e race     what follows --beside by two, in this order
#
# Of stages that run beside each other, each shows its output whole when it ends. The first that fails ends all.
set -euo pipefail

make=${MAKE:-make}
work=$(mktemp -d)
begun=$SECONDS
table=
running=() # "process stage begin", for each

# Each stage beside another is a process group of its own, which is ended as one.
end_all() {
	local r
	exec 2>/dev/null # The shell would say of each that it was terminated.
	for r in "${running[@]+"${running[@]}"}"; do
		kill -TERM -- "-${r%% *}" 2>/dev/null || true
	done
	for r in "${running[@]+"${running[@]}"}"; do
		for _ in {1..50}; do
			kill -0 -- "-${r%% *}" 2>/dev/null || break
			sleep 0.1
		done
		kill -KILL -- "-${r%% *}" 2>/dev/null || true
	done
	running=()
}
trap 'end_all; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

passed() { table+=$(printf '\n  %-14s %4d s' "$1" "$2"); }

failed() {
	local r
	printf '\nFAILED: make %s\n' "$1"
	for r in "${running[@]+"${running[@]}"}"; do
		r=${r#* }
		printf 'Ended before its end: make %s\n' "${r% *}"
	done
	exit 1
}

start() {
	# The status is in a file, because `wait -n` does not say whose it is.
	{
		status=0
		$make "$1" || status=$?
		echo "$status" >"$work/$1.status"
	} >"$work/$1.out" 2>&1 </dev/null &
	running+=("$! $1 $SECONDS")
}

# ended shows the stages that have ended.
ended() {
	local r pid stage began status left=()
	for r in "${running[@]}"; do
		read -r pid stage began <<<"$r"
		if kill -0 "$pid" 2>/dev/null; then
			left+=("$r")
			continue
		fi
		printf '\n==> make %s, which took %d s\n' "$stage" $((SECONDS - began))
		cat "$work/$stage.out"
		status=$(cat "$work/$stage.status" 2>/dev/null || echo 'no status')
		if [ "$status" != 0 ] && [ -z "${bad:-}" ]; then
			bad=$stage
		fi
		passed "$stage" $((SECONDS - began))
	done
	running=("${left[@]+"${left[@]}"}")
	[ -z "${bad:-}" ] || failed "$bad"
}

while [ $# -gt 0 ] && [ "$1" != --beside ]; do
	printf '\n==> make %s\n' "$1"
	began=$SECONDS
	$make "$1" || failed "$1"
	passed "$1" $((SECONDS - began))
	shift
done

if [ $# -gt 0 ]; then
	shift
	set -m
	while [ $# -gt 0 ] || [ ${#running[@]} -gt 0 ]; do
		while [ $# -gt 0 ] && [ ${#running[@]} -lt 2 ]; do
			printf '\n... make %s has begun\n' "$1"
			start "$1"
			shift
		done
		wait -n || true
		ended
	done
fi
printf '\nEverything passed, in %d s:%s\n' $((SECONDS - begun)) "$table"
