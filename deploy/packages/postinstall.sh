#!/bin/sh
set -e
# In a chroot or a container there is no systemd to talk to.
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  # An upgrade goes on with the new binary. A first installation has no key yet, and starts nothing.
  systemctl try-restart openai_exporter.service
fi
if [ ! -e /etc/openai_exporter/openai_admin_key ]; then
  echo "Put an admin key into /etc/openai_exporter/openai_admin_key (owner root, mode 0600), then: systemctl enable --now openai_exporter"
fi
