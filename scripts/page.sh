# shellcheck shell=bash
# What bench.sh and lab.sh have in common: the head of a page that a run writes.

# machine_of_the_page: what was measured on, without which no number means anything.
machine_of_the_page() {
  local system kernel cpu koffi load
  system=$(sed -n 's/^PRETTY_NAME="\(.*\)"$/\1/p' /etc/os-release)
  # Only the number: what a builder has added to it says nothing to others.
  kernel=$(uname -r | sed -E 's/^([0-9]+\.[0-9]+).*/\1/')
  cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
  koffi=$(node -p 'JSON.parse(require("fs").readFileSync("node_modules/koffi/package.json")).version')
  load=$(cut -d' ' -f1 /proc/loadavg)
  cat <<END
| machine | |
|---|---|
| processor | ${cpu:-unknown}, $(nproc) in use |
| system | ${system:-unknown}, Linux $kernel |
| load when it began | $load |
| Node | $(node --version) |
| nft | $(nft --version | sed 's/^nftables //') |
| koffi | $koffi |
| netfreeze | $(node -p 'require("./package.json").version') |
| measured | $(date -u +%Y-%m-%d) |
END
}
