# Makes the root below /new one that systemd can boot, where it is not yet.
set -e
cat >/new/etc/systemd/system/lab.service <<'UNIT'
[Unit]
Description=The lab's scenarios
After=multi-user.target

[Service]
Type=oneshot
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
ExecStart=/bin/bash /lab/host.sh

[Install]
WantedBy=multi-user.target
UNIT
wants=/new/etc/systemd/system/multi-user.target.wants
mkdir -p "$wants"
ln -sf ../lab.service "$wants/lab.service"
: >/new/etc/fstab
# Nobody logs in, nothing waits for a network or looks for updates.
for unit in getty@tty1 serial-getty@ttyS0 systemd-networkd-wait-online \
    apt-daily.timer apt-daily-upgrade.timer man-db.timer e2scrub_all.timer \
    systemd-timesyncd ssh cron; do
    case $unit in *.timer) ;; *) unit=$unit.service ;; esac
    ln -sf /dev/null "/new/etc/systemd/system/$unit"
done
