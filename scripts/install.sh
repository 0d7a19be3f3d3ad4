#!/usr/bin/env bash
# Make .venv and install Footnote into it: `scripts/install.sh runtime`, or `tools` to add what the
# tests and checks need. bash 3.2 suffices. TORCH=cuda takes the GPU build, PYTHON=… an interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly TORCH_RANGE='torch>=2.6,<2.14'
readonly VENV_PYTHON=.venv/bin/python
readonly CPU_MB=2500 CUDA_MB=8000
readonly PROBE_SECONDS=7  # with the seconds that getting uv takes, an answer within 10 s

main() {
    export PIP_DISABLE_PIP_VERSION_CHECK=1
    case "${1:-runtime}" in
        runtime) install_runtime ;;
        tools) say 'installing the tools for tests and checks'; pip_install -e '.[dev,connectors]' ;;
        *) fail "usage: $0 runtime|tools" ;;
    esac
}

install_runtime() {
    check_disk
    make_environment
    install_torch
    say 'installing Footnote and its libraries; two to three minutes on two cores'
    pip_install -e .
}

check_disk() {
    local need=$CPU_MB free
    [ "${TORCH:-cpu}" = cuda ] && need=$CUDA_MB
    free=$(df -Pm . | awk 'NR == 2 { print $4 }')
    say "needs $need MB of disk in $PWD/.venv; $free MB are free"
    [ -x "$VENV_PYTHON" ] || [ "$free" -ge "$need" ] || fail "not enough disk: free some and run make again"
}

make_environment() {
    if "$VENV_PYTHON" -m pip --version >/dev/null 2>&1; then return; fi
    local python
    python=$(find_python) || exit 1
    say "making .venv with $("$python" --version) ($python)"
    "$python" -m venv --clear .venv
}

# The user's own python3 comes first; a name on the PATH counts only if it runs.
find_python() {
    local candidate without_venv=''
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.14; do
        "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' \
            >/dev/null 2>&1 || continue
        if "$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then
            command -v "$candidate"
            return
        fi
        without_venv=${without_venv:-$candidate}
    done
    if [ -n "$without_venv" ]; then
        fail "$without_venv has no venv module; install it with: $(venv_line "$without_venv")"
    fi
    fail "no Python 3.11 to 3.14 found; install one with: $(python_line)"
}

venv_line() {
    local version
    version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if has apt-get; then echo "sudo apt-get install python$version-venv"
    elif has dnf; then echo "sudo dnf install python$version"
    elif has zypper; then echo "sudo zypper install python${version/./}"
    elif has apk; then echo 'sudo apk add python3'
    else python_line
    fi
}

python_line() {
    if has brew; then echo 'brew install python@3.13'
    elif has apt-get; then echo 'sudo apt-get install python3 python3-venv'
    elif has dnf; then echo 'sudo dnf install python3.13'
    elif has zypper; then echo 'sudo zypper install python313'
    elif has pacman; then echo 'sudo pacman -S python'
    else echo 'the installer from python.org, or: curl the uv installer and run `uv python install 3.13`'
    fi
}

# The default PyTorch for Linux carries gigabytes of CUDA; we want the CPU build unless told else.
install_torch() {
    local have
    have=$(torch_version)
    if [ "${TORCH:-cpu}" = cuda ]; then
        case "$have" in *+cpu) "$VENV_PYTHON" -m pip uninstall --quiet --yes torch ;; esac
        return  # plain pip brings the GPU build as a dependency of Footnote
    fi
    if [ -n "$have" ] || [ "$(uname -s)" != Linux ]; then return; fi
    say "PyTorch: looking for a build without CUDA, for at most 10 s"
    if local_cpu_wheel; then
        say 'PyTorch: a CPU wheel that pip finds on this machine'
        pip_install --no-deps --no-index "$TORCH_RANGE"
    elif cpu_index; then
        say "PyTorch: the CPU build from PyTorch's own index"
        uv_install
    else
        say "PyTorch: no CPU wheel within reach (neither a local one nor PyTorch's index);"
        say "         going on with plain pip: that build may need up to $CUDA_MB MB of disk"
    fi
}

torch_version() {
    "$VENV_PYTHON" -c 'import importlib.metadata as m; print(m.version("torch"))' 2>/dev/null || true
}

local_cpu_wheel() {
    "$VENV_PYTHON" -m pip install --quiet --dry-run --no-deps --no-index --report - "$TORCH_RANGE" \
        2>/dev/null | grep -q '"version": "[0-9.]*+cpu"'
}

cpu_index() {
    find_uv && within "$PROBE_SECONDS" uv_install --dry-run
}

find_uv() {
    if has uv; then UV=uv; return; fi
    UV=.venv/bin/uv
    [ -x "$UV" ] || within 60 "$VENV_PYTHON" -m pip install --quiet --retries 0 --timeout 5 'uv<1'
}

uv_install() {
    "$UV" pip install --quiet --python "$VENV_PYTHON" --no-config --no-cache --link-mode copy \
        --no-deps --torch-backend=cpu "$@" "$TORCH_RANGE"
}

# Bytecode is written on first use: compiling all of it here takes longer and more disk.
pip_install() {
    "$VENV_PYTHON" -m pip install --no-compile --constraint constraints.txt "$@"
}

# macOS has no `timeout`, and this also runs shell functions.
within() {
    local seconds=$1 job watchdog
    shift
    "$@" >/dev/null 2>&1 &
    job=$!
    (sleep "$seconds"; kill "$job" 2>/dev/null) >/dev/null 2>&1 &
    watchdog=$!
    local status=0
    wait "$job" 2>/dev/null || status=$?
    kill "$watchdog" 2>/dev/null || true
    wait "$watchdog" 2>/dev/null || true
    return "$status"
}

has() { command -v "$1" >/dev/null 2>&1; }

say() { echo "footnote: $*"; }

fail() { echo "footnote: $*" >&2; exit 1; }

main "$@"
