#!/bin/sh
# Moves the settings of pg-simple-mcp into countersign.toml: PG_HOST, PG_PORT, PG_USER and PG_DATABASE from the environment, else from
# a file .env beside this script. PG_PASSWORD is not touched: Countersign reads it from the environment when it starts.
set -eu
cd "$(dirname "$0")"

# The value of a variable; as with dotenv, the environment wins.
setting() {
    eval "value=\${$1-}"
    if [ -z "$value" ] && [ -f .env ]; then
        value=$(sed -n "s/^ *$1 *= *//p" .env | tail -n 1 | tr -d "\"'\r")
    fi
    if [ -z "$value" ]; then
        echo "Missing required env var: $1" >&2
        exit 1
    fi
    case $value in
        *[!A-Za-z0-9._-]*)
            echo "$1 has a character other than A-Z a-z 0-9 . _ -: write the url in countersign.toml by hand" >&2
            exit 1 ;;
    esac
}

setting PG_HOST; host=$value
setting PG_PORT; port=$value
setting PG_USER; user=$value
setting PG_DATABASE; database=$value

sed -e "s|^url = \"[^\"]*\"|url = \"postgres://$user@$host:$port/$database\"|" \
    -e "s|^uid = [0-9]*|uid = $(id -u)|" countersign.toml > countersign.toml.new
mv countersign.toml.new countersign.toml
echo "countersign.toml: $user@$host:$port/$database, for user id $(id -u)"
