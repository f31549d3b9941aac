#!/bin/sh
# Of the deb: "configure"; of the rpm: 1 for an installation, 2 for an upgrade.
# Nothing is started: an agent needs to be told its name and address first.
set -e
case "${1:-}" in
configure | 1 | 2) ;;
*) exit 0 ;;
esac
if ! getent group ibuki >/dev/null; then
	groupadd --system ibuki
fi
if ! getent passwd ibuki >/dev/null; then
	useradd --system --gid ibuki --no-create-home --home-dir /var/lib/ibuki --shell /usr/sbin/nologin ibuki
fi
install -d -o ibuki -g ibuki -m 0750 /var/lib/ibuki
chgrp ibuki /etc/ibuki /etc/ibuki/agent.d /etc/ibuki/agent.env /etc/ibuki/gateway.env
for file in /etc/ibuki/agent.d/*.json; do
	[ ! -e "$file" ] || chgrp ibuki "$file"
done
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
