#!/bin/sh
# Of the deb: "remove"; of the rpm: 0 for the last removal. An upgrade stops nothing:
# the running agent goes on until it is restarted.
set -e
case "${1:-}" in
remove | 0) ;;
*) exit 0 ;;
esac
if [ -d /run/systemd/system ]; then
	systemctl disable --now ibuki-gateway.service ibuki-agent.service || true
fi
