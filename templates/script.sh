#!/bin/sh
# What `vmtune apply` would do, as a script to read and to run.
#
# Host the plan was made for: {{ host }}
{%- if libvirt %}
# Undo: libvirt keeps no former definition. Save it first, for each VM:
#   virsh {{ connect }}dumpxml --inactive --security-info VM > VM.before.xml
# and bring it back with `virsh {{ connect }}define VM.before.xml`.
{%- else %}
# Undo: save /etc/pve/qemu-server/VMID.conf first, and copy it back.
{%- endif %}
{%- if lines %}
# Of the host, what stands there now is said beside each value; a file that
# is new goes with rm.
{%- endif %}
set -eu
{% for vm in vms %}
# {{ vm.name }}: {{ vm.changes }}, in effect when the VM starts next.
{%- for line in vm.lines %}
#   {{ line }}
{%- endfor %}
{%- if vm.is_proxmox %}
{%- if vm.proxmox %}
{{ vm.proxmox }}
{%- endif %}
{%- else %}
virsh {{ connect }}define --validate /dev/stdin <<'{{ vm.end }}'
{{ vm.definition }}
{{ vm.end }}
{%- endif %}
{% endfor -%}
{% if lines %}
# The host, as root.
{%- for line in lines %}
{{ line }}
{%- endfor %}
{% endif -%}
