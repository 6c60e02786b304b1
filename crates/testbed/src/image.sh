#!/bin/sh
# Makes an image of this machine's Python and a few programs, with nothing else in it, and imports it into Podman or Docker: no registry is
# asked. Usage: image.sh NAME PODMAN...
set -eu
name=$1
shift
python=$(readlink -f /usr/bin/python3)
library=/usr/lib/$(basename "$python")
list=$(mktemp)
trap 'rm -f "$list"' EXIT
{
    echo "$python"
    find "$library" -not -path '*/__pycache__*'
    echo /usr/bin/python3
    for tool in cat sh env touch; do readlink -f "/usr/bin/$tool"; echo "/usr/bin/$tool"; done
    # The libraries of the interpreter and of its modules, by their real paths and by the names they are asked for.
    ldd "$python" "$library"/lib-dynload/*.so /usr/bin/cat /usr/bin/sh /usr/bin/env /usr/bin/touch | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p' | sort -u | while read -r lib; do
        readlink -f "$lib"
        echo "$(readlink -f "$(dirname "$lib")")/$(basename "$lib")"
    done
    find -L /lib64 /lib -maxdepth 1 -name 'ld-linux-*' | while read -r loader; do
        readlink -f "$loader"
        echo "$(readlink -f "$(dirname "$loader")")/$(basename "$loader")"
    done
    for link in /lib /lib64 /bin; do if [ -L "$link" ]; then echo "$link"; fi; done
} | awk -F/ '{ print; path = ""; for (i = 2; i < NF; i++) { path = path "/" $i; print path } }' | sort -u | sed 's|^/||' > "$list"
# Directories with their rights: Docker makes those that are not in an archive for root alone.
tar -C / --no-recursion -cf - -T "$list" | "$@" import - "$name"
