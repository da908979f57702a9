# Shared by the scripts of this folder: one-line progress, logs in logs/, one-sentence refusals.
# Source it with `root` set to the repository's root.

mkdir -p "$root/logs"

# refuse SENTENCE: bad input or a missing piece of the machine. One sentence with the cure, exit code 2.
refuse() {
  echo "medcopilot: $*" >&2
  exit 2
}

# step LOG MESSAGE COMMAND...: run quietly, show the seconds while it runs, show the log's tail when it fails.
step() {
  local log="$root/logs/$1" message=$2 started=$SECONDS pid code=0
  shift 2
  printf '  %-46s' "$message"
  "$@" >>"$log" 2>&1 &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.2
    if ((SECONDS - started >= ${shown:-0} + 15)); then
      shown=$((SECONDS - started))
      printf ' %ss' "$shown"
    fi
  done
  shown=0
  wait "$pid" || code=$?
  if ((code != 0)); then
    printf ' failed\n'
    tail -n 25 "$log" >&2
    echo "medcopilot: \"$message\" failed with exit code $code; the whole log is in ${log#"$root"/}" >&2
    return "$code"
  fi
  printf ' ok (%ss)\n' "$((SECONDS - started))"
}

# find_python: prints the first interpreter that really runs and is 3.11 or 3.12.
find_python() {
  local candidate
  for candidate in "${PYTHON:-python3.11}" python3.11 python3.12 python3; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null; then
      echo "$candidate"
      return 0
    fi
  done
  return 1
}
