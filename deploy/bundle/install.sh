#!/bin/sh
# Installs ullage from the folder in which this lies, without network, after every file of it was verified.
set -eu
umask 022
usage="usage: sh install.sh --key RELEASE.pub [--to /opt/ullage] [--set all|assess|crawl|search] [--python python3]"

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

key= to=/opt/ullage set=all python=python3
while [ $# -gt 0 ]; do
    case $1 in
    --help) echo "$usage" && exit ;;
    --key | --to | --set | --python) [ $# -gt 1 ] || fail "$usage" ;;
    *) fail "$usage" ;;
    esac
    case $1 in
    --key) key=$(realpath -- "$2") || fail "$2: there is no key" ;;
    --to) to=$(realpath -m -- "$2") ;;
    --set) set=$2 ;;
    --python) python=$2 ;;
    esac
    shift 2
done
[ -n "$key" ] || fail "$usage (the key comes by another way than this archive)"
cd "$(dirname "$0")"

# Who signed, then what was signed, then that there is nothing else.
command -v openssl >/dev/null || fail "openssl is not there"
openssl pkeyutl -verify -pubin -inkey "$key" -rawin -in SHA256SUMS -sigfile SHA256SUMS.sig >/dev/null 2>&1 ||
    fail "SHA256SUMS is not signed by $key: nothing was installed"
sha256sum --check --strict --quiet SHA256SUMS >&2 || fail "a file is not as it was signed: nothing was installed"
listed=$(sed 's/^[0-9a-f]*  //' SHA256SUMS | LC_ALL=C sort)
found=$(find . ! -type d ! -path ./SHA256SUMS ! -path ./SHA256SUMS.sig | sed 's,^\./,,' | LC_ALL=C sort)
[ "$listed" = "$found" ] || fail "there are files here that were not signed: nothing was installed"

[ -f "requirements/$set.txt" ] || fail "there is no set $set"
command -v "$python" >/dev/null || fail "$python is not there"
here=$("$python" -I -c 'import sys, sysconfig; print("%d.%d" % sys.version_info[:2], sysconfig.get_platform())')
[ "$here" = "$(cat PLATFORM)" ] || fail "this archive is for Python $(cat PLATFORM), and $python is $here"
[ ! -e "$to" ] || fail "$to is there already: name another folder with --to, and switch when the new one runs"

trap 'rm -rf "$to"' EXIT
trap 'exit 1' INT TERM
"$python" -I -m venv "$to" || fail "python3 -m venv failed (Debian: apt install python3-venv)"
"$to/bin/python" -I -m pip --isolated install --quiet --disable-pip-version-check --no-cache-dir --no-index --only-binary :all: \
    --require-hashes --find-links wheels --requirement "requirements/$set.txt" || fail "pip installed nothing"
version=$("$to/bin/ullage" --version) || fail "what was installed does not run"
trap - EXIT
echo "ullage $version is in $to; next: $to/bin/ullage --data DIR init"
