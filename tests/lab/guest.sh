#!/bin/busybox sh
# The first process of a guest in a lab host. Gives its function an address,
# makes an RDMA device of it, and does what the guest agent is told.
/bin/busybox mount -t proc none /proc
/bin/busybox mount -t sysfs none /sys
/bin/busybox mount -t devtmpfs none /dev
/bin/busybox --install -s /bin
export PATH=/usr/bin:/bin
mkdir -p /dev/shm /dev/pts
mount -t devpts none /dev/pts
mount -t tmpfs none /run
ulimit -l unlimited
ip link set lo up

argument() {
    for word in $(cat /proc/cmdline); do
        case $word in "$1="*) echo "${word#*=}" ;; esac
    done
}

say() {
    echo "guest $(cut -d ' ' -f 1 /proc/uptime): $*"
}

while read -r module; do
    insmod "/modules/$module" || say "$module is not loaded"
done </modules/order

# There is no udev that would name the ports.
mkdir -p /dev/virtio-ports
for port in /sys/class/virtio-ports/*; do
    ln -s "../${port##*/}" "/dev/virtio-ports/$(cat "$port/name")"
done
qemu-ga --statedir /run --pidfile /run/agent.pid \
    --path /dev/virtio-ports/org.qemu.guest_agent.0 &

# Waits until a command succeeds.
until_true() {
    for _ in $(seq 600); do
        if "$@"; then return 0; fi
        sleep 0.1
    done
    say "not within a minute: $*"
    return 1
}

has_carrier() {
    [ "$(cat "/sys/class/net/$1/carrier" 2>/dev/null)" = 1 ]
}

interface=$(ls /sys/bus/pci/drivers/igbvf/*/net)
ip link set "$interface" up
ip address add "$(argument lab.address)" dev "$interface"
until_true has_carrier "$interface"
rdma link add rxe0 type rxe netdev "$interface"
say ready
while :; do sleep 3600; done
