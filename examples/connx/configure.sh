#!/bin/sh
# Moves the settings of the CONNX servers into countersign.toml: `./configure.sh vsam` or `./configure.sh adabas`. The CONNX_… variables come
# from the environment, else from a file .env in the current directory. CONNX_PASS and CONNX_ALLOW_WRITES are not touched: Countersign reads them
# from its environment at each start.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
case ${1-} in
    vsam) dsn_name=CONNX_DSN ;;
    adabas) dsn_name=CONNX_DSN_ADABAS ;;
    *) echo "usage: configure.sh vsam|adabas" >&2; exit 2 ;;
esac

# The value of a variable, empty if it is not set; as with dotenv, the environment wins.
setting() {
    eval "value=\${$1-}"
    if [ -z "$value" ] && [ -f .env ]; then
        value=$(sed -n "s/^ *$1 *= *//p" .env | tail -n 1 | tr -d "\"'\r")
    fi
    case $value in
        *[!A-Za-z0-9._-]*)
            echo "$1 has a character other than A-Z a-z 0-9 . _ -: write the url in countersign.toml by hand" >&2
            exit 1 ;;
    esac
}

setting "$dsn_name"; dsn=$value
setting CONNX_USER; user=$value
missing=
[ -n "$dsn" ] || missing=$dsn_name
[ -n "$user" ] || missing=${missing:+$missing, }CONNX_USER
[ -n "${CONNX_PASS-}" ] || grep -qs '^ *CONNX_PASS *=' .env || missing=${missing:+$missing, }CONNX_PASS
if [ -n "$missing" ]; then
    echo "Missing required config values: $missing" >&2
    exit 1
fi

# A number from 1, else the default.
number() {
    case $value in
        ''|0*|*[!0-9]*) value=$1 ;;
    esac
}
setting CONNX_TIMEOUT; number 30; timeout=$value
# MUTATE(A20-limit): the limit of the sample's environment does not come along
setting CONNX_MAX_ROWS; number 1000; rows=$value

file=$here/$1/countersign.toml
sed -e "s|^url = \"[^\"]*\"|url = \"odbc:DSN=$dsn;UID=$user\"|" \
    -e "s|^uid = [0-9]*|uid = $(id -u)|" \
    -e "s|^timeout = \"[^\"]*\"|timeout = \"${timeout}s\"|" \
    -e "s|^rows = [0-9]*|rows = $rows|" "$file" > "$file.new"
mv "$file.new" "$file"
echo "$file: DSN $dsn as $user, for user id $(id -u)"
