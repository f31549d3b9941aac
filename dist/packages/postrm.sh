#!/bin/sh
# Of the deb: "remove", then "purge", which takes away everything, also writes that
# the gateway still kept; the rpm leaves what was made since.
set -e
case "${1:-}" in
purge)
	rm -rf /var/lib/ibuki /etc/ibuki
	if getent passwd ibuki >/dev/null; then
		userdel ibuki
	fi
	if getent group ibuki >/dev/null; then
		groupdel ibuki
	fi
	;;
esac
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
