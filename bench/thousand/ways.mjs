// The ways that are compared. Each freezes, proves and thaws all namespaces of a list, from start to exit of its programs.
import { execFileSync } from 'node:child_process';

const folder = new URL('.', import.meta.url).pathname;

/** nft in a namespace, one program after the other: load, list, delete. */
const byHand = (enter, ruleset) =>
  `${enter} nft -f ${ruleset}; ${enter} nft -j list table inet netfreeze >/dev/null; ${enter} nft delete table inet netfreeze`;
const loop = (list, script) => `while read -r n; do ${script}; done <${list}`;

/** CRIU's nftables lock makes five changes and proves nothing; the sequence alone is run here (criu/net.c). */
const criu = (enter) => {
  const table = 'inet CRIU-1';
  const chain = (name) => [
    `add chain ${table} ${name} { type filter hook ${name} priority 0; policy drop; }`,
    `add rule ${table} ${name} meta mark 0xc114 accept`,
  ];
  const changes = [`create table ${table}`, ...chain('output'), ...chain('input'), `delete table ${table}`];
  return changes.map((change) => `${enter} nft '${change}'`).join('; ');
};

/**
 * @param ruleset the file that nft loads by hand
 * @param parts the bundle that the floor uses
 * @returns the ways; `isSlow` are those of which 1,000 take minutes
 */
export function waysWith(ruleset, parts) {
  const netfreeze =
    (...commands) =>
    (list) => {
      for (const [command, ...rest] of commands) program('bin/netfreeze', [command, '--targets', list, ...rest]);
    };
  const shell = (script) => (list) => program('sh', ['-ec', script(list)]);
  const enter = 'ip netns exec "$n"';
  return [
    { key: 'three', name: '`netfreeze on`, `verify`, `off`', run: netfreeze(['on'], ['verify'], ['off']) },
    { key: 'two', name: '`netfreeze on` (which proves), `off`', run: netfreeze(['on'], ['off']) },
    { key: 'run', name: '`netfreeze run -- true`', run: netfreeze(['run', '--', 'true']) },
    {
      key: 'exec',
      name: '`ip netns exec … nft`, a loop',
      isSlow: true,
      run: shell((list) => loop(list, byHand(enter, ruleset))),
    },
    {
      key: 'nsenter',
      name: '`nsenter … nft`, a loop',
      isSlow: true,
      run: shell((list) => loop(list, byHand('nsenter --net="/run/netns/$n"', ruleset))),
    },
    {
      key: 'xargs',
      name: '`ip netns exec … nft`, `xargs -P4`',
      isSlow: true,
      run: shell((list) => `xargs -P4 -n1 sh -ec 'n=$0; ${byHand(enter, ruleset)}' <${list}`),
    },
    {
      key: 'criu',
      name: 'the changes of CRIU’s lock, `ip netns exec … nft`',
      isSlow: true,
      run: shell((list) => loop(list, criu(enter))),
    },
    {
      key: 'floor',
      name: 'the same transactions, a bare loop',
      run: (list) => JSON.parse(program('node', [`${folder}floor.mjs`, parts, list, ruleset])),
    },
  ];
}

const program = (name, args) =>
  execFileSync(name, args, { encoding: 'utf8', maxBuffer: 2 ** 28, stdio: ['ignore', 'pipe', 'pipe'] });
