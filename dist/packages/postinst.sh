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
# At the first installation, not at an upgrade: dpkg names the version that was there.
if [ "$1" = 1 ] || [ "$1" = configure ] && [ -z "${2:-}" ]; then
	cat <<'END'
ibuki is installed, and not started. Next:
  1. Write this host's address and that of another member into /etc/ibuki/agent.env.
  2. systemctl enable --now ibuki-agent
  3. ibuki members; the dashboard is at http://127.0.0.1:7374/; ibuki doctor says what is wrong, if anything is.
More in /usr/share/doc/ibuki/docs/install.md.
END
fi
