#!/bin/bash
# Runs in a lab host: as its first process, or as a unit of its systemd.
# Prepares what is still missing, runs the scenarios, and powers off.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C TERM=dumb

argument() {
    local word
    for word in $(</proc/cmdline); do
        if [[ $word == "$1="* ]]; then echo "${word#*=}"; fi
    done
}

if [[ $$ == 1 ]]; then
    mkdir -p /dev/pts /dev/shm /dev/hugepages /run/lock /run/libvirt
    ln -s /proc/self/fd /dev/fd
    mount -t devpts -o gid=5,mode=620 none /dev/pts
    mount -t tmpfs none /dev/shm
    mount -t hugetlbfs -o pagesize=2M none /dev/hugepages
    mount -t cgroup2 none /sys/fs/cgroup
    mount -t debugfs none /sys/kernel/debug
    hostname lab
    ip link set lo up
fi
ulimit -l unlimited
ulimit -n 65536
for cpu in $(argument lab.offline | tr , ' '); do
    echo 0 >"/sys/devices/system/cpu/cpu$cpu/online"
done
echo "lab: up after $(cut -d ' ' -f 1 /proc/uptime) s"

program=/lab/programs/$(argument lab.program)
shell=$(argument lab.shell)
if [[ -n $shell ]]; then
    IFS=, read -r TERM rows columns <<<"$shell"
    stty -F /dev/ttyS0 rows "$rows" columns "$columns"
    start_libvirtd() {
        # shellcheck source=/dev/null
        . <("$program" --libvirtd)
    }
    export -f start_libvirtd
    export program PATH=/lab/programs:$PATH PS1='lab \w \$ '
    echo "lab: this is the host, with vmtune; \`exit\` ends it, and keeps nothing"
    if [[ $$ == 1 ]]; then echo "lab: \`start_libvirtd\` starts libvirtd"; fi
    cd /root && setsid -c bash --norc <>/dev/ttyS0 >&0 2>&1
else
    # Not `exec`: the first process has to collect those that end.
    "$program" --inside
fi
if [[ $$ != 1 ]]; then
    # It is in use to the end, and systemd would say that it is.
    umount -l /lib/modules
    systemctl --no-block poweroff
    exit
fi
sync
echo o >/proc/sysrq-trigger
sleep 10
