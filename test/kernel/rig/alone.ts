/** A view of the machine on which only some labs exist, for commands that are about every namespace of the machine. */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Lab } from './lab';

/**
 * Runs what follows where `/run/netns` holds nothing but the boxes of these labs and `/proc` nothing but its own
 * processes: what is frozen on this machine besides the tests is none of their business.
 * @returns a program and arguments for `Surroundings.through`
 */
export function aloneWith(lab: Lab, ...others: Lab[]): string[] {
  const script = join(lab.stateDir, 'alone.sh');
  writeFileSync(
    script,
    `#!/bin/sh -e
aside=$(mktemp -d "$(dirname "$0")/aside-XXXXXX")
for name in ${[lab, ...others].map(({ box }) => box).join(' ')}; do
  : >"$aside/$name"
  mount --bind "/run/netns/$name" "$aside/$name"
done
mount -t tmpfs netns /run/netns
for file in "$aside"/*; do
  : >"/run/netns/\${file##*/}"
  mount --bind "$file" "/run/netns/\${file##*/}"
done
exec "$@"
`,
  );
  chmodSync(script, 0o755);
  return ['unshare', '--mount', '--pid', '--fork', '--mount-proc', '--propagation', 'private', script];
}
