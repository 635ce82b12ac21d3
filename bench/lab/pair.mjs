// Two namespaces with a cable between them: `box`, which is frozen, and `peer`. No other namespace is touched.
import { mustRun, run } from './programs.mjs';

/** Who has which address; it exists inside the pair only. */
export const address = {
  box: { 4: '10.91.1.1', 6: 'fd91:1::1' },
  peer: { 4: '10.91.1.2', 6: 'fd91:1::2' },
};

let counter = 0;

/**
 * Makes a pair.
 * @param prefix what the names of its namespaces begin with; whoever started the lab removes all of that name in the end
 * @param sysctls settings under /proc/sys/net by place, such as `{ box: { 'ipv4/tcp_retries2': 3 } }`
 * @returns its namespaces by name (for netfreeze) and by file, the wire's device in both, and `remove()`
 */
export async function makePair(prefix, sysctls = {}) {
  counter += 1;
  const name = { box: `${prefix}-${counter}-box`, peer: `${prefix}-${counter}-peer` };
  const file = { box: `/run/netns/${name.box}`, peer: `/run/netns/${name.peer}` };
  const places = ['peer', 'box'];
  // The ends' indexes differ on purpose: where they are equal, the kernel holds back news of the carrier for a second.
  const lines = [
    ...places.map((place) => `netns add ${name[place]}`),
    `link add eth0 index 10 netns ${name.peer} type veth peer name eth0 index 11 netns ${name.box}`,
  ];
  await mustRun('ip', ['-batch', '-'], { input: lines.join('\n') });
  for (const place of places) await furnish(file[place], address[place], sysctls[place] ?? {});
  return {
    name,
    file,
    device: 'eth0',
    async remove() {
      for (const place of places) await run('ip', ['netns', 'delete', name[place]]);
    },
  };
}

async function furnish(file, own, sysctls) {
  const script = [
    'for ask in /proc/sys/net/ipv6/conf/*/router_solicitations; do echo 0 >"$ask"; done',
    ...Object.entries(sysctls).map(([name, value]) => `echo ${value} >/proc/sys/net/${name}`),
    'exec ip -batch -',
  ];
  const lines = [
    'link set lo up',
    `addr add ${own[4]}/24 dev eth0`,
    // Without duplicate address detection the address works at once.
    `addr add ${own[6]}/64 dev eth0 nodad`,
    'link set eth0 up',
  ];
  await mustRun('nsenter', [`--net=${file}`, 'sh', '-ec', script.join('\n')], { input: lines.join('\n') });
}
