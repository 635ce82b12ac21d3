# shellcheck shell=bash
# What demo.sh, test.sh and bench.sh need before they begin; they source it from the project's folder. Nothing here
# asks a question, and what is there already is left alone.

# Debian keeps ip and nft where the PATH of a plain `su` does not look; nothing here reads what is typed.
PATH="$PATH:/usr/sbin:/sbin"
exec </dev/null

fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

# quietly WHAT COMMAND...: says what is done, and shows the command's output only if it fails.
quietly() {
  local what=$1 log
  shift
  log=$(mktemp -t nfz-log.XXXXXX)
  printf '%s … ' "$what"
  if ! "$@" >"$log" 2>&1; then
    printf 'failed\n'
    cat "$log" >&2
    rm -f "$log"
    fail "failed: $*"
  fi
  rm -f "$log"
  printf 'done\n'
}

apt_install() {
  # Without the newest lists an installation can still work (no network, all in the cache), so a failure is not the end.
  apt-get update || true
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "$@"
}

# install_packages PACKAGE...: installs those Debian packages that are missing.
install_packages() {
  # Other systems name their packages otherwise; there a missing program is named by whoever needs it.
  command -v dpkg-query >/dev/null || return 0
  local package missing=()
  for package in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
  done
  ((${#missing[@]} > 0)) || return 0
  ((EUID == 0)) || fail "Debian packages are missing. As root: apt-get install ${missing[*]}"
  quietly "Installing Debian packages: ${missing[*]}" apt_install "${missing[@]}"
}

# prepare: node_modules as package-lock.json has it, and dist as the sources have it.
prepare() {
  local major
  major=$(node -p 'process.versions.node.split(".")[0]')
  ((major >= 20)) || fail "netfreeze needs Node 20 or newer; this is $(node --version)"
  # npm writes this file last, so an installation that was interrupted is made again.
  if [[ package-lock.json -nt node_modules/.package-lock.json ]]; then
    quietly 'Installing npm packages' npm ci
  fi
  if is_stale; then
    quietly 'Building' npm run build
  fi
}

# Whether dist is missing, half made (the types are made last), or older than what it is made of.
is_stale() {
  [[ -s dist/run.cjs && -s dist/types/nftables/json.d.ts ]] || return 0
  # Folders are compared too: a deleted file changes its folder's time.
  local made_of=(src templates scripts/build.mjs scripts/handlebars-module.cjs package-lock.json tsconfig.json tsconfig.types.json)
  [[ -n $(find "${made_of[@]}" -newer dist/run.cjs -print -quit) ]]
}

# end_on_signals: an interruption ends the script through its EXIT trap, where it tidies up.
end_on_signals() {
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 141' PIPE
  trap 'exit 143' TERM
}
