// A pair of the lab with a third namespace behind the box, which the box forwards to; and a program that tries every way.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { address, makePair } from '../lab/pair.mjs';
import { mustRun, run, start } from '../lab/programs.mjs';

const far = { own: { 4: '10.91.2.2', 6: 'fd91:2::2' }, box: { 4: '10.91.2.1', 6: 'fd91:2::1' } };

/**
 * Makes a site for locks.mjs.
 * @param where `prefix` begins the names of its namespaces, `folder` takes what programs keep, `patience` see turns.py
 * @returns the site, with `turns`, the program that tries (../lab/traffic/turns.py)
 */
export async function makeRouterSite({ prefix, folder, patience }) {
  const pair = await makePair(prefix);
  const name = pair.name.box.replace(/box$/, 'far');
  const site = {
    pair,
    folder: join(folder, pair.name.box),
    stateDirectory: join(folder, 'state'),
    async remove() {
      await site.turns?.end();
      await pair.remove();
      await run('ip', ['netns', 'delete', name]);
    },
  };
  try {
    for (const made of [site.folder, site.stateDirectory]) mkdirSync(made, { recursive: true, mode: 0o700 });
    await addFar(pair, name);
    site.turns = await start(pair.file.box, 'turns', {
      ...pair.file,
      far: `/run/netns/${name}`,
      addresses: { ...address, far: far.own },
      device: pair.device,
      boxDevice: pair.device,
      patience,
    });
  } catch (error) {
    await site.remove();
    throw error;
  }
  return site;
}

async function addFar({ file }, name) {
  const lines = [
    `netns add ${name}`,
    `-n ${name} link set lo up`,
    `link add eth0 index 20 netns ${name} type veth peer name toFar index 21 netns ${file.box.split('/').at(-1)}`,
  ];
  for (const line of lines) await mustRun('ip', line.split(' '));
  await inside(`/run/netns/${name}`, [...addresses(far.own, 'eth0'), ...routes(far.box)]);
  await inside(file.box, addresses(far.box, 'toFar'), [
    'echo 1 >/proc/sys/net/ipv4/ip_forward',
    'echo 1 >/proc/sys/net/ipv6/conf/all/forwarding',
  ]);
  await inside(file.peer, routes(address.box));
}

/** Without duplicate address detection an address works at once. */
const addresses = (own, device) => [
  `addr add ${own[4]}/24 dev ${device}`,
  `addr add ${own[6]}/64 dev ${device} nodad`,
  `link set ${device} up`,
];

const routes = (gateway) => [`route add default via ${gateway[4]}`, `route add ::/0 via ${gateway[6]}`];

/** An address of the link's own that waits to be known as the only one of its kind would hold back neighbour discovery. */
const atOnce = 'for dad in /proc/sys/net/ipv6/conf/*/accept_dad; do echo 0 >"$dad"; done';

const inside = (file, lines, before = []) =>
  mustRun('nsenter', [`--net=${file}`, 'sh', '-ec', [atOnce, ...before, 'exec ip -batch -'].join('\n')], {
    input: lines.join('\n'),
  });
