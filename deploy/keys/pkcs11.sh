#!/bin/sh
# keys.command for a PKCS#11 token (an HSM, a smart card, SoftHSM): prints the key NAME, which is a data object of that label.
#   [keys]
#   command = ["/etc/ullage/pkcs11.sh", "/usr/lib/softhsm/libsofthsm2.so", "ullage", "/etc/ullage/pin"]
# pkcs11.sh MODULE TOKEN PINFILE NAME. The PIN goes to pkcs11-tool (Debian: opensc) by its environment, never as an argument.
set -eu
PIN=$(cat "$3")
export PIN
read_object() {
    pkcs11-tool --module "$1" --token-label "$2" --login --pin env:PIN --read-object --type data --label "$3" 2>/dev/null
}
case "$4" in
*.key)
    hex=$(read_object "$1" "$2" "$4" | od -An -v -tx1 | tr -d ' \n')
    test "${#hex}" -eq 74 || test "${#hex}" -eq 64 # with its check value or without; a pipe hides that nothing came
    printf '%s\n' "$hex"
    ;;
*) read_object "$1" "$2" "$4" ;; # a text secret, as it is
esac
