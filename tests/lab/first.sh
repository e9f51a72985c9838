#!/bin/busybox sh
# shellcheck shell=dash
# The first process of a lab host. Lays a writable layer over the machine's
# own files, and goes on with host.sh or systemd there.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev

fail() {
    echo "lab: $*"
    poweroff -f
}

argument() {
    read -r line </proc/cmdline
    for word in $line; do
        case $word in "$1="*) echo "${word#*=}" ;; esac
    done
}

while read -r module; do
    insmod "/modules/$module" || fail "$module is not loaded"
done </modules/order

share() {
    mount -t 9p -o "trans=virtio,version=9p2000.L,msize=512000,$3" "$1" "$2" ||
        fail "the share $1 is not there"
}

share root /lower ro,cache=loose
disk=$(argument lab.disk)
if [ -n "$disk" ]; then
    mount -t ext4 "/dev/$disk" /upper || fail "the disk cannot be mounted"
else
    mount -t tmpfs -o mode=755 none /upper
fi
mkdir -p /upper/files /upper/work
mount -t overlay -o \
    lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work none /new ||
    fail "no root"

for folder in programs kernel out; do
    mkdir -p "/new/lab/$folder"
done
share programs /new/lab/programs ro,cache=loose
share kernel /new/lab/kernel ro,cache=loose
share out /new/lab/out rw,cache=none
cp /host.sh /new/lab/host.sh

# The machine's own files are seen, its own state is not.
for folder in /lib/modules /tmp /run /var/lib/libvirt /var/cache/libvirt /var/log/libvirt; do
    mkdir -p "/new$folder"
done
mount --bind /new/lab/kernel/modules/lib/modules /new/lib/modules
mount -t tmpfs none /new/tmp
mount -t tmpfs -o mode=755 none /new/run
if [ -z "$disk" ]; then
    for folder in /etc/libvirt /etc/openvswitch /var/lib/vmtune \
        /var/lib/libvirt /var/cache/libvirt /var/log/libvirt; do
        mkdir -p "/new$folder"
        mount -t tmpfs -o mode=755 none "/new$folder"
    done
fi
# What libvirtd learns of QEMU takes it half a minute here, each time.
share cache /new/var/cache/libvirt rw,cache=none
mount --move /dev /new/dev
mount --move /proc /new/proc
mount --move /sys /new/sys

if [ -n "$disk" ]; then
    sh /systemd.sh || fail "systemd cannot be prepared"
    exec switch_root /new /lib/systemd/systemd --unit=multi-user.target \
        --show-status=error
fi
exec switch_root /new /bin/bash /lab/host.sh
