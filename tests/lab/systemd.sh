#!/bin/sh
# Makes the root below /new one that systemd boots as that of a real host.
# Its disk keeps what is written here, so that this runs at the first start.
set -e
if [ -e /upper/prepared ]; then
    exit 0
fi

# The machine may be a container. Its files shall not say so of this host.
rm -f /new/.dockerenv
# The machine's services, VMs and boot files are its own.
rm -f /new/etc/default/grub
for folder in /boot /etc/default/grub.d /etc/kernel /etc/libvirt \
    /etc/openvswitch /etc/systemd/system /var/lib/libvirt /var/lib/machines \
    /var/lib/vmtune /var/log/libvirt; do
    rm -rf "/new$folder"
    mkdir -p "/new$folder"
done

echo lab >/new/etc/hostname
: >/new/etc/fstab
conf=/new/etc/systemd/journald.conf.d
mkdir -p $conf
printf '[Journal]\nStorage=volatile\n' >$conf/lab.conf
# Says that caches for the linker and udev are as new as /usr.
touch -r /new/usr /new/etc/.updated /new/var/.updated

units=/new/etc/systemd/system
cat >$units/lab.service <<'UNIT'
[Unit]
Description=The lab's scenarios
After=multi-user.target

[Service]
Type=oneshot
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
ExecStart=/bin/bash /lab/host.sh
UNIT

# As `systemctl enable` and `systemctl mask` do it.
wanted_by() {
    mkdir -p "$units/$1.wants"
    ln -s "/lib/systemd/system/$2" "$units/$1.wants/$2"
}
for socket in libvirtd libvirtd-ro libvirtd-admin virtlogd virtlogd-admin; do
    wanted_by sockets.target "$socket.socket"
done
wanted_by multi-user.target libvirtd.service
wanted_by multi-user.target systemd-machined.service
ln -s ../lab.service "$units/multi-user.target.wants/lab.service"
# Nobody logs in, and nothing waits to be cleaned.
for unit in console-getty.service getty@tty1.service \
    serial-getty@ttyS0.service proc-sys-fs-binfmt_misc.automount \
    systemd-binfmt.service systemd-networkd-wait-online.service \
    systemd-tmpfiles-clean.timer; do
    ln -s /dev/null "$units/$unit"
done
: >/upper/prepared
