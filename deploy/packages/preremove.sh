#!/bin/sh
set -e
# dpkg says "remove" and rpm says 0 when the package goes for good; an upgrade leaves the service alone.
if [ -d /run/systemd/system ]; then
  case "$1" in
    remove | 0) systemctl disable --now openai_exporter.service ;;
  esac
fi
