#!/usr/bin/env bash
# Builds the test machine's parts into a folder:
#
#   build.sh FOLDER PACKAGES    PACKAGES: names of Debian packages, separated by commas
#
#   disk.img    Debian 12 with systemd, its own kernel's modules, CRIU, and this machine's node; beside them, in a tree of
#               its own, the CRIU of Debian 13, which can be told not to lock the network (guest/criu-new starts it)
#   vmlinux     Debian's kernel, decompressed
#   initrd      what mounts the disk: guest/init
#
# The packages come from where this machine's own come from. Needs root and rig/packages.txt.
set -euo pipefail
guest=$(cd "$(dirname "$0")/guest" && pwd)
folder=$1 packages=$2
work=$(mktemp -d -t nfz-image.XXXXXX)
trap 'rm -rf "$work"' EXIT
root=$work/root
# Nobody but this user may look inside while it is made; mmdebstrap's apt drops its privileges and must get through.
chmod 755 "$work"

# debian_sources: the files that say where Debian 12's main packages are; other people's packages are not wanted.
debian_sources() {
  local file
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources}; do
    if grep -qw bookworm "$file" && grep -qw main "$file"; then printf '%s\n' "$file"; fi 2>/dev/null
  done
}

# without PATTERN...: mmdebstrap's options that leave out files. A machine without hardware needs few drivers.
without() { printf -- '--dpkgopt=path-exclude=%s\n' "$@"; }
but_with() { printf -- '--dpkgopt=path-include=%s\n' "$@"; }

install_debian() {
  local sources files drivers='/lib/modules/*/kernel/drivers'
  mapfile -t sources < <(debian_sources)
  ((${#sources[@]} > 0)) || {
    echo "none of this machine's apt sources is for Debian 12 (bookworm)" >&2
    exit 1
  }
  mapfile -t files < <(
    without '/usr/share/'{doc,man,locale,info}'/*' '/lib/modules/*/kernel/sound/*' "$drivers/*"
    but_with "$drivers/"{block/virtio_blk,char/virtio_console,char/hw_random/*,virtio/*,net/dummy,net/ifb,net/tun,net/veth}.ko
  )
  # Nobody needs the initial RAM disk that Debian would make for its kernel.
  INITRD=No mmdebstrap --quiet --variant=minbase --format=directory --include="$packages" \
    --aptopt='Apt::Install-Recommends "false"' "${files[@]}" bookworm "$root" "${sources[@]}"
}

# Debian 13 is where Debian 12 is, under its own name.
install_newer_criu() {
  local tree=$root/opt/criu-new file newer=()
  mkdir "$work/newer"
  while read -r file; do
    newer+=("$work/newer/${file##*/}")
    sed 's/bookworm/trixie/g' "$file" >"${newer[-1]}"
  done < <(debian_sources)
  mmdebstrap --quiet --variant=extract --format=directory --include=criu \
    --aptopt='Apt::Install-Recommends "false"' --dpkgopt='path-exclude=/usr/share/*' trixie "$tree" "${newer[@]}" || {
    echo "no CRIU of Debian 13 (trixie) could be had from where this machine's Debian 12 comes from" >&2
    exit 1
  }
  rm -rf "$tree"/{dev,etc,tmp,var}
  install "$guest/criu-new" "$root/usr/local/sbin/criu-new"
}

install_job() {
  local units=$root/etc/systemd/system unit
  install -D "$(readlink -f "$(command -v node)")" "$root/usr/local/bin/node"
  install -D "$guest/agent" "$root/usr/local/sbin/agent"
  install -m 644 "$guest/modules.txt" "$root/etc/job-modules"
  install -m 644 "$guest"/job.{service,target} "$units"
  ln -sf job.target "$units/default.target"
  # Without them a machine that only does a job is up in half the time.
  while read -r unit; do ln -sf /dev/null "$units/$unit"; done <"$guest/unwanted-units.txt"
  mkdir -p "$root/etc/systemd/system-generators"
  for unit in "$root"/lib/systemd/system-generators/*; do
    ln -sf /dev/null "$root/etc/systemd/system-generators/${unit##*/}"
  done
  printf '[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\n' >"$root/etc/systemd/journald.conf"
  echo netfreeze-vm >"$root/etc/hostname"
  echo '127.0.0.1 localhost netfreeze-vm' >"$root/etc/hosts"
  # With one of its own, systemd takes no boot for the first.
  md5sum "$guest/agent" | cut -d' ' -f1 >"$root/etc/machine-id"
  : >"$root/etc/fstab"
}

# QEMU starts a decompressed kernel as it is. Debian's is packed with xz, which costs 5 s of every cold boot otherwise.
unpack_kernel() {
  local packed offset
  packed=$(echo "$root"/boot/vmlinuz-*)
  offset=$(LC_ALL=C grep -abo -P '\xfd7zXZ\x00' "$packed" | head -n 1 | cut -d: -f1)
  # What follows the kernel in the file is no stream of xz.
  xz -dc --single-stream < <(tail -c +"$((offset + 1))" "$packed") >"$folder/vmlinux"
}

make_initrd() {
  local tree=$root/tmp/initrd version module
  version=$(basename "$root"/lib/modules/*)
  mkdir -p "$tree"/{bin,dev,disk,modules,proc,sys}
  install "$root/bin/busybox" "$tree/bin/busybox"
  install "$guest/init" "$tree/init"
  # modprobe says what it would load, in order and with what each needs.
  chroot "$root" modprobe -S "$version" -aD virtio_pci virtio_blk virtio_console crc32c_generic ext4 |
    awk '$1 == "insmod" && !seen[$2]++ { print $2 }' |
    while read -r module; do
      cp "$root/$module" "$tree/modules/"
      echo "${module##*/}" >>"$tree/modules/order"
    done
  chroot "$root" sh -c 'cd /tmp/initrd && find . | busybox cpio -o -H newc' >"$folder/initrd" 2>/dev/null
  rm -rf "$tree"
}

make_disk() {
  rm -rf "$root"/boot/* "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
  # Room for what jobs write; nothing of it lasts.
  truncate -s "$(($(du -sm --apparent-size "$root" | cut -f1) * 11 / 10 + 512))M" "$folder/disk.img"
  # Without a journal and checksums: the file is never written again, only copies that go with a machine.
  mke2fs -q -t ext4 -O ^has_journal,^metadata_csum -m 0 -d "$root" "$folder/disk.img"
}

install_debian
install_newer_criu
install_job
unpack_kernel
make_initrd
make_disk
