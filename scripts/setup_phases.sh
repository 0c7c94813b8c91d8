# Copyright 2026 The verl_resrl authors
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by setup_env.sh: run one phase of an installation with its output in SETUP_LOG, and say why it failed.

_fail() {
    echo "error: $*" >&2
    exit 1
}

# Run a command with its output in the log; print one line with its seconds, and on a terminal what it is at.
_phase() { # WHAT COMMAND...
    local what=$1 start=$SECONDS ticker= status=0
    shift
    printf '\n== %s: %s\n' "$what" "$*" >>"$SETUP_LOG"
    PHASE_START=$(wc -c <"$SETUP_LOG")
    printf 'setup: %s ... ' "$what"
    if [[ -t 1 ]]; then
        _tick "$what" & ticker=$!
    fi
    "$@" >>"$SETUP_LOG" 2>&1 || status=$?
    if [[ -n $ticker ]]; then
        kill "$ticker" 2>/dev/null
        wait "$ticker" 2>/dev/null || :
        printf '\r\033[Ksetup: %s ... ' "$what"
    fi
    if ((status)); then
        echo "failed after $((SECONDS - start)) s"
        return 1
    fi
    echo "$((SECONDS - start)) s"
}

# Show seconds and pip's newest download until the phase, or the script with it, ends.
_tick() { # WHAT
    local start=$SECONDS file
    while kill -0 $$ 2>/dev/null; do
        file=$(tail -n 20 "$SETUP_LOG" | sed -n 's/.*\(Downloading [^ ]*\).*/\1/p' | tail -n 1)
        printf '\r\033[Ksetup: %s ... %d s %.60s' "$1" "$((SECONDS - start))" "$file"
        sleep 1
    done
}

# One line: why the last phase failed, by what its part of the log says.
_cause() {
    local text
    text=$(tail -c "+$((PHASE_START + 1))" "$SETUP_LOG")
    if [[ $text == *"No space left on device"* ]]; then
        echo "the disk is full (df -h shows which; TMPDIR and PIP_CACHE_DIR say where pip's own files go)"
    elif grep -qE 'NewConnectionError|NameResolutionError|Failed to resolve|name resolution|ConnectTimeout|ProxyError' <<<"$text"; then
        echo "the package index cannot be reached: look at the network, or set HTTPS_PROXY or PIP_INDEX_URL"
    else
        # an exception of a build comes before pip's own last words, and says more
        awk '/^ *[A-Za-z_.]*(Error|Exception): /{exception = $0} /^ *(ERROR|error|fatal): /{pip = $0} NF{last = $0}
            END{line = exception ? exception : pip ? pip : last; sub(/^ +/, "", line); print substr(line, 1, 300)}' <<<"$text"
    fi
}
