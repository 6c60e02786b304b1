#!/bin/sh
# A place where an attack may succeed: its own mounts, processes and network, with folders in memory over all that it could harm.
# Usage: naive.sh REPO LINE WORD...   LINE goes to a shell as it is; without one, WORDs are executed. Beside it lies a library, e.so.
repo=$1 line=$2
shift 2
mount -t tmpfs srv /srv && mkdir /srv/repo && mount -t tmpfs repo /srv/repo || exit 99
cp -R "$repo/." /srv/repo && chown -R "$(id -u)" /srv/repo
cp "$(dirname "$0")/e.so" /srv || exit 99
mkdir /srv/etc && cp /etc/passwd /etc/group /srv/etc
for folder in /etc /home /root /tmp; do mount -t tmpfs shadow "$folder" || exit 99; done
cp /srv/etc/* /etc && mkdir /etc/cron.d
touch /home/victim /srv/x
marking='#!/bin/sh
echo marked >> /srv/mark'
mkdir /srv/bin
for planted in /tmp/ls /tmp/x /tmp/x.sh /srv/bin/id; do printf '%s\n' "$marking" > "$planted" && chmod 755 "$planted"; done
printf 'exec /usr/bin/id\n' >> /srv/bin/id
ln -s /usr/bin/python3 /srv/bin/python
printf '[core]\n\tfsmonitor = /tmp/x.sh\n' > /tmp/c
printf '[pytest]\n' > /tmp/pytest.ini
printf 'open("/srv/mark", "w").write("marked")\n' > /tmp/sitecustomize.py
cp /srv/e.so /tmp && cp /srv/e.so /tmp/libselinux.so.1
before=$(cksum /tmp/x)
cd "${NAIVE_CWD:-/srv/repo}" || exit 99
PATH=/srv/bin:/usr/bin:/bin
if [ -n "$line" ]; then
    env $NAIVE_ENV bash -c "$line" < /dev/null 2>&1 | head -c 20000
else
    env $NAIVE_ENV "$@" < /dev/null 2>&1 | head -c 20000
fi
echo
[ -e /srv/mark ] && echo 'EFFECT: a program of the attacker ran'
[ -e /etc/x ] || [ -e /etc/cron.d/x ] || [ "$before" != "$(cksum /tmp/x)" ] && echo 'EFFECT: a file was written'
[ -e /home/victim ] || echo 'EFFECT: a directory was deleted'
exit 0
